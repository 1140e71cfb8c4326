//! `POST …/tasks`: creates a task.

use std::process::ExitCode;

use shared::{Error, NewTask, Request, Response};

async fn create_task(request: Request<NewTask>) -> Result<Response, Error> {
    let written = request.store.create_task(&request.caller, &request.input).await?;
    Ok(request.contract.created(&written))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(create_task).await
}
