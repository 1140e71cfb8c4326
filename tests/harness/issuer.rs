//! An issuer of tokens that publishes its keys. Unlike a real one, it can be made to publish keys of every
//! kind, send malformed responses, or not respond at all. Like a server behind AWS's common firewall rules, it
//! answers 403 to a request without `User-Agent`.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::{
    encoding::AsDer,
    rsa::{self, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode, header::USER_AGENT},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle, time};

/// A key pair for signing tokens.
pub struct SigningKey {
    /// The public key, as it is published.
    pub jwk: Value,
    /// The private key.
    pub key: EncodingKey,
    /// The signature algorithm.
    pub algorithm: Algorithm,
    id: String,
}

impl SigningKey {
    /// Generates a key pair with this id, for EdDSA, ES256, RS256 or PS256.
    pub fn generate(id: &str, algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::generate().expect("randomness");
                EncodingKey::from_ed_der(pair.to_pkcs8v1().expect("encodable").as_ref())
            }
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("randomness");
                EncodingKey::from_ec_der(pair.to_pkcs8v1().expect("encodable").as_ref())
            }
            Algorithm::RS256 | Algorithm::PS256 => {
                let pair = rsa::KeyPair::generate(KeySize::Rsa2048).expect("randomness");
                let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der>::as_der(&pair).expect("encodable");
                // jsonwebtoken wants PKCS #1. In PKCS #8 it begins after 26 bytes for a key of this size.
                EncodingKey::from_rsa_der(&der.as_ref()[26..])
            }
            other => panic!("{other:?} is not supported by the test issuer"),
        };
        let mut jwk = json!(Jwk::from_encoding_key(&key, algorithm).expect("a public part"));
        jwk["kid"] = json!(id);
        // Better Auth's keys have no `use`.
        jwk.as_object_mut().expect("an object").remove("use");
        Self { jwk, key, algorithm, id: id.into() }
    }

    /// The header of a token signed with this key.
    pub fn header(&self) -> Header {
        Header { kid: Some(self.id.clone()), ..Header::new(self.algorithm) }
    }

    /// Signs a token with these claims.
    pub fn sign(&self, claims: &impl Serialize) -> String {
        jsonwebtoken::encode(&self.header(), claims, &self.key).expect("signable")
    }

    /// Signs a token with these claims. Its header names the algorithm with this text.
    pub fn sign_as(&self, algorithm: &str, claims: &impl Serialize) -> String {
        let header = json!({ "alg": algorithm, "kid": self.id });
        let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(json!(claims)));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm);
        format!("{message}.{}", signature.expect("signable"))
    }
}

/// A server on this machine that publishes keys.
pub struct Issuer {
    /// The URL of the key set.
    pub url: String,
    answer: Arc<Mutex<Published>>,
    cache_control: Arc<Mutex<String>>,
    fetches: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

type Published = (StatusCode, String, Duration);

impl Issuer {
    /// Starts an issuer that publishes these keys.
    pub async fn start(keys: &[&Value]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/api/auth/jwks", listener.local_addr().expect("bound"));
        let answer = Arc::new(Mutex::new((StatusCode::OK, String::new(), Duration::ZERO)));
        let fetches = Arc::new(AtomicUsize::new(0));
        let cache_control = Arc::new(Mutex::new(String::new()));
        let (published, count, cached) =
            (Arc::clone(&answer), Arc::clone(&fetches), Arc::clone(&cache_control));
        let serve = get(async move |headers: HeaderMap| -> Response {
            count.fetch_add(1, Ordering::SeqCst);
            if !headers.contains_key(USER_AGENT) {
                return StatusCode::FORBIDDEN.into_response();
            }
            let cache_control = cached.lock().expect("no test panics here").clone();
            let (status, body, delay) = published.lock().expect("no test panics here").clone();
            time::sleep(delay).await;
            // A client that followed a redirect would come back here and be counted.
            let headers = [("location", "/api/auth/jwks".to_owned()), ("cache-control", cache_control)];
            (status, headers, Bytes::from(body)).into_response()
        });
        let router = Router::new().route("/api/auth/jwks", serve);
        let server = tokio::spawn(async { axum::serve(listener, router).await.expect("it serves") });
        let issuer = Self { url, answer, cache_control, fetches, server };
        issuer.publish(keys);
        issuer
    }

    /// Publishes these keys from now on.
    pub fn publish(&self, keys: &[&Value]) {
        self.answer_with(StatusCode::OK, &json!({ "keys": keys }).to_string(), Duration::ZERO);
    }

    /// Responds with this status and body from now on, after a delay.
    pub fn answer_with(&self, status: StatusCode, body: &str, delay: Duration) {
        *self.answer.lock().expect("no test panics here") = (status, body.into(), delay);
    }

    /// Responds with this `Cache-Control` from now on.
    pub fn set_cache_control(&self, value: &str) {
        *self.cache_control.lock().expect("no test panics here") = value.into();
    }

    /// How often the key set has been requested.
    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    /// Stops the server.
    pub fn stop(&self) {
        self.server.abort();
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}
