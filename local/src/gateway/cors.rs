//! CORS as API Gateway implements it for a whole API, so that functions don't have to.

use anyhow::{Context, Result};
use axum::{
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
            ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
        },
    },
    response::{IntoResponse, Response},
};

use crate::template::CorsConfiguration;

pub(super) struct Cors {
    origins: Vec<String>,
    /// Headers of responses to preflight requests.
    preflight: HeaderMap,
    /// Headers of all other responses.
    actual: HeaderMap,
}

impl Cors {
    pub(super) fn new(configuration: &CorsConfiguration) -> Result<Self> {
        let lists = |lists: &[(HeaderName, &[String])]| -> Result<HeaderMap> {
            let lists = lists.iter().filter(|(_, values)| !values.is_empty());
            let headers = lists.map(|(name, values)| {
                let value = HeaderValue::try_from(values.join(","));
                Ok((
                    name.clone(),
                    value.with_context(|| {
                        format!("the template's values for {name} are not valid in a header")
                    })?,
                ))
            });
            headers.collect()
        };
        let mut preflight = lists(&[
            (ACCESS_CONTROL_ALLOW_METHODS, &configuration.allow_methods),
            (ACCESS_CONTROL_ALLOW_HEADERS, &configuration.allow_headers),
        ])?;
        let mut actual = lists(&[(ACCESS_CONTROL_EXPOSE_HEADERS, &configuration.expose_headers)])?;
        if let Some(seconds) = configuration.max_age {
            preflight.insert(ACCESS_CONTROL_MAX_AGE, seconds.into());
        }
        if configuration.allow_credentials {
            preflight.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            actual.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        Ok(Self { origins: configuration.allow_origins.clone(), preflight, actual })
    }

    /// Returns the response to `request` if it is a preflight request. The response doesn't depend on the
    /// path.
    pub(super) fn preflight(&self, request: &Request) -> Option<Response> {
        let headers = request.headers();
        let origin = headers.get(ORIGIN)?;
        if request.method() != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut response = StatusCode::NO_CONTENT.into_response();
        self.grant(origin, &self.preflight, response.headers_mut());
        Some(response)
    }

    /// Sets the API's CORS headers on a response and removes those that the function set.
    pub(super) fn apply(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        let own: Vec<HeaderName> =
            headers.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
        for name in own {
            headers.remove(name);
        }
        if let Some(origin) = origin {
            self.grant(origin, &self.actual, headers);
        }
    }

    fn grant(&self, origin: &HeaderValue, granted: &HeaderMap, headers: &mut HeaderMap) {
        if self.origins.iter().any(|allowed| allowed == "*") {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else if self.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            // A cache must not reuse the response for another origin.
            headers.append(VARY, HeaderValue::from_static("origin"));
        } else {
            return;
        }
        headers.extend(granted.clone());
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn cors() -> Cors {
        let configuration =
            CorsConfiguration { allow_origins: vec!["https://a.example".into()], ..Default::default() };
        Cors::new(&configuration).expect("the values are valid headers")
    }

    #[test]
    fn options_without_origin_or_requested_method_is_no_preflight() {
        for header in ["origin", "access-control-request-method"] {
            let request = Request::options("/").header(header, "GET").body(Body::empty());
            assert!(cors().preflight(&request.expect("the request is valid")).is_none(), "{header}");
        }
    }

    #[test]
    fn cors_headers_of_functions_are_replaced() {
        for (origin, expected) in [
            (Some("https://a.example"), Some("https://a.example")),
            (Some("https://b.example"), None),
            (None, None),
        ] {
            let evil = HeaderValue::from_static("https://evil.example");
            let mut headers = HeaderMap::from_iter([(ACCESS_CONTROL_ALLOW_ORIGIN, evil)]);
            cors().apply(origin.map(HeaderValue::from_static).as_ref(), &mut headers);
            let allowed = headers.get(ACCESS_CONTROL_ALLOW_ORIGIN);
            assert_eq!(allowed.map(HeaderValue::as_bytes), expected.map(str::as_bytes), "{origin:?}");
        }
    }
}
