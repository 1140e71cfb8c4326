//! The database server for the measurements.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use local::postgres::Cluster;
use tests::{Authority, MIGRATED, SECRET, cluster_migrated_by, connect, migrate, serve_tls};
use tokio_postgres::Client;

use crate::{
    machine::processor_time,
    subject::{Baseline, Subjects},
};

/// A database on a server of its own, which serves TLS to clients that ask for it.
#[derive(Clone)]
pub struct Database {
    cluster: Arc<Cluster>,
    pub authority: Arc<Authority>,
    pub name: String,
    /// Whether subjects connect as the tables' owner, or else as the endpoints' role.
    as_owner: bool,
}

/// Parameters of the database URL.
pub const WITHOUT_TLS: &str = "sslmode=disable";

impl Database {
    pub async fn start(subjects: &Subjects) -> Result<Self> {
        let cluster = cluster_migrated_by(subjects.program("migrate")?).await?;
        let authority = Authority::new();
        let superuser = connect(&cluster.url("postgres")).await;
        serve_tls(&superuser, &authority.issue("127.0.0.1", false)).await;
        let (cluster, authority) = (Arc::new(cluster), Arc::new(authority));
        Ok(Self { cluster, authority, name: MIGRATED.into(), as_owner: false })
    }

    /// This database, with the login of the tables' owner, for subjects that access the tables directly.
    pub fn as_owner(&self) -> Self {
        Self { as_owner: true, ..self.clone() }
    }

    /// Creates a database on the same server with the schema of another build, for that build's functions.
    pub async fn migrated_by(&self, baseline: &Baseline) -> Result<Self> {
        self.cluster.create_database(&baseline.name).await?;
        let url = format!("{}?{WITHOUT_TLS}", self.cluster.url(&baseline.name));
        migrate(&baseline.program("migrate"), &url)?;
        Ok(Self { name: baseline.name.clone(), ..self.as_owner() })
    }

    /// Creates a copy of this database on the same server. No client must be connected to this one.
    pub async fn copy(&self, name: &str) -> Result<Self> {
        self.cluster.create_database_from(name, &self.name).await?;
        Ok(Self { name: name.into(), ..self.clone() })
    }

    pub fn port(&self) -> u16 {
        self.cluster.port()
    }

    /// Connects as superuser.
    pub async fn connect(&self) -> Client {
        connect(&self.cluster.url(&self.name)).await
    }

    pub async fn version(&self) -> Result<String> {
        let client = connect(&self.cluster.url("postgres")).await;
        Ok(client.query_one("show server_version", &[]).await?.get(0))
    }

    /// The environment variables of subjects, without TLS.
    pub fn environment(&self) -> BTreeMap<String, String> {
        self.environment_with(self.port(), WITHOUT_TLS)
    }

    /// The same, with another port for the database and these parameters of its URL.
    pub fn environment_with(&self, port: u16, parameters: &str) -> BTreeMap<String, String> {
        let url = match self.as_owner {
            true => self.cluster.url_through(port, &self.name),
            false => self.cluster.endpoints_url_through(port, &self.name),
        };
        BTreeMap::from([
            ("DATABASE_URL".into(), format!("{url}?{parameters}")),
            ("DATABASE_CA_CERT".into(), self.authority.certificate()),
            ("JWT_SECRET".into(), SECRET.into()),
            // Never reached, but not disabled, so that the work of checking the limits is measured.
            ("TASKS_PER_USER".into(), "1000000".into()),
            ("WRITES_PER_MINUTE".into(), "100000".into()),
        ])
    }
}

/// Processes of the database server, one per session.
pub struct Sessions(Vec<u32>);

impl Sessions {
    /// The processes of all sessions.
    pub async fn all(client: &Client) -> Result<Self> {
        let select = "select pid from pg_stat_activity where backend_type = 'client backend'";
        let rows = client.query(select, &[]).await?;
        Ok(Self(rows.iter().map(|row| Ok(row.get::<_, i32>(0).try_into()?)).collect::<Result<_>>()?))
    }

    /// The processes of sessions that have begun since `before`.
    pub async fn since(before: &Self, client: &Client) -> Result<Self> {
        let mut now = Self::all(client).await?;
        now.0.retain(|session| !before.0.contains(session));
        Ok(now)
    }

    /// The processor time that they have used so far, or `None` if there are none.
    pub fn processor_time(&self) -> Result<Option<Duration>> {
        let times = self.0.iter().map(|&session| processor_time(session).context("a session has ended"));
        let times = times.collect::<Result<Vec<_>>>()?;
        Ok((!times.is_empty()).then(|| times.iter().sum()))
    }
}
