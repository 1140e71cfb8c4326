//! Users.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Store, Write, not_carried_out};
use crate::{error::Failure, task::Caller};

impl Store {
    /// Deletes everything about the caller.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::Error::Unavailable), [`Error::Internal`](crate::Error::Internal).
    pub async fn erase_user(&self, caller: &Caller) -> Result<(), Failure> {
        let write = Some(Write::new(Uuid::now_v7()));
        let arguments = &[("p_user_id", &caller.user_id as _, Type::TEXT)];
        let row = self.call_for_one("erase_user", arguments, write).await?;
        // The function has one output column, so its result is not a composite.
        match row.get(0) {
            "done" => tracing::info!(audit = "erased", "user erased"),
            outcome => return Err(not_carried_out(outcome).into()),
        }
        Ok(())
    }
}
