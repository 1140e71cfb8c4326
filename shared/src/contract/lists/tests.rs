use lambda_http::{aws_lambda_events::apigw::ApiGatewayV2httpRequest, http::header::LINK};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    contract::tests::{body, task},
    error::{Error, InputError, Place},
    task::Version,
};

fn read(contract: Contract, user_id: &str, query: &str) -> Result<TaskQuery, Error> {
    let event = json!({
        "version": "2.0",
        "rawQueryString": query,
        "headers": {},
        "pathParameters": { "user_id": user_id },
        "requestContext": { "http": { "method": "GET" } },
        "isBase64Encoded": false,
    });
    let event: ApiGatewayV2httpRequest = serde_json::from_value(event).expect("an event");
    let mut request = Reader::new(&event);
    let query = list_tasks(contract, &mut request);
    request.finish(query)
}

/// Returns the errors of a query as `parameter kind`.
fn errors(contract: Contract, query: &str) -> Vec<String> {
    match read(contract, "alice", query).expect_err(query) {
        Error::Invalid(errors) => {
            let one = |error: &InputError| {
                assert_eq!(error.place, Place::Query);
                format!("{} {}", error.field.as_deref().expect("a parameter"), error.kind)
            };
            errors.iter().map(one).collect()
        }
        error => panic!("{error}"),
    }
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("RFC 3339")
}

fn page(title: &str) -> TaskList {
    let at = time("2026-01-06T15:30:00.123456Z");
    let task = Task {
        title: title.into(),
        due_date: Some(DueDate::Time(at)),
        created_at: at,
        updated_at: at,
        ..task(String::new())
    };
    let version = Version { revision: 1, updated_at: at };
    TaskList { tasks: vec![task], total: 2, has_more: true, version, begun_at: Some(at) }
}

/// Returns the cursor that leads to the second page of a query.
fn cursor_of(contract: Contract, query: &str, title: &str) -> String {
    let query = read(contract, "alice", query).expect("valid");
    next_cursor("alice", &query, &page(title), 1).expect("there is more")
}

#[test]
fn query_without_parameters_has_the_contracts_defaults() {
    let defaults = |limit, descending| TaskQuery {
        filter: TaskFilter::default(),
        order: TaskOrder { by: SortKey::Number, descending },
        limit,
        start: ListStart::Offset(0),
        known: None,
    };
    for query in ["", "status=all&other=x&Limit=x&%ff=%ff"] {
        assert_eq!(read(Envelope, "alice", query).ok(), Some(defaults(10, true)));
        assert_eq!(read(Plain, "alice", query).ok(), Some(defaults(1000, false)));
    }
}

#[test]
fn all_parameters_are_read() {
    let query = "status=pending&priority=high&tag=%C3%BC&search=%C3%9C+%25&due_after=2026-01-06&due_before=2026-02-01T00:00%2B01:00\
                 &sort=-due_date&limit=3";
    let expected = |start| TaskQuery {
        filter: TaskFilter {
            completed: Some(false),
            priority: Some(Priority::High),
            tag: Some("ü".into()),
            search: Some("Ü %".into()),
            due_after: Some(time("2026-01-06T00:00:00Z")),
            due_before: Some(time("2026-01-31T23:00:00Z")),
        },
        order: TaskOrder { by: SortKey::DueDate, descending: true },
        limit: 3,
        start,
        known: None,
    };
    for contract in [Envelope, Plain] {
        assert_eq!(read(contract, "alice", query).ok(), Some(expected(ListStart::Offset(0))));
    }
    let offset = format!("{query}&offset=10000");
    assert_eq!(read(Envelope, "alice", &offset).ok(), Some(expected(ListStart::Offset(10_000))));
    assert_eq!(read(Plain, "alice", &offset).ok(), Some(expected(ListStart::Offset(0))));
}

