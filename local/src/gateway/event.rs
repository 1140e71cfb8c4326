//! Events of payload format 2.0.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::{borrow::Cow, collections::BTreeMap, net::SocketAddr};

use axum::http::{
    HeaderMap,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TRANSFER_ENCODING, USER_AGENT},
    request::Parts,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::Utc;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::routes::RouteMatch;

/// The facts about a request that come from the connection and the gateway.
#[derive(Clone, Copy)]
pub(super) struct RequestContext<'a> {
    pub(super) peer: SocketAddr,
    /// The port that the gateway listens on.
    pub(super) port: u16,
    pub(super) request_id: &'a str,
}

/// Builds the event for a request. Like API Gateway, omits the fields of whatever the request doesn't have.
pub(super) fn event(
    parts: &Parts,
    path: &str,
    body: &[u8],
    found: &RouteMatch<'_>,
    context: RequestContext<'_>,
) -> Value {
    let now = Utc::now();
    let route_key = found.route.route_key();
    let source_ip = context.peer.ip().to_string();
    let headers = headers(&parts.headers, body.len(), &source_ip, context);
    let domain = headers["host"].rsplit_once(':').map_or(&*headers["host"], |(domain, _)| domain);

    let mut http = json!({
        "method": parts.method.as_str(),
        "path": path,
        "protocol": format!("{:?}", parts.version),
        "sourceIp": source_ip,
    });
    if let Some(agent) = headers.get(USER_AGENT.as_str()) {
        http["userAgent"] = json!(agent);
    }
    let mut event = json!({
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "local",
            "domainName": domain,
            "domainPrefix": domain.split('.').next(),
            "http": http,
            "requestId": context.request_id,
            "routeKey": route_key,
            "stage": "$default",
            "time": now.format("%d/%b/%Y:%H:%M:%S %z").to_string(),
            "timeEpoch": now.timestamp_millis(),
        },
        "isBase64Encoded": false,
    });
    let cookies = cookies(&parts.headers);
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    let query = query_parameters(parts.uri.query().unwrap_or_default());
    if !query.is_empty() {
        event["queryStringParameters"] = Value::Object(query);
    }
    if !found.path_parameters.is_empty() {
        event["pathParameters"] = json!(found.path_parameters);
    }
    if !body.is_empty() {
        let text = std::str::from_utf8(body).ok().filter(|_| is_text(&parts.headers));
        event["isBase64Encoded"] = json!(text.is_none());
        event["body"] = match text {
            Some(text) => json!(text),
            None => json!(BASE64_STANDARD.encode(body)),
        };
    }
    event
}

/// Returns the event's headers: repeated ones joined, without cookies, and with those that API Gateway adds.
fn headers(
    sent: &HeaderMap,
    body_length: usize,
    source_ip: &str,
    context: RequestContext<'_>,
) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    // Message framing concerns only the gateway and its client.
    let left_out = [COOKIE, CONNECTION, TRANSFER_ENCODING];
    for name in sent.keys().filter(|name| !left_out.contains(name)) {
        headers.insert(name.to_string(), joined(sent, name.as_str(), ","));
    }
    headers
        .entry("x-forwarded-for".into())
        .and_modify(|addresses| *addresses = format!("{addresses}, {source_ip}"))
        .or_insert_with(|| source_ip.to_owned());
    if body_length > 0 {
        headers.insert(CONTENT_LENGTH.to_string(), body_length.to_string());
    }
    headers.insert("x-forwarded-port".into(), context.port.to_string());
    headers.insert("x-forwarded-proto".into(), "http".into());
    headers.entry("x-amzn-trace-id".into()).or_insert_with(|| {
        let id = context.request_id.replace('-', "");
        format!("Root=1-{:08x}-{}", Utc::now().timestamp(), &id[..24])
    });
    headers.entry(HOST.to_string()).or_insert_with(|| format!("127.0.0.1:{}", context.port));
    headers
}

/// Joins the values of a header. Bytes that are not UTF-8 become U+FFFD, because an event is JSON and can't
/// contain them.
fn joined(headers: &HeaderMap, name: &str, separator: &str) -> String {
    let values = headers.get_all(name).iter();
    let values: Vec<Cow<'_, str>> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    values.join(separator)
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let cookies = joined(headers, COOKIE.as_str(), "; ");
    let cookies = cookies.split(';').map(str::trim);
    cookies.filter(|cookie| !cookie.is_empty()).map(str::to_owned).collect()
}

/// Decodes a query string. The values of a repeated name are joined by commas.
fn query_parameters(query: &str) -> Map<String, Value> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let mut parameters: Map<String, Value> = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value);
        match parameters.entry(decode(name)).or_insert(Value::Null) {
            Value::String(values) => {
                values.push(',');
                values.push_str(&value);
            }
            first => *first = Value::String(value),
        }
    }
    parameters
}

