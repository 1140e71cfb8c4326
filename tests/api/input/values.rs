//! Values in path, query and headers: task ids, `limit`, `offset`, and unusual bytes.

use tests::{App, Contract, FieldError, Response, errors};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{not_a_uuid, not_an_integer, too_great, too_small};
use crate::endpoints::{Endpoint, a_task, endpoints};

#[tokio::test(flavor = "multi_thread")]
async fn task_id_of_the_wrong_kind_is_422() {
    let app = App::start().await;
    let alice = app.user("alice");
    let uuid = a_task(&alice, Contract::Envelope).await;
    let integer = || not_an_integer("path", "task_id");
    let digits = "9".repeat(400);
    let mut cases = vec![];
    for id in [
        "1",
        "x",
        "null",
        "%00",
        &digits,
        &uuid.replace('-', ""),
        &format!("%7B{uuid}%7D"),
        &format!("urn:uuid:{uuid}"),
        &format!("{uuid}0"),
        &uuid.replace('-', "g"),
        &format!("%20{uuid}"),
        &uuid[..35],
        "a%2Fb",
    ] {
        cases.push((Contract::Envelope, id.to_owned(), not_a_uuid()));
    }
    for id in [
        "x", "null", "1.0", "1e3", "0x1", "%2B1", "%201", "1%20", "%D9%A3", "1_000", "--1", "-", "%00", &uuid,
    ] {
        cases.push((Contract::Plain, id.to_owned(), integer()));
    }
    for id in ["0", "-1", "-9223372036854775809", &format!("-{digits}")] {
        cases.push((Contract::Plain, id.to_owned(), too_small("path", "task_id", 1)));
    }
    for id in ["9223372036854775808", "18446744073709551617", &digits] {
        cases.push((Contract::Plain, id.to_owned(), too_great("path", "task_id", i64::MAX)));
    }
    // No task has a UUID of another version than 7.
    let version_4 = "0199d3c4-7a00-4000-8000-000000000001";
    alice.envelope().get(version_4).await.assert_error(Contract::Envelope, &errors::NOT_FOUND);
    for (contract, id, fault) in cases {
        println!("{contract:?} {id}");
        for endpoint in endpoints(contract).into_iter().filter(Endpoint::names_a_task) {
            let response = Response::to(endpoint.request(&alice.at(contract), &id)).await;
            response.assert_invalid(contract, std::slice::from_ref(&fault));
        }
    }
    let shown = alice.envelope().get(&uuid.to_uppercase()).await.expect_status(200);
    assert_eq!(alice.envelope().task(&shown)["id"], uuid);
}

#[tokio::test(flavor = "multi_thread")]
async fn limit_and_offset_must_be_single_whole_numbers_within_bounds() {
    let app = App::start().await;
    let alice = app.user("alice");
    a_task(&alice, Contract::Envelope).await;
    let repeated = |field| FieldError::new("query", field, "repeated", "Given more than once");
    let number = |field| not_an_integer("query", field);
    let too_deep = || {
        let message = "Input should be less than or equal to 10000: use cursor to go further";
        FieldError::new("query", "offset", "less_than_equal", message)
    };
    let digits = format!("?offset={}", "9".repeat(400));
    for (contract, query, fault) in [
        (Contract::Envelope, "?limit=0", too_small("query", "limit", 1)),
        (Contract::Envelope, "?limit=101", too_great("query", "limit", 100)),
        (Contract::Envelope, "?limit=1e9", number("limit")),
        (Contract::Envelope, "?limit=", number("limit")),
        (Contract::Envelope, "?limit", number("limit")),
        (Contract::Envelope, "?limit=ten", number("limit")),
        (Contract::Envelope, "?limit=10.0", number("limit")),
        (Contract::Envelope, "?limit=%2B10", number("limit")),
        (Contract::Envelope, "?limit=+10", number("limit")),
        (Contract::Envelope, "?limit=%zz", number("limit")),
        (Contract::Envelope, "?limit=%00", number("limit")),
        (Contract::Envelope, "?limit=5&limit=5", repeated("limit")),
        (Contract::Envelope, "?limit=5&%6Cimit=6", repeated("limit")),
        (Contract::Envelope, "?limit=5,5", number("limit")),
        (Contract::Envelope, "?offset=-1", too_small("query", "offset", 0)),
        (Contract::Envelope, "?offset=10001", too_deep()),
        (Contract::Envelope, &digits, too_deep()),
        (Contract::Plain, "?limit=0", too_small("query", "limit", 1)),
        (Contract::Plain, "?limit=1001", too_great("query", "limit", 1000)),
        (Contract::Plain, "?limit=1e9", number("limit")),
        (Contract::Plain, "?limit=5&limit=5", repeated("limit")),
    ] {
        println!("{query}");
        alice.at(contract).list(query).await.assert_invalid(contract, &[fault]);
    }
    for (contract, query, count) in [
        (Contract::Envelope, "?limit=1&offset=0", 1),
        (Contract::Envelope, "?limit=100", 1),
        (Contract::Envelope, "?%6Cimit=%31", 1),
        (Contract::Envelope, "?offset=10000", 0),
        (Contract::Envelope, "?color=red&Limit=x&&=&after=x&%ff=%ff", 1),
        (Contract::Plain, "?limit=1&offset=-1&%zz", 1),
        (Contract::Plain, "?after=x", 1),
    ] {
        let client = alice.at(contract);
        assert_eq!(client.tasks(&client.list(query).await.expect_status(200)).len(), count, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_bytes_in_unused_parameters_and_headers_are_ignored() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    let address = app.url.trim_start_matches("http://");
    for (contract, prefix) in Contract::BOTH.into_iter().zip(["", "/plain"]) {
        for (query, host, header) in [
            (&b"?x=[]'%*;,"[..], &b"localhost"[..], &b"x"[..]),
            (b"?x=\xc3\xa9", b"localhost", b"x"),
            (b"", b"a b<>\"", b"x"),
            (b"", b"", b"x"),
            (b"", b"localhost", b"caf\xe9 \xff"),
        ] {
            let head = format!("GET {prefix}/api/{}/tasks", alice.id).into_bytes();
            let token = alice.token.as_bytes();
            let request = [
                &head,
                query,
                b" HTTP/1.1\r\nHost: ",
                host,
                b"\r\nAuthorization: Bearer ",
                token,
                b"\r\nX-Odd: ",
                header,
                b"\r\nConnection: close\r\n\r\n",
            ];
            let mut stream = TcpStream::connect(address).await.expect("the gateway");
            stream.write_all(&request.concat()).await.expect("the request can be sent");
            let mut response = String::new();
            stream.read_to_string(&mut response).await.expect("a response");
            assert!(
                response.starts_with("HTTP/1.1 200 OK"),
                "{:?} {response}",
                request.concat().escape_ascii().to_string()
            );
        }
        alice.at(contract).list("").await.expect_status(200);
    }
    assert!(!app.internals().log_text().contains("panic"));
}
