//! A lane runs cases one after the other, with an API, a database and a proxy of its own.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use local::postgres::Cluster;
use tests::{ApiClient, App, MIGRATED, Options, Proxy, connect, errors};
use tokio::time::sleep;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{
    calls::{Task, check_success, send, tasks},
    cases::{Case, Endpoint, Kind, Times},
    changes::note_changes,
};

/// Time limit of a request, as documented in docs/faults.md.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(8);

/// Additional time limit of the first request to a new process, as documented in docs/faults.md.
pub const START_LIMIT: Duration = Duration::from_secs(4);

/// The number of tasks that [`tasks`] inserts.
const INSERTED_TASKS: i64 = 3;

/// The outcome of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// Whether the response was a success; otherwise it was 503.
    pub success: bool,
    /// Whether the database contains the result of the write.
    pub done: bool,
    pub elapsed: Duration,
}

pub struct Lane {
    app: App,
    proxy: Proxy,
    database: Client,
    number: usize,
}

impl Lane {
    /// Starts a lane on a server that serves TLS. The functions use TLS if `tls` has the certificate of the
    /// authority to trust.
    pub async fn start(cluster: &Cluster, tls: Option<&str>) -> Option<Self> {
        let name = format!("lane_{}", Uuid::new_v4().simple());
        cluster.create_database_from(&name, MIGRATED).await.expect("a new name");
        let proxy = Proxy::start(cluster.port()).await;
        let by_proxy = cluster.endpoints_url_through(proxy.port, &name);
        let options = match tls {
            None => Options::default().with("DATABASE_URL", by_proxy + "?sslmode=disable"),
            Some(authority) => Options::default()
                .with("DATABASE_URL", by_proxy + "?sslmode=require")
                .with("DATABASE_CA_CERT", authority),
        };
        let app = App::local_with(options).await?;
        let database = connect(&cluster.url(&name)).await;
        note_changes(&database).await;
        Some(Self { app, proxy, database, number: 0 })
    }

    /// Runs a case. The error says what was not as it should be.
    pub async fn run(&mut self, case: &Case) -> Result<Outcome, String> {
        self.number += 1;
        let user = self.app.user_with_id(format!("user{}", self.number));
        let client = user.at(case.contract);
        let [warm_up, task, bystander] = tasks(&self.database, &user.id).await;
        let function = self.app.internals().gateway().function(case.endpoint.function());
        let function = function.expect("a function of the template");

        if case.warm {
            let response = send(&self.app, &client, case.endpoint, &warm_up, "warm-up").await;
            check_success(case.endpoint, &client, &response, &warm_up, "warm-up")?;
            if case.while_connecting() {
                self.proxy.hang_up().await;
            }
        } else {
            for pid in function.pids() {
                let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
                killed.map_err(|error| error.to_string())?;
            }
            while !function.pids().is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
        }
        let starts = function.starts() + usize::from(!case.warm);
        let times = if case.times == Times::Once { 1 } else { usize::MAX };
        self.proxy.arm(case.fault, case.moment, times);

        let started = Instant::now();
        let response = send(&self.app, &client, case.endpoint, &task, "asked for").await;
        let elapsed = started.elapsed();
        let not_happened = self.proxy.disarm();
        if not_happened == times {
            return Err("the fault did not happen".into());
        }
        let limit = if case.warm { REQUEST_LIMIT } else { REQUEST_LIMIT + START_LIMIT };
        if elapsed >= limit {
            return Err(format!("the request took {elapsed:?}, the limit is {limit:?}"));
        }
        let success = match response.status {
            200..=299 => {
                check_success(case.endpoint, &client, &response, &task, "asked for")?;
                true
            }
            503 => {
                response.assert_error(case.contract, &errors::UNAVAILABLE);
                if response.header("retry-after").parse::<u32>().is_err() {
                    return Err("503 without Retry-After".into());
                }
                false
            }
            status => return Err(format!("{status} {}", response.text)),
        };

        // The next request must succeed at once, in the same process.
        let next = send(&self.app, &client, case.endpoint, &bystander, "next").await;
        check_success(case.endpoint, &client, &next, &bystander, "next")
            .map_err(|error| format!("the next request: {error}"))?;
        if function.starts() != starts {
            return Err("the process was replaced".into());
        }

        self.settled().await?;
        let done = self.check_database(&client, case, &user.id, &task).await?;
        if success && !done && case.endpoint.kind() != Kind::Read {
            return Err("the response reports success, but the write is not in the database".into());
        }
        if case.endpoint.has_key() && !success {
            let again = send(&self.app, &client, case.endpoint, &task, "asked for").await;
            check_success(case.endpoint, &client, &again, &task, "asked for")?;
            if (again.header("idempotency-replayed") == "true") != done {
                return Err(format!("Idempotency-Replayed is wrong: the write was carried out: {done}"));
            }
            self.check_database(&client, case, &user.id, &task).await?;
        }
        if case.must_succeed().is_some_and(|must| must != success) {
            let lines = self.app.internals().log_text();
            let lines: Vec<_> = lines.lines().rev().take(4).collect();
            return Err(format!("unexpected {} {}\n{}", response.status, response.text, lines.join("\n")));
        }
        Ok(Outcome { success, done, elapsed })
    }

