//! The published keys of an issuer: fetches them from the issuer's URL and caches them.
//!
//! Lambda freezes the process between requests, so keys can't be refreshed in the background. Instead a
//! request that needs a key refreshes the cache if it is too old by the wall clock. If the refresh fails, the
//! cached keys are used for a limited time.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::Utc;
use http_body_util::Full;
use jsonwebtoken::{Algorithm, DecodingKey};
use lambda_http::http::{HeaderMap, Request, Uri, header::CACHE_CONTROL, uri::Scheme};
use tokio::time::timeout;
use tracing::{info, warn};

use super::jwk::KeySet;
use crate::{
    error::{Error, TokenError},
    http_client::HttpClient,
    variables::is_this_machine,
};

/// Why a token of an unknown key is invalid.
pub(super) const NO_SUCH_KEY: TokenError = TokenError::Invalid("no public key has the token's kid and alg");

/// Age at which cached keys are refreshed if the issuer names none in `Cache-Control`, in seconds.
const DEFAULT_MAX_AGE: i64 = 600;

/// The least and the greatest age that an issuer can name, in seconds. A shorter one would make every request
/// wait for a fetch, a longer one would keep withdrawn keys in use.
const MIN_MAX_AGE: i64 = 60;
const MAX_MAX_AGE: i64 = 1800;

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
pub(super) struct PublishedKeys {
    url: KeySetUrl,
    client: HttpClient,
    /// Never locked during a fetch, so that the look-up of a cached key doesn't wait.
    cache: Mutex<Cache>,
    /// Locked during a fetch, so that concurrent requests wait for the same fetch.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Cache {
    keys: KeySet,
    /// Time of the last successful fetch, in seconds since the epoch.
    fetched: i64,
    /// Age at which the keys are refreshed, in seconds.
    max_age: i64,
    /// Start of the last pause between fetches, in seconds since the epoch.
    paused: i64,
    /// Whether the last fetch failed.
    failed: bool,
}

impl PublishedKeys {
    pub(super) fn new(url: KeySetUrl) -> Self {
        Self {
            url,
            client: HttpClient::new(),
            cache: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// Fetches the keys before the first request needs them.
    pub(super) async fn fetch_first(&self) {
        let _turn = self.fetching.lock().await;
        self.refresh().await;
    }

    /// Returns the key with this id for this algorithm.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if the issuer has no such key; [`Error::Unavailable`] if that is unknown
    /// because the keys can't be fetched.
    pub(super) async fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<DecodingKey>, Error> {
        let needs_fetch = |cache: &Cache| {
            let is_old = !is_within(cache.fetched, cache.max_age);
            (is_old || cache.keys.find(id, algorithm).is_none()) && !is_within(cache.paused, PAUSE)
        };
        if needs_fetch(&self.cache()) {
            // A cached key that is due for a refresh is used as it is while another request refreshes it.
            let is_cached = self.cache().find(id, algorithm).is_ok();
            let turn = match is_cached {
                true => self.fetching.try_lock().ok(),
                false => Some(self.fetching.lock().await),
            };
            // Another request may have fetched the keys by now.
            if turn.is_some() && needs_fetch(&self.cache()) {
                let is_unknown = self.cache().keys.find(id, algorithm).is_none();
                self.refresh().await;
                if is_unknown {
                    self.cache().paused = Utc::now().timestamp();
                }
            }
        }
        self.cache().find(id, algorithm)
    }

    /// Fetches the keys. If that fails, the cached ones stay.
    async fn refresh(&self) {
        let fetched = timeout(FETCH_LIMIT, self.fetch()).await;
        let now = Utc::now().timestamp();
        match fetched.unwrap_or_else(|_| Err(format!("no response within {FETCH_LIMIT:?}"))) {
            Ok((keys, max_age)) => {
                match keys.len() {
                    // Accepted all the same, because the issuer may have withdrawn all of its keys.
                    0 => warn!(
                        "key set has no usable public key, tokens signed with public-key algorithms are rejected"
                    ),
                    count => info!(keys = count, "public keys fetched"),
                }
                let mut cache = self.cache();
                *cache = Cache { keys, fetched: now, max_age, paused: cache.paused, failed: false };
            }
            Err(reason) => {
                warn!(
                    reason,
                    "public keys can't be fetched, cached ones stay valid for an hour after their fetch"
                );
                let mut cache = self.cache();
                cache.paused = now;
                cache.failed = true;
            }
        }
    }

    async fn fetch(&self) -> Result<(KeySet, i64), String> {
        let request =
            Request::get(self.url.0.clone()).body(Full::default()).map_err(|error| error.to_string())?;
        let response = self.client.send(request).await?;
        if !response.status().is_success() {
            return Err(format!("the response was {}", response.status()));
        }
        let keys = KeySet::parse(response.body(), |kid, reason| warn!(kid, reason, "public key is skipped"));
        let keys = keys.ok_or("the response is not a JSON Web Key Set")?;
        Ok((keys, max_age(response.headers())))
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<DecodingKey>, Error> {
        match self.keys.find(id, algorithm) {
            _ if !is_within(self.fetched, MAX_AGE_IN_OUTAGE) => Err(Error::Unavailable(
                "public keys can't be fetched, and none fetched within the last hour are cached".into(),
            )),
            Some(key) => Ok(key),
            None if self.failed => Err(Error::Unavailable(
                "the token's public key is not cached, and public keys can't be fetched".into(),
            )),
            None => Err(NO_SUCH_KEY.into()),
        }
    }
}

/// Whether less than this many seconds have passed since then. If the clock was set back, the time is negative
/// and counts as elapsed.
fn is_within(since: i64, seconds: i64) -> bool {
    (0..seconds).contains(&(Utc::now().timestamp() - since))
}

/// The age at which a response must be refreshed, in seconds (RFC 9111 §5.2.2).
fn max_age(headers: &HeaderMap) -> i64 {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives = values.flat_map(|value| value.split(',')).filter_map(|directive| {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match &*name.trim().to_ascii_lowercase() {
            "no-cache" | "no-store" => Some(0),
            "max-age" => value.trim().trim_matches('"').parse().ok(),
            _ => None,
        }
    });
    directives.min().unwrap_or(DEFAULT_MAX_AGE).clamp(MIN_MAX_AGE, MAX_MAX_AGE)
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

#[cfg(test)]
mod tests {
    use lambda_http::http::HeaderValue;

    use super::*;

    #[test]
    fn max_age_of_the_response_counts_within_bounds() {
        for (value, expected) in [
            (None, 600),
            (Some("max-age=120"), 120),
            (Some("public, MAX-AGE = \"120\", must-revalidate"), 120),
            (Some("max-age=5"), 60),
            (Some("no-store"), 60),
            (Some("no-cache, max-age=300"), 60),
            (Some("max-age=86400"), 1800),
            (Some("max-age=soon"), 600),
            (Some("max-age=-1"), 60),
            (Some("s-maxage=120"), 600),
        ] {
            let header = value.map(|value| (CACHE_CONTROL, HeaderValue::from_static(value)));
            assert_eq!(max_age(&header.into_iter().collect()), expected, "{value:?}");
        }
    }
}
