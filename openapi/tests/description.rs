//! Checks that openapi.json is up to date and describes every route.

use std::{collections::BTreeSet, fs, process::Command};

use local::{binaries::workspace_root, template::Template};
use serde_json::Value;

#[test]
fn openapi_json_is_up_to_date() {
    let committed = fs::read_to_string(openapi::path()).expect("openapi.json is committed");
    assert!(committed == openapi::json(), "openapi.json is out of date: run `cargo run -p openapi`");
}

#[test]
fn operations_are_the_routes_of_the_template() {
    let described: BTreeSet<_> = operations().into_iter().map(|(route, _)| route).collect();
    let functions = template().functions;
    // /docs and /openapi.json are not described: clients have no use for them.
    let functions = functions.iter().filter(|function| function.binary != "docs");
    let served = functions.flat_map(|function| &function.routes).map(|route| route.route_key());
    // Nor is HEAD, which has the headers of the GET.
    let served = served.filter(|route| !route.starts_with("HEAD "));
    assert_eq!(
        described,
        served.collect(),
        "openapi/src/operations.rs and health.rs describe the routes of template.yaml"
    );
}

#[test]
fn operation_ids_are_unique() {
    let operations = operations();
    let ids = operations.iter().map(|(route, operation)| operation["operationId"].as_str().expect(route));
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), operations.len());
}

/// Returns each operation with its route, such as `GET /health`.
fn operations() -> Vec<(String, Value)> {
    let description: Value = serde_json::from_str(&openapi::json()).expect("JSON");
    let paths = description["paths"].as_object().expect("paths").clone();
    let methods = |(path, item): (String, Value)| {
        let methods = item.as_object().expect("operations by method").clone();
        methods
            .into_iter()
            .map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    };
    paths.into_iter().flat_map(methods).collect()
}

/// The code that describes the API must not be part of any function.
#[test]
fn functions_do_not_depend_on_utoipa() {
    for function in template().functions {
        let tree = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(workspace_root())
            .args([
                "tree",
                "--locked",
                "--offline",
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--package",
                &function.binary,
            ])
            .output()
            .expect("cargo runs");
        let tree = String::from_utf8(tree.stdout).expect("UTF-8");
        assert!(tree.contains("lambda_runtime "), "{}: the output lists the dependencies", function.binary);
        assert!(!tree.contains("utoipa"), "{} must not depend on utoipa", function.binary);
    }
}

fn template() -> Template {
    Template::read(&workspace_root().join("template.yaml"), &Default::default()).expect("the template")
}
