//! `GET …/tasks/{task_id}`: shows one task.

use std::process::ExitCode;

use shared::{Error, Request, Response, StatusCode, TaskKey};

async fn get_task(request: Request<TaskKey>) -> Result<Response, Error> {
    let task = request.store.get_task(&request.caller, request.input).await?;
    Ok(request.contract.task(StatusCode::OK, &task))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(get_task).await
}
