//! `PATCH …/tasks/{task_id}`: changes the given fields of a task.

use std::process::ExitCode;

use shared::{Error, PatchTask, Request, Response, StatusCode};

async fn patch_task(request: Request<PatchTask>) -> Result<Response, Error> {
    let PatchTask { key, changes } = &request.input;
    let task = request.store.update_task(&request.caller, *key, changes).await?;
    Ok(request.contract.task(StatusCode::OK, &task))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(patch_task).await
}
