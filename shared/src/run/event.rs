//! The payload that Lambda passes to a function: an API Gateway event (payload format 2.0), or something
//! else.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use serde::{Deserialize, Deserializer};

/// The payload of an invocation. Deserializing it never fails: otherwise the runtime would log an unreadable
/// event with its values and without a request id.
pub(super) struct Payload(
    /// The event; `None` if the payload is not an API Gateway event.
    pub(super) Option<Box<ApiGatewayV2httpRequest>>,
);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // http's header map panics if an event has more header fields than the map can hold, 24,576.
        let event = catch_unwind(AssertUnwindSafe(|| Deserialize::deserialize(deserializer)));
        Ok(Self(event.ok().and_then(Result::ok)))
    }
}
