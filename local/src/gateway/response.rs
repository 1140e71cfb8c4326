//! Builds HTTP responses from the functions' payloads, following payload format 2.0.

use anyhow::{Context, Result, bail};
use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TRANSFER_ENCODING},
    },
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A payload with a status code, headers and a body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stated {
    status_code: u16,
    headers: Option<Map<String, Value>>,
    multi_value_headers: Option<Map<String, Value>>,
    cookies: Option<Vec<String>>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

/// Builds the response for a function's payload. A payload without `statusCode` becomes the body of a 200.
pub(super) fn response(payload: &[u8]) -> Result<Response> {
    let value: Value = serde_json::from_slice(payload).context("the function's response is not JSON")?;
    if value.get("statusCode").is_none() {
        let headers = [(CONTENT_TYPE, "application/json")];
        return Ok((headers, payload.to_vec()).into_response());
    }
    let stated = Stated::deserialize(value).context("the function's response is malformed")?;
    let status = StatusCode::from_u16(stated.status_code)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
        .with_context(|| format!("statusCode {} is not a response status", stated.status_code))?;

    let mut headers = HeaderMap::new();
    for (name, value) in stated.headers.unwrap_or_default() {
        headers.insert(header_name(&name)?, header_value(&name, &value)?);
    }
    for (name, values) in stated.multi_value_headers.unwrap_or_default() {
        let values =
            values.as_array().with_context(|| format!("the values of header {name} are not a list"))?;
        let header = header_name(&name)?;
        headers.remove(&header);
        for value in values {
            headers.append(header.clone(), header_value(&name, value)?);
        }
    }
    for cookie in stated.cookies.unwrap_or_default() {
        headers.append(
            SET_COOKIE,
            HeaderValue::try_from(cookie).context("a cookie is not a valid header value")?,
        );
    }
    // Message framing concerns only the gateway and its client.
    for framing in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(framing);
    }

    let body = stated.body.unwrap_or_default();
    let body = if stated.is_base64_encoded == Some(true) {
        BASE64_STANDARD.decode(body).context("the body is not base64")?
    } else {
        body.into_bytes()
    };
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    let mut response = Response::new(if bodiless { Body::empty() } else { Body::from(body) });
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn header_name(name: &str) -> Result<HeaderName> {
    HeaderName::try_from(name).with_context(|| format!("{name:?} is not a valid header name"))
}

fn header_value(name: &str, value: &Value) -> Result<HeaderValue> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => bail!("header {name} is not a string, number or boolean"),
    };
    HeaderValue::try_from(text).with_context(|| format!("header {name} has an invalid value"))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    async fn given(payload: Value) -> (u16, Vec<String>, String) {
        let response = response(payload.to_string().as_bytes()).expect("the payload is valid");
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let mut headers: Vec<_> = headers
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("the value is ASCII")))
            .collect();
        headers.sort();
        let body = response.into_body().collect().await.expect("the body is in memory").to_bytes();
        (status, headers, String::from_utf8(body.into()).expect("the body is text"))
    }

    #[tokio::test]
    async fn payload_parts_become_the_response() {
        let payload = json!({
            "statusCode": 201,
            "headers": {"Location": "/x", "X-Total-Count": 7, "Content-Length": "999", "X-Many": "no"},
            "multiValueHeaders": {"x-many": ["a", "b"]},
            "cookies": ["c=1", "d=2"],
            "body": "e30=",
            "isBase64Encoded": true,
        });
        let headers = [
            "location: /x",
            "set-cookie: c=1",
            "set-cookie: d=2",
            "x-many: a",
            "x-many: b",
            "x-total-count: 7",
        ];
        assert_eq!(given(payload).await, (201, headers.map(String::from).into(), "{}".into()));
    }

    #[tokio::test]
    async fn null_counts_as_absent_and_204_has_no_body() {
        let payload = json!({"statusCode": 200, "headers": null, "multiValueHeaders": null, "cookies": null, "body": null});
        assert_eq!(given(payload).await, (200, vec![], String::new()));
        let payload = json!({"statusCode": 204, "body": "text"});
        assert_eq!(given(payload).await, (204, vec![], String::new()));
    }

    #[tokio::test]
    async fn payload_without_a_status_is_the_body() {
        let json = vec!["content-type: application/json".to_owned()];
        assert_eq!(given(json!({"a": 1})).await, (200, json.clone(), r#"{"a":1}"#.into()));
        assert_eq!(given(json!("text")).await, (200, json, r#""text""#.into()));
    }

    #[test]
    fn malformed_payloads_are_errors() {
        for payload in [
            "not JSON",
            r#"{"statusCode": "two hundred"}"#,
            r#"{"statusCode": 99}"#,
            r#"{"statusCode": 101}"#,
            r#"{"statusCode": 200, "body": {}}"#,
            r#"{"statusCode": 200, "body": "?", "isBase64Encoded": true}"#,
            r#"{"statusCode": 200, "headers": {"a b": "c"}}"#,
            r#"{"statusCode": 200, "headers": {"a": "c\nd: e"}}"#,
        ] {
            assert!(response(payload.as_bytes()).is_err(), "{payload}");
        }
    }
}
