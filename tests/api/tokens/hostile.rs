//! Forged and malformed tokens. Each is a 401, logged with the reason and without the token.

use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use jsonwebtoken::{
    Algorithm::{self, ES256, EdDSA, HS256, PS256, RS256},
    EncodingKey, Header, encode, get_current_timestamp,
};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{App, Contract, Issuer, Options, Response, SECRET, SigningKey};

use super::{ACCEPTED, EXPIRED, REJECTED, judge, path, token};

fn claims() -> Value {
    json!({ "sub": "alice", "exp": get_current_timestamp() + 600 })
}

/// A token with this header and these claims, which need not be valid, signed with HS256 and this key.
fn assemble(header: &str, claims: &str, key: &str) -> String {
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let key = EncodingKey::from_secret(key.as_bytes()).expect("not empty");
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, HS256).expect("HS256 signs");
    format!("{message}.{signature}")
}

/// Returns the token with its signature changed.
fn with_signature(token: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let mut signature = BASE64.decode(signature).expect("base64url");
    change(&mut signature);
    format!("{message}.{}", BASE64.encode(signature))
}

struct Api {
    app: App,
    eddsa: SigningKey,
    es256: SigningKey,
    rs256: SigningKey,
    issuer: Issuer,
}

impl Api {
    async fn start() -> Option<Self> {
        let [eddsa, es256, rs256] =
            [EdDSA, ES256, RS256].map(|algorithm| SigningKey::generate(&format!("{algorithm:?}"), algorithm));
        let issuer = Issuer::start(&[&eddsa.jwk, &es256.jwk, &rs256.jwk]).await;
        let app = App::local_with(Options::default().with("JWT_JWKS_URL", &issuer.url)).await?;
        Some(Self { app, eddsa, es256, rs256, issuer })
    }

