//! `GET /docs`, `GET /openapi.json` and `GET /llms.txt`: caching, compression, and whether the description
//! matches the API.

use std::{collections::BTreeSet, fs, io::Read};

use flate2::read::GzDecoder;
use local::binaries::workspace_root;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::{App, Options, Response};

const PATHS: [&str; 3] = ["/docs", "/openapi.json", "/llms.txt"];

fn committed() -> String {
    fs::read_to_string(workspace_root().join("openapi.json")).expect("openapi.json is committed")
}

#[tokio::test(flavor = "multi_thread")]
async fn openapi_json_is_the_committed_file_and_the_page_loads_nothing_else() {
    let app = App::start().await;
    let description = Response::to(app.request(Method::GET, "/openapi.json")).await.expect_status(200);
    assert_eq!(description.header("content-type"), "application/json");
    assert!(description.text == committed());

    let page = gunzipped(app.request(Method::GET, "/docs")).await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.text.starts_with("<!doctype html>") && page.text.trim_end().ends_with("</html>"));
    for reference in ["<script src", "<link rel=\"stylesheet", "@import"] {
        assert!(!page.text.contains(reference), "{reference}");
    }
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    for response in [description, page] {
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        assert_eq!(response.header("referrer-policy"), "no-referrer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_documents_are_404() {
    let Some(app) = App::local_with(Options::default().with("HIDE_DOCS", "true")).await else { return };
    for path in PATHS {
        let hidden = Response::to(request(&app, path, "gzip")).await.expect_status(404);
        assert_eq!((hidden.text.as_str(), hidden.header("cache-control")), ("", "no-store"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn matching_if_none_match_is_304() {
    let app = App::start().await;
    for path in PATHS {
        let whole = gunzipped(app.request(Method::GET, path)).await;
        assert_eq!(whole.header("cache-control"), "public, no-cache");
        assert_eq!(whole.header("x-content-type-options"), "nosniff");
        let tag = whole.header("etag");
        let strong = tag.trim_start_matches("W/");
        for known in [tag, strong, "*", &format!("\"another\", {tag}")] {
            let request = request(&app, path, "gzip").header("if-none-match", known);
            let same = Response::to(request).await.expect_status(304);
            assert_eq!((same.text.as_str(), same.header("x-content-type-options")), ("", "nosniff"));
            assert_eq!(same.header("etag"), tag);
            assert_eq!(same.header("cache-control"), "public, no-cache");
        }
        for unknown in ["\"another\"", "", strong.trim_matches('"')] {
            gunzipped(app.request(Method::GET, path).header("if-none-match", unknown)).await;
        }
    }
}

const ENCODINGS: [(&str, bool); 14] = [
    ("gzip", true),
    ("gzip, deflate, br", true),
    ("br;q=1.0, GZIP;q=0.5", true),
    ("*", true),
    ("gzip;Q=1", true),
    ("x-gzip", true),
    ("gzip ; q=0.001, *;q=0", true),
    ("gzip;q=0, *", false),
    ("*, gzip;q=0.000", false),
    ("*;q=0", false),
    ("gzip;q=0", false),
    ("identity", false),
    ("x-gzipped", false),
    ("", false),
];

fn request(app: &App, path: &str, accepted: &str) -> RequestBuilder {
    app.request(Method::GET, path).header("accept-encoding", accepted)
}

/// Sends a request, checks that the response is compressed, and returns it with the decompressed text.
async fn gunzipped(request: RequestBuilder) -> Response {
    let response = request.header("accept-encoding", "gzip").send().await.expect("a response");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-encoding"]),
        (200, &"gzip".parse().expect("a value"))
    );
    let headers = response.headers().clone();
    let mut text = String::new();
    let body = response.bytes().await.expect("a body");
    GzDecoder::new(&*body).read_to_string(&mut text).expect("gzip of UTF-8");
    Response { status: 200, headers, text }
}

#[tokio::test(flavor = "multi_thread")]
async fn page_is_406_for_clients_that_do_not_accept_gzip() {
    let app = App::start().await;
    for (accepted, compressed) in ENCODINGS {
        let request = request(&app, "/docs", accepted);
        match compressed {
            true => assert!(gunzipped(app.request(Method::GET, "/docs")).await.text.len() > 1_000_000),
            false => {
                let refused = Response::to(request).await.expect_status(406);
                assert_eq!(refused.header("content-type"), "text/plain; charset=utf-8");
                assert_eq!(refused.header("vary"), "accept-encoding");
                assert_eq!(refused.header("x-content-type-options"), "nosniff");
                assert_eq!(refused.header("cache-control"), "no-store");
                assert!(refused.text.contains("curl --compressed") && refused.text.len() < 200);
            }
        }
    }
    Response::to(app.request(Method::GET, "/docs")).await.expect_status(406);
}

#[tokio::test(flavor = "multi_thread")]
async fn page_is_at_most_as_large_as_the_cost_estimate_assumes() {
    let documented = fs::read_to_string(workspace_root().join("docs/deployment.md")).expect("UTF-8");
    let (_, size) = documented.split_once("`/docs`, of ").expect("a size");
    let megabytes: f64 = size.split_whitespace().next().expect("a number").parse().expect("a number");
    let app = App::start().await;
    let page =
        request(&app, "/docs", "gzip").send().await.expect("a response").bytes().await.expect("a body");
    assert!(page.len() as f64 / 1e6 <= megabytes, "{} bytes", page.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_compressed_for_clients_that_accept_gzip() {
    let app = App::start().await;
    for path in ["/openapi.json", "/llms.txt"] {
        let plain = Response::to(app.request(Method::GET, path)).await.expect_status(200);
        for (accepted, compressed) in ENCODINGS {
            let response = request(&app, path, accepted).send().await.expect("a response");
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["vary"], "accept-encoding");
            let coding = response.headers().get("content-encoding").cloned();
            assert_eq!(coding.is_some_and(|coding| coding == "gzip"), compressed, "{accepted}");
            let body = response.bytes().await.expect("a body");
            match compressed {
                true => assert!(body.starts_with(&[0x1f, 0x8b]) && body.len() < plain.text.len() * 2 / 3),
                false => assert!(body == plain.text),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn llms_txt_names_every_endpoint_and_its_links_work() {
    let app = App::start().await;
    let summary = Response::to(app.request(Method::GET, "/llms.txt")).await.expect_status(200);
    assert_eq!(summary.header("content-type"), "text/plain; charset=utf-8");
    assert!(summary.text.starts_with("# Task API\n\n> "), "{}", summary.text);

    let lines = summary.text.lines();
    let named = lines.filter_map(|line| line.strip_prefix("- `")?.split('`').next()).map(str::to_owned);
    let description: Value = serde_json::from_str(&committed()).expect("JSON");
    let paths = description["paths"].as_object().expect("paths").iter();
    let described = paths.filter(|(path, _)| !path.starts_with("/plain")).flat_map(|(path, methods)| {
        methods
            .as_object()
            .expect("methods")
            .keys()
            .map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    assert_eq!(named.collect::<BTreeSet<_>>(), described.collect());

    let links: Vec<_> = summary.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert_eq!(links.len(), 2);
    for link in links {
        gunzipped(app.request(Method::GET, link)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn page_contains_the_license_of_swagger_ui() {
    let app = App::start().await;
    let page = gunzipped(app.request(Method::GET, "/docs")).await.text;
    let head = &page[..page.find("<style>").expect("a style")];
    for part in
        ["Copyright 2020-2021 SmartBear Software Inc.", "Apache License", "END OF TERMS AND CONDITIONS"]
    {
        assert!(head.contains(part), "{part}");
    }
}

/// Tries every bound in openapi.json: a value at the bound is accepted, and the next value beyond it is
/// rejected.
#[tokio::test(flavor = "multi_thread")]
async fn bounds_in_openapi_json_match_the_api() {
    let app = App::start().await;
    let alice = app.user("alice");
    let description: Value = serde_json::from_str(&committed()).expect("JSON");
    let mut tried = 0;
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            for probe in probes(&description, operation) {
                println!("{method} {path} {probe:?}");
                let response = Response::to(probe.request(&app, &alice.id, &alice.token, method, path)).await;
                assert_eq!(response.status == 422, !probe.within, "{}", response.text);
                // The error names this value.
                assert!(
                    probe.within || response.text.contains(&probe.name.to_lowercase()),
                    "{}",
                    response.text
                );
                tried += 1;
            }
        }
    }
    assert!(tried >= 60, "only {tried} values were tried");
}

/// A request with one value at a bound or just beyond it, and everything else valid.
#[derive(Debug)]
struct Probe {
    name: String,
    /// Whether the value is within the bound.
    within: bool,
    /// The id of the task in the path.
    task_id: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Option<Value>,
}

impl Probe {
    fn request(
        &self,
        app: &App,
        user_id: &str,
        token: &str,
        method: &str,
        path: &str,
    ) -> reqwest::RequestBuilder {
        let path = path.replace("{user_id}", user_id).replace("{task_id}", &self.task_id);
        let method = method.to_uppercase().parse().expect("a method");
        let mut request = app.request(method, &path).bearer_auth(token).query(&self.query);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match &self.body {
            Some(body) => request.json(body),
            None => request,
        }
    }
}

fn probes(description: &Value, operation: &Value) -> Vec<Probe> {
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let content = &operation["requestBody"]["content"]["application/json"];
    let body = content.get("example").cloned();
    let task_id = parameters.iter().find(|parameter| parameter["name"] == "task_id");
    let task_id = task_id.map_or(String::new(), |parameter| text(&parameter["example"]));
    let valid = |name: &str, within| Probe {
        name: name.to_owned(),
        within,
        task_id: task_id.clone(),
        query: Vec::new(),
        headers: Vec::new(),
        body: body.clone(),
    };

    let mut probes = Vec::new();
    for parameter in &parameters {
        let name = parameter["name"].as_str().expect("a name");
        for (value, within) in around_bounds(&parameter["schema"]) {
            let (mut probe, value) = (valid(name, within), text(&value));
            match parameter["in"].as_str() {
                // Another user's path is rejected with 403. The tests in `tokens` try user ids.
                Some("path") if name == "user_id" => continue,
                Some("path") => probe.task_id = value,
                Some("query") => probe.query.push((name.to_owned(), value)),
                _ => probe.headers.push((name.to_owned(), value)),
            }
            probes.push(probe);
        }
    }
    let schema = content["schema"]["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
    let schema = schema.and_then(|pointer| description.pointer(pointer)).unwrap_or(&Value::Null);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        for (value, within) in around_bounds(property) {
            let mut probe = valid(name, within);
            probe.body.as_mut().expect("an example")[name] = value;
            probes.push(probe);
        }
    }
    probes
}

/// Values at the bounds of a schema and just beyond them, each with whether it is within.
fn around_bounds(schema: &Value) -> Vec<(Value, bool)> {
    let mut values = Vec::new();
    let text_of = |length: u64| json!("x".repeat(length.try_into().expect("a length")));
    if let Some(max) = schema["maxLength"].as_u64() {
        values.extend([(text_of(max), true), (text_of(max + 1), false)]);
    }
    if let Some(min) = schema["minLength"].as_u64() {
        values.extend([(text_of(min), true), (text_of(min - 1), false)]);
    }
    if let Some(max) = schema["maximum"].as_i64() {
        values.extend([(json!(max), true), (json!(i128::from(max) + 1), false)]);
    }
    if let Some(min) = schema["minimum"].as_i64() {
        values.extend([(json!(min), true), (json!(min - 1), false)]);
    }
    values
}

/// A value as it is written in a path, a query or a header.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_in_openapi_json_match_the_api() {
    let app = App::start().await;
    let alice = app.user("alice");
    let pagination = alice.envelope().list("").await.expect_status(200).json()["data"]["pagination"].take();
    let description: Value = serde_json::from_str(&committed()).expect("JSON");
    let parameters = &description["paths"]["/api/{user_id}/tasks"]["get"]["parameters"];
    for name in ["limit", "offset"] {
        let parameters = parameters.as_array().expect("parameters");
        let parameter = parameters.iter().find(|parameter| parameter["name"] == name).expect(name);
        assert_eq!(pagination[name], parameter["schema"]["default"], "{name}");
    }
}
