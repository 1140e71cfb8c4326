//! One request's transaction: for one user, bounded, and in one round trip.

use futures_util::future::join_all;
use tokio_postgres::{Row, types::Type};

use super::{
    pool::{Connection, Statement},
    query_error::QueryError,
};

/// Bound on a statement on the server, in milliseconds: below that on waiting for its answer, so that what the
/// server is still busy with ends there too.
const SERVER_STATEMENT_LIMIT_MS: &str = "3500";

/// Bound on what the server waits for the rest of a transaction, in milliseconds. The rest may be lost on a network
/// that tells neither side, and until then the rows stay locked.
const SERVER_IDLE_LIMIT_MS: &str = "2000";

/// Takes on the role that row-level security binds, for one user and one transaction.
const SCOPE: &str = "select set_config('role', 'task_api', true), \
                     set_config('app.user_id', $1, true), \
                     set_config('statement_timeout', $2, true), \
                     set_config('idle_in_transaction_session_timeout', $3, true)";

/// Runs statements as `task_api` for one user. All messages are written before the first answer is read, so they make
/// one round trip together; should an early one fail, the server refuses the later ones by itself.
pub(super) async fn in_scope(
    connection: &mut Connection,
    user_id: &str,
    statements: &[Statement<'_>],
) -> Result<Vec<Vec<Row>>, QueryError> {
    let scope: Statement = (
        SCOPE,
        &[
            (&user_id, Type::TEXT),
            (&SERVER_STATEMENT_LIMIT_MS, Type::TEXT),
            (&SERVER_IDLE_LIMIT_MS, Type::TEXT),
        ],
    );
    let statements = [&[scope], statements].concat();
    let answers = statements.iter().map(|statement| connection.query(statement));
    let (prepared, begun, answers, committed) = tokio::join!(
        biased;
        // For the next time, and outside of the transaction: this one does without.
        connection.prepare(&statements),
        connection.batch_execute("begin"),
        join_all(answers),
        connection.batch_execute("commit"),
    );
    begun.map_err(QueryError::before_statement)?;
    let mut answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    committed?;
    connection.keep(prepared);
    Ok(answers.split_off(1))
}