    async fn assert_rejects(&self, tokens: impl IntoIterator<Item = String>) {
        for token in tokens {
            for contract in Contract::BOTH {
                judge(&self.app, contract, "alice", &format!("Bearer {token}"), REJECTED).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unsigned_tokens_and_tokens_signed_with_a_public_key_as_the_secret_are_401() {
    let Some(api) = Api::start().await else { return };
    let claims_text = claims().to_string();
    let body = BASE64.encode(&claims_text);
    let algorithms = ["none", "None", "NONE", "nOnE", ""].map(Value::from).into_iter().chain([Value::Null]);
    let unsigned = algorithms.flat_map(|algorithm| {
        let header = json!({ "alg": algorithm, "typ": "JWT", "kid": "EdDSA" }).to_string();
        let message = format!("{}.{body}", BASE64.encode(&header));
        [
            format!("{message}."),
            message.clone(),
            format!("{message}.AA"),
            assemble(&header, &claims_text, SECRET),
        ]
    });
    api.assert_rejects(unsigned).await;

    // Every form of a public key that could be mistaken for a secret.
    for key in [&api.eddsa, &api.es256, &api.rs256] {
        let raw: Vec<u8> = ["x", "y", "n", "e"]
            .iter()
            .filter_map(|part| key.jwk[*part].as_str())
            .flat_map(|part| BASE64.decode(part).expect("base64url"))
            .collect();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            BASE64_STANDARD.encode(&raw)
        );
        for secret in [key.jwk.to_string().into_bytes(), raw, pem.into_bytes()] {
            for algorithm in [HS256, Algorithm::HS384, Algorithm::HS512] {
                let header = Header { alg: algorithm, ..key.header() };
                let key = EncodingKey::from_secret(&secret).expect("not empty");
                api.assert_rejects([encode(&header, &claims(), &key).expect("signable")]).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_name_another_algorithm_or_key_are_401() {
    let Some(api) = Api::start().await else { return };
    let resign = |header: Header, key: &SigningKey| {
        // Signed with the right key and its own algorithm, but with another algorithm in the header.
        let valid = key.sign(&claims());
        let (message, signature) = valid.rsplit_once('.').expect("three parts");
        let body = message.split_once('.').expect("three parts").1;
        format!("{}.{body}.{signature}", BASE64.encode(json!(header).to_string()))
    };
    let mut tokens = Vec::new();
    for algorithm in [ES256, RS256, PS256, HS256, Algorithm::ES384, Algorithm::RS512] {
        tokens.push(resign(Header { alg: algorithm, ..api.eddsa.header() }, &api.eddsa));
    }
    // An RSA key can verify RS256 and PS256, but a signature is only valid for the algorithm that made it.
    tokens.push(resign(Header { alg: PS256, ..api.rs256.header() }, &api.rs256));
    for kid in ["../../../etc/passwd", "' or '1'='1", "EdDSA\0", "", "eddsa", "ES256", &"k".repeat(4000)] {
        let header = Header { kid: Some(kid.into()), ..api.eddsa.header() };
        tokens.push(encode(&header, &claims(), &api.eddsa.key).expect("signable"));
    }
    let header = Header { kid: None, ..api.eddsa.header() };
    tokens.push(encode(&header, &claims(), &api.eddsa.key).expect("signable"));
    api.assert_rejects(tokens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_with_their_own_key_or_critical_extensions_are_401() {
    let Some(api) = Api::start().await else { return };
    let mallory = SigningKey::generate("EdDSA", EdDSA);
    let mallorys_issuer = Issuer::start(&[&mallory.jwk]).await;
    for extra in [
        json!({ "jwk": mallory.jwk }),
        json!({ "jku": mallorys_issuer.url }),
        json!({ "x5u": mallorys_issuer.url }),
        json!({ "x5c": ["AAAA"] }),
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "crit": [] }),
        json!({ "crit": null }),
    ] {
        let mut header = json!({ "alg": "EdDSA", "kid": "EdDSA" });
        for (name, value) in extra.as_object().expect("an object") {
            header[name] = value.clone();
        }
        let message =
            format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims().to_string()));
        // Signed with Mallory's key, and, if the header itself is invalid, also with the right one.
        let by = |key: &SigningKey| {
            jsonwebtoken::crypto::sign(message.as_bytes(), &key.key, EdDSA).expect("signable")
        };
        api.assert_rejects([format!("{message}.{}", by(&mallory))]).await;
        if extra.get("crit").is_some() {
            api.assert_rejects([format!("{message}.{}", by(&api.eddsa))]).await;
        }
    }
    assert_eq!(mallorys_issuer.fetches(), 0, "keys are never fetched from a URL in a token");
}

/// Better Auth's server signs all of these with the key pair of its JWT plugin: cookies of sessions, and the
/// tokens of its OAuth provider.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_the_issuer_signed_for_another_purpose_are_401() {
    const AUDIENCE: &str = "https://api.example";
    let Some(open) = Api::start().await else { return };
    let options = Options::default().with("JWT_JWKS_URL", &open.issuer.url).with("JWT_AUDIENCE", AUDIENCE);
    let Some(with_audience) = App::local_with(options).await else { return };
    for (typ, extra, without_audience, for_audience) in [
        (Some("JWT"), json!({}), ACCEPTED, ACCEPTED),
        (Some("application/jwt"), json!({}), ACCEPTED, ACCEPTED),
        (None, json!({}), ACCEPTED, ACCEPTED),
        (Some("at+jwt"), json!({}), REJECTED, ACCEPTED),
        (Some("application/AT+JWT"), json!({}), REJECTED, ACCEPTED),
        (Some("JWT"), json!({ "azp": "client" }), REJECTED, ACCEPTED),
        (Some("at+jwt"), json!({ "azp": "client", "scope": "openid" }), REJECTED, ACCEPTED),
        (Some("at+jwt"), json!({ "cnf": { "jkt": "thumbprint" } }), REJECTED, REJECTED),
        (Some("JWT"), json!({ "cnf": null }), REJECTED, REJECTED),
        (Some("JWT"), json!({ "aud": "client" }), ACCEPTED, REJECTED),
        (Some("better-auth.session-cache+jwt"), json!({}), REJECTED, REJECTED),
        (Some("logout+jwt"), json!({}), REJECTED, REJECTED),
        (Some(""), json!({}), REJECTED, REJECTED),
    ] {
        let mut claims = claims();
        claims["aud"] = json!(AUDIENCE);
        for (name, value) in extra.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        let header = Header { typ: typ.map(str::to_owned), ..open.eddsa.header() };
        let token = encode(&header, &claims, &open.eddsa.key).expect("signable");
        println!("{typ:?} {claims}");
        for (app, verdict) in [(&open.app, without_audience), (&with_audience, for_audience)] {
            judge(app, Contract::Plain, "alice", &format!("Bearer {token}"), verdict).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_with_an_altered_signature_are_401() {
    let Some(api) = Api::start().await else { return };
    let [eddsa, es256, rs256] = [&api.eddsa, &api.es256, &api.rs256].map(|key| key.sign(&claims()));
    // The order of Ed25519's group, little-endian. S + L verifies if S is not checked to be below L (RFC 8032
    // §5.1.7).
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let malleated = with_signature(&eddsa, |signature| {
        let mut carry = 0;
        for (byte, order) in signature[32..].iter_mut().zip(L) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            *byte = (sum & 0xff) as u8;
            carry = sum >> 8;
        }
    });
    let mut tokens = vec![malleated];
    for token in [&eddsa, &es256, &rs256] {
        tokens.push(with_signature(token, |signature| signature.fill(0)));
        tokens.push(with_signature(token, |signature| signature[7] ^= 1));
        tokens.push(with_signature(token, |signature| signature.truncate(63)));
        tokens.push(with_signature(token, |signature| signature.push(0)));
        tokens.push(with_signature(token, Vec::clear));
        tokens.push(format!("{token}="));
        tokens.push(format!("{token}A"));
        tokens.push(token.replace('-', "+").replace('_', "/") + "==");
    }
    // The last base64 letter of 64 bytes has four unused bits, so other last letters would decode to the same
    // bytes.
    let (head, last) = eddsa.split_at(eddsa.len() - 1);
    tokens.extend(
        ('A'..='Z').map(String::from).filter(|letter| letter != last).map(|letter| head.to_owned() + &letter),
    );
    api.assert_rejects(tokens).await;
    for token in [eddsa, es256, rs256] {
        judge(&api.app, Contract::Plain, "alice", &format!("Bearer {token}"), ACCEPTED).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_with_malformed_parts_or_claims_are_401() {
    let Some(api) = Api::start().await else { return };
    let header = r#"{"alg":"HS256"}"#;
    let exp = get_current_timestamp() + 600;
    let valid = assemble(header, &claims().to_string(), SECRET);
    let parts: Vec<_> = valid.split('.').collect();
    let mut tokens = vec![
        parts[..2].join("."),
        parts[0].to_owned(),
        format!(".{}.{}", parts[1], parts[2]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{valid}.{}", parts[2]),
        format!("{valid}.."),
        format!("{valid}."),
        format!("{valid} {valid}"),
        format!("{valid},"),
        format!("{}.{}.", parts[0], parts[1]),
        assemble(r#"{"typ":"JWT"}"#, &claims().to_string(), SECRET),
        assemble(r#"{"alg":"RS256"}"#, &claims().to_string(), SECRET),
        format!("{}{}", "A".repeat(7000), valid),
        assemble("{}", &claims().to_string(), SECRET),
        assemble("[]", &claims().to_string(), SECRET),
        assemble(r#"["HS256",null,null]"#, &claims().to_string(), SECRET),
        assemble(r#"{"alg":"HS256","alg":"none"}"#, &claims().to_string(), SECRET),
        assemble(r#"{"alg":["HS256"]}"#, &claims().to_string(), SECRET),
    ];
    for body in [
        "".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        format!(r#"["alice","alice",{exp},null,null,null,null,null,null,null,null,null,null]"#),
        format!(r#"{{"sub":"mallory","sub":"alice","exp":{exp}}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"exp":1}}"#),
        r#"{"sub":"alice","exp":1e300}"#.to_owned(),
        format!(r#"{{"sub":"alice","exp":{}}}"#, exp * 1000),
        format!(r#"{{"sub":"alice","exp":{}}}"#, u64::MAX),
        format!(r#"{{"sub":"alice","exp":{exp},"nbf":{exp}}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"nbf":"0"}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"nbf":0,"nbf":1}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"iss":["http://issuer"]}}"#),
        // Tokens that Better Auth signs with the same secret for other purposes: e-mail verification and
        // sessions.
        format!(r#"{{"id":"alice","email":"alice@example.com","exp":{exp}}}"#),
        format!(r#"{{"session":{{"userId":"alice"}},"user":{{"id":"alice"}},"exp":{exp}}}"#),
    ] {
        tokens.push(assemble(header, &body, SECRET));
    }
    api.assert_rejects(tokens).await;

    let fractional = |exp: f64| {
        format!("Bearer {}", assemble(header, &json!({ "sub": "alice", "exp": exp }).to_string(), SECRET))
    };
    judge(&api.app, Contract::Plain, "alice", &fractional(exp as f64 - 1200.5), EXPIRED).await;
    judge(&api.app, Contract::Plain, "alice", &fractional(exp as f64 + 0.5), ACCEPTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_tokens_are_logged_with_the_reason_and_without_the_token() {
    let Some(api) = Api::start().await else { return };
    let valid = token(SECRET, HS256, "alice");
    let forged = with_signature(&valid, |signature| signature[0] ^= 1);
    let odd = assemble(r#"{"alg":"HS256","crit":["a secret thing"]}"#, &claims().to_string(), SECRET);
    for (token, reason) in [(&forged, "wrong signature"), (&odd, "token header has critical extensions")] {
        let request = api.app.request(Method::GET, &path(Contract::Plain, "alice")).bearer_auth(token);
        let answer = Response::to(request).await.expect_status(401);
        let lines = api.app.internals().log_lines();
        let line =
            lines.iter().find(|line| line["request_id"] == answer.header("x-request-id")).expect("a line");
        assert_eq!((&line["level"], &line["reason"]), (&json!("WARN"), &json!(reason)));
    }
    let log = api.app.internals().log_text();
    for part in forged.split('.').chain(odd.split('.')).chain(["a secret thing"]) {
        assert!(!log.contains(part), "{part} is in the log");
    }
}

/// The number of random tokens: `TOKENS`, or 2,000.
fn count() -> usize {
    std::env::var("TOKENS").ok().and_then(|count| count.parse().ok()).unwrap_or(2_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn randomly_altered_tokens_are_401_and_crash_nothing() {
    const SEED: u64 = 0x7461_736b;
    const AT_ONCE: usize = 8;
    let Some(api) = Api::start().await else { return };
    let valid = [
        token(SECRET, HS256, "alice"),
        api.eddsa.sign(&claims()),
        api.es256.sign(&claims()),
        api.rs256.sign(&claims()),
    ];
    let per_worker = count().div_ceil(AT_ONCE);
    let workers = (0..AT_ONCE as u64).map(async |worker| {
        let mut random = fastrand::Rng::with_seed(SEED + worker);
        for _ in 0..per_worker {
            let token = mutate(&valid, &mut random);
            let request = api.app.request(Method::GET, &path(Contract::Plain, "alice")).bearer_auth(&token);
            let status = Response::to(request).await.status;
            assert_eq!(status, 401, "{token}");
        }
    });
    futures_util::future::join_all(workers).await;
    let starts = api.app.internals().gateway().function("list-tasks").expect("a function").starts();
    assert!(starts <= 4, "{starts} processes were started, so some crashed");
    println!("{} tokens, seed {SEED}: all rejected", per_worker * AT_ONCE);
}

/// Changes a random valid token until it differs from every valid token.
fn mutate(valid: &[String], random: &mut fastrand::Rng) -> String {
    let original = random.choice(valid).expect("not empty");
    let mut bytes = original.clone().into_bytes();
    loop {
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len().max(1));
            let letter = random.alphanumeric() as u8;
            match random.u8(..6) {
                0 if at < bytes.len() => bytes[at] = letter,
                1 => bytes.insert(at.min(bytes.len()), letter),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 => bytes.truncate(at.max(1)),
                4 => bytes.extend((0..random.usize(..40)).map(|_| random.u8(b'!'..=b'~'))),
                _ => {
                    // Replaces a part with that of another token.
                    let other = random.choice(valid).expect("not empty");
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let mut parts: Vec<_> = text.split('.').collect();
                    let others: Vec<_> = other.split('.').collect();
                    let part = random.usize(..3).min(parts.len() - 1);
                    parts[part] = others[part];
                    bytes = parts.join(".").into_bytes();
                }
            }
        }
        let token = String::from_utf8_lossy(&bytes).into_owned();
        if !valid.contains(&token) {
            return token;
        }
    }
}
