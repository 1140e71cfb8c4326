//! Statements that the server prepares once for each connection, where that is allowed.

use tests::{App, Options};

/// By which names the server carries out three requests in a row for one task.
async fn names_of_three(options: Options) -> Option<[String; 3]> {
    let app = App::local_with(options).await?;
    let database = app.hands_on().database().await;
    // Each session logs what it carries out.
    app.hands_on().set_for_sessions(&database, "log_min_duration_statement = 0").await;
    let alice = app.user("alice");
    let front = alice.envelope();
    let id = front.id(&front.new_task("One").await);
    for _ in 0..3 {
        front.get(&id).await.expect_status(200);
    }
    let log = database.query_one("select pg_read_file('../server.log')", &[]).await.expect("superusers may");
    let log: String = log.get(0);
    let carried_out = log.split("LOG:  duration: ").filter_map(|entry| entry.split_once("  execute "));
    let shown = carried_out.filter(|(_, entry)| entry.contains("from tasks where") && entry.contains(&id));
    let names = shown.filter_map(|(_, entry)| Some(entry.split_once(':')?.0.to_owned()));
    Some(names.collect::<Vec<_>>().try_into().expect("one for each request"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_sent_whole_once_and_by_its_name_from_then_on() {
    let Some(options) = Options::prepared() else { return };
    let Some([first, second, third]) = names_of_three(options).await else { return };
    assert_eq!(first, "<unnamed>");
    assert_ne!(second, "<unnamed>");
    assert_eq!(second, third);
}

#[tokio::test(flavor = "multi_thread")]
async fn unless_it_is_allowed_nothing_is_prepared() {
    let options = Options::default().with("DATABASE_PREPARED_STATEMENTS", "false");
    let Some(names) = names_of_three(options).await else { return };
    assert_eq!(names, ["<unnamed>"; 3]);
}

/// The server refuses to carry out what it prepared for columns that have changed since. Not even a flip is lost then,
/// nor carried out twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_migration_has_made_of_no_use_is_sent_whole_again() {
    let Some(options) = Options::prepared() else { return };
    let Some(app) = App::local_with(options).await else { return };
    let alice = app.user("alice");
    let front = alice.plain();
    let id = front.id(&front.new_task("One").await);
    for completed in [true, false] {
        let answer = front.complete(&id, completed).await.expect_status(200);
        assert_eq!(front.task(&answer)["completed"], completed);
    }
    let migration = "alter table tasks alter column title type varchar(300)";
    app.hands_on().database().await.batch_execute(migration).await.expect("a valid change");
    for completed in [true, false] {
        let answer = front.complete(&id, completed).await.expect_status(200);
        assert_eq!(front.task(&answer)["completed"], completed);
    }
    let log = app.hands_on().log_text();
    let notices: Vec<_> = log.lines().filter(|line| line.contains("trying once more")).collect();
    assert!(
        matches!(notices[..], [notice] if notice.contains("cached plan must not change result type")),
        "{log}"
    );
}
