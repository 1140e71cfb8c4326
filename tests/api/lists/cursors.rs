//! Cursors of lists: which requests they continue, and which cursors are rejected.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::json;
use tests::{ApiClient, App, Contract, FieldError, Response, User};

const MISMATCH: &str = "Input should be the cursor of a page of this list, with the same filters and sort";

fn invalid(message: &str) -> FieldError {
    FieldError::new("query", "cursor", "value_error", message)
}

/// The query of the next page, without the leading `?`; `None` on the last page.
fn next(client: &ApiClient<'_>, query: &str, response: &Response) -> Option<String> {
    match client.contract {
        Contract::Envelope => {
            let body = response.json();
            let pagination = &body["data"]["pagination"];
            assert_eq!(pagination["has_more"], pagination["next_cursor"].is_string(), "{pagination}");
            Some(format!("{query}&cursor={}", pagination["next_cursor"].as_str()?))
        }
        Contract::Plain => {
            let link = response.header("link").strip_suffix(">; rel=\"next\"")?;
            Some(link.split_once('?').expect("a query").1.to_owned())
        }
    }
}

/// The cursor that leads from the first page of a query to the second.
async fn cursor_of(client: &ApiClient<'_>, query: &str) -> String {
    let response = client.list(&format!("?{query}")).await.expect_status(200);
    cursor_of_page(client, query, &response)
}

