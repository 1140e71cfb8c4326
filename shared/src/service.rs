//! What the configuration is made into, and made into anew when the secret behind it has changed.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::Utc;
use tracing::{error, info, warn};

use crate::{
    Store,
    auth::Verifier,
    config::{Config, Environment},
    secrets::{Secret, SecretSource},
};

/// After a failed look, so long until the next (in seconds).
const RETRY_INTERVAL: i64 = 30;

/// What an endpoint works with.
pub struct Service {
    /// Who the caller is.
    pub verifier: Verifier,
    /// Where the tasks are.
    pub store: Arc<Store>,
}

/// The service as it is now.
pub struct LiveService {
    service: Mutex<Arc<Service>>,
    renewal: Option<tokio::sync::Mutex<Renewal>>,
}

struct Renewal {
    source: SecretSource,
    secret: Secret,
    /// Seconds since the epoch when the secret is looked at again.
    due: i64,
}

impl Service {
    fn new(config: Config) -> Self {
        Self { verifier: Verifier::new(&config.tokens), store: Arc::new(Store::new(config.database)) }
    }
}

impl LiveService {
    /// The service of a configuration, and of the secret that it was read with.
    pub fn new(config: Config, secret: Option<(SecretSource, Secret)>) -> Self {
        let renewal = secret.map(|(source, secret)| {
            let due = Utc::now().timestamp() + source.max_age;
            tokio::sync::Mutex::new(Renewal { source, secret, due })
        });
        Self { service: Mutex::new(Arc::new(Service::new(config))), renewal }
    }

    /// Connects to the database and fetches public keys ahead of the first request. Failure is logged and no more:
    /// they may be back by then.
    pub async fn prepare(&self) {
        let service = self.service();
        tokio::join!(service.store.connect(), service.verifier.prepare());
    }

    /// The service, after a look at the secret where that is due.
    pub async fn current(&self) -> Arc<Service> {
        // Whoever finds somebody else looking goes on with what there is.
        if let Some(Ok(mut renewal)) = self.renewal.as_ref().map(|renewal| renewal.try_lock())
            && renewal.is_due()
            // Boxed, for it is as large as all else that a request keeps, and hardly ever there.
            && let Some(service) = Box::pin(renewal.renew()).await
        {
            *self.service.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(service);
        }
        self.service()
    }

    fn service(&self) -> Arc<Service> {
        Arc::clone(&self.service.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Renewal {
    fn is_due(&self) -> bool {
        // A clock that was set back must not keep an old secret alive.
        !(1..=self.source.max_age.max(RETRY_INTERVAL)).contains(&(self.due - Utc::now().timestamp()))
    }

    /// A new service, where the secret has changed to one that a service can be made of.
    async fn renew(&mut self) -> Option<Service> {
        let fetched = self.source.fetch().await;
        let wait = if fetched.is_ok() { self.source.max_age } else { RETRY_INTERVAL };
        self.due = Utc::now().timestamp() + wait;
        let secret = match fetched {
            Ok(secret) if secret == self.secret => return None,
            Ok(secret) => secret,
            Err(reason) => {
                warn!(reason, "going on with the secret as it was");
                return None;
            }
        };
        match Environment::read(&secret, Config::read) {
            Ok(config) => {
                info!("the secret has changed");
                self.secret = secret;
                Some(Service::new(config))
            }
            Err(mistakes) => {
                error!(reason = %mistakes, "the secret has changed into one that can't be used");
                None
            }
        }
    }
}
