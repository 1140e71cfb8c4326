//! `PUT …/tasks/{task_id}`: replaces a task (envelope), or changes the given fields (plain).

use std::process::ExitCode;

use shared::{Error, PutTask, Request, Response, StatusCode};

async fn update_task(request: Request<PutTask>) -> Result<Response, Error> {
    let PutTask { key, changes } = &request.input;
    let task = request.store.update_task(&request.caller, *key, changes).await?;
    Ok(request.contract.task(StatusCode::OK, &task))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(update_task).await
}