    /// Waits until all sessions are idle, including those of calls that the functions have given up.
    async fn settled(&self) -> Result<(), String> {
        let busy = "select count(*) from pg_stat_activity
                    where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'";
        let started = Instant::now();
        while self.database.query_one(busy, &[]).await.expect("the database is up").get::<_, i64>(0) > 0 {
            if started.elapsed() > REQUEST_LIMIT {
                return Err(format!("a session is still busy after {REQUEST_LIMIT:?}"));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Returns whether the database contains the result of the write. Nothing else must have changed.
    async fn check_database(
        &self,
        client: &ApiClient<'_>,
        case: &Case,
        user_id: &str,
        task: &Task,
    ) -> Result<bool, String> {
        let select = "select id::text, title, completed from tasks where user_id = $1";
        let rows = self.database.query(select, &[&user_id]).await.expect("the database is up");
        let asked_for = rows.iter().filter(|row| row.get::<_, &str>("title") == "asked for").count();
        let row = rows.iter().find(|row| row.get::<_, &str>("id") == task.id);
        let done = match case.endpoint {
            Endpoint::Ready | Endpoint::List | Endpoint::Changes | Endpoint::Get => false,
            Endpoint::Create | Endpoint::CreateOnce | Endpoint::Update | Endpoint::Patch => asked_for == 1,
            Endpoint::Complete | Endpoint::Flip | Endpoint::FlipOnce => {
                row.is_some_and(|row| row.get("completed"))
            }
            Endpoint::Delete | Endpoint::DeleteOnce => row.is_none(),
        };
        // Counts the changes of the task that the request is for. If that is a task of the three that were
        // inserted, its insertion is one of them.
        let titles = match case.endpoint {
            Endpoint::Create | Endpoint::CreateOnce | Endpoint::Update | Endpoint::Patch => "asked for",
            _ => "task",
        };
        let select = "select count(*) from public.changes where user_id = $1 and title = $2";
        let changes: i64 =
            self.database.query_one(select, &[&user_id, &titles]).await.expect("the database is up").get(0);
        let changes = changes - i64::from(titles == "task");
        let most = i64::from(case.endpoint.kind() == Kind::Write);
        // The request itself, the one after it, and the warm-up.
        let carried_out = i64::from(done) + 1 + i64::from(case.warm);
        let expected = match case.endpoint {
            Endpoint::Create | Endpoint::CreateOnce => INSERTED_TASKS + carried_out,
            Endpoint::Delete | Endpoint::DeleteOnce => INSERTED_TASKS - carried_out,
            _ => INSERTED_TASKS,
        };
        let held = i64::try_from(rows.len()).expect("a count below 2^63");
        match (asked_for, changes >= i64::from(done) && changes <= most, held == expected) {
            (0 | 1, true, true) => Ok(done),
            found => Err(format!(
                "(matching tasks, number of changes is right, number of tasks is right) = {found:?}; \
                 {changes} changes, carried out: {done}, {held} tasks, {:?}",
                client.contract
            )),
        }
    }
}