/// Returns whether API Gateway passes on the body as text. It encodes other bodies in base64.
fn is_text(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    media_type.starts_with("text/")
        || ["application/json", "application/xml", "application/javascript"].contains(&&*media_type)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::http::{HeaderValue, Request, request::Builder};

    use super::*;
    use crate::{
        binaries::workspace_root,
        gateway::{Routes, routes::decode},
        template::Template,
    };

    fn event_for(request: Builder, body: &[u8]) -> Value {
        let template = Template::read(&workspace_root().join("template.yaml"), &BTreeMap::new())
            .expect("the template is valid");
        let (parts, ()) = request.body(()).expect("the request is valid").into_parts();
        let routes = Routes::new(template.functions).expect("the routes are valid");
        let path = decode(parts.uri.path()).expect("the path is valid");
        let found = routes.find(parts.method.as_str(), parts.uri.path());
        let found = found.expect("the path decodes").expect("a route matches");
        let context = RequestContext {
            peer: ([127, 0, 0, 1], 54321).into(),
            port: 9000,
            request_id: "0a1b2c3d-0000-4000-8000-000000000000",
        };
        event(&parts, &path, body, &found, context)
    }

    #[test]
    fn a_request_becomes_an_event() {
        let request = Request::post("/api/a%7Cb%2Fc/tasks?tag=a&tag=b%20c&q=x+y&flag")
            .header("Host", "tasks.example.com:9000")
            .header("Accept", "a")
            .header("Accept", "b")
            .header("Content-Type", "application/json; charset=utf-8")
            .header("Cookie", "one=1; two=2")
            .header("Cookie", "three=3")
            .header("Connection", "keep-alive")
            .header("Transfer-Encoding", "chunked")
            .header("User-Agent", "curl/8");
        let mut event = event_for(request, b"{\"title\":\"\xc3\xb6\"}");

        let context = &mut event["requestContext"];
        let (time, epoch) = (context["time"].take(), context["timeEpoch"].take());
        assert!(time.as_str().is_some_and(|time| time.len() == 26 && time.ends_with(" +0000")), "{time}");
        assert!(epoch.as_i64().is_some_and(|epoch| epoch > 1_700_000_000_000), "{epoch}");
        let trace = event["headers"]["x-amzn-trace-id"].take();
        assert!(trace.as_str().is_some_and(|trace| trace.starts_with("Root=1-")), "{trace}");
        assert_eq!(
            event,
            json!({
                "version": "2.0",
                "routeKey": "POST /api/{user_id}/tasks",
                "rawPath": "/api/a|b/c/tasks",
                "rawQueryString": "tag=a&tag=b%20c&q=x+y&flag",
                "cookies": ["one=1", "two=2", "three=3"],
                "headers": {
                    "accept": "a,b",
                    "content-length": "14",
                    "content-type": "application/json; charset=utf-8",
                    "host": "tasks.example.com:9000",
                    "user-agent": "curl/8",
                    "x-amzn-trace-id": null,
                    "x-forwarded-for": "127.0.0.1",
                    "x-forwarded-port": "9000",
                    "x-forwarded-proto": "http",
                },
                "queryStringParameters": {"tag": "a,b c", "q": "x y", "flag": ""},
                "pathParameters": {"user_id": "a|b/c"},
                "requestContext": {
                    "accountId": "123456789012",
                    "apiId": "local",
                    "domainName": "tasks.example.com",
                    "domainPrefix": "tasks",
                    "http": {
                        "method": "POST",
                        "path": "/api/a|b/c/tasks",
                        "protocol": "HTTP/1.1",
                        "sourceIp": "127.0.0.1",
                        "userAgent": "curl/8",
                    },
                    "requestId": "0a1b2c3d-0000-4000-8000-000000000000",
                    "routeKey": "POST /api/{user_id}/tasks",
                    "stage": "$default",
                    "time": null,
                    "timeEpoch": null,
                },
                "body": "{\"title\":\"ö\"}",
                "isBase64Encoded": false,
            })
        );
    }

    #[test]
    fn absent_parts_are_omitted() {
        let event = event_for(Request::get("/health"), b"");
        for name in ["body", "cookies", "queryStringParameters", "pathParameters"] {
            assert_eq!(event.get(name), None, "{name}");
        }
        assert_eq!(event["requestContext"]["http"].get("userAgent"), None);
        assert_eq!(event["rawQueryString"], "");
        assert_eq!(event["isBase64Encoded"], false);
    }

    #[test]
    fn bodies_that_are_not_text_are_base64() {
        let cases: [(Option<&str>, &[u8], bool); 7] = [
            (Some("application/json"), b"{}", false),
            (Some("TEXT/plain; charset=utf-8"), b"{}", false),
            (Some("application/json"), b"\xff{}", true),
            (Some("application/x-www-form-urlencoded"), b"{}", true),
            (Some("application/octet-stream"), b"{}", true),
            (Some("multipart/form-data; boundary=x"), b"{}", true),
            (None, b"{}", true),
        ];
        for (content_type, body, encoded) in cases {
            let request = Request::post("/api/alice/tasks");
            let request = content_type
                .into_iter()
                .fold(request, |request, value| request.header("content-type", value));
            let event = event_for(request, body);
            assert_eq!(event["isBase64Encoded"], encoded, "{content_type:?}");
            let expected = if encoded { BASE64_STANDARD.encode(body) } else { "{}".into() };
            assert_eq!(event["body"], expected, "{content_type:?}");
        }
    }

    #[test]
    fn header_values_that_are_not_utf_8_are_replaced() {
        let value = HeaderValue::from_bytes(b"caf\xe9").expect("obs-text is allowed");
        let event = event_for(Request::get("/health").header("x-name", value), b"");
        assert_eq!(event["headers"]["x-name"], "caf\u{fffd}");
    }
}
