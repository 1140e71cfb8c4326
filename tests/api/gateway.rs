//! The local gateway: CORS as configured in the template, and the processes of the functions.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use local::{
    binaries::workspace_root,
    gateway::{Gateway, GatewayOptions},
    template::Template,
};
use reqwest::{Method, header::HeaderMap};
use serde_json::json;
use tests::{App, Contract, Options, Response, SECRET, binary, errors};
use tokio::{net::TcpListener, process::Command, task::JoinSet, time};

const EXPOSED: &str = "location,link,x-total-count,x-request-id,etag,retry-after,idempotency-replayed,ratelimit,ratelimit-policy";

/// The number of processes that have been started, for all functions.
fn starts(app: &App) -> usize {
    let template = Template::read(&workspace_root().join("template.yaml"), &BTreeMap::new());
    let functions = template.expect("the template is valid").functions;
    let functions =
        functions.iter().filter_map(|function| app.internals().gateway().function(&function.binary));
    functions.map(|function| function.starts()).sum()
}

/// The CORS headers of a response, sorted.
fn cors(headers: &HeaderMap) -> Vec<String> {
    let named =
        headers.iter().filter(|(name, _)| name.as_str().starts_with("access-control-") || *name == "vary");
    let mut lines: Vec<_> =
        named.map(|(name, value)| format!("{name}: {}", value.to_str().expect("visible ASCII"))).collect();
    lines.sort();
    lines
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    time::timeout(Duration::from_secs(3), wait).await.expect(what);
}

/// Kills the only process.
async fn kill(pids: &[u32]) {
    let [pid] = pids else { panic!("expected one process: {pids:?}") };
    let kill = Command::new("kill").args(["-9", &pid.to_string()]).status().await.expect("kill runs");
    assert!(kill.success());
}

fn allow_origins(origins: &str) -> Options {
    Options {
        parameters: [("CorsAllowedOrigins".to_owned(), origins.to_owned())].into(),
        ..Options::default()
    }
}

/// Sends a front end's preflight request.
async fn preflight(app: &App, path: &str, origin: &str) -> Response {
    let request = app.request(Method::OPTIONS, path).header("origin", origin);
    let request = request.header("access-control-request-method", "PATCH");
    Response::to(request.header("access-control-request-headers", "authorization,content-type")).await
}

/// The CORS headers of the response to a preflight from an allowed origin.
fn preflight_headers(origin: &str) -> Vec<String> {
    let named = origin != "*";
    let lines = [
        named.then(|| "access-control-allow-credentials: true".into()),
        Some(
            "access-control-allow-headers: authorization,content-type,idempotency-key,if-match,if-none-match,\
             traceparent,tracestate,baggage,sentry-trace,mcp-protocol-version,mcp-method,mcp-name"
                .into(),
        ),
        Some("access-control-allow-methods: GET,POST,PUT,PATCH,DELETE,OPTIONS".into()),
        Some(format!("access-control-allow-origin: {origin}")),
        Some("access-control-max-age: 600".into()),
        named.then(|| "vary: origin".into()),
    ];
    lines.into_iter().flatten().collect()
}