async fn create_some(user: &User<'_>) {
    for (title, due_date) in [
        ("b", json!("2026-01-02")),
        ("B", json!(null)),
        ("é", json!(null)),
        ("a", json!("2026-01-02")),
        ("É", json!("2026-01-01")),
        ("A", json!(null)),
        ("c", json!("2026-01-03")),
    ] {
        let task = json!({ "title": title, "description": "x", "due_date": due_date });
        user.envelope().create(task).await.expect_status(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_works_with_another_limit_and_in_the_other_contract_if_the_query_is_the_same() {
    let app = App::start().await;
    let alice = app.user("alice");
    create_some(&alice).await;
    for contract in Contract::BOTH {
        let (client, other) = (alice.at(contract), alice.at(contract.other()));
        let cursor = cursor_of(&client, "sort=title&limit=2").await;
        for client in [&client, &other] {
            let rest = client.list(&format!("?limit=5&cursor={cursor}&sort=title")).await.expect_status(200);
            let titles: Vec<_> = client.tasks(&rest).iter().map(|task| task["title"].clone()).collect();
            assert_eq!(titles, ["B", "b", "c", "É", "é"]);
        }
        // Without `sort`, the contracts have different orders.
        let cursor = cursor_of(&client, "limit=2").await;
        other.list(&format!("?cursor={cursor}")).await.assert_invalid(contract.other(), &[invalid(MISMATCH)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_of_another_query_or_user_is_rejected() {
    let app = App::start().await;
    let (alice, bob) = (app.user("alice"), app.user("bob"));
    create_some(&alice).await;
    create_some(&bob).await;
    for client in alice.clients() {
        let query = "status=pending&search=x&due_before=2027-01-01&sort=-due_date";
        let cursor = cursor_of(&client, &format!("{query}&limit=1")).await;
        client.list(&format!("?{query}&cursor={cursor}")).await.expect_status(200);
        client.list(&format!("?{query}&status_=x&cursor={cursor}")).await.expect_status(200);
        for other in [
            "",
            "status=pending&search=x&due_before=2027-01-01&sort=-due_date&priority=medium",
            "status=pending&search=x&due_before=2027-01-01&sort=-due_date&tag=x",
            "status=all&search=x&due_before=2027-01-01&sort=-due_date",
            "status=pending&search=y&due_before=2027-01-01&sort=-due_date",
            "status=pending&search=x&due_before=2027-01-02&sort=-due_date",
            "status=pending&search=x&due_after=2027-01-01&sort=-due_date",
            "status=pending&search=x&due_before=2027-01-01&sort=due_date",
            "status=pending&search=x&due_before=2027-01-01",
        ] {
            let response = client.list(&format!("?{other}&cursor={cursor}")).await;
            response.assert_invalid(client.contract, &[invalid(MISMATCH)]);
        }
        let response = bob.at(client.contract).list(&format!("?{query}&cursor={cursor}")).await;
        response.assert_invalid(client.contract, &[invalid(MISMATCH)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_with_an_offset_is_rejected_in_envelope_and_plain_ignores_the_offset() {
    let app = App::start().await;
    let alice = app.user("alice");
    create_some(&alice).await;
    for client in alice.clients() {
        let cursor = cursor_of(&client, "limit=2").await;
        let response = client.list(&format!("?limit=2&cursor={cursor}&offset=0")).await;
        match client.contract {
            Contract::Envelope => response.assert_invalid(
                client.contract,
                &[invalid("Input should not be given together with offset")],
            ),
            Contract::Plain => drop(response.expect_status(200)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_malformed_or_huge_cursor_is_rejected() {
    let app = App::start().await;
    let alice = app.user("alice");
    create_some(&alice).await;
    for client in alice.clients() {
        let cursor = cursor_of(&client, "limit=2").await;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&cursor).expect("base64url");
        let mut hostile = vec![
            "x".to_owned(),
            "%00".to_owned(),
            "%F0%9F%92%A5".to_owned(),
            "null".to_owned(),
            "0".to_owned(),
            "-1".to_owned(),
            "9223372036854775807".to_owned(),
            format!("{cursor}="),
            format!("{cursor}A"),
            format!("{cursor}%20"),
            cursor[1..].to_owned(),
            cursor[..cursor.len() - 4].to_owned(),
            cursor.to_uppercase(),
            "A".repeat(5000),
            BASE64_URL_SAFE_NO_PAD.encode(r#"{"number": 1}"#),
        ];
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            hostile.push(BASE64_URL_SAFE_NO_PAD.encode(changed));
        }
        for cursor in hostile {
            let response = client.list(&format!("?limit=2&cursor={cursor}")).await;
            response.assert_invalid(client.contract, &[invalid(MISMATCH)]);
        }
    }
}

fn cursor_of_page(client: &ApiClient<'_>, query: &str, response: &Response) -> String {
    let next = next(client, query, response).expect("a next page");
    next.split('&').find_map(|pair| pair.strip_prefix("cursor=")).expect("a cursor").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_of_an_erased_list_is_rejected() {
    let app = App::start().await;
    let alice = app.user("alice");
    create_some(&alice).await;
    let mut cursors = Vec::new();
    for contract in Contract::BOTH {
        for query in ["limit=2", "limit=2&sort=title"] {
            cursors.push((contract, query, cursor_of(&alice.at(contract), query).await));
        }
    }
    for is_back in [false, true] {
        match is_back {
            false => drop(alice.envelope().erase().await.expect_status(204)),
            true => create_some(&alice).await,
        }
        for (contract, query, cursor) in &cursors {
            // The cursor is checked before the version of the list.
            let list = alice.at(*contract).request(Method::GET, &format!("?{query}&cursor={cursor}"));
            let response = Response::to(list.header("if-none-match", "*")).await;
            let message = "Input should be the cursor of a list that was not erased since";
            response.assert_invalid(*contract, &[invalid(message)]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_link_repeats_the_known_parameters_of_the_query() {
    let app = App::start().await;
    let alice = app.user("alice");
    for title in ["Ü & <1>", "Ü & <2>", "Ü & <3>"] {
        alice.plain().new_task(title).await;
    }
    let parameters =
        [("status", "pending"), ("search", "ü & <"), ("sort", "-title"), ("limit", "1"), ("x", "y")];
    let response =
        Response::to(alice.plain().request(Method::GET, "").query(&parameters)).await.expect_status(200);
    let link = response.header("link").to_owned();
    let path = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a link");
    let (start, query) = path.split_once('?').expect("a query");
    assert_eq!(start, format!("/plain/api/{}/tasks", alice.id));
    let mut names: Vec<_> = query.split('&').filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["cursor", "limit", "search", "sort", "status"]);
    let second =
        Response::to(app.request(Method::GET, path).bearer_auth(&alice.token)).await.expect_status(200);
    assert_eq!(second.json()[0]["title"], "Ü & <2>");
    assert_eq!(second.header("x-total-count"), "3");
}
