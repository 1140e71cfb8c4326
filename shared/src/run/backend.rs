//! The token verifier and the task store of an endpoint, rebuilt when the secret with their configuration
//! changes.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::Utc;
use tracing::{error, info, warn};

use crate::{
    auth::{TokenConfig, Verifier},
    error::Recorded,
    secrets::{Secret, SecretSource},
    store::{DatabaseConfig, Limits, Store},
    variables::Variables,
};

/// Delay before retrying a failed fetch of the secret, in seconds.
const RETRY_INTERVAL: i64 = 30;

/// The configuration of a task endpoint.
#[derive(Debug)]
pub(super) struct Config {
    /// Where the tasks are stored.
    database: DatabaseConfig,
    /// How much each user can store and write.
    limits: Limits,
    /// Which tokens are accepted.
    tokens: TokenConfig,
}

/// The token verifier and the task store of one configuration.
pub(super) struct Backend {
    /// Identifies callers.
    pub(super) verifier: Verifier,
    /// Stores tasks.
    pub(super) store: Arc<Store>,
}

/// The current backend, and how to replace it.
pub(super) struct LiveBackend {
    backend: Mutex<Arc<Backend>>,
    renewal: Option<tokio::sync::Mutex<Renewal>>,
}

/// Rebuilds the backend when its secret has changed.
struct Renewal {
    source: SecretSource,
    secret: Secret,
    /// When the secret must be fetched again, in seconds since the epoch.
    due: i64,
}

impl Config {
    /// Reads the configuration of a task endpoint.
    ///
    /// # Errors
    /// A variable is missing or invalid.
    pub(super) fn read(variables: &mut Variables) -> Result<Self, Recorded> {
        let database = DatabaseConfig::read(variables);
        let limits = Limits::read(variables);
        let tokens = TokenConfig::read(variables);
        Ok(Self { database: database?, limits: limits?, tokens: tokens? })
    }
}

impl Backend {
    fn new(config: Config) -> Self {
        let store = Store::new(config.database, config.limits);
        Self { verifier: Verifier::new(&config.tokens), store: Arc::new(store) }
    }
}

impl LiveBackend {
    /// Creates the backend of a configuration. The secret is the one that the configuration was read from.
    pub(super) fn new(config: Config, secret: Option<(SecretSource, Secret)>) -> Self {
        let renewal = secret.map(|(source, secret)| {
            let due = Utc::now().timestamp() + source.max_age;
            tokio::sync::Mutex::new(Renewal { source, secret, due })
        });
        Self { backend: Mutex::new(Arc::new(Backend::new(config))), renewal }
    }

    /// Connects to the database and fetches public keys before the first request needs them. Only logs a
    /// failure.
    pub(super) async fn connect(&self) {
        let backend = self.backend();
        tokio::join!(backend.store.connect(), backend.verifier.fetch_keys());
    }

    /// Returns the current backend. Fetches the secret first if it is due.
    pub(super) async fn current(&self) -> Arc<Backend> {
        // If another request is fetching the secret, this one doesn't wait but uses the current backend.
        if let Some(Ok(mut renewal)) = self.renewal.as_ref().map(|renewal| renewal.try_lock())
            && renewal.is_due()
            // Boxed because this future is as large as the rest of a request's, and rarely needed.
            && let Some(backend) = Box::pin(renewal.renew()).await
        {
            *self.backend.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(backend);
        }
        self.backend()
    }

    fn backend(&self) -> Arc<Backend> {
        Arc::clone(&self.backend.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Renewal {
    fn is_due(&self) -> bool {
        // Also due if the wait is implausibly long: a clock that was set back must not keep an old secret in
        // use.
        !(1..=self.source.max_age.max(RETRY_INTERVAL)).contains(&(self.due - Utc::now().timestamp()))
    }

    /// Fetches the secret. Returns a new backend if the secret has changed and its content is valid.
    async fn renew(&mut self) -> Option<Backend> {
        let fetched = self.source.fetch().await;
        let wait = if fetched.is_ok() { self.source.max_age } else { RETRY_INTERVAL };
        self.due = Utc::now().timestamp() + wait;
        let secret = match fetched {
            Ok(secret) if secret == self.secret => return None,
            Ok(secret) => secret,
            Err(reason) => {
                warn!(reason, "secret can't be fetched, still using the one fetched last");
                return None;
            }
        };
        match secret.read(Config::read) {
            Ok((config, warnings)) => {
                info!("secret has changed, using its new values");
                warnings.iter().for_each(|warning| warn!("{warning}"));
                self.secret = secret;
                Some(Backend::new(config))
            }
            Err(errors) => {
                error!(
                    reason = %errors,
                    "secret has changed but its new values are invalid, still using the old ones"
                );
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::read_for_test;

    const URL: (&str, &str) = ("DATABASE_URL", "postgres://u:secret-password@localhost/db");
    const SECRET: (&str, &str) = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");

    #[test]
    fn all_errors_are_reported_together_by_name_and_never_by_value() {
        let mistakes = read_for_test(
            &[("JWT_SECRET", "tell-nobody"), ("JWT_ALGORITHM", "RS256"), ("DATABASE_POOL_SIZE", "0")],
            Config::read,
        )
        .expect_err("four mistakes");
        assert_eq!(
            mistakes,
            "DATABASE_POOL_SIZE must be a whole number from 1 to 100; \
             DATABASE_URL is not set (nor is NEON_DATABASE_URL); \
             JWT_ALGORITHM must be HS256, HS384 or HS512; \
             JWT_SECRET has 11 bytes, HS256 needs at least 32"
        );
    }

    #[test]
    fn an_invalid_url_is_reported_without_its_password() {
        let mistake =
            read_for_test(&[("DATABASE_URL", "mysql://u:secret-password@h/db"), SECRET], Config::read)
                .expect_err("not PostgreSQL");
        assert!(mistake.starts_with("DATABASE_URL "), "{mistake}");
        assert!(!mistake.contains("secret-password"), "{mistake}");
    }

    #[test]
    fn secrets_are_not_printed() {
        let config = read_for_test(&[URL, SECRET], Config::read).expect("complete");
        let printed = format!("{config:?}");
        assert!(!printed.contains(SECRET.1) && !printed.contains("secret-password"), "{printed}");
    }
}
