//! `DELETE …/tasks/{task_id}`: deletes a task.

use std::process::ExitCode;

use shared::{DeleteTask, Failure, Request, Response, read};

async fn delete_task(request: Request<DeleteTask>) -> Result<Response, Failure> {
    let written = request.store.delete_task(&request.caller, &request.input).await?;
    Ok(request.contract.deleted(&written))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(read::delete_task, delete_task).await
}
