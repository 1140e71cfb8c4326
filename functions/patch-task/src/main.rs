//! `PATCH …/tasks/{task_id}`: changes the fields of a task that the body contains.

use std::process::ExitCode;

use shared::{Failure, Request, Response, TaskUpdate, read};

async fn patch_task(request: Request<TaskUpdate>) -> Result<Response, Failure> {
    let written = request.store.update_task(&request.caller, &request.input).await?;
    Ok(request.contract.updated(&written))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(read::patch_task, patch_task).await
}
