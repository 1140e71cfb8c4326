//! The response of an endpoint, and its conversion to API Gateway's format.

use lambda_http::{
    aws_lambda_events::apigw::ApiGatewayV2httpResponse,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName},
    },
};
use serde::Serialize;

pub use lambda_http::aws_lambda_events::encodings::Body;

/// A response of an endpoint.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// The headers. Each is present at most once.
    pub headers: HeaderMap,
    /// The body: text, bytes or empty.
    pub body: Body,
}

impl Response {
    /// Creates a response without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Body::Empty }
    }

    /// Creates a response with a body that is already JSON. `Cache-Control` is `no-store`;
    /// [`with`](Self::with) can replace it.
    pub fn new(status: StatusCode, body: String) -> Self {
        let body = Body::Text(body);
        Self { body, ..Self::empty(status) }
            .with(CONTENT_TYPE, "application/json")
            .with(CACHE_CONTROL, "no-store")
    }

    /// Creates a response with a value as its JSON body.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        Self::new(status, serde_json::to_string(value).expect("a struct of plain values is JSON"))
    }

    /// Creates a 204, the response of an operation that returns nothing.
    pub fn no_content() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    /// Sets a header.
    ///
    /// # Panics
    /// If the value contains a control character.
    pub fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        let value = HeaderValue::try_from(value.into()).expect("header values contain no control characters");
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
