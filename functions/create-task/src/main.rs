//! `POST …/tasks`: creates a task.

use std::process::ExitCode;

use shared::{Failure, NewTask, Request, Response, read};

async fn create_task(request: Request<NewTask>) -> Result<Response, Failure> {
    let written = request.store.create_task(&request.caller, &request.input).await?;
    Ok(request.contract.created(&written))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(read::create_task, create_task).await
}
