//! Users sign up with a real Better Auth server and call the API with its tokens.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use local::{
    binaries::workspace_root,
    token::{TokenRequest, mint},
};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tests::{App, Contract, Options, Response, SECRET, empty_database};
use tokio::{process::Command, time};

use crate::Server;

/// Interval at which Better Auth rotates its keys, in tests with rotation.
const ROTATION: Duration = Duration::from_secs(5);

async fn better_auth(algorithm: &str, rotation: Option<Duration>) -> Server {
    let database_url = empty_database().await;
    Server::start(|port| {
        let mut command = Command::new("node");
        command
            .arg("server.mjs")
            .current_dir(workspace_root().join("tests/peers/clients/better-auth"))
            .env("PORT", port.to_string())
            .env("ALGORITHM", algorithm)
            .env("DATABASE_URL", database_url)
            .env("BETTER_AUTH_SECRET", "better-auth-secret-of-the-tests-32-bytes")
            .env(
                "ROTATION_SECONDS",
                rotation.map_or_else(String::new, |rotation| rotation.as_secs().to_string()),
            );
        command
    })
    .await
}

/// A user who has signed up and is signed in.
struct Session {
    http: Client,
    url: String,
    cookie: String,
    user: Value,
}

impl Session {
    async fn sign_up(server: &Server, email: &str) -> Self {
        let (http, url) = (Client::new(), server.url());
        let body = json!({ "email": email, "password": "correct horse battery", "name": "Ada Lovelace" });
        let request = http.post(format!("{url}/api/auth/sign-up/email")).header("origin", &url).json(&body);
        let answer = Response::to(request).await.expect_status(200);
        let cookies = answer.headers.get_all("set-cookie").iter();
        let cookies = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next().map(str::to_owned));
        let cookie = cookies.collect::<Vec<_>>().join("; ");
        let user = answer.json()["user"].clone();
        Self { http, url, cookie, user }
    }

    /// Fetches a new token, as a front end does.
    async fn token(&self) -> String {
        let request = self.http.get(format!("{}/api/auth/token", self.url)).header("cookie", &self.cookie);
        let answer = Response::to(request).await.expect_status(200);
        answer.json()["token"].as_str().expect("a token").to_owned()
    }

    fn id(&self) -> &str {
        self.user["id"].as_str().expect("an id")
    }
}

/// Starts an API that accepts this server's tokens, and requires its issuer and audience.
async fn api(server: &Server) -> App {
    let options = Options::default()
        .with("JWT_JWKS_URL", format!("{}/api/auth/jwks", server.url()))
        .with("JWT_ISSUER", server.url())
        .with("JWT_AUDIENCE", server.url())
        .with("JWT_SECRET", "");
    App::local_with(options).await.expect("on this machine")
}

/// Creates, lists, completes and deletes a task.
async fn use_the_api(app: &App, user_id: &str, token: &str) {
    for contract in Contract::BOTH {
        let user = app.user_with_token(user_id, token);
        let front = user.at(contract);
        let id = front.id(&front.new_task("created with a token of Better Auth").await);
        assert_eq!(front.tasks(&front.list("").await.expect_status(200)).len(), 1);
        let done = front.task(&front.complete(&id, true).await.expect_status(200));
        assert_eq!(done["completed"], true);
        front.delete(&id).await.expect_status(204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_sign_up_can_use_the_api_with_every_algorithm() {
    // Better Auth's types have only EdDSA, but it passes any name on to jose, which also knows the name of
    // RFC 9864.
    for algorithm in ["EdDSA", "Ed25519", "ES256", "RS256", "PS256"] {
        let server = better_auth(algorithm, None).await;
        let ada = Session::sign_up(&server, "ada@example.com").await;
        let app = api(&server).await;
        let token = ada.token().await;
        let header = BASE64.decode(token.split('.').next().expect("a header")).expect("base64url");
        let header: Value = serde_json::from_slice(&header).expect("JSON");
        assert_eq!(header["alg"], algorithm);
        use_the_api(&app, ada.id(), &token).await;

        let database = app.internals().database().await;
        let row = database.query_one("select id, email, name, email_verified from users", &[]).await;
        let row = row.expect("her row");
        assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), (ada.id(), "ada@example.com"));
        assert_eq!((row.get::<_, &str>(2), row.get::<_, bool>(3)), ("Ada Lovelace", false));

        // She has no access to another user's tasks.
        let grace = Session::sign_up(&server, "grace@example.com").await;
        let foreign = format!("/api/{}/tasks", grace.id());
        Response::to(app.request(Method::GET, &foreign).bearer_auth(&token)).await.expect_status(403);
        use_the_api(&app, grace.id(), &grace.token().await).await;

        server.stop().await;
        use_the_api(&app, ada.id(), &token).await;
        println!("{algorithm}: signed up, used the API, and used it again after Better Auth was stopped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_keys_are_accepted_without_a_deployment() {
    let server = better_auth("EdDSA", Some(ROTATION)).await;
    let ada = Session::sign_up(&server, "ada@example.com").await;
    let app = api(&server).await;
    let old = ada.token().await;
    use_the_api(&app, ada.id(), &old).await;

    time::sleep(ROTATION + Duration::from_secs(1)).await;
    let new = ada.token().await;
    assert_ne!(old.split('.').next(), new.split('.').next(), "signed with another key");
    use_the_api(&app, ada.id(), &new).await;
    use_the_api(&app, ada.id(), &old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_of_better_auth_are_not_accepted_as_tokens() {
    let server = better_auth("EdDSA", None).await;
    let ada = Session::sign_up(&server, "ada@example.com").await;
    let app = api(&server).await;
    let path = format!("/api/{}/tasks", ada.id());
    for (_, value) in ada.cookie.split("; ").filter_map(|cookie| cookie.split_once('=')) {
        Response::to(app.request(Method::GET, &path).bearer_auth(value)).await.expect_status(401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_cargo_dev_is_valid_for_jose_and_has_claims_like_better_auths() {
    let request = TokenRequest { hours: 1, ..TokenRequest::for_user("ada") };
    let token = mint(SECRET, jsonwebtoken::Algorithm::HS256, &request).expect("HS256 signs");
    let mut node = Command::new("node");
    node.arg("verify.mjs").current_dir(workspace_root().join("tests/peers/clients/better-auth"));
    let output = node.env("TOKEN", token).env("SECRET", SECRET).output().await.expect("node");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ours: Value = serde_json::from_slice(&output.stdout).expect("JSON");

    let server = better_auth("EdDSA", None).await;
    let theirs = Session::sign_up(&server, "ada@example.com").await.token().await;
    let theirs = BASE64.decode(theirs.split('.').nth(1).expect("claims")).expect("base64url");
    let theirs: Value = serde_json::from_slice(&theirs).expect("JSON");
    for claim in ["sub", "email", "name", "iat", "exp"] {
        let kinds = [&ours, &theirs].map(|claims| (claims[claim].is_string(), claims[claim].is_u64()));
        assert!(kinds[0] == kinds[1] && kinds[0] != (false, false), "{claim} of {ours} and {theirs}");
    }
    assert_eq!((&ours["sub"], &ours["email"]), (&json!("ada"), &theirs["email"]));
}