#[test]
fn invalid_parameters_are_all_reported() {
    for (query, error) in [
        ("limit=0", "limit greater_than_equal"),
        ("limit=1e9", "limit int_parsing"),
        ("limit=", "limit int_parsing"),
        ("limit", "limit int_parsing"),
        ("limit=+1", "limit int_parsing"),
        ("limit=%2B1", "limit int_parsing"),
        ("limit=1.0", "limit int_parsing"),
        ("limit=%D9%A3", "limit int_parsing"),
        ("limit=1&limit=1", "limit repeated"),
        ("limit=1001", "limit less_than_equal"),
        ("status=", "status literal_error"),
        ("status=Pending", "status literal_error"),
        ("status=all&status=all", "status repeated"),
        ("sort=", "sort literal_error"),
        ("sort=number", "sort literal_error"),
        ("sort=+title", "sort literal_error"),
        ("sort=--title", "sort literal_error"),
        ("sort=title,due_date", "sort literal_error"),
        ("search=", "search string_too_short"),
        ("search=%00", "search string_null_character"),
        ("due_after=tomorrow", "due_after datetime_parsing"),
        ("due_after=2026-01-06T00:00:00+01:00", "due_after datetime_parsing"),
        ("due_before=", "due_before datetime_parsing"),
        ("due_before=10000-01-01", "due_before datetime_parsing"),
        ("cursor=", "cursor value_error"),
        ("cursor=x&cursor=x", "cursor repeated"),
    ] {
        for contract in [Envelope, Plain] {
            assert_eq!(errors(contract, query), [error], "{query}");
        }
    }
    for (query, error) in [
        ("limit=101", "limit less_than_equal"),
        ("offset=-1", "offset greater_than_equal"),
        ("offset=10001", "offset less_than_equal"),
        ("offset=9223372036854775808", "offset less_than_equal"),
    ] {
        assert_eq!(errors(Envelope, query), [error], "{query}");
    }
    assert_eq!(
        errors(Envelope, "limit=0&offset=-1&status=x&search=&due_after=x&due_before=x&sort=x&cursor=x"),
        [
            "limit greater_than_equal",
            "offset greater_than_equal",
            "status literal_error",
            "search string_too_short",
            "due_after datetime_parsing",
            "due_before datetime_parsing",
            "sort literal_error",
            "cursor value_error",
        ]
    );
    let search = |len| format!("search={}", "%F0%9D%92%B3".repeat(len));
    assert!(read(Plain, "alice", &search(200)).is_ok());
    assert_eq!(errors(Plain, &search(201)), ["search string_too_long"]);
}

#[test]
fn cursor_leads_to_the_position_of_the_last_task_in_either_contract() {
    let at = time("2026-01-06T15:30:00.123456Z");
    for (sort, position_time, text) in [
        ("created_at", Some(at), None),
        ("-updated_at", Some(at), None),
        ("due_date", Some(at), None),
        ("title", None, Some("milk".to_owned())),
        ("-priority", None, Some("2".to_owned())),
    ] {
        let query = format!("sort={sort}&search=x");
        let cursor = cursor_of(Envelope, &query, "milk");
        let position = ListPosition { begun_at: at, number: 7, time: position_time, text };
        for contract in [Envelope, Plain] {
            let next = read(contract, "alice", &format!("limit=5&cursor={cursor}&{query}")).expect("valid");
            assert_eq!(next.start, ListStart::After(position.clone()), "{sort}");
        }
    }
}

#[test]
fn page_that_ends_the_list_has_no_cursor_unless_some_of_its_tasks_are_not_shown() {
    let query = read(Plain, "alice", "").expect("valid");
    let last = TaskList { has_more: false, ..page("milk") };
    assert_eq!(next_cursor("alice", &query, &last, 1), None);
    let twice = TaskList { tasks: [page("a").tasks, page("b").tasks].concat(), ..last };
    assert!(next_cursor("alice", &query, &twice, 1).is_some());
    let empty = TaskList { tasks: Vec::new(), has_more: false, begun_at: None, ..page("") };
    assert_eq!(next_cursor("alice", &query, &empty, 0), None);
}

