//! The SQL functions, called as endpoints call them: permissions, lists, and writes that are late or
//! repeated.

mod attempts;
mod erasures;
mod lists;
mod login;
pub(crate) mod walls;

use std::time::{Duration, SystemTime};

use shared::sql;
use tests::{connect, migrated_database};
use tokio_postgres::{
    Client, Error, Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

const TASKS_PER_USER: i32 = 10_000;

/// No limit on the writes per minute.
const NO_LIMIT: i32 = 0;

/// No condition on the version of a task.
const NO_REVISIONS: Option<Vec<i64>> = None;
const NO_TIMES: Option<Vec<SystemTime>> = None;

/// A migrated database, with a connection of each login.
struct Database {
    /// The superuser. Row-level security does not restrict it.
    owner: Client,
    /// The login of the endpoints.
    endpoint: Client,
}

/// The parameters of a write that identify its attempts.
#[derive(Clone, Copy)]
struct Attempt {
    id: Uuid,
    is_retry: bool,
    /// Whether its deadline has passed.
    is_late: bool,
}

/// A task's id in one of the contracts.
#[derive(Clone, Copy)]
enum Key {
    Id(Uuid),
    Number(i64),
}

/// The parameters of `list_tasks`.
#[derive(Clone, Copy)]
struct List {
    search: Option<&'static str>,
    sort: Option<&'static str>,
    descending: bool,
    limit: i64,
    offset: i64,
    /// When the list that the page continues was begun.
    begun_at: Option<SystemTime>,
    /// The number of the task that the page follows.
    after: Option<i64>,
    /// The version that the client has, if any. Two nulls match any version.
    known: Option<(Option<i64>, Option<SystemTime>)>,
}

impl List {
    /// Newest first.
    const NEWEST: Self = Self {
        search: None,
        sort: None,
        descending: true,
        limit: 100,
        offset: 0,
        begun_at: None,
        after: None,
        known: None,
    };
}

impl Attempt {
    fn new() -> Self {
        Self { id: Uuid::now_v7(), is_retry: false, is_late: false }
    }

    fn retry(self) -> Self {
        Self { is_retry: true, ..self }
    }

    fn late(self) -> Self {
        Self { is_late: true, ..self }
    }

    fn void_after(self) -> SystemTime {
        let minute = Duration::from_secs(60);
        if self.is_late { SystemTime::now() - minute } else { SystemTime::now() + minute }
    }
}

impl Key {
    fn parts(self) -> (Option<Uuid>, Option<i64>) {
        match self {
            Key::Id(id) => (Some(id), None),
            Key::Number(number) => (None, Some(number)),
        }
    }
}

impl Database {
    async fn new() -> Self {
        let (owner, endpoint) = migrated_database().await;
        Self { owner: connect(&owner).await, endpoint: connect(&endpoint).await }
    }

    /// Calls a function with one unnamed statement.
    async fn call(&self, function: &str, params: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>, Error> {
        let places: Vec<_> = (1..=params.len()).map(|place| format!("${place}")).collect();
        let statement = format!("select * from {}.{function}({})", *sql::SCHEMA, places.join(", "));
        self.endpoint.query_typed(&statement, params).await
    }

    async fn call_for_one(&self, function: &str, params: &[(&(dyn ToSql + Sync), Type)]) -> Row {
        let rows = self.call(function, params).await.unwrap_or_else(|error| panic!("{function}: {error:?}"));
        rows.into_iter().next().expect("one row")
    }

    async fn create(&self, user: &str, title: &str) -> Row {
        self.create_with(user, None, Uuid::now_v7(), title, None, Attempt::new()).await
    }

    async fn create_with(
        &self,
        user: &str,
        email: Option<&str>,
        id: Uuid,
        title: &str,
        key: Option<&str>,
        attempt: Attempt,
    ) -> Row {
        let hash = key.map(|_| title.as_bytes());
        let no_text = None::<&str>;
        let params: &[(&(dyn ToSql + Sync), Type)] = &[
            (&user, Type::TEXT),
            (&email, Type::TEXT),
            (&no_text, Type::TEXT),
            (&no_text, Type::TEXT),
            (&true, Type::BOOL),
            (&id, Type::UUID),
            (&title, Type::TEXT),
            (&no_text, Type::TEXT),
            (&None::<SystemTime>, Type::TIMESTAMPTZ),
            (&false, Type::BOOL),
            (&TASKS_PER_USER, Type::INT4),
            (&key, Type::TEXT),
            (&hash, Type::BYTEA),
            (&NO_LIMIT, Type::INT4),
            (&attempt.id, Type::UUID),
            (&attempt.is_retry, Type::BOOL),
            (&attempt.void_after(), Type::TIMESTAMPTZ),
        ];
        self.call_for_one("create_task", params).await
    }

    async fn get(&self, user: &str, key: Key) -> Row {
        let (id, number) = key.parts();
        let params: &[(&(dyn ToSql + Sync), Type)] = &[
            (&user, Type::TEXT),
            (&id, Type::UUID),
            (&number, Type::INT8),
            (&NO_REVISIONS, Type::INT8_ARRAY),
            (&NO_TIMES, Type::TIMESTAMPTZ_ARRAY),
        ];
        self.call_for_one("get_task", params).await
    }

    async fn list(&self, user: &str, list: List) -> Vec<Row> {
        let List { search, sort, descending, limit, offset, begun_at, after, known } = list;
        let (revisions, times) = known.map(|(revision, time)| (vec![revision], vec![time])).unzip();
        let params: &[(&(dyn ToSql + Sync), Type)] = &[
            (&user, Type::TEXT),
            (&None::<bool>, Type::BOOL),
            (&search, Type::TEXT),
            (&None::<SystemTime>, Type::TIMESTAMPTZ),
            (&None::<SystemTime>, Type::TIMESTAMPTZ),
            (&sort, Type::TEXT),
            (&descending, Type::BOOL),
            (&limit, Type::INT8),
            (&offset, Type::INT8),
            (&begun_at, Type::TIMESTAMPTZ),
            (&after, Type::INT8),
            (&None::<SystemTime>, Type::TIMESTAMPTZ),
            (&None::<&str>, Type::TEXT),
            (&revisions, Type::INT8_ARRAY),
            (&times, Type::TIMESTAMPTZ_ARRAY),
        ];
        self.call("list_tasks", params).await.expect("a list")
    }

    /// Sets the title and toggles `completed`.
    async fn update(&self, user: &str, key: Key, title: &str, attempt: Attempt) -> Row {
        let (id, number) = key.parts();
        let params: &[(&(dyn ToSql + Sync), Type)] = &[
            (&user, Type::TEXT),
            (&id, Type::UUID),
            (&number, Type::INT8),
            (&title, Type::TEXT),
            (&false, Type::BOOL),
            (&None::<&str>, Type::TEXT),
            (&false, Type::BOOL),
            (&None::<SystemTime>, Type::TIMESTAMPTZ),
            (&None::<bool>, Type::BOOL),
            (&true, Type::BOOL),
            (&NO_REVISIONS, Type::INT8_ARRAY),
            (&NO_TIMES, Type::TIMESTAMPTZ_ARRAY),
            (&None::<&str>, Type::TEXT),
            (&None::<&[u8]>, Type::BYTEA),
            (&NO_LIMIT, Type::INT4),
            (&attempt.id, Type::UUID),
            (&attempt.is_retry, Type::BOOL),
            (&attempt.void_after(), Type::TIMESTAMPTZ),
        ];
        self.call_for_one("update_task", params).await
    }

    async fn delete(&self, user: &str, key: Key, attempt: Attempt) -> Row {
        let (id, number) = key.parts();
        let params: &[(&(dyn ToSql + Sync), Type)] = &[
            (&user, Type::TEXT),
            (&id, Type::UUID),
            (&number, Type::INT8),
            (&NO_REVISIONS, Type::INT8_ARRAY),
            (&NO_TIMES, Type::TIMESTAMPTZ_ARRAY),
            (&None::<&str>, Type::TEXT),
            (&None::<&[u8]>, Type::BYTEA),
            (&NO_LIMIT, Type::INT4),
            (&attempt.id, Type::UUID),
            (&attempt.is_retry, Type::BOOL),
            (&attempt.void_after(), Type::TIMESTAMPTZ),
        ];
        self.call_for_one("delete_task", params).await
    }

    /// The changes after a position, given as revision and time; without a position, all tasks.
    async fn changes(&self, user: &str, since: Option<(i64, SystemTime)>, limit: i64) -> Vec<Row> {
        let (revision, list_updated_at) = since.unzip();
        let params: &[(&(dyn ToSql + Sync), Type)] = &[
            (&user, Type::TEXT),
            (&revision, Type::INT8),
            (&revision.map(|_| i64::MAX), Type::INT8),
            (&revision, Type::INT8),
            (&list_updated_at, Type::TIMESTAMPTZ),
            (&limit, Type::INT8),
        ];
        self.call("list_changes", params).await.expect("a list")
    }

    async fn erase(&self, user: &str, attempt: Attempt) -> Row {
        let params: &[(&(dyn ToSql + Sync), Type)] = &[
            (&user, Type::TEXT),
            (&attempt.id, Type::UUID),
            (&attempt.is_retry, Type::BOOL),
            (&attempt.void_after(), Type::TIMESTAMPTZ),
        ];
        self.call_for_one("erase_user", params).await
    }

    async fn run_as_owner(&self, statements: &str) {
        self.owner.batch_execute(statements).await.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }
}

fn outcome(row: &Row) -> &str {
    row.get("outcome")
}

fn title(row: &Row) -> Option<&str> {
    row.get("title")
}

fn id(row: &Row) -> Uuid {
    row.get("id")
}
