//! The requests that are measured, and their events.

use anyhow::{Context, Result};
use jsonwebtoken::Algorithm;
use local::{
    binaries::workspace_root,
    token::{TokenRequest, mint},
};
use serde_json::{Value, json};
use tests::SECRET;
use tokio_postgres::Client;

/// A request that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    Get,
    List,
    Create,
    Update,
    Patch,
    Complete,
    Delete,
    Health,
}

impl Request {
    /// All requests.
    pub const ALL: [Self; 8] = [
        Self::Get,
        Self::List,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Complete,
        Self::Delete,
        Self::Health,
    ];

    /// The function that handles it.
    pub const fn function(self) -> &'static str {
        match self {
            Self::Get => "get-task",
            Self::List => "list-tasks",
            Self::Create => "create-task",
            Self::Update => "update-task",
            Self::Patch => "patch-task",
            Self::Complete => "complete-task",
            Self::Delete => "delete-task",
            Self::Health => "health",
        }
    }

    /// Whether the peers have this endpoint.
    pub const fn has_peers(self) -> bool {
        !matches!(self, Self::Patch | Self::Health)
    }

    /// Whether its function calls the database.
    pub const fn asks_database(self) -> bool {
        !matches!(self, Self::Health)
    }

    /// The expected status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Create => 201,
            Self::Delete => 204,
            _ => 200,
        }
    }

    /// Creates events for a user. The tasks that they name exist in the database.
    pub async fn events(self, database: &Client, user: &str, count: usize) -> Result<Vec<String>> {
        let event_for = |number: i64| {
            let sample = format!("{}-plain", self.function());
            Ok(event(&sample, user, &number.to_string())?.to_string())
        };
        match self {
            Self::Delete => insert_tasks(database, user, count).await?.into_iter().map(event_for).collect(),
            _ => Ok(vec![event_for(first_task(database, user).await?.1)?; count]),
        }
    }
}

/// Reads a sample of `events/` and sets the user and the task.
pub fn event(sample: &str, user: &str, task: &str) -> Result<Value> {
    let sample = workspace_root().join("events").join(format!("{sample}.json"));
    let mut event: Value = serde_json::from_slice(&std::fs::read(sample)?)?;
    let token = TokenRequest { user: user.into(), hours: 24, ..TokenRequest::default() };
    let token = mint(SECRET, Algorithm::HS256, &token)?;
    event["headers"]["authorization"] = json!(format!("Bearer {token}"));
    // Mangum reads this, the functions don't.
    event["requestContext"]["http"]["sourceIp"] = json!("127.0.0.1");
    let route = event["routeKey"].as_str().context("a sample has a route")?;
    let (_, path) = route.split_once(' ').context("a route has a path")?;
    let path = path.replace("{user_id}", user).replace("{task_id}", task);
    event["rawPath"] = json!(path);
    event["requestContext"]["http"]["path"] = json!(path);
    for (name, value) in [("user_id", user), ("task_id", task)] {
        if let Some(parameter) = event["pathParameters"].get_mut(name) {
            *parameter = json!(value);
        }
    }
    Ok(event)
}

/// Makes a user with that many tasks.
pub async fn make_user(database: &Client, user: &str, tasks: usize) -> Result<()> {
    let insert = "insert into users (id, task_count) values ($1::text, $2)";
    database.execute(insert, &[&user, &i32::try_from(tasks)?]).await?;
    insert_tasks(database, user, tasks).await?;
    Ok(())
}

async fn insert_tasks(database: &Client, user: &str, count: usize) -> Result<Vec<i64>> {
    let insert = "insert into tasks (id, user_id, title, description)
                  select gen_random_uuid(), $1, 'Task ' || n, 'What there is to say about task ' || n
                  from generate_series(1, $2::bigint) n
                  returning number";
    let rows = database.query(insert, &[&user, &i64::try_from(count)?]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The first task of a user, by both its ids.
pub async fn first_task(database: &Client, user: &str) -> Result<(String, i64)> {
    let select = "select id::text, number from tasks where user_id = $1 order by number limit 1";
    let row = database.query_one(select, &[&user]).await?;
    Ok((row.get(0), row.get(1)))
}
