//! Measures with a large table and a small one, and checks that plans use the intended indexes.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::json;
use tokio_postgres::Client;

use crate::{
    database::Database,
    function::Function,
    report::{median, microseconds},
    sample::{event, first_task},
    subject::Subjects,
};

/// Number of tasks of each user except the heavy one.
const TASKS_OF_USER: i64 = 100;

/// Number of tasks in the small table.
const SMALL: i64 = 1_000;

/// Number of rows that are inserted at once.
const CHUNK: i64 = 50_000;

const ROUNDS: usize = 21;
const BATCH: usize = 40;

/// A user who has the same number of tasks in both tables.
const USER: &str = "user-7";

/// A user of the large table who has additional tasks, a tenth as many as all others together.
const HEAVY_USER: &str = "heavy";

/// A request, and the index that it must use, if it reads.
struct Case {
    name: &'static str,
    sample: &'static str,
    /// The query string, for a user with this number of tasks.
    query: Option<fn(i64) -> String>,
    status: u16,
    index: Option<&'static str>,
}

const fn list(name: &'static str, query: fn(i64) -> String) -> Case {
    Case { name, sample: "list-tasks", query: Some(query), status: 200, index: Some("tasks_number") }
}

const fn task(name: &'static str, sample: &'static str, status: u16, index: Option<&'static str>) -> Case {
    Case { name, sample, query: None, status, index }
}

const CASES: [Case; 8] = [
    task("get", "get-task", 200, Some("tasks_pkey")),
    task("get by number", "get-task-plain", 200, Some("tasks_number")),
    list("first page", |_| "limit=10&offset=0".into()),
    list("deepest page", |count| format!("limit=10&offset={}", (count - 10).min(10_000))),
    list("first page, sorted by title", |_| "limit=10&sort=title".into()),
    list("search that finds nothing", |_| "limit=10&search=nowhere".into()),
    task("create", "create-task-plain", 201, None),
    task("complete", "complete-task-plain", 200, Some("tasks_number")),
];

/// Settings with which the server logs the plan of every statement, including those inside functions.
const EXPLAIN: [(&str, &str); 4] = [
    ("session_preload_libraries", "auto_explain"),
    ("auto_explain.log_min_duration", "0"),
    ("auto_explain.log_nested_statements", "on"),
    ("auto_explain.log_format", "json"),
];

/// Number of invocations whose plans are logged. A session plans a statement of a function for the actual
/// parameters five times, and can use a generic plan from then on.
const PLANS: usize = 10;

/// The figures of a request. Times are medians.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub request: &'static str,
    pub small_us: f64,
    pub large_us: f64,
    pub large_to_small: f64,
    pub heavy_us: f64,
    pub heavy_to_small: f64,
    /// The indexes in the plans for the large table.
    pub indexes: String,
}

pub const TITLE: &str = "\
The same request on a table of 1,000 tasks and on a large one, for a user with 100 tasks; medians.
heavy: a user with a tenth as many tasks as all other users of the large table together";

pub async fn measure(subjects: &Subjects, database: &Database, count: i64) -> Result<Vec<Figures>> {
    let small = database.copy("small").await?;
    let large = database.copy("large").await?;
    fill(&small.connect().await, SMALL, None).await?;
    fill(&large.connect().await, count, Some(count / 10)).await?;
    let mut figures = Vec::new();
    for case in &CASES {
        eprintln!("scale: {}", case.name);
        figures.push(case.measure(subjects, [&small, &large], count / 10).await?);
    }
    Ok(figures)
}

/// Fills the table with tasks. The users take turns, so the tasks of each are scattered over the whole table.
async fn fill(database: &Client, count: i64, heavy: Option<i64>) -> Result<()> {
    // VACUUM does not mark rows as visible to all before their commit is on disk.
    database.batch_execute("set synchronous_commit = on").await?;
    let users = count / TASKS_OF_USER;
    let insert = "insert into users (id) select 'user-' || n from generate_series(0, $1::bigint - 1) n";
    database.execute(insert, &[&users]).await?;
    database.execute("insert into users (id) values ($1::text)", &[&HEAVY_USER]).await?;
    // Ids like those of the functions: a time, then random digits. All values are derived from n, so runs are
    // repeatable.
    let insert = "
        insert into tasks (id, user_id, title, description, completed, completed_at, created_at, updated_at)
        select (lpad(to_hex(1767222000000 + n * 1000), 12, '0') || '7' || substr(random, 1, 3) || '8' ||
                substr(random, 4, 15))::uuid,
               coalesce($3, 'user-' || n % $4), 'Task ' || n || ' ' || random, repeat(random || ' ', 5),
               n % 3 = 0, case when n % 3 = 0 then at end, at, at
        from generate_series($1::bigint, $2::bigint) n,
             md5('task ' || n) random,
             lateral (select timestamptz '2026-01-01 00:00:00Z' + n * interval '1 second' as at) time";
    let no_one: Option<&str> = None;
    for (first, last, user) in
        [(0, count, no_one), (count, count + heavy.unwrap_or_default(), Some(HEAVY_USER))]
    {
        for start in (first..last).step_by(usize::try_from(CHUNK)?) {
            let end = (start + CHUNK).min(last) - 1;
            database.execute(insert, &[&start, &end, &user, &users]).await?;
            if last > CHUNK {
                eprintln!("scale: {} of {} tasks inserted", end + 1, count + heavy.unwrap_or_default());
            }
        }
    }
    // The functions maintain this count with each write.
    let count = "update users set task_count = (select count(*) from tasks where user_id = users.id)";
    database.batch_execute(count).await?;
    database.batch_execute("vacuum analyze users").await?;
    database.batch_execute("vacuum analyze tasks").await?;
    Ok(())
}

