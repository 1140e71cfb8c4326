//! `PATCH …/tasks/{task_id}/complete`: sets (envelope) or toggles (plain) whether a task is completed.

use std::process::ExitCode;

use shared::{Failure, Request, Response, TaskUpdate, read};

async fn complete_task(request: Request<TaskUpdate>) -> Result<Response, Failure> {
    let written = request.store.update_task(&request.caller, &request.input).await?;
    Ok(request.contract.updated(&written))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(read::complete_task, complete_task).await
}
