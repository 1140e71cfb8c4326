//! Tokens that are signed with a key which their issuer publishes.

use jsonwebtoken::{
    Algorithm::{ES256, EdDSA, HS256, PS256, RS256},
    get_current_timestamp,
};
use serde_json::{Value, json};
use tests::{Answer, App, Contract, Issuer, Options, SECRET, SigningKey, refusals};

use super::{BAD, BELIEVED, Verdict, judge, path, token};

const UNAVAILABLE: Verdict = Some(&refusals::UNAVAILABLE);

fn claims() -> Value {
    json!({ "sub": "alice", "exp": get_current_timestamp() + 86_400, "iss": "http://issuer", "aud": "x" })
}

pub(super) fn signed_by(key: &SigningKey) -> String {
    format!("Bearer {}", key.sign(&claims()))
}

pub(super) async fn app_of(issuer: &Issuer) -> Option<App> {
    App::local_with(Options::default().with("JWT_JWKS_URL", &issuer.url)).await
}

pub(super) async fn judge_both(app: &App, authorization: &str, verdict: Verdict) {
    for contract in Contract::BOTH {
        judge(app, contract, "alice", authorization, verdict).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn are_believed_in_four_algorithms_beside_the_secret() {
    let keys = [EdDSA, ES256, RS256, PS256]
        .map(|algorithm| SigningKey::generate(&format!("{algorithm:?}"), algorithm));
    let issuer = Issuer::start(&keys.each_ref().map(|key| &key.jwk)).await;
    let Some(app) = app_of(&issuer).await else { return };
    for key in &keys {
        judge_both(&app, &signed_by(key), BELIEVED).await;
    }
    judge_both(&app, &format!("Bearer {}", token(SECRET, HS256, "alice")), BELIEVED).await;
    for _ in 0..50 {
        judge(&app, Contract::Plain, "alice", &signed_by(&keys[0]), BELIEVED).await;
    }
    assert_eq!(issuer.fetches(), 1, "while the process started, and never since");
}

#[tokio::test(flavor = "multi_thread")]
async fn ed25519_is_another_name_of_eddsa_in_tokens_and_keys() {
    let keys = ["unnamed", "EdDSA", "Ed25519"].map(|name| {
        let mut key = SigningKey::generate(name, EdDSA);
        key.jwk["alg"] = if name == "unnamed" { Value::Null } else { json!(name) };
        key
    });
    let p256 = SigningKey::generate("p256", ES256);
    let rsa = SigningKey::generate("rsa", RS256);
    // Not EdDSA on Ed25519, whatever the curve says.
    let others = ["Ed448", "ed25519", "ES256"].map(|name| {
        let mut key = SigningKey::generate(&format!("{name} key"), EdDSA);
        key.jwk["alg"] = json!(name);
        key
    });
    let published = keys.iter().chain(&others).chain([&p256, &rsa]).map(|key| &key.jwk);
    let issuer = Issuer::start(&published.collect::<Vec<_>>()).await;
    let Some(app) = app_of(&issuer).await else { return };

    let cases = keys.iter().flat_map(|key| [(key, "EdDSA", BELIEVED), (key, "Ed25519", BELIEVED)]);
    let wrong_names = ["Ed448", "ed25519", "ED25519", "Ed25519ph", "HS256"];
    let cases = cases
        .chain(wrong_names.iter().map(|name| (&keys[2], *name, BAD)))
        .chain(others.iter().map(|key| (key, "Ed25519", BAD)))
        .chain([(&p256, "Ed25519", BAD), (&rsa, "Ed25519", BAD), (&p256, "ES256", BELIEVED)]);
    for (key, name, verdict) in cases {
        println!("{name} {}", key.jwk);
        judge_both(&app, &format!("Bearer {}", key.sign_as(name, &claims())), verdict).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_alone_where_no_secret_is_set() {
    let key = SigningKey::generate("one", EdDSA);
    let issuer = Issuer::start(&[&key.jwk]).await;
    let options = Options::default().with("JWT_JWKS_URL", &issuer.url).with("JWT_SECRET", "");
    let Some(app) = App::local_with(options).await else { return };
    judge_both(&app, &signed_by(&key), BELIEVED).await;
    judge_both(&app, &format!("Bearer {}", token(SECRET, HS256, "alice")), BAD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_are_no_use_are_passed_over_and_hide_no_other() {
    let good = SigningKey::generate("good", EdDSA);
    let with = |id: &str, name: &str, value: Value| {
        let key = SigningKey::generate(id, ES256);
        let mut jwk = key.jwk.clone();
        jwk[name] = value;
        (key, jwk)
    };
    let odd = [
        with("for encryption", "use", json!("enc")),
        with("for signing", "key_ops", json!(["sign"])),
        with("of another algorithm", "alg", json!("ES384")),
        with("of another curve", "crv", json!("P-521")),
        with("off the curve", "x", json!("AAAA")),
        with("no text", "x", json!(7)),
        with("nameless", "kid", json!(null)),
    ];
    let secret =
        json!({ "kty": "oct", "kid": "symmetric", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U" });
    let nothing = json!("no key at all");
    let mut keys: Vec<_> = odd.iter().map(|(_, jwk)| jwk).collect();
    keys.extend([&secret, &nothing, &good.jwk]);
    let issuer = Issuer::start(&keys).await;
    let Some(app) = app_of(&issuer).await else { return };
    judge_both(&app, &signed_by(&good), BELIEVED).await;
    for (key, jwk) in &odd {
        println!("{jwk}");
        judge(&app, Contract::Plain, "alice", &signed_by(key), BAD).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn are_fetched_over_tls_or_from_this_machine_alone() {
    for url in ["http://auth.example/jwks", "ftp://localhost/jwks", "jwks"] {
        let Some(app) = App::local_with(Options::default().with("JWT_JWKS_URL", url)).await else { return };
        let request = app.request(reqwest::Method::GET, &path(Contract::Plain, "alice"));
        Answer::to(request).await.expect_status(500);
        let log = app.hands_on().log_text();
        assert!(log.contains("cannot start: JWT_JWKS_URL "), "{log}");
    }
    // An issuer whose certificate nobody vouches for is as good as none.
    let key = SigningKey::generate("one", EdDSA);
    let issuer = Issuer::start(&[&key.jwk]).await;
    let url = issuer.url.replace("http://", "https://");
    let Some(app) = App::local_with(Options::default().with("JWT_JWKS_URL", url)).await else { return };
    judge_both(&app, &signed_by(&key), UNAVAILABLE).await;
    assert_eq!(issuer.fetches(), 0);
}
