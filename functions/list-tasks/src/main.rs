//! `GET …/tasks`: lists the caller's tasks.

use std::process::ExitCode;

use shared::{Failure, Request, Response, TaskQuery, read};

async fn list_tasks(request: Request<TaskQuery>) -> Result<Response, Failure> {
    let list = request.store.list_tasks(&request.caller, &request.input).await?;
    Ok(request.contract.list(&request.caller.user_id, &request.input, &list))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(read::list_tasks, list_tasks).await
}
