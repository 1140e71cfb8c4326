//! Prints what the check of one token costs: `cargo run --release --package shared --example token_check`.

use std::{error::Error, hint::black_box, time::Instant};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp, jwk::Jwk};
use serde_json::json;
use shared::{auth::Verifier, config::TokenConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const CHECKS: u32 = 5_000;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let ed25519 = Ed25519KeyPair::generate()?.to_pkcs8v1()?;
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?.to_pkcs8v1()?;
    let keys = [
        (Algorithm::HS256, EncodingKey::from_secret(SECRET.as_bytes())),
        (Algorithm::EdDSA, EncodingKey::from_ed_der(ed25519.as_ref())),
        (Algorithm::ES256, EncodingKey::from_ec_der(p256.as_ref())),
    ];
    let mut published = Vec::new();
    for (algorithm, key) in &keys[1..] {
        let mut jwk = json!(Jwk::from_encoding_key(key, *algorithm)?);
        jwk["kid"] = json!(format!("{algorithm:?}"));
        published.push(jwk);
    }
    let jwks_url = Some(publish(json!({ "keys": published }).to_string()).await?.parse()?);
    let config = TokenConfig {
        secrets: vec![SECRET.into()],
        jwks_url,
        algorithm: Algorithm::HS256,
        issuer: None,
        audience: None,
    };
    let verifier = Verifier::new(&config);
    verifier.prepare().await;

    let claims =
        json!({ "sub": "alice", "exp": get_current_timestamp() + 600, "email": "alice@example.com" });
    for (algorithm, key) in &keys {
        let header = Header { kid: Some(format!("{algorithm:?}")), ..Header::new(*algorithm) };
        let authorization = format!("Bearer {}", encode(&header, &claims, key)?);
        let started = Instant::now();
        for _ in 0..CHECKS {
            black_box(verifier.caller(Some(&authorization)).await)?;
        }
        let micros = started.elapsed().as_secs_f64() * 1e6 / f64::from(CHECKS);
        println!("{algorithm:?}: {micros:.1} µs, mean of {CHECKS} checks");
    }
    Ok(())
}

/// Publishes these keys, once. Gives the URL.
async fn publish(keys: String) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await?;
        let _request = connection.read(&mut [0; 4096]).await?;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{keys}", keys.len());
        connection.write_all(answer.as_bytes()).await
    });
    Ok(url)
}
