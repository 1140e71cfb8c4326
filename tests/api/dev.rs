//! `cargo dev`: what it checks before it builds anything, and what it prints.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use jsonwebtoken::{Algorithm::HS256, DecodingKey, Validation, decode};
use local::{
    binaries::{Profile, build, workspace_root},
    serve::{DEMO_USER, greeting, migrate},
};
use serde_json::Value;
use tests::{App, SECRET, binary, connect, migrated_database};
use tokio::task::spawn_blocking;
use uuid::Uuid;

/// `cargo dev` in a folder.
pub async fn cargo_dev(folder: &Path) -> Command {
    let build = || build(&workspace_root(), &["local".into()], Profile::Dev).expect("`local` can be built");
    let executable = spawn_blocking(build).await.expect("no panic").remove("local").expect("just built");
    let mut command = Command::new(executable);
    command.current_dir(folder).env("CARGO_MANIFEST_DIR", folder.join("local"));
    command
}

/// A folder with a template and the names of the packages, but nothing that can be built. Removed when
/// dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(env_file: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("task-api-dev-{}", Uuid::new_v4().simple()));
        for function in fs::read_dir(workspace_root().join("functions")).expect("functions/") {
            let name = function.expect("readable").file_name();
            fs::create_dir_all(folder.join("functions").join(name)).expect("a new folder");
        }
        let template = workspace_root().join("template.yaml");
        fs::copy(template, folder.join("template.yaml")).expect("a template");
        fs::write(folder.join(".env"), env_file).expect("a new file");
        Self(folder)
    }

    /// Runs `cargo dev` with these arguments, and with variables from `.env` only.
    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = cargo_dev(&self.0).await;
        for name in ["DATABASE_URL", "DATABASE_URL_UNPOOLED", "NEON_DATABASE_URL", "JWT_SECRET", "LOG_LEVEL"]
        {
            command.env_remove(name);
        }
        command.args(arguments).output().expect("it runs")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The error message of a run that stopped before the build.
fn error(output: &Output) -> String {
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && !shown.contains("Building"), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_functions_reject_stop_it_with_their_sentence() {
    for (setting, sentence, concerns_tokens) in [
        ("JWT_SECRET=short", "JWT_SECRET has 5 bytes, HS256 needs at least 32", true),
        ("JWT_ALGORITHM=RS256", "JWT_ALGORITHM must be HS256, HS384 or HS512", true),
        ("JWT_JWKS_URL=ftp://a.example", "JWT_JWKS_URL ", true),
        ("DATABASE_POOL_SIZE=0", "DATABASE_POOL_SIZE must be a whole number from 1 to 100", false),
        ("DATABASE_URL=mysql://u:hidden@h/db", "DATABASE_URL is not a PostgreSQL URL", false),
        ("LOG_LEVEL=loud", "LOG_LEVEL must be error, warn, info, debug or trace", false),
        ("TASKS_PER_USER=0", "TASKS_PER_USER must be a whole number from 1 to 100000", false),
        ("JWT_EXPIRATION_HOURS=week", "JWT_EXPIRATION_HOURS must be a whole number of hours", true),
    ] {
        let folder = Folder::new(setting);
        let mut runs = vec![folder.run(&["--port", "0"]).await];
        if concerns_tokens {
            runs.push(folder.run(&["token"]).await);
        }
        for output in runs {
            let message = error(&output);
            assert!(message.starts_with(&format!("error: {sentence}")), "{setting}: {message}");
            assert!(!message.contains("hidden"), "{message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_that_it_runs_in_decides_and_a_byte_order_mark_is_skipped() {
    let secret = Uuid::new_v4().to_string();
    let folder = Folder::new(&format!("\u{feff}JWT_SECRET={secret}\n"));
    let output = folder.run(&["token"]).await;
    let token = String::from_utf8(output.stdout).expect("text");
    let mut validation = Validation::new(HS256);
    validation.validate_aud = false;
    let key = DecodingKey::from_secret(secret.as_bytes()).expect("the secret is not empty");
    decode::<Value>(token.trim_end(), &key, &validation).expect("signed with the folder's secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_database_stops_it_before_the_build_and_is_named_without_its_password() {
    let folder = Folder::new("DATABASE_URL=postgres://u:hidden@127.0.0.1:1/tasks");
    let message = error(&folder.run(&["--port", "0"]).await);
    assert!(
        message.starts_with("error: can't connect to 127.0.0.1:1, the database in DATABASE_URL: "),
        "{message}"
    );
    assert!(message.contains("refused") && !message.contains("hidden"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn second_one_of_a_folder_is_told_about_the_first() {
    let folder = Folder::new("");
    let state = folder.0.join("target/dev");
    fs::create_dir_all(&state).expect("a new folder");
    fs::write(state.join("running"), "http://127.0.0.1:9000").expect("a new file");
    let first = fs::File::open(state.join("running")).expect("a file");
    first.lock().expect("nobody else has it");
    let message = error(&folder.run(&["--port", "0"]).await);
    let expected = "error: `cargo dev` is already running in this folder, on http://127.0.0.1:9000; \
                    stop that one first (Ctrl-C)\n";
    assert_eq!(message, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn database_of_an_older_checkout_is_named() {
    if App::local().await.is_none() {
        return;
    }
    let (url, _) = migrated_database().await;
    let environment = BTreeMap::from([("DATABASE_URL".to_owned(), url.clone())]);
    let executable = binary("migrate").await;
    let folder = Some(Path::new("/x/target/dev/postgres"));
    migrate(&executable, &environment, folder).await.expect("the schema is up to date");

    let older =
        "update refinery_schema_history set name = 'users_and_tasks', checksum = '1' where version = 1";
    connect(&url).await.batch_execute(older).await.expect("a table");
    let error = migrate(&executable, &environment, folder).await.expect_err("another first migration");
    assert_eq!(
        error.to_string(),
        "the database belongs to an older checkout; to start with an empty one, delete /x/target/dev/postgres"
    );
    let error = migrate(&executable, &environment, None).await.expect_err("another first migration");
    assert!(error.to_string().contains("is different than filesystem one"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn printed_lines_run_as_printed() {
    let Some(app) = App::local().await else { return };
    let text = greeting(&app.url, None, &app.user_with_id(DEMO_USER).token);
    assert!(!text.contains(SECRET), "{text}");
    let (_, lines) = text.split_once("another terminal:\n").expect("an introduction");
    let (lines, _) = lines.split_once("\nServing on").expect("a last line");
    // Ubuntu 22.04 has curl 7.81, without these options.
    assert!(!lines.contains("--json") && !lines.contains("%header"), "{lines}");
    let script = lines.to_owned();
    let run = move || Command::new("sh").args(["-euc", &script]).output().expect("sh runs");
    let output = spawn_blocking(run).await.expect("no panic");
    let shown = String::from_utf8(output.stdout).expect("text");
    let responses: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [created, listed, completed] = &responses[..] else { panic!("three responses: {shown}") };
    assert_eq!(created["data"]["title"], "Try the API");
    assert_eq!(listed["data"]["items"][0]["id"], created["data"]["id"]);
    assert_eq!(completed["data"]["id"], created["data"]["id"]);
    assert_eq!(completed["data"]["completed"], true);
}
