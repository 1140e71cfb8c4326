//! Users: everything about one is erased at once.

use super::Contract;
use crate::{error::Recorded, request::Reader};

/// Reads `DELETE /api/{user_id}`, which has no input: the user to erase is the caller.
pub fn erase_user(_: Contract, _: &mut Reader) -> Result<(), Recorded> {
    Ok(())
}

/// Describes the operation.
#[cfg(feature = "openapi")]
pub mod describe {
    use utoipa::openapi::HttpMethod;

    use crate::{
        contract::{headers::describe::rendered, openapi::Operation},
        response::Response,
    };

    /// Describes the operations.
    pub fn operations() -> Vec<Operation> {
        let response = Response::no_content();
        vec![Operation {
            id: "eraseUser",
            summary: "Delete all data of the user",
            description: "Deletes the user's tasks, idempotency keys and history of changes. This can't be undone. The \
                          user's account at the server where users sign in isn't affected. Afterwards, an earlier \
                          `since` is 410 and an earlier `cursor` of a list is 422.",
            method: HttpMethod::Delete,
            path: "",
            parameters: vec![],
            body: None,
            responses: vec![("204", rendered("The user's data was deleted.", &response, None))],
            errors: &[],
        }]
    }
}