/// The CORS headers of any other response to an allowed origin.
fn response_headers(origin: &str) -> Vec<String> {
    let named = origin != "*";
    let lines = [
        named.then(|| "access-control-allow-credentials: true".into()),
        Some(format!("access-control-allow-origin: {origin}")),
        Some(format!("access-control-expose-headers: {EXPOSED}")),
        named.then(|| "vary: origin".into()),
    ];
    lines.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_preflights_itself() {
    let Some(app) = App::local_with(allow_origins("http://localhost:3000")).await else { return };
    for path in ["/api/alice/tasks", "/plain/api/alice/tasks/1/complete", "/health", "/nowhere", "/"] {
        let answer = preflight(&app, path, "http://localhost:3000").await.expect_status(204);
        assert_eq!(cors(&answer.headers), preflight_headers("http://localhost:3000"), "{path}");
        assert_eq!(answer.text, "");
        for other in
            ["http://localhost:3001", "https://localhost:3000", "http://localhost:3000.evil.example", "null"]
        {
            let answer = preflight(&app, path, other).await.expect_status(204);
            assert_eq!(cors(&answer.headers), Vec::<String>::new(), "{path} {other}");
        }
    }
    assert_eq!(starts(&app), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn allows_no_origin_by_default() {
    let Some(app) = App::local().await else { return };
    let answer = preflight(&app, "/health", "http://localhost:3000").await;
    assert_eq!((answer.status, cors(&answer.headers)), (404, Vec::new()));
    let request = app.request(Method::GET, "/health").header("origin", "http://localhost:3000");
    assert_eq!(cors(&Response::to(request).await.expect_status(200).headers), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn allows_the_origins_of_the_template_parameter() {
    let named = ["https://a.example", "https://b.example:8443"];
    for (parameter, origins) in [(named.join(","), &named[..]), ("*".into(), &["https://a.example", "null"])]
    {
        let Some(app) = App::local_with(allow_origins(&parameter)).await else { return };
        let alice = app.user("alice");
        for origin in origins {
            let echoed = if parameter == "*" { "*" } else { origin };
            let answer = preflight(&app, "/api/alice/tasks", origin).await.expect_status(204);
            assert_eq!(cors(&answer.headers), preflight_headers(echoed));
            for contract in Contract::BOTH {
                // Responses from functions, successful and rejected, and the gateway's own 404.
                for (method, rest, status) in
                    [(Method::GET, "", 200), (Method::GET, "/x", 422), (Method::GET, "/x/y", 404)]
                {
                    let request = alice.at(contract).request(method, rest).header("origin", *origin);
                    let answer = Response::to(request).await.expect_status(status);
                    assert_eq!(cors(&answer.headers), response_headers(echoed), "{rest}");
                }
                let answer =
                    Response::to(alice.at(contract).request(Method::GET, "")).await.expect_status(200);
                assert_eq!(cors(&answer.headers), Vec::<String>::new(), "without an origin");
            }
        }
        if parameter != "*" {
            for other in ["http://localhost:3000", "https://a.example.evil.example", "https://A.example", "*"]
            {
                let request = alice.envelope().request(Method::GET, "").header("origin", other);
                let answer = Response::to(request).await.expect_status(200);
                assert_eq!(cors(&answer.headers), Vec::<String>::new(), "{other}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replaces_a_process_that_was_killed() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    let function = app.internals().gateway().function("list-tasks").expect("a function");
    for killed in 0..3 {
        for _ in 0..2 {
            alice.envelope().list("").await.expect_status(200);
        }
        assert_eq!(function.starts(), killed + 1);
        kill(&function.pids()).await;
        eventually("the process is gone", || function.pids().is_empty()).await;
    }
    alice.plain().list("").await.expect_status(200);
    assert_eq!(function.starts(), 4);

    // Killing a process during a request fails only that request.
    let database = app.internals().database().await;
    database.batch_execute("begin; lock table tasks in access exclusive mode").await.expect("a lock");
    let request = tokio::spawn(Response::to(alice.envelope().request(Method::GET, "")));
    let waiting = "select from pg_locks where relation = 'tasks'::regclass and not granted";
    let blocked = async {
        while database.query(waiting, &[]).await.expect("a view").is_empty() {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    time::timeout(Duration::from_secs(3), blocked).await.expect("the request waits for the lock");
    kill(&function.pids()).await;
    let answer = request.await.expect("no panic").expect_status(500);
    assert_eq!(answer.json(), json!({ "message": "Internal Server Error" }));
    database.batch_execute("commit").await.expect("a transaction");
    alice.plain().list("").await.expect_status(200);
    assert_eq!(function.starts(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_as_many_processes_as_concurrent_requests_need() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    alice.envelope().new_task("Buy milk").await;
    let function = app.internals().gateway().function("list-tasks").expect("a function");
    for _ in 0..5 {
        alice.envelope().list("").await.expect_status(200);
    }
    assert_eq!(function.starts(), 1, "one process is enough for sequential requests");

    // While this lock is held, every request occupies a process.
    let database = app.internals().database().await;
    database.batch_execute("begin; lock table tasks in access exclusive mode").await.expect("a lock");
    let mut requests: JoinSet<_> =
        (0..8).map(|_| Response::to(alice.envelope().request(Method::GET, ""))).collect();
    eventually("four processes", || function.pids().len() == 4).await;
    database.batch_execute("commit").await.expect("a transaction");
    while let Some(answer) = requests.join_next().await {
        let answer = answer.expect("no panic").expect_status(200);
        assert_eq!(answer.json()["data"]["pagination"]["total"], 1);
    }
    assert_eq!(function.starts(), 4, "the harness allows four processes; the other requests waited");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_503_if_a_function_takes_too_long() {
    let Some(app) = App::local().await else { return };
    let mut template = Template::read(&workspace_root().join("template.yaml"), &BTreeMap::new())
        .expect("the template is valid");
    template.functions.retain(|function| function.binary == "list-tasks");
    template.functions[0].timeout = Duration::from_millis(300);
    let environment = [("DATABASE_URL", app.internals().database_url.as_str()), ("JWT_SECRET", SECRET)];
    let gateway = Gateway::start(GatewayOptions {
        template,
        binaries: [("list-tasks".to_owned(), binary("list-tasks").await)].into(),
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        listener: TcpListener::bind("127.0.0.1:0").await.expect("a free port"),
        logs: Arc::new(|_: &str, _: &str| {}),
        max_instances: 1,
    });
    let gateway = gateway.expect("the gateway starts");
    let alice = app.user_with_id("alice");
    let list = || {
        let request = reqwest::Client::new().get(format!("{}/api/alice/tasks", gateway.url()));
        Response::to(request.bearer_auth(&alice.token))
    };

    let database = app.internals().database().await;
    database.batch_execute("begin; lock table tasks in access exclusive mode").await.expect("a lock");
    let answer = list().await.expect_status(503);
    assert_eq!(answer.json(), json!({ "message": "Service Unavailable" }));
    database.batch_execute("commit").await.expect("a transaction");
    list().await.expect_status(200);
    assert_eq!(gateway.function("list-tasks").map(|function| function.starts()), Some(2));
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_without_a_route_is_logged_with_the_nearest_route() {
    let Some(app) = App::local().await else { return };
    for (method, path, nearest) in [
        (Method::GET, "/api/alice/tasks/", "GET /api/{user_id}/tasks"),
        (Method::POST, "/alice/tasks", "POST /api/{user_id}/tasks"),
    ] {
        Response::to(app.request(method.clone(), path)).await.expect_status(404);
        let line = format!("gateway: 404  no route for {method} {path}; the nearest is {nearest}\n");
        let log = app.internals().log_text();
        assert!(log.contains(&line), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_oversized_and_malformed_requests_itself() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    let front = alice.envelope();
    let post = |length| {
        let request = front.request(Method::POST, "").header("content-type", "application/json");
        Response::to(request.body(vec![b' '; length]))
    };
    post(10 * 1024 * 1024).await.assert_error(Contract::Envelope, &errors::TOO_LARGE);
    let answer = post(10 * 1024 * 1024 + 1).await.expect_status(413);
    assert_eq!(answer.json(), json!({ "message": "Request Entity Too Large" }));

    let get = |length| {
        let request = front.request(Method::GET, "").header("x-odd", "a".repeat(length));
        Response::to(request)
    };
    get(9_000).await.expect_status(200);
    let answer = get(10_240).await.expect_status(431);
    assert_eq!(answer.json(), json!({ "message": "Request Header Fields Too Large" }));

    let before = starts(&app);
    for path in ["/api/%ff/tasks", "/api/%/tasks", "/api/alice/tasks/%zz", "/%c3%28"] {
        let answer = Response::to(app.request(Method::GET, path).bearer_auth(&alice.token)).await;
        assert_eq!((answer.status, answer.json()), (400, json!({ "message": "Bad Request" })), "{path}");
    }
    assert_eq!(starts(&app), before);
}
