//! `PATCH …/tasks/{task_id}/complete`: sets (envelope) or toggles (plain) whether a task is completed.

use std::process::ExitCode;

use shared::{CompleteTask, Error, Request, Response};

async fn complete_task(request: Request<CompleteTask>) -> Result<Response, Error> {
    let CompleteTask(update) = &request.input;
    let written = request.store.update_task(&request.caller, update).await?;
    Ok(request.contract.updated(&written))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(complete_task).await
}