#[test]
fn cursor_is_bound_to_its_user_and_query() {
    let query = "status=pending&search=x&due_after=2026-01-06&sort=title";
    let cursor = cursor_of(Envelope, query, "milk");
    let with = |query: &str| format!("{query}&cursor={cursor}");
    assert!(read(Envelope, "alice", &with(query)).is_ok());
    // The same query, written differently.
    let same = "sort=title&due_after=2026-01-06T01:00%2B01:00&search=%78&status=pending&limit=7&other=1";
    assert!(read(Plain, "alice", &with(same)).is_ok());
    assert!(read(Envelope, "bob", &with(query)).is_err());
    for other in [
        "",
        "status=pending&search=x&due_after=2026-01-06",
        "status=completed&search=x&due_after=2026-01-06&sort=title",
        "status=pending&search=X&due_after=2026-01-06&sort=title",
        "status=pending&priority=low&search=x&due_after=2026-01-06&sort=title",
        "status=pending&tag=x&search=x&due_after=2026-01-06&sort=title",
        "status=pending&search=x&due_before=2026-01-06&sort=title",
        "status=pending&search=x&due_after=2026-01-07&sort=title",
        "status=pending&search=x&due_after=2026-01-06&sort=-title",
    ] {
        assert_eq!(errors(Envelope, &with(other)), ["cursor value_error"], "{other}");
    }
    // If another parameter is invalid, the cursor isn't compared with the query.
    assert_eq!(errors(Envelope, &with("sort=x")), ["sort literal_error"]);
    // Without `sort`, the contracts have different orders.
    let cursor = cursor_of(Envelope, "", "milk");
    assert_eq!(errors(Plain, &format!("cursor={cursor}")), ["cursor value_error"]);
}

#[test]
fn cursor_together_with_an_offset_is_rejected_in_envelope() {
    let cursor = cursor_of(Envelope, "", "milk");
    assert_eq!(errors(Envelope, &format!("offset=0&cursor={cursor}")), ["cursor value_error"]);
    let both = ["offset int_parsing", "cursor value_error"];
    assert_eq!(errors(Envelope, &format!("offset=x&cursor={cursor}")), both);
    let cursor = cursor_of(Plain, "", "milk");
    assert!(read(Plain, "alice", &format!("offset=0&cursor={cursor}")).is_ok(), "plain ignores the offset");
}

#[test]
fn longest_cursor_is_read() {
    for character in ["\u{1}", "\u{10ffff}", "\"", "\\"] {
        let cursor = cursor_of(Plain, "sort=title", &character.repeat(255));
        assert!(cursor.len() <= 2500, "{}", cursor.len());
        assert!(read(Plain, "alice", &format!("sort=title&cursor={cursor}")).is_ok(), "{character:?}");
    }
}

#[test]
fn forged_cursor_with_values_that_postgresql_cannot_store_is_rejected() {
    let query = read(Plain, "alice", "sort=title").expect("valid");
    let hash = hash(&query.filter, query.order);
    let forge = |content: serde_json::Value| {
        let cursor = cursor::encode(Kind::List, "alice", content.to_string().as_bytes());
        read(Plain, "alice", &format!("sort=title&cursor={cursor}"))
    };
    let at = "2026-01-06T15:30:00Z";
    assert!(forge(json!([hash, at, i64::MAX, at, "a"])).is_ok());
    for content in [
        json!([hash, "-262143-01-01T00:00:00Z", 7, null, "a"]),
        json!([hash, "+10000-01-01T00:00:00Z", 7, null, "a"]),
        json!([hash, at, 7, "+262142-01-01T00:00:00Z", "a"]),
        json!([hash, at, 7, null, "a\0"]),
        // Its negation overflows a bigint.
        json!([hash, at, i64::MIN, null, "a"]),
        json!([hash, at, 9_223_372_036_854_775_808_u64, null, "a"]),
        json!([hash, at, 7, null, 7]),
        json!([hash, at, 7, null]),
        json!([hash, at, 7, null, "a", 1]),
        json!({}),
    ] {
        assert!(matches!(forge(content.clone()), Err(Error::Invalid(_))), "{content}");
    }
}

