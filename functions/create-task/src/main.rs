//! `POST …/tasks`: makes a task. With an `Idempotency-Key`, once however often it is sent.

use std::process::ExitCode;

use shared::{Error, NewTask, Request, Response};

async fn create_task(request: Request<NewTask>) -> Result<Response, Error> {
    let created = request.store.create_task(&request.caller, &request.input).await?;
    Ok(request.contract.created(&created.task, created.replayed))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(create_task).await
}
