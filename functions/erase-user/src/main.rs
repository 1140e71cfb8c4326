//! `DELETE /api/{user_id}`: deletes everything about the caller.

use std::process::ExitCode;

use shared::{Failure, Request, Response, read};

async fn erase_user(request: Request<()>) -> Result<Response, Failure> {
    request.store.erase_user(&request.caller).await?;
    Ok(Response::no_content())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(read::erase_user, erase_user).await
}
