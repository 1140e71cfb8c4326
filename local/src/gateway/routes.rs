//! Finds the function for a request.

use std::{borrow::Cow, cmp::Reverse, collections::BTreeMap};

use anyhow::{Context, Result, ensure};
use percent_encoding::percent_decode_str;

use crate::template::{FunctionResource, Route};

/// The routes of all functions.
pub struct Routes {
    functions: Vec<FunctionResource>,
    /// For each method, the positions of a function and of its route. A router of its own for each method,
    /// because a route that has a literal segment but another method must not hide a route with a parameter.
    by_method: BTreeMap<String, matchit::Router<(usize, usize)>>,
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

/// The error for a path whose percent-encoding doesn't decode to UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedPath;

impl Routes {
    /// Collects the functions' routes.
    ///
    /// # Errors
    /// If a path is invalid, or two routes match the same requests.
    pub fn new(functions: Vec<FunctionResource>) -> Result<Self> {
        let mut by_method: BTreeMap<_, matchit::Router<_>> = BTreeMap::new();
        for (position, function) in functions.iter().enumerate() {
            for (number, route) in function.routes.iter().enumerate() {
                let context = || format!("the local gateway can't serve {}", route.route_key());
                ensure!(!route.path.contains("+}"), context());
                let router = by_method.entry(route.method.clone()).or_default();
                router.insert(&route.path, (position, number)).with_context(context)?;
            }
        }
        Ok(Self { functions, by_method })
    }

    /// Finds the route for a request. `raw_path` is percent-encoded. A literal segment is preferred to a
    /// parameter.
    ///
    /// The path is split before it is decoded, so an encoded slash stays within its parameter.
    ///
    /// # Errors
    /// If a path parameter can't be decoded.
    pub fn find(&self, method: &str, raw_path: &str) -> Result<Option<RouteMatch<'_>>, MalformedPath> {
        let found = self.by_method.get(method).and_then(|router| router.at(raw_path).ok());
        // Unlike matchit, API Gateway requires at least one character for a parameter.
        let found = found.filter(|found| found.params.iter().all(|(_, value)| !value.is_empty()));
        let Some(found) = found else {
            return Ok(None);
        };
        let function = &self.functions[found.value.0];
        let parameters = found.params.iter();
        let path_parameters = parameters
            .map(|(name, value)| Ok((name.to_owned(), decode(value)?.into_owned())))
            .collect::<Result<_, _>>()?;
        Ok(Some(RouteMatch { function, route: &function.routes[found.value.1], path_parameters }))
    }

    /// Returns the route that differs least from a request that matches none, preferably one with the same
    /// method.
    pub fn nearest(&self, method: &str, raw_path: &str) -> Option<&Route> {
        let sent: Vec<_> = raw_path.split('/').collect();
        self.functions.iter().flat_map(|function| &function.routes).min_by_key(|route| {
            let pattern: Vec<_> = route.path.split('/').collect();
            let parameters = route.path.matches('{').count();
            (distance(&sent, &pattern), Reverse(pattern.len()), route.method != method, parameters)
        })
    }
}

/// Counts the segments to insert or remove until the path matches the pattern.
fn distance(path: &[&str], pattern: &[&str]) -> usize {
    let mut row: Vec<usize> = (0..=pattern.len()).collect();
    for (removed, segment) in path.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], removed + 1);
        for (column, expected) in pattern.iter().enumerate() {
            let matches = segment == expected || expected.starts_with('{') && !segment.is_empty();
            let least = if matches { diagonal } else { row[column].min(row[column + 1]) + 1 };
            diagonal = std::mem::replace(&mut row[column + 1], least);
        }
    }
    row[pattern.len()]
}

/// Decodes percent-encoded text.
///
/// # Errors
/// If a `%` is not followed by two hexadecimal digits, or the bytes are not UTF-8.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, MalformedPath> {
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

    fn routes(routes: &[&str]) -> Result<Routes> {
        let routes = routes.iter().map(|key| {
            let (method, path) = key.split_once(' ').expect("a route key");
            Route { method: method.into(), path: path.into() }
        });
        let routes = routes.collect();
        let timeout = Duration::from_secs(3);
        Routes::new(vec![FunctionResource {
            logical_id: "F".into(),
            binary: "f".into(),
            timeout,
            memory: 128,
            routes,
        }])
    }

    fn found(routes: &Routes, method: &str, path: &str) -> Option<String> {
        routes.find(method, path).expect("the path decodes").map(|found| found.route.route_key())
    }

    #[test]
    fn method_and_every_segment_must_match() {
        let routes = routes(&["GET /api/{user_id}/tasks", "POST /api/{user_id}/tasks"]).expect("valid");
        let get = Some("GET /api/{user_id}/tasks".to_owned());
        assert_eq!(found(&routes, "GET", "/api/alice/tasks"), get);
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
            assert_eq!(found(&routes, method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn literal_segments_of_the_same_method_are_preferred_to_parameters() {
        let routes =
            routes(&["GET /tasks/{id}", "GET /tasks/mine", "PUT /tasks/{id}", "GET /tasks/{id}/done"])
                .expect("valid");
        for (method, path, expected) in [
            ("GET", "/tasks/mine", "GET /tasks/mine"),
            ("GET", "/tasks/7", "GET /tasks/{id}"),
            ("PUT", "/tasks/mine", "PUT /tasks/{id}"),
            ("GET", "/tasks/mine/done", "GET /tasks/{id}/done"),
        ] {
            assert_eq!(found(&routes, method, path).as_deref(), Some(expected), "{method} {path}");
        }
        assert_eq!(found(&routes, "GET", "/tasks/"), None, "an empty segment is no parameter");
    }

    #[test]
    fn parameters_are_decoded_once_after_splitting() {
        let routes = routes(&["GET /api/{user_id}/tasks/{task_id}"]).expect("valid");
        let path = "/api/auth0%7Calice%2Fb%C3%B6b/tasks/100%2525+1";
        let found = routes.find("GET", path).expect("the path decodes").expect("a route matches");
        assert_eq!(found.path_parameters["user_id"], "auth0|alice/böb");
        assert_eq!(found.path_parameters["task_id"], "100%25+1");
        for path in ["/api/%/tasks/1", "/api/%4/tasks/1", "/api/%zz/tasks/1", "/api/a%C3/tasks/1"] {
            assert_eq!(routes.find("GET", path).err(), Some(MalformedPath), "{path}");
        }
    }

    #[test]
    fn nearest_route_has_the_fewest_segments_to_correct() {
        let (list, create) = ("GET /api/{user_id}/tasks", "POST /api/{user_id}/tasks");
        let (get, docs) = ("GET /api/{user_id}/tasks/{task_id}", "GET /docs");
        let routes = routes(&[list, create, get, docs]).expect("valid");
        for (method, path, expected) in [
            ("GET", "/api/alice/tasks/", list),
            ("POST", "/api/alice/tasks/", create),
            ("PUT", "/api/alice/tasks/7", get),
            ("GET", "/tasks", list),
            ("GET", "/v1/api/alice/tasks", list),
            ("GET", "/api//tasks", list),
            ("GET", "/docs/", docs),
        ] {
            let nearest = routes.nearest(method, path).expect("there are routes");
            assert_eq!(nearest.route_key(), expected, "{method} {path}");
        }
    }

    #[test]
    fn unsupported_paths_are_rejected() {
        for key in ["GET /{proxy+}", "GET /a{b}c{d}"] {
            assert!(routes(&[key]).is_err(), "{key}");
        }
        assert!(routes(&["GET /{a}", "GET /{b}"]).is_err(), "the routes match the same requests");
    }
}
