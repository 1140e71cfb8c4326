//! `GET …/tasks/{task_id}`: returns one task.

use std::process::ExitCode;

use shared::{Failure, GetTask, Request, Response, read};

async fn get_task(request: Request<GetTask>) -> Result<Response, Failure> {
    let task = request.store.get_task(&request.caller, &request.input).await?;
    Ok(request.contract.shown(&task))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(read::get_task, get_task).await
}
