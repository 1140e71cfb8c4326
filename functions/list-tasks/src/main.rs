//! `GET …/tasks`: lists the caller's tasks.

use std::process::ExitCode;

use shared::{Error, Request, Response, TaskQuery};

async fn list_tasks(request: Request<TaskQuery>) -> Result<Response, Error> {
    let list = request.store.list_tasks(&request.caller, &request.input).await?;
    Ok(request.contract.list(&request.caller.user_id, &request.input, &list))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(list_tasks).await
}
