//! The response of an endpoint, and how Lambda carries it.

use lambda_http::{
    aws_lambda_events::apigw::ApiGatewayV2httpResponse,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName},
    },
};
use serde::Serialize;

pub use lambda_http::aws_lambda_events::encodings::Body;

/// A response.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// The header fields, each present once.
    pub headers: HeaderMap,
    /// The body: text, bytes or empty.
    pub body: Body,
}

impl Response {
    /// A response without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Body::Empty }
    }

    /// A response with a body that is already JSON. It must not be stored, unless `Cache-Control` is set to something else.
    pub fn new(status: StatusCode, body: String) -> Self {
        let body = Body::Text(body);
        Self { body, ..Self::empty(status) }
            .with(CONTENT_TYPE, "application/json")
            .with(CACHE_CONTROL, "no-store")
    }

    /// A response with a value as its JSON body.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        Self::new(status, serde_json::to_string(value).expect("a struct of plain values is JSON"))
    }

    /// The response of an operation that returns nothing: 204.
    pub fn no_content() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    /// The same response with a header field.
    ///
    /// # Panics
    /// If the value contains anything but visible ASCII.
    pub fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        let value = HeaderValue::try_from(value.into()).expect("header values are made here, of ASCII");
        self.headers.insert(name, value);
        self
    }
}

impl From<Response> for ApiGatewayV2httpResponse {
    fn from(response: Response) -> Self {
        let mut carried = ApiGatewayV2httpResponse::default();
        carried.status_code = response.status.as_u16().into();
        carried.headers = response.headers;
        carried.is_base64_encoded = matches!(response.body, Body::Binary(_));
        carried.body = (!response.body.is_empty()).then_some(response.body);
        carried
    }
}
