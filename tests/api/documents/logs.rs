//! docs/logs.md lists every field and every warning and error of the functions' logs.

use std::{collections::BTreeSet, fs, path::Path};

use local::binaries::workspace_root;
use reqwest::Method;
use serde_json::json;
use syn::{
    LitStr,
    parse::{ParseStream, Parser, discouraged::AnyDelimiter},
    token::{Brace, Bracket, Paren},
};
use tests::{App, Options, Response};

/// What stands before the parentheses that contain a message or a reason.
const LOGGED: [&str; 9] = [
    "warn!",
    "error!",
    // The line of a request is logged by a macro of its own.
    "$level!",
    ".warn",
    ".error",
    ".because",
    "Error::Unavailable",
    "Error::Internal",
    "TokenError::Invalid",
];

/// The sections of docs/logs.md whose tables have a message or a reason in the first column.
const SECTIONS: [&str; 3] = ["## Warnings and errors", "## Reasons", "## Configuration errors and warnings"];

/// The string literals of the sources.
#[derive(Default)]
struct Literals {
    all: BTreeSet<String>,
    /// Those that are logged as a warning, as an error, or as the reason of one.
    logged: BTreeSet<String>,
}

impl Literals {
    /// The literals of `shared/src` and `functions/*/src`.
    fn of_the_functions() -> Self {
        let mut literals = Self::default();
        literals.read_folder(&workspace_root().join("shared/src"));
        for function in fs::read_dir(workspace_root().join("functions")).expect("functions/") {
            literals.read_folder(&function.expect("an entry").path().join("src"));
        }
        literals
    }

    fn read_folder(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                self.read_folder(&path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
            {
                self.read_source(&fs::read_to_string(&path).expect("UTF-8"));
            }
        }
    }

    fn read_source(&mut self, source: &str) {
        let read = |input: ParseStream| self.read_tokens(input, false);
        Parser::parse_str(read, source).expect("the source compiles");
    }

    fn read_tokens(&mut self, input: ParseStream, is_logged: bool) -> syn::Result<()> {
        let mut before = String::new();
        while !input.is_empty() {
            if input.peek(Paren) || input.peek(Brace) || input.peek(Bracket) {
                let (_, _, content) = input.parse_any_delimiter()?;
                let is_logged = is_logged || LOGGED.iter().any(|call| before.ends_with(call));
                self.read_tokens(&content, is_logged)?;
                before.push_str("()");
            } else if input.peek(LitStr) {
                let text = normalized(&input.parse::<LitStr>()?.value());
                // Text of placeholders alone is a message that was found elsewhere.
                if is_logged && text.contains(char::is_alphabetic) {
                    self.logged.insert(text.clone());
                }
                self.all.insert(text);
            } else {
                let token =
                    input.step(|cursor| cursor.token_tree().ok_or_else(|| cursor.error("a token")))?;
                before.push_str(&token.to_string());
            }
        }
        Ok(())
    }
}

/// A text with `…` for what is filled in at run time, and without the backquotes that Markdown would show
/// otherwise.
fn normalized(text: &str) -> String {
    let mut parts = text.split('{');
    let mut normalized = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.split_once('}').map_or("", |(_, rest)| rest);
        normalized.push('…');
        normalized.push_str(rest);
    }
    normalized.replace('`', "")
}

fn document() -> String {
    fs::read_to_string(workspace_root().join("docs/logs.md")).expect("docs/logs.md")
}

/// The first cells of the tables in a section, normalized.
fn first_cells(document: &str, heading: &str) -> BTreeSet<String> {
    let mut lines = document.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "docs/logs.md has the section {heading}");
    lines
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| normalized(row.split(" | ").next().expect("a cell").trim()))
        .collect()
}

#[test]
fn every_warning_and_error_is_listed_and_no_other() {
    let literals = Literals::of_the_functions();
    assert!(literals.logged.len() > 60, "the sources are read");
    let document = document();
    let listed: BTreeSet<_> = SECTIONS.iter().flat_map(|heading| first_cells(&document, heading)).collect();
    let unlisted: Vec<_> = literals.logged.difference(&listed).collect();
    assert_eq!(unlisted, [""; 0], "logged, but not listed in docs/logs.md");
    let unknown: Vec<_> = listed.difference(&literals.all).collect();
    assert_eq!(unknown, [""; 0], "listed in docs/logs.md, but not in the sources");
}

#[test]
fn logged_text_is_found_in_every_form() {
    let mut literals = Literals::default();
    literals.read_source(
        r#"
        fn f() {
            warn!(reason, "plain");
            tracing::error!(reason = %error, "with {field:?} and `code`");
            info!("not a warning");
            variables.warn(format!("in {format}"));
            return Err(Error::Internal("reason".into()));
        }
        macro_rules! log { ($level:ident) => { tracing::$level!(status = 1, "in a macro") } }
        "#,
    );
    let expected = ["in a macro", "in …", "plain", "reason", "with … and code"];
    assert_eq!(literals.logged, expected.map(str::to_owned).into());
    assert!(literals.all.contains("not a warning"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_real_line_is_listed() {
    let options = Options::default().with("METRICS_NAMESPACE", "task-api/test");
    let Some(app) = App::local_with(options).await else { return };
    let alice = app.user("alice");
    alice.envelope().create(json!({ "title": "Buy milk" })).await.expect_status(201);
    Response::to(app.request(Method::GET, "/api/alice/tasks")).await.expect_status(401);
    let document = document();
    let listed = first_cells(&document, "## Fields");
    let lines = app.internals().log_lines();
    assert!(lines.iter().any(|line| line.get("audit").is_some()), "{lines:#?}");
    for line in &lines {
        for field in line.as_object().expect("an object").keys() {
            assert!(listed.contains(field), "{field} is not listed in docs/logs.md: {line}");
        }
    }
}
