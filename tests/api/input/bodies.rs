//! Bodies that are accepted or rejected as a whole, by content type, size and syntax.

use tests::{App, Contract, ErrorResponse, FieldError, Response, errors};

use super::MAX_BODY_LEN;
use crate::endpoints::{a_task, endpoints_with_body, rows};

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_bodies_are_rejected_and_nothing_is_written() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    let ids = [a_task(&alice, Contract::Envelope).await, a_task(&alice, Contract::Plain).await];
    let before = rows(&app).await;
    let json = Some("application/json");
    let nested = |depth| format!("{{\"title\":{}{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes();
    for (contract, id) in Contract::BOTH.into_iter().zip(&ids) {
        let client = alice.at(contract);
        for endpoint in endpoints_with_body(contract) {
            let good = endpoint.body.as_ref().expect("the endpoint takes a body").to_string();
            let mut cases: Vec<(Option<&str>, Vec<u8>, &ErrorResponse)> = vec![
                (json, nested(10_000), &errors::NOT_JSON),
                (json, "[".repeat(10_000).into(), &errors::NOT_JSON),
                (json, good.encode_utf16().flat_map(u16::to_le_bytes).collect(), &errors::NOT_JSON),
                (json, format!("\u{feff}{good}").into(), &errors::NOT_JSON),
                (json, format!("{good}{good}").into(), &errors::NOT_JSON),
                (json, format!("{good},").into(), &errors::NOT_JSON),
                (json, good[..good.len() - 1].into(), &errors::NOT_JSON),
                (json, vec![b' '; MAX_BODY_LEN + 1], &errors::TOO_LARGE),
                (None, vec![b' '; MAX_BODY_LEN + 1], &errors::TOO_LARGE),
                (json, vec![b' '; 10 * 1024 * 1024], &errors::TOO_LARGE),
            ];
            for text in
                ["", " \n", "{", "title", "{'title':'a'}", "{\"title\":NaN}", "{\"title\":\"a\",}", "// {}"]
            {
                cases.extend([json, None].map(|kind| (kind, text.into(), &errors::NOT_JSON)));
            }
            for bytes in [
                &b"\xff\xfe{}"[..],
                b"{\"title\":\"\xff\"}",
                b"{\"title\":\"\xed\xa0\x80\"}",
                b"\0",
                b"\xc0\x80",
            ] {
                cases.extend([json, None].map(|kind| (kind, bytes.into(), &errors::NOT_JSON)));
            }
            for other in [
                "text/plain",
                "text/json",
                "application/jsonp",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "application/xml",
                "json",
                "*/*",
                "text/plain; application/json",
            ] {
                cases.push((Some(other), good.clone().into(), &errors::NOT_JSON_TYPE));
            }
            for (content_type, body, refusal) in cases {
                let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
                println!("{contract:?} {} {} {content_type:?} {shown}", endpoint.method, endpoint.rest);
                let request = endpoint.with_body(&client, id, content_type, body);
                Response::to(request).await.assert_error(contract, refusal);
            }

            let no_object = FieldError {
                kind: "model_attributes_type",
                loc: vec!["body"],
                msg: "Input should be a valid dictionary or object".into(),
            };
            for text in ["[]", "null", "7", "true", "\"title\"", &format!("[{good}]")] {
                let response = Response::to(endpoint.with_body(&client, id, json, text.into())).await;
                response.assert_invalid(contract, std::slice::from_ref(&no_object));
            }
            let field = if good.contains("title") { "title" } else { "completed" };
            let twice = good.replace('}', ",").into_bytes();
            let twice = [twice, good[1..].into()].concat();
            let response = Response::to(endpoint.with_body(&client, id, json, twice)).await;
            response.assert_invalid(
                contract,
                &[FieldError::new("body", field, "repeated", "Given more than once")],
            );
        }
    }
    assert_eq!(rows(&app).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn body_of_256_kib_is_accepted_with_a_json_content_type_or_none() {
    let app = App::start().await;
    let alice = app.user("alice");
    for contract in Contract::BOTH {
        let (client, id) = (alice.at(contract), a_task(&alice, contract).await);
        for endpoint in endpoints_with_body(contract) {
            let good = endpoint.body.as_ref().expect("the endpoint takes a body").to_string();
            // Each `é` has two bytes.
            let padding = MAX_BODY_LEN - good.len() - ",\"x\":\"\"".len();
            let padding = "é".repeat(padding / 2) + &"a".repeat(padding % 2);
            let full = format!("{},\"x\":\"{padding}\"}}", &good[..good.len() - 1]);
            assert_eq!(full.len(), MAX_BODY_LEN);
            for content_type in [Some("application/json"), None] {
                let fits = endpoint.with_body(&client, &id, content_type, full.clone().into());
                Response::to(fits).await.expect_status(endpoint.status);
                let over = endpoint.with_body(&client, &id, content_type, format!("{full} ").into());
                Response::to(over).await.assert_error(contract, &errors::TOO_LARGE);
            }
            for content_type in [
                "application/json; charset=utf-8",
                "APPLICATION/JSON",
                "application/merge-patch+json",
                " application/json ;charset=\"utf-8\"",
            ] {
                let request =
                    endpoint.with_body(&client, &id, Some(content_type), format!(" \r\n{good}\t").into());
                Response::to(request).await.expect_status(endpoint.status);
            }
        }
    }
}
