//! Measures how long the check of a token takes: `cargo run --release --package shared --example
//! token_check`.

use std::{error::Error, hint::black_box, time::Instant};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::Utc;
use jsonwebtoken::Algorithm;
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use serde_json::json;
use shared::auth::{KeySet, TokenConfig, Verifier};

const CHECKS: u32 = 5_000;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let random = SystemRandom::new();
    let secret = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let ed25519 = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random)?.as_ref())?;
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let p256 = EcdsaKeyPair::generate_pkcs8(algorithm, &random)?;
    let p256 = EcdsaKeyPair::from_pkcs8(algorithm, p256.as_ref(), &random)?;

    // An uncompressed point on P-256: the byte 4 and two coordinates of 32 bytes each.
    let (x, y) = p256.public_key().as_ref()[1..].split_at(32);
    let published = json!({ "keys": [
        { "kid": "EdDSA", "kty": "OKP", "crv": "Ed25519", "x": encoded(ed25519.public_key().as_ref()) },
        { "kid": "ES256", "kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y) },
    ] });
    let keys = KeySet::parse(published.to_string().as_bytes(), |kid, reason| println!("{kid}: {reason}"));
    let config = TokenConfig {
        secrets: vec![SECRET.into()],
        keys: keys.ok_or("not a key set")?,
        jwks_url: None,
        algorithm: Algorithm::HS256,
        issuer: None,
        audience: None,
    };
    let verifier = Verifier::new(&config);

    let claims = json!({ "sub": "alice", "exp": Utc::now().timestamp() + 600, "email": "alice@example.com" });
    for algorithm in ["HS256", "EdDSA", "ES256"] {
        let header = json!({ "alg": algorithm, "kid": algorithm }).to_string();
        let message = format!("{}.{}", encoded(header.as_bytes()), encoded(claims.to_string().as_bytes()));
        let signature = match algorithm {
            "HS256" => encoded(hmac::sign(&secret, message.as_bytes()).as_ref()),
            "EdDSA" => encoded(ed25519.sign(message.as_bytes()).as_ref()),
            _ => encoded(p256.sign(&random, message.as_bytes())?.as_ref()),
        };
        let authorization = format!("Bearer {message}.{signature}");
        let started = Instant::now();
        for _ in 0..CHECKS {
            black_box(verifier.caller(Some(&authorization)).await)?;
        }
        let micros = started.elapsed().as_secs_f64() * 1e6 / f64::from(CHECKS);
        println!("{algorithm}: {micros:.1} µs, mean of {CHECKS} checks");
    }
    Ok(())
}

fn encoded(part: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part)
}
