//! A create-task that panics for certain titles, for the tests in `panics.rs`. Production code has no such
//! switch.

use std::process::ExitCode;

use shared::{Failure, NewTask, Request, Response, read};

async fn create_task(request: Request<NewTask>) -> Result<Response, Failure> {
    let title = request.input.fields.title.clone();
    if title == "panic before the database" {
        panic!("with a message that holds the title: {title}");
    }
    let created = request.store.create_task(&request.caller, &request.input).await?;
    if title == "panic after the database" {
        panic!("with fixed words");
    }
    Ok(request.contract.created(&created))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(read::create_task, create_task).await
}
