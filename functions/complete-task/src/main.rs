//! `PATCH …/tasks/{task_id}/complete`: sets (envelope) or toggles (plain) whether a task is completed.

use std::process::ExitCode;

use shared::{CompleteTask, Error, Request, Response, StatusCode, TaskChanges};

async fn complete_task(request: Request<CompleteTask>) -> Result<Response, Error> {
    let CompleteTask { key, completion } = request.input;
    let changes = TaskChanges { completed: Some(completion), ..TaskChanges::default() };
    let task = request.store.update_task(&request.caller, key, &changes).await?;
    Ok(request.contract.task(StatusCode::OK, &task))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(complete_task).await
}