// The expected values are the first 16 digits of `printf '%s' '…' | sha256sum`, from the JSON in the comments.
#[test]
fn the_hash_of_a_query_never_changes() {
    let hash = |query| {
        let TaskQuery { filter, order, .. } = read(Envelope, "alice", query).expect("valid");
        format!("{:016x}", hash(&filter, order))
    };
    // {"by":"number","descending":true}
    assert_eq!(hash(""), "7a3c97ee4677fa98");
    // {"by":"due_date","descending":false,"completed":false,"search":"Ü \"%","due_after":"2026-01-06T00:00:00Z",
    //  "due_before":"2026-01-31T23:00:00.500Z"}, as one line without the indentation
    let all = "sort=due_date&status=pending&search=%C3%9C+%22%25&due_after=2026-01-06\
               &due_before=2026-02-01T00:00:00.5%2B01:00";
    assert_eq!(hash(all), "de322fdaed371361");
}

#[test]
fn next_query_repeats_the_parameters() {
    let text =
        "status=completed&search=%C3%9C+%25%26&due_after=2026-01-06&sort=-title&limit=3&offset=1&other=1";
    let query = read(Plain, "alice", text).expect("valid");
    assert_eq!(
        next_query(Plain, &query, "abc"),
        "cursor=abc&status=completed&search=%C3%9C+%25%26&due_after=2026-01-06T00%3A00%3A00Z&sort=-title&limit=3"
    );
    let query = read(Plain, "alice", "status=all&limit=1000").expect("valid");
    assert_eq!(next_query(Plain, &query, "abc"), "cursor=abc");
}

fn query(contract: Contract, limit: i64) -> TaskQuery {
    TaskQuery {
        filter: TaskFilter::default(),
        order: contract.default_order(),
        limit,
        start: ListStart::Offset(0),
        known: None,
    }
}

fn list(tasks: Vec<Task>, total: i64, has_more: bool) -> Shown<TaskList> {
    let begun_at = tasks.first().map(|task| task.created_at);
    let version = Version { revision: 1, updated_at: DateTime::UNIX_EPOCH };
    Shown::New(TaskList { tasks, total, has_more, version, begun_at })
}

#[test]
fn plain_list_fits_a_lambda_response_and_links_to_the_rest() {
    // Each quote is two bytes in JSON, and four in the JSON string of the event.
    let tasks: Vec<_> = (1..=1000).map(|number| Task { number, ..task("\"".repeat(2000)) }).collect();
    let response = Plain.list("a b", &query(Plain, 1000), &list(tasks, 1000, false));
    let shown = body(&response).as_array().expect("an array").len();
    assert!((500..1000).contains(&shown), "{shown}");
    let in_event = serde_json::to_string(&response.body).expect("JSON").len();
    assert!(in_event <= MAX_LIST_LEN + 4 && in_event > MAX_LIST_LEN - 20_000, "{in_event}");
    assert_eq!(response.headers[X_TOTAL_COUNT], "1000");
    let link = response.headers[LINK].to_str().expect("ASCII");
    let start = "</plain/api/a%20b/tasks?cursor=";
    assert!(link.starts_with(start) && link.ends_with(">; rel=\"next\""), "{link}");
}

#[test]
fn empty_plain_list_is_an_empty_array() {
    let response = Plain.list("a", &query(Plain, 1000), &list(Vec::new(), 0, false));
    assert_eq!(&*response.body, b"[]");
    assert!(!response.headers.contains_key(LINK));
}

#[test]
fn list_has_the_form_of_its_contract_whatever_the_query() {
    let list = list(vec![task("2 litres".into())], 2, true);
    for query in [query(Envelope, 1), query(Plain, 1)] {
        let plain = Plain.list("a", &query, &list);
        assert_eq!(body(&plain)[0]["id"], 7);
        assert!(plain.headers.contains_key(LINK));
        let envelope = Envelope.list("a", &query, &list);
        assert_eq!(body(&envelope)["data"]["items"][0]["id"], Uuid::nil().to_string());
        assert!(body(&envelope)["data"]["pagination"]["next_cursor"].is_string());
        assert!(!envelope.headers.contains_key(LINK));
    }
}
