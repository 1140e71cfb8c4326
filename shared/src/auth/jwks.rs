//! The public keys of an issuer: fetches them from the issuer's URL and caches them (RFC 7517).
//!
//! Lambda freezes the process between requests, so keys can't be refreshed in the background. Instead a
//! request that needs a key refreshes the cache if it is too old by the wall clock. If the refresh fails, the
//! cached keys are used for a limited time.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use chrono::Utc;
use http_body_util::Full;
use lambda_http::http::{Request, Uri, uri::Scheme};
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::Mutex, time::timeout};
use tracing::{info, warn};

use super::{
    jwk::Jwk,
    signature::{PublicKeyAlgorithm, VerifyingKey},
};
use crate::{
    error::{Error, TokenError},
    http_client::HttpClient,
    variables::is_this_machine,
};

/// Age at which cached keys are refreshed, in seconds.
const MAX_AGE: i64 = 600;

/// Age up to which cached keys are used if they can't be refreshed, in seconds. During a shorter outage of
/// the issuer users stay signed in; a longer outage must not keep a key in use that was stolen and may have
/// been withdrawn.
const MAX_AGE_IN_OUTAGE: i64 = 3600;

/// Delay before the next fetch after a fetch that failed or was made for an unknown key id, in seconds.
/// Clients can invent key ids, so not every unknown one can cause a fetch.
const PAUSE: i64 = 30;

/// Limit on a whole fetch.
const FETCH_LIMIT: Duration = Duration::from_secs(5);

/// The URL of a key set: https, or http on this machine.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySetUrl(Uri);

/// The cached keys of one issuer.
pub(super) struct KeySet {
    url: KeySetUrl,
    client: HttpClient,
    /// Locked during a fetch, so that concurrent requests wait for the same fetch.
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    keys: Vec<PublishedKey>,
    /// Time of the last successful fetch, in seconds since the epoch.
    fetched: i64,
    /// Start of the last pause between fetches, in seconds since the epoch.
    paused: i64,
    /// Whether the last fetch failed.
    failed: bool,
}

/// A public key, for one algorithm.
struct PublishedKey {
    id: String,
    algorithm: PublicKeyAlgorithm,
    key: Arc<VerifyingKey>,
}

impl KeySet {
    pub(super) fn new(url: KeySetUrl) -> Self {
        Self { url, client: HttpClient::new(), cache: Mutex::default() }
    }

    /// Fetches the keys before the first request needs them.
    pub(super) async fn fetch_first(&self) {
        self.refresh(&mut *self.cache.lock().await, Utc::now().timestamp()).await;
    }

    /// Returns the key with this id for this algorithm.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if the issuer has no such key; [`Error::Unavailable`] if that is unknown
    /// because the keys can't be fetched.
    pub(super) async fn find(
        &self,
        id: &str,
        algorithm: PublicKeyAlgorithm,
    ) -> Result<Arc<VerifyingKey>, Error> {
        let mut cache = self.cache.lock().await;
        let now = Utc::now().timestamp();
        // If the clock was set back, the time is negative and counts as elapsed.
        let is_within = |since: i64, seconds| (0..seconds).contains(&(now - since));
        let is_unknown = cache.find(id, algorithm).is_none();
        if (is_unknown || !is_within(cache.fetched, MAX_AGE)) && !is_within(cache.paused, PAUSE) {
            self.refresh(&mut cache, now).await;
            if is_unknown {
                cache.paused = now;
            }
        }
        match cache.find(id, algorithm) {
            _ if !is_within(cache.fetched, MAX_AGE_IN_OUTAGE) => Err(Error::Unavailable(
                "public keys can't be fetched, and none fetched within the last hour are cached".into(),
            )),
            Some(key) => Ok(key),
            None if cache.failed => Err(Error::Unavailable(
                "the token's public key is not cached, and public keys can't be fetched".into(),
            )),
            None => Err(TokenError::Invalid("no public key has the token's kid and alg").into()),
        }
    }

    /// Fetches the keys. If that fails, the cached ones stay.
    async fn refresh(&self, cache: &mut Cache, now: i64) {
        let fetched = timeout(FETCH_LIMIT, self.fetch()).await;
        match fetched.unwrap_or_else(|_| Err(format!("no response within {FETCH_LIMIT:?}"))) {
            Ok(keys) => {
                match keys.len() {
                    // Accepted all the same, because the issuer may have withdrawn all of its keys.
                    0 => warn!(
                        "key set has no usable public key, tokens signed with public-key algorithms are rejected"
                    ),
                    count => info!(keys = count, "public keys fetched"),
                }
                *cache = Cache { keys, fetched: now, paused: cache.paused, failed: false };
            }
            Err(reason) => {
                warn!(
                    reason,
                    "public keys can't be fetched, cached ones stay valid for an hour after their fetch"
                );
                cache.paused = now;
                cache.failed = true;
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<PublishedKey>, String> {
        let request =
            Request::get(self.url.0.clone()).body(Full::default()).map_err(|error| error.to_string())?;
        let response = self.client.send(request).await?;
        if !response.status().is_success() {
            return Err(format!("the response was {}", response.status()));
        }
        parse(response.body()).ok_or_else(|| "the response is not a JSON Web Key Set".into())
    }
}

impl Cache {
    fn find(&self, id: &str, algorithm: PublicKeyAlgorithm) -> Option<Arc<VerifyingKey>> {
        let found = self.keys.iter().find(|key| key.id == id && key.algorithm == algorithm);
        found.map(|found| Arc::clone(&found.key))
    }
}

/// Reads the usable keys of a key set. Keys that can't be parsed or used are skipped. Returns `None` if the
/// text is not a key set.
fn parse(json: &[u8]) -> Option<Vec<PublishedKey>> {
    #[derive(Deserialize)]
    struct Published {
        keys: Vec<Value>,
    }
    let published: Published = serde_json::from_slice(json).ok()?;
    let mut keys = Vec::new();
    for jwk in published.keys {
        let Ok(jwk) = serde_json::from_value::<Jwk>(jwk) else { continue };
        for algorithm in PublicKeyAlgorithm::ALL {
            if let Some(key) = jwk.key(algorithm) {
                keys.push(PublishedKey { id: jwk.kid.clone(), algorithm, key: Arc::new(key) });
            }
        }
    }
    Some(keys)
}

impl FromStr for KeySetUrl {
    type Err = &'static str;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let uri = Uri::from_str(url).map_err(|_| "is not a URL")?;
        let is_here = is_this_machine(uri.host().unwrap_or_default());
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS || (*scheme == Scheme::HTTP && is_here) => Ok(Self(uri)),
            _ => Err("must start with https:// (http:// is allowed only for this machine)"),
        }
    }
}

impl fmt::Display for KeySetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
