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

/// The names, values and types of a function's arguments.
type Arguments<'a> = &'a [(&'static str, &'a (dyn ToSql + Sync), Type)];

/// A migrated database, with a connection of each login.
struct Database {
    /// The superuser. Row-level security does not restrict it.
    owner: Client,
    /// The login of the endpoints.
    endpoint: Client,
    /// The URL of that login.
    url: String,
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
    /// The version that the client has, if any. Two nulls match any version.
    known: Option<(Option<i64>, Option<SystemTime>)>,
}

impl List {
    /// Newest first.
    const NEWEST: Self =
        Self { search: None, sort: None, descending: true, limit: 100, offset: 0, known: None };
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
        Self { owner: connect(&owner).await, endpoint: connect(&endpoint).await, url: endpoint }
    }

    /// The same database with another session of the endpoints' login. It shares nothing with this one.
    async fn another_session(&self) -> Self {
        let [owner, endpoint] = [connect(&self.url).await, connect(&self.url).await];
        Self { owner, endpoint, url: self.url.clone() }
    }

    /// Calls a function with one unnamed statement. The columns of the task follow those of the function.
    async fn call(&self, function: &str, arguments: Arguments<'_>) -> Result<Vec<Row>, Error> {
        let named: Vec<_> =
            arguments.iter().zip(1..).map(|((name, ..), place)| format!("{name} => ${place}")).collect();
        let columns = match function {
            "erase_user" => "",
            "list_changes" => ", (r.task).*, r.deleted is not null as is_deleted",
            _ => ", (r.task).*",
        };
        let call = format!("{}.{function}({})", *sql::SCHEMA, named.join(", "));
        let values: Vec<_> = arguments.iter().map(|(_, value, ty)| (*value, ty.clone())).collect();
        self.endpoint.query_typed(&format!("select r.*{columns} from {call} r"), &values).await
    }

    async fn call_for_one(&self, function: &str, arguments: Arguments<'_>) -> Row {
        let rows =
            self.call(function, arguments).await.unwrap_or_else(|error| panic!("{function}: {error:?}"));
        rows.into_iter().next().expect("one row")
    }

    async fn create(&self, user: &str, title: &str) -> Row {
        self.create_with(user, Uuid::now_v7(), title, None, Attempt::new()).await
    }

    async fn create_with(
        &self,
        user: &str,
        id: Uuid,
        title: &str,
        key: Option<&str>,
        attempt: Attempt,
    ) -> Row {
        let hash = key.map(|_| title.as_bytes());
        let no_text = None::<&str>;
        let arguments: Arguments = &[
            ("p_user_id", &user, Type::TEXT),
            ("p_email", &no_text, Type::TEXT),
            ("p_name", &no_text, Type::TEXT),
            ("p_image", &no_text, Type::TEXT),
            ("p_email_verified", &false, Type::BOOL),
            ("p_id", &id, Type::UUID),
            ("p_title", &title, Type::TEXT),
            ("p_description", &no_text, Type::TEXT),
            ("p_due_date", &None::<SystemTime>, Type::TIMESTAMPTZ),
            ("p_due_all_day", &false, Type::BOOL),
            ("p_priority", &"medium", Type::TEXT),
            ("p_tags", &Vec::<&str>::new(), Type::TEXT_ARRAY),
            ("p_completed", &false, Type::BOOL),
            ("p_tasks_per_user", &TASKS_PER_USER, Type::INT4),
            ("p_idempotency_key", &key, Type::TEXT),
            ("p_idempotency_hash", &hash, Type::BYTEA),
            ("p_writes_per_minute", &NO_LIMIT, Type::INT4),
            ("p_attempt", &attempt.id, Type::UUID),
            ("p_is_retry", &attempt.is_retry, Type::BOOL),
            ("p_void_after", &attempt.void_after(), Type::TIMESTAMPTZ),
        ];
        self.call_for_one("create_task", arguments).await
    }

    async fn get(&self, user: &str, key: Key) -> Row {
        let (id, number) = key.parts();
        let arguments: Arguments = &[
            ("p_user_id", &user, Type::TEXT),
            ("p_id", &id, Type::UUID),
            ("p_number", &number, Type::INT8),
            ("p_known_revisions", &NO_REVISIONS, Type::INT8_ARRAY),
            ("p_known_times", &NO_TIMES, Type::TIMESTAMPTZ_ARRAY),
        ];
        self.call_for_one("get_task", arguments).await
    }

    async fn list(&self, user: &str, list: List) -> Vec<Row> {
        self.try_list(user, list).await.expect("a list")
    }

    async fn try_list(&self, user: &str, list: List) -> Result<Vec<Row>, Error> {
        let List { search, sort, descending, limit, offset, known } = list;
        let (revisions, times) = known.map(|(revision, time)| (vec![revision], vec![time])).unzip();
        let arguments: Arguments = &[
            ("p_user_id", &user, Type::TEXT),
            ("p_completed", &None::<bool>, Type::BOOL),
            ("p_priority", &None::<&str>, Type::TEXT),
            ("p_tag", &None::<&str>, Type::TEXT),
            ("p_search", &search, Type::TEXT),
            ("p_due_after", &None::<SystemTime>, Type::TIMESTAMPTZ),
            ("p_due_before", &None::<SystemTime>, Type::TIMESTAMPTZ),
            ("p_sort", &sort, Type::TEXT),
            ("p_descending", &descending, Type::BOOL),
            ("p_limit", &limit, Type::INT8),
            ("p_offset", &offset, Type::INT8),
            ("p_begun_at", &None::<SystemTime>, Type::TIMESTAMPTZ),
            ("p_after_number", &None::<i64>, Type::INT8),
            ("p_after_time", &None::<SystemTime>, Type::TIMESTAMPTZ),
            ("p_after_text", &None::<&str>, Type::TEXT),
            ("p_known_revisions", &revisions, Type::INT8_ARRAY),
            ("p_known_times", &times, Type::TIMESTAMPTZ_ARRAY),
        ];
        self.call("list_tasks", arguments).await
    }

    /// Sets the title and toggles `completed`.
    async fn update(&self, user: &str, key: Key, title: &str, attempt: Attempt) -> Row {
        let (id, number) = key.parts();
        let arguments: Arguments = &[
            ("p_user_id", &user, Type::TEXT),
            ("p_id", &id, Type::UUID),
            ("p_number", &number, Type::INT8),
            ("p_title", &title, Type::TEXT),
            ("p_set_description", &false, Type::BOOL),
            ("p_description", &None::<&str>, Type::TEXT),
            ("p_set_due_date", &false, Type::BOOL),
            ("p_due_date", &None::<SystemTime>, Type::TIMESTAMPTZ),
            ("p_due_all_day", &false, Type::BOOL),
            ("p_priority", &None::<&str>, Type::TEXT),
            ("p_tags", &None::<Vec<&str>>, Type::TEXT_ARRAY),
            ("p_completed", &None::<bool>, Type::BOOL),
            ("p_toggle", &true, Type::BOOL),
            ("p_expected_revisions", &NO_REVISIONS, Type::INT8_ARRAY),
            ("p_expected_times", &NO_TIMES, Type::TIMESTAMPTZ_ARRAY),
            ("p_idempotency_key", &None::<&str>, Type::TEXT),
            ("p_idempotency_hash", &None::<&[u8]>, Type::BYTEA),
            ("p_writes_per_minute", &NO_LIMIT, Type::INT4),
            ("p_attempt", &attempt.id, Type::UUID),
            ("p_is_retry", &attempt.is_retry, Type::BOOL),
            ("p_void_after", &attempt.void_after(), Type::TIMESTAMPTZ),
        ];
        self.call_for_one("update_task", arguments).await
    }

    async fn delete(&self, user: &str, key: Key, attempt: Attempt) -> Row {
        let (id, number) = key.parts();
        let arguments: Arguments = &[
            ("p_user_id", &user, Type::TEXT),
            ("p_id", &id, Type::UUID),
            ("p_number", &number, Type::INT8),
            ("p_expected_revisions", &NO_REVISIONS, Type::INT8_ARRAY),
            ("p_expected_times", &NO_TIMES, Type::TIMESTAMPTZ_ARRAY),
            ("p_idempotency_key", &None::<&str>, Type::TEXT),
            ("p_idempotency_hash", &None::<&[u8]>, Type::BYTEA),
            ("p_writes_per_minute", &NO_LIMIT, Type::INT4),
            ("p_attempt", &attempt.id, Type::UUID),
            ("p_is_retry", &attempt.is_retry, Type::BOOL),
            ("p_void_after", &attempt.void_after(), Type::TIMESTAMPTZ),
        ];
        self.call_for_one("delete_task", arguments).await
    }

    /// The changes after a position, given as revision and time; without a position, all tasks.
    async fn changes(&self, user: &str, since: Option<(i64, SystemTime)>, limit: i64) -> Vec<Row> {
        let (revision, list_updated_at) = since.unzip();
        let arguments: Arguments = &[
            ("p_user_id", &user, Type::TEXT),
            ("p_revision", &revision, Type::INT8),
            ("p_copied_from", &revision, Type::INT8),
            ("p_list_updated_at", &list_updated_at, Type::TIMESTAMPTZ),
            ("p_limit", &limit, Type::INT8),
        ];
        self.call("list_changes", arguments).await.expect("a list")
    }

    async fn erase(&self, user: &str, attempt: Attempt) -> Row {
        let arguments: Arguments = &[
            ("p_user_id", &user, Type::TEXT),
            ("p_attempt", &attempt.id, Type::UUID),
            ("p_is_retry", &attempt.is_retry, Type::BOOL),
            ("p_void_after", &attempt.void_after(), Type::TIMESTAMPTZ),
        ];
        self.call_for_one("erase_user", arguments).await
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
