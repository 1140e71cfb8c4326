//! Checks that the documents, template.yaml and Cargo.toml agree with each other, the code and the tests.

mod logs;

use std::{collections::BTreeSet, fs, process::Command};

use local::{binaries::workspace_root, template::Template};
use serde_json::Value;

fn contracts() -> String {
    fs::read_to_string(workspace_root().join("docs/contracts.md")).expect("docs/contracts.md")
}

/// The texts between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_test_named_in_contracts_md_exists() {
    let contracts = contracts();
    let names: BTreeSet<_> = quoted(&contracts).filter_map(|name| name.rsplit_once("::")).collect();
    assert!(names.len() > 50, "only {} tests were found in docs/contracts.md", names.len());
    for (module, test) in names {
        let suite = workspace_root().join(format!("tests/api/{}.rs", module.replace("::", "/")));
        let suite = fs::read_to_string(suite).unwrap_or_else(|error| panic!("{module}: {error}"));
        assert!(suite.contains(&format!("fn {test}(")), "{module}::{test} does not exist");
    }
}

#[test]
fn routes_in_contracts_md_match_the_template() {
    let contracts = contracts();
    let documented: BTreeSet<_> = contracts
        .lines()
        .filter(|line| {
            line.starts_with("| ") && line.contains("/api/")
                || line.starts_with("| health")
                || line.starts_with("| docs")
        })
        .flat_map(|line| {
            let function = line.trim_start_matches("| ").split(' ').next().expect("a function");
            quoted(line)
                .filter(|cell| cell.contains(" /"))
                .map(move |route| (function.to_owned(), route.to_owned()))
        })
        .collect();
    assert_eq!(documented, served(), "the routes in docs/contracts.md and template.yaml differ");
}

/// Every route of template.yaml, with the package that serves it.
fn served() -> BTreeSet<(String, String)> {
    let template = workspace_root().join("template.yaml");
    let template = Template::read(&template, &Default::default()).expect("the template");
    let functions = template.functions.iter();
    functions
        .flat_map(|function| function.routes.iter().map(|route| (function.binary.clone(), route.route_key())))
        .collect()
}

#[test]
fn routes_of_cargo_lambda_watch_match_the_template() {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace_root()).args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value =
        serde_json::from_slice(&cargo.output().expect("cargo runs").stdout).expect("it prints JSON");
    let router = metadata["metadata"]["lambda"]["watch"]["router"].as_object().expect("a table");
    let watched: BTreeSet<_> = router
        .iter()
        .flat_map(|(path, functions)| {
            functions.as_array().expect("a list").iter().map(move |function| {
                let text = |name: &str| function[name].as_str().expect("text").to_owned();
                (text("function"), format!("{} {path}", text("method")))
            })
        })
        .collect();
    assert_eq!(
        watched,
        served(),
        "the routes for cargo lambda watch in Cargo.toml and in template.yaml differ"
    );
}
