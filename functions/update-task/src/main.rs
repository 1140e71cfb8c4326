//! `PUT …/tasks/{task_id}`: replaces a task (envelope), or changes the fields that the body contains (plain).

use std::process::ExitCode;

use shared::{Failure, Request, Response, TaskUpdate, read};

async fn update_task(request: Request<TaskUpdate>) -> Result<Response, Failure> {
    let written = request.store.update_task(&request.caller, &request.input).await?;
    Ok(request.contract.updated(&written))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(read::update_task, update_task).await
}
