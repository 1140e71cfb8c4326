//! The HTTP client for requests to other services: public keys, Secrets Manager and CloudFormation's response
//! URL.

use std::{fmt, time::Duration};

use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, Client},
    rt::TokioExecutor,
};
use lambda_http::http::{HeaderValue, Request, Response, header::USER_AGENT};
use rustls::crypto::ring;

use crate::error::in_one_line;

/// Limit on opening a TCP connection to a server.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The longest response body that is read, in bytes. Secrets Manager has the same limit for a secret.
const MAX_LEN: usize = 64 * 1024;

/// The `User-Agent` of requests that have none. Firewalls such as AWS's common rules answer 403 without one.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("task-api/", env!("CARGO_PKG_VERSION")));

/// An HTTP client that trusts the public certificate authorities and follows no redirects. It reuses no
/// connections, because the process may be frozen for longer than a connection lives.
#[derive(Clone)]
pub struct HttpClient(Client<HttpsConnector<legacy::connect::HttpConnector>, Full<Bytes>>);

impl HttpClient {
    /// Creates a client. It connects when it sends.
    pub fn new() -> Self {
        let mut connector = legacy::connect::HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_LIMIT));
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(ring::default_provider())
            .expect("the provider supports TLS 1.2 and 1.3")
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    /// If there is no response: the reason, in one line.
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Bytes>, String> {
        request.headers_mut().entry(USER_AGENT).or_insert(AGENT);
        let response = self.0.request(request).await.map_err(|error| in_one_line(&error))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_LEN).collect().await.map_err(|error| error.to_string())?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }

    /// Sends `body` to a URL with PUT. The URL can be presigned, because no header is added that would be
    /// part of the signature.
    ///
    /// # Errors
    /// If the status is not 2xx, or there is no response: the reason, in one line that does not quote the
    /// URL.
    pub async fn put(&self, url: &str, body: Vec<u8>) -> Result<(), String> {
        let request =
            Request::put(url).body(Full::from(body)).map_err(|_| "the URL is invalid".to_owned())?;
        match self.send(request).await?.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("the response was {status}")),
        }
    }

    /// Wraps this client for the AWS SDK. The SDK's own would add a second client, with HTTP/2, to each
    /// binary.
    pub fn into_sdk_client(self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self);
        http_client_fn(move |_, _| connector.clone())
    }

    async fn send_for_sdk(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let other = |error: String| ConnectorError::io(error.into());
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let request =
            request.map(|body| Full::from(Bytes::copy_from_slice(body.bytes().unwrap_or_default())));
        let (parts, body) = self.send(request).await.map_err(other)?.into_parts();
        let status = StatusCode::try_from(parts.status.as_u16()).map_err(|error| other(error.to_string()))?;
        let mut response = HttpResponse::new(status, SdkBody::from(body));
        for (name, value) in &parts.headers {
            if let Ok(value) = value.to_str() {
                response.headers_mut().append(name.to_string(), value.to_owned());
            }
        }
        Ok(response)
    }
}

impl HttpConnector for HttpClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().send_for_sdk(request))
    }
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}
