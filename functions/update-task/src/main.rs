//! `PUT …/tasks/{task_id}`: replaces a task (envelope), or changes the fields that the body contains (plain).

use std::process::ExitCode;

use shared::{Error, PutTask, Request, Response};

async fn update_task(request: Request<PutTask>) -> Result<Response, Error> {
    let PutTask(update) = &request.input;
    let written = request.store.update_task(&request.caller, update).await?;
    Ok(request.contract.updated(&written))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(update_task).await
}
