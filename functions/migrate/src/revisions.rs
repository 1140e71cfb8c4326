//! Raises the revisions of all users after the database was restored to an earlier point.

use tokio_postgres::{Client, Error};

/// The number of users that one transaction raises. A write of such a user waits until it commits.
const BATCH: i64 = 10_000;

/// Raises the next users' revisions above all that a client can have seen. Revisions start from the clock's
/// microseconds and grow by one with each write, so the clock is ahead of all of them; a clock that was set
/// back is not.
const RAISE: &str = "
    with batch as (
        select id, greatest(revision + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint) as raised
        from public.users
        where id > $1::text
        order by id
        limit $2
        for no key update
    ), updated as (
        update public.users u
        set revision = batch.raised, changes_from = batch.raised
        from batch
        where u.id = batch.id
        returning u.id
    )
    select max(id), count(*) from updated";

/// Raises every user's revision, and the revision from which deletions are remembered. So no version and no
/// cursor that a client has from the lost time is ever valid again. Returns the number of users.
///
/// # Errors
/// If a statement fails. Users before that have been raised, and raising them again does no harm.
pub async fn raise(client: &mut Client) -> Result<u64, Error> {
    let mut raised = 0;
    let mut last = String::new();
    loop {
        let transaction = client.transaction().await?;
        // Rather an error than users that are left out.
        transaction.batch_execute("set local row_security = off").await?;
        let row = transaction.query_one(RAISE, &[&last, &BATCH]).await?;
        transaction.commit().await?;
        let Some(id) = row.get(0) else { return Ok(raised) };
        last = id;
        raised += row.get::<_, i64>(1).unsigned_abs();
    }
}
