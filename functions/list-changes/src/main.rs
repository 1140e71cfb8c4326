//! `GET …/tasks/changes`: lists the changes of the caller's tasks since an earlier request.

use std::process::ExitCode;

use shared::{ChangesQuery, Failure, Request, Response, read};

async fn list_changes(request: Request<ChangesQuery>) -> Result<Response, Failure> {
    let changes = request.store.list_changes(&request.caller, &request.input).await?;
    Ok(request.contract.changes(&request.caller.user_id, &changes))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(read::list_changes, list_changes).await
}
