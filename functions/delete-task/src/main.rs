//! `DELETE …/tasks/{task_id}`: deletes a task.

use std::process::ExitCode;

use shared::{DeleteTask, Error, Request, Response};

async fn delete_task(request: Request<DeleteTask>) -> Result<Response, Error> {
    let written = request.store.delete_task(&request.caller, &request.input).await?;
    Ok(request.contract.deleted(&written))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(delete_task).await
}
