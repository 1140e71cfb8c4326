//! `PATCH …/tasks/{task_id}`: changes the fields of a task that the body contains.

use std::process::ExitCode;

use shared::{Error, PatchTask, Request, Response};

async fn patch_task(request: Request<PatchTask>) -> Result<Response, Error> {
    let PatchTask(update) = &request.input;
    let written = request.store.update_task(&request.caller, update).await?;
    Ok(request.contract.updated(&written))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(patch_task).await
}
