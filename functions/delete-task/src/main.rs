//! `DELETE …/tasks/{task_id}`: deletes a task.

use std::process::ExitCode;

use shared::{Error, Request, Response, TaskKey};

async fn delete_task(request: Request<TaskKey>) -> Result<Response, Error> {
    request.store.delete_task(&request.caller, request.input).await?;
    Ok(Response::no_content())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(delete_task).await
}