impl Case {
    async fn measure(
        &self,
        subjects: &Subjects,
        databases: [&Database; 2],
        heavy_count: i64,
    ) -> Result<Figures> {
        let [small, large] = databases;
        let program = subjects.program(self.sample.trim_end_matches("-plain"))?;
        let mut functions = Vec::new();
        for (database, user, count) in
            [(small, USER, TASKS_OF_USER), (large, USER, TASKS_OF_USER), (large, HEAVY_USER, heavy_count)]
        {
            let function = Function::start(program, &database.environment()).await?;
            functions.push((function, vec![self.event(database, user, count).await?; BATCH]));
        }
        let mut rounds: [Vec<f64>; 3] = Default::default();
        for _ in 0..ROUNDS {
            for ((function, events), rounds) in functions.iter_mut().zip(&mut rounds) {
                let outcomes = function.invoke_all(events, self.status).await?;
                rounds.push(median(outcomes.iter().map(|outcome| microseconds(outcome.elapsed))));
            }
        }
        let [small_us, large_us, heavy_us] = rounds.each_ref().map(|rounds| median(rounds.iter().copied()));
        let ratio = |of: &[f64]| median(of.iter().zip(&rounds[0]).map(|(own, small)| own / small));
        let mut indexes = BTreeSet::new();
        for (_, events) in &functions[1..] {
            indexes.extend(self.plan(program, large, &events[..PLANS]).await?);
        }
        Ok(Figures {
            request: self.name,
            small_us,
            large_us,
            large_to_small: ratio(&rounds[1]),
            heavy_us,
            heavy_to_small: ratio(&rounds[2]),
            indexes: Vec::from_iter(indexes).join(", "),
        })
    }

    async fn event(&self, database: &Database, user: &str, count: i64) -> Result<String> {
        let (id, number) = first_task(&database.connect().await, user).await?;
        let task = if self.sample.ends_with("-plain") { number.to_string() } else { id };
        let mut event = event(self.sample, user, &task)?;
        if let Some(query) = self.query.map(|query| query(count)) {
            event["rawQueryString"] = json!(query);
        }
        Ok(event.to_string())
    }

    /// Returns the indexes in the plans of the function's statements. Fails if a plan reads a whole table, or
    /// if the intended index is not among them.
    async fn plan(&self, program: &Path, database: &Database, events: &[String]) -> Result<Vec<String>> {
        let client = database.connect().await;
        let name = &database.name;
        for (setting, value) in EXPLAIN {
            client.batch_execute(&format!("alter database {name} set {setting} = '{value}'")).await?;
        }
        let log = "select pg_read_file('../server.log')";
        let before: String = client.query_one(log, &[]).await?.get(0);
        Function::start(program, &database.environment()).await?.invoke_all(events, self.status).await?;
        let after: String = client.query_one(log, &[]).await?.get(0);
        client.batch_execute(&format!("alter database {name} reset all")).await?;
        let plans = after.strip_prefix(&before).context("the log grows")?;
        ensure!(!plans.contains("Seq Scan"), "{} reads a whole table:\n{plans}", self.name);
        let indexes: Vec<String> = plans
            .lines()
            .filter_map(|line| line.trim().strip_prefix("\"Index Name\": \""))
            .filter_map(|name| Some(name.split_once('"')?.0.to_owned()))
            .filter(|name| name.starts_with("tasks_"))
            .collect();
        let goes_by = |index| indexes.iter().any(|name| name == index);
        ensure!(self.index.is_none_or(goes_by), "{} uses {indexes:?} only:\n{plans}", self.name);
        Ok(indexes)
    }
}
