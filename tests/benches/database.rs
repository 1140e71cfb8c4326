//! The database server that is measured with.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Result;
use local::postgres::Cluster;
use tests::{Authority, MIGRATED, SECRET, cluster_migrated_by, connect, serve_tls};
use tokio_postgres::Client;

use crate::subject::Subjects;

/// A database on a server of its own, which serves TLS to those who ask for it.
pub struct Database {
    cluster: Arc<Cluster>,
    pub authority: Arc<Authority>,
    pub name: String,
}

impl Database {
    pub async fn start(subjects: &Subjects) -> Result<Self> {
        let cluster = cluster_migrated_by(subjects.program("migrate")?).await?;
        let authority = Authority::new();
        let superuser = connect(&cluster.url("postgres")).await;
        serve_tls(&superuser, &authority.issue("127.0.0.1", false)).await;
        Ok(Self { cluster: Arc::new(cluster), authority: Arc::new(authority), name: MIGRATED.into() })
    }

    /// Another database of that server, as empty as this one. Nobody may be connected to this one.
    pub async fn copy(&self, name: &str) -> Result<Self> {
        self.cluster.create_database_from(name, &self.name).await?;
        let (cluster, authority) = (Arc::clone(&self.cluster), Arc::clone(&self.authority));
        Ok(Self { cluster, authority, name: name.into() })
    }

    pub fn port(&self) -> u16 {
        self.cluster.port()
    }

    /// A connection as superuser.
    pub async fn connect(&self) -> Client {
        connect(&self.cluster.url(&self.name)).await
    }

    pub async fn version(&self) -> Result<String> {
        let client = connect(&self.cluster.url("postgres")).await;
        Ok(client.query_one("show server_version", &[]).await?.get(0))
    }

    /// What subjects get to know, without TLS.
    pub fn environment(&self) -> BTreeMap<String, String> {
        self.environment_through(self.port())
    }

    /// The same, but the database is reached by another port.
    pub fn environment_through(&self, port: u16) -> BTreeMap<String, String> {
        self.environment_with(port, "sslmode=disable")
    }

    /// The same, with these parameters of the URL, by which TLS may be asked for.
    pub fn environment_with(&self, port: u16, parameters: &str) -> BTreeMap<String, String> {
        let url = self.cluster.url_through(port, &self.name);
        BTreeMap::from([
            ("DATABASE_URL".into(), format!("{url}?{parameters}")),
            ("DATABASE_CA_CERT".into(), self.authority.certificate()),
            ("JWT_SECRET".into(), SECRET.into()),
        ])
    }
}

/// What subjects get to know, and that statements may be prepared.
pub fn prepared(mut environment: BTreeMap<String, String>) -> BTreeMap<String, String> {
    environment.insert("DATABASE_PREPARED_STATEMENTS".into(), "true".into());
    environment
}
