//! What Lambda passes to a function: an event of API Gateway (payload format 2.0), or something else.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use serde::{Deserialize, Deserializer};

/// What a function was invoked with. Reading it never fails: the runtime would log an event that can't be read, with its
/// values and without a request id.
pub(super) struct Payload(
    /// The event; `None` if it isn't API Gateway's.
    pub(super) Option<Box<ApiGatewayV2httpRequest>>,
);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // More header fields than http's map can hold, 24,576, make it panic.
        let event = catch_unwind(AssertUnwindSafe(|| Deserialize::deserialize(deserializer)));
        Ok(Self(event.ok().and_then(Result::ok)))
    }
}
