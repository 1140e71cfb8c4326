//! The public keys of an issuer, fetched from the URL at which it publishes them (RFC 7517).
//!
//! Lambda freezes the process between requests, so there is no refresh in the background: keys are fetched when a
//! request needs them and they are too old by the wall clock. Fetched keys stay in use until a later fetch succeeds.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use chrono::Utc;
use http_body_util::Full;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use lambda_http::http::{Request, Uri, uri::Scheme};
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::Mutex, time::timeout};
use tracing::{info, warn};

use crate::{
    error::{Error, TokenError},
    http_client::HttpClient,
    variables::is_this_machine,
};

/// How long fetched keys are used before they are fetched again, in seconds.
const MAX_AGE: i64 = 600;

/// Delay before the next fetch after one that failed or was made for an unknown key id, in seconds. Anyone can invent
/// key ids, so these must not cause a fetch each.
const PAUSE: i64 = 30;

/// Limit on a whole fetch.
const FETCH_LIMIT: Duration = Duration::from_secs(5);

/// The URL at which public keys are published: https, or http on this machine.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySetUrl(Uri);

/// A public key, for one algorithm.
pub(super) struct Key {
    id: String,
    algorithm: Algorithm,
    pub(super) key: DecodingKey,
    pub(super) validation: Validation,
}

/// The keys of one issuer.
pub(super) struct KeySet {
    url: KeySetUrl,
    client: HttpClient,
    /// What a token must satisfy, for each algorithm that a public key can have.
    validations: [Validation; 4],
    /// Locked during a fetch, so that concurrent requests share one.
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    keys: Vec<Arc<Key>>,
    /// Seconds since the epoch of the last fetch that brought keys.
    fetched: i64,
    /// Seconds since the epoch when the last pause began.
    paused: i64,
    /// Whether the last fetch failed.
    failed: bool,
}

impl KeySet {
    pub(super) fn new(url: KeySetUrl, validation: impl Fn(Algorithm) -> Validation) -> Self {
        let algorithms = [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256, Algorithm::PS256];
        let validations = algorithms.map(validation);
        Self { url, client: HttpClient::new(), validations, cache: Mutex::default() }
    }

    /// Fetches the keys before the first request needs them.
    pub(super) async fn fetch_first(&self) {
        self.refresh(&mut *self.cache.lock().await).await;
    }

    /// The key of this id for this algorithm.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if the issuer has no such key; [`Error::Unavailable`] if it can't be reached.
    pub(super) async fn find(&self, id: &str, algorithm: Algorithm) -> Result<Arc<Key>, Error> {
        let mut cache = self.cache.lock().await;
        let found = |cache: &Cache| {
            let fits = |key: &&Arc<Key>| key.id == id && key.algorithm == algorithm;
            cache.keys.iter().find(fits).cloned()
        };
        let now = Utc::now().timestamp();
        // If the clock was set back, the time counts as elapsed.
        let is_within = |since: i64, seconds| (0..seconds).contains(&(now - since));
        let is_unknown = found(&cache).is_none();
        if (is_unknown || !is_within(cache.fetched, MAX_AGE)) && !is_within(cache.paused, PAUSE) {
            self.refresh(&mut cache).await;
            if is_unknown {
                cache.paused = now;
            }
        }
        match found(&cache) {
            Some(key) => Ok(key),
            None if cache.failed => Err(Error::Unavailable("the token's public key can't be fetched".into())),
            None => Err(TokenError::Invalid("unknown key id".into()).into()),
        }
    }

    /// Fetches the keys. If that fails, the old ones stay.
    async fn refresh(&self, cache: &mut Cache) {
        let now = Utc::now().timestamp();
        let fetched = timeout(FETCH_LIMIT, self.fetch()).await;
        match fetched.unwrap_or_else(|_| Err(format!("no answer within {FETCH_LIMIT:?}"))) {
            Ok(keys) => {
                info!(keys = keys.len(), "public keys fetched");
                *cache = Cache { keys, fetched: now, paused: cache.paused, failed: false };
            }
            Err(reason) => {
                warn!(reason, "public keys could not be fetched");
                cache.paused = now;
                cache.failed = true;
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Arc<Key>>, String> {
        let request =
            Request::get(self.url.0.clone()).body(Full::default()).map_err(|error| error.to_string())?;
        let response = self.client.send(request).await?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status()));
        }
        let keys = self.parse(response.body())?;
        // More likely a mistake than a withdrawal of all keys, and it would lock everybody out.
        if keys.is_empty() { Err("no key of use".into()) } else { Ok(keys) }
    }

    /// The keys that can verify a token. Keys that can't be parsed are skipped.
    fn parse(&self, json: &[u8]) -> Result<Vec<Arc<Key>>, String> {
        #[derive(Deserialize)]
        struct Published {
            keys: Vec<Value>,
        }
        let published: Published = serde_json::from_slice(json).map_err(|_| "not a JSON Web Key Set")?;
        Ok(published
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value::<Jwk>(key).ok())
            .flat_map(|jwk| self.keys(&jwk))
            .collect())
    }

    /// A key for each algorithm that this JWK can be used with.
    fn keys(&self, jwk: &Jwk) -> Vec<Arc<Key>> {
        let (Some(id), Ok(decoding_key)) = (&jwk.common.key_id, DecodingKey::from_jwk(jwk)) else {
            return Vec::new();
        };
        let key = |validation: &Validation| {
            let (key, validation) = (decoding_key.clone(), validation.clone());
            Arc::new(Key { id: id.clone(), algorithm: validation.algorithms[0], key, validation })
        };
        let is_good_for = |validation: &&Validation| algorithms(jwk).contains(&validation.algorithms[0]);
        self.validations.iter().filter(is_good_for).map(key).collect()
    }
}

/// The algorithms that a published key can be used with: those of its kind, limited by its own `use`, `key_ops` and
/// `alg` if it has them.
fn algorithms(jwk: &Jwk) -> Vec<Algorithm> {
    let for_signatures =
        jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature)
            && jwk.common.key_operations.as_ref().is_none_or(|uses| uses.contains(&KeyOperations::Verify));
    let by_kind: &[(Algorithm, KeyAlgorithm)] = match &jwk.algorithm {
        _ if !for_signatures => &[],
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            &[(Algorithm::EdDSA, KeyAlgorithm::EdDSA)]
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            &[(Algorithm::ES256, KeyAlgorithm::ES256)]
        }
        AlgorithmParameters::RSA(_) => {
            &[(Algorithm::RS256, KeyAlgorithm::RS256), (Algorithm::PS256, KeyAlgorithm::PS256)]
        }
        // Above all no symmetric key: a published one is not secret.
        _ => &[],
    };
    let says = jwk.common.key_algorithm.as_ref();
    by_kind
        .iter()
        .filter(|(_, name)| says.is_none_or(|said| said == name))
        .map(|(algorithm, _)| *algorithm)
        .collect()
}

impl FromStr for KeySetUrl {
    type Err = &'static str;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let uri = Uri::from_str(url).map_err(|_| "is no URL")?;
        let is_here = is_this_machine(uri.host().unwrap_or_default());
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS || (*scheme == Scheme::HTTP && is_here) => Ok(Self(uri)),
            _ => Err("must start with https:// (http:// only to this machine)"),
        }
    }
}

impl fmt::Display for KeySetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
