//! `POST …/tasks`: creates a task. With an `Idempotency-Key` it is created once, however often the request is sent.

use std::process::ExitCode;

use shared::{Error, NewTask, Request, Response};

async fn create_task(request: Request<NewTask>) -> Result<Response, Error> {
    let created = request.store.create_task(&request.caller, &request.input).await?;
    Ok(request.contract.created(&created))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(create_task).await
}
