use serde_json::json;

use super::*;
use crate::contract::tests::body;

#[test]
fn server_errors_do_not_reveal_their_cause() {
    for contract in [Envelope, Plain] {
        for error in [Error::Internal("secret".into()), Error::Unavailable("secret".into())] {
            let body = contract.error(&error.into(), "id-1").body;
            assert!(!String::from_utf8_lossy(&body).contains("secret"));
        }
    }
    let response = Envelope.error(&Error::Internal("secret".into()).into(), "id-1");
    assert_eq!(
        body(&response),
        json!({
            "data": null,
            "error": {
                "code": "INTERNAL_SERVER_ERROR", "message": "An unexpected error occurred",
                "details": { "request_id": "id-1" },
            },
        })
    );
    let response = Plain.error(&Error::Internal("secret".into()).into(), "id-1");
    assert_eq!(
        body(&response),
        json!({ "detail": "Internal server error", "error": "Internal server error" })
    );
}
