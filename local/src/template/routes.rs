//! Finds the function for a request.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use anyhow::{Result, bail, ensure};
use percent_encoding::percent_decode_str;

use super::{FunctionResource, Template};

/// A method and a path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    method: String,
    path: String,
}

impl Route {
    pub(super) fn new(method: &str, path: &str) -> Result<Self> {
        ensure!(path.starts_with('/'), "the path {path} doesn't start with /");
        for segment in path.split('/') {
            let braces = segment.contains(['{', '}']);
            if braces && (parameter(segment).is_none() || segment.ends_with("+}")) {
                bail!("the path segment {segment} is not supported by the local gateway");
            }
        }
        Ok(Self { method: method.to_uppercase(), path: path.to_owned() })
    }

    /// Returns the HTTP method, in upper case.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the path with its parameters in braces, such as `/api/{user_id}/tasks`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the method and path in the form used in events: `POST /api/{user_id}/tasks`.
    pub fn route_key(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Returns the names and percent-encoded values of the path parameters, if the request matches.
    fn matches<'a>(&'a self, method: &str, raw_path: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        let (pattern, actual) = (self.path.split('/'), raw_path.split('/'));
        if self.method != method || pattern.clone().count() != actual.clone().count() {
            return None;
        }
        let mut parameters = Vec::new();
        for (pattern, actual) in pattern.zip(actual) {
            match parameter(pattern) {
                Some(name) if !actual.is_empty() => parameters.push((name, actual)),
                None if pattern == actual => {}
                _ => return None,
            }
        }
        Some(parameters)
    }
}

/// Returns `name` if the segment is `{name}`.
fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// The function for a request, and the path parameters.
#[derive(Clone, Debug)]
pub struct RouteMatch<'a> {
    /// The function to invoke.
    pub function: &'a FunctionResource,
    /// The route that matched.
    pub route: &'a Route,
    /// The decoded path parameters.
    pub path_parameters: BTreeMap<String, String>,
}

/// A path whose percent-encoding doesn't decode to UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedPath;

impl fmt::Display for MalformedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path is not percent-encoded UTF-8")
    }
}

impl std::error::Error for MalformedPath {}

impl Template {
    /// Finds the route for a request. `raw_path` is percent-encoded. If several routes match, the leftmost
    /// segment in which they differ decides: a literal segment is preferred to a parameter.
    ///
    /// The path is split before it is decoded, so an encoded slash stays within its parameter.
    ///
    /// # Errors
    /// If a path parameter can't be decoded.
    pub fn route(&self, method: &str, raw_path: &str) -> Result<Option<RouteMatch<'_>>, MalformedPath> {
        let routes = self
            .functions
            .iter()
            .flat_map(|function| function.routes.iter().map(move |route| (function, route)));
        let best = routes
            .filter_map(|(function, route)| Some((function, route, route.matches(method, raw_path)?)))
            .min_by_key(|(_, route, _)| {
                route.path.split('/').map(|segment| parameter(segment).is_some()).collect::<Vec<_>>()
            });
        let Some((function, route, parameters)) = best else {
            return Ok(None);
        };
        let path_parameters = parameters
            .into_iter()
            .map(|(name, value)| Ok((name.to_owned(), decode(value)?.into_owned())))
            .collect::<Result<_, _>>()?;
        Ok(Some(RouteMatch { function, route, path_parameters }))
    }
}

/// Decodes percent-encoded text.
///
/// # Errors
/// If a `%` is not followed by two hexadecimal digits, or the bytes are not UTF-8.
pub fn decode(text: &str) -> Result<Cow<'_, str>, MalformedPath> {
    let well_formed = text
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()));
    if !well_formed {
        return Err(MalformedPath);
    }
    percent_decode_str(text).decode_utf8().map_err(|_| MalformedPath)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn template(routes: &[(&str, &str)]) -> Template {
        let function = |(method, path): &(&str, &str)| FunctionResource {
            logical_id: "F".into(),
            binary: format!("{method} {path}"),
            timeout: Duration::from_secs(3),
            memory: 128,
            routes: vec![Route::new(method, path).expect("the route is valid")],
        };
        Template { functions: routes.iter().map(function).collect(), cors: None }
    }

    fn found(template: &Template, method: &str, path: &str) -> Option<String> {
        let found = template.route(method, path).expect("the path decodes");
        found.map(|found| found.function.binary.clone())
    }

    #[test]
    fn method_and_every_segment_must_match() {
        let template = template(&[("GET", "/api/{user_id}/tasks"), ("POST", "/api/{user_id}/tasks")]);
        let get = Some("GET /api/{user_id}/tasks".to_owned());
        assert_eq!(found(&template, "GET", "/api/alice/tasks"), get);
        for (method, path) in [
            ("PUT", "/api/alice/tasks"),
            ("get", "/api/alice/tasks"),
            ("GET", "/api/alice/Tasks"),
            ("GET", "/api/alice/tasks/"),
            ("GET", "/api//tasks"),
            ("GET", "/api/alice/bob/tasks"),
            ("GET", "/"),
            ("GET", "*"),
        ] {
            assert_eq!(found(&template, method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn literal_segments_are_preferred_to_parameters() {
        let template = template(&[("GET", "/tasks/{id}"), ("GET", "/tasks/mine")]);
        assert_eq!(found(&template, "GET", "/tasks/mine").as_deref(), Some("GET /tasks/mine"));
        assert_eq!(found(&template, "GET", "/tasks/7").as_deref(), Some("GET /tasks/{id}"));
    }

    #[test]
    fn parameters_are_decoded_once_after_splitting() {
        let template = template(&[("GET", "/api/{user_id}/tasks/{task_id}")]);
        let path = "/api/auth0%7Calice%2Fb%C3%B6b/tasks/100%2525+1";
        let found = template.route("GET", path).expect("the path decodes").expect("a route matches");
        assert_eq!(found.path_parameters["user_id"], "auth0|alice/böb");
        assert_eq!(found.path_parameters["task_id"], "100%25+1");
        assert_eq!(found.route.route_key(), "GET /api/{user_id}/tasks/{task_id}");
    }

    #[test]
    fn malformed_percent_encoding_is_an_error() {
        let template = template(&[("GET", "/api/{user_id}")]);
        for path in ["/api/%", "/api/%4", "/api/%zz", "/api/%ff", "/api/a%C3"] {
            assert_eq!(template.route("GET", path).err(), Some(MalformedPath), "{path}");
        }
    }

    #[test]
    fn unsupported_paths_are_rejected() {
        for path in ["tasks", "/{proxy+}", "/a{b}c"] {
            assert!(Route::new("GET", path).is_err(), "{path}");
        }
    }
}
