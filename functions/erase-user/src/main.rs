//! `DELETE /api/{user_id}`: deletes everything about the caller.

use std::process::ExitCode;

use shared::{EraseUser, Error, Request, Response};

async fn erase_user(request: Request<EraseUser>) -> Result<Response, Error> {
    request.store.erase_user(&request.caller).await?;
    Ok(Response::no_content())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve(erase_user).await
}
