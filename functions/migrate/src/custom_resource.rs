//! Handles requests of CloudFormation. The template has a custom resource that the endpoints depend on, so
//! CloudFormation invokes this function before it changes the endpoints. It waits for a response at a URL in
//! the event ("Custom resource request and response reference" in its user guide).
//!
//! CloudFormation must get exactly one response, whatever happens. Without one, it waits until the template's
//! `ServiceTimeout`. After the response the invocation must succeed, because Lambda repeats failed
//! invocations.

use std::time::{Duration, SystemTime};

use lambda_runtime::Error;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::HttpClient;
use tokio::time::{sleep, timeout};

use crate::report::Report;

/// The greatest length of a reason, in characters. CloudFormation rejects responses of more than 4 KiB.
const MAX_REASON_CHARS: usize = 800;

/// The part of the invocation's time that is reserved for sending the response.
const RESPONSE_TIME: Duration = Duration::from_secs(20);

/// Limit on one attempt to send the response.
const ATTEMPT_TIME: Duration = Duration::from_secs(5);

/// Delays before the retries of sending the response.
const RESPONSE_DELAYS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// A request from CloudFormation.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CustomResource {
    request_type: String,
    #[serde(rename = "ResponseURL")]
    response_url: String,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
    #[serde(default)]
    resource_properties: Properties,
    #[serde(default)]
    old_resource_properties: Properties,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Properties {
    /// The ARN of the function's published version.
    version: String,
}

impl CustomResource {
    /// Reads an event. Returns `None` if the event is not from CloudFormation.
    pub fn of(event: &Value) -> Option<Self> {
        Self::deserialize(event).ok()
    }

    /// Migrates if this request can change the schema, and responds to CloudFormation before `deadline`.
    ///
    /// # Errors
    /// If CloudFormation can't be reached. Lambda then repeats the invocation.
    pub async fn handle(
        &self,
        deadline: SystemTime,
        migrate: impl Future<Output = Result<Report, String>> + Send + 'static,
    ) -> Result<Value, Error> {
        let outcome = if self.changes_schema() {
            let limit = deadline.duration_since(SystemTime::now()).unwrap_or_default();
            outcome_within(limit.saturating_sub(RESPONSE_TIME), migrate).await
        } else {
            Ok(Report::default())
        };
        self.respond(&outcome).await?;
        Ok(match outcome {
            Ok(report) => serde_json::to_value(report)?,
            Err(error) => json!({ "error": error }),
        })
    }

    /// Whether there can be something to migrate. Deleting the stack keeps the data, and a rollback keeps the
    /// newer schema, so neither needs a database.
    fn changes_schema(&self) -> bool {
        let versions = self.resource_properties.number().zip(self.old_resource_properties.number());
        let is_rollback = versions.is_some_and(|(new, old)| new < old);
        self.request_type != "Delete" && !is_rollback
    }

    async fn respond(&self, outcome: &Result<Report, String>) -> Result<(), Error> {
        let body = self.response(outcome).to_string().into_bytes();
        let client = HttpClient::new();
        let mut delays = RESPONSE_DELAYS.into_iter();
        // Sending the response twice is harmless, because each time it overwrites the same S3 object.
        loop {
            let sent = timeout(ATTEMPT_TIME, client.put(&self.response_url, body.clone())).await;
            match (sent.unwrap_or_else(|_| Err("no response in time".into())), delays.next()) {
                (Ok(()), _) => return Ok(()),
                (Err(_), Some(delay)) => sleep(delay).await,
                (Err(error), None) => return Err(format!("CloudFormation can't be reached: {error}").into()),
            }
        }
    }

    fn response(&self, outcome: &Result<Report, String>) -> Value {
        let (status, reason) = match outcome {
            Ok(report) => ("SUCCESS", report.to_string()),
            Err(error) => ("FAILED", error.clone()),
        };
        let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
        json!({
            "Status": status,
            "Reason": reason,
            // Always the same, because CloudFormation would delete the resource if its id changed.
            "PhysicalResourceId": "schema",
            "StackId": self.stack_id,
            "RequestId": self.request_id,
            "LogicalResourceId": self.logical_resource_id,
        })
    }
}

impl Properties {
    /// The number at the end of the version's ARN. Lambda never reuses a number, so newer code has a higher
    /// one.
    fn number(&self) -> Option<u64> {
        self.version.rsplit(':').next()?.parse().ok()
    }
}

/// Runs a migration with a time limit. A panic and a timeout are errors like any other.
async fn outcome_within(
    limit: Duration,
    migrate: impl Future<Output = Result<Report, String>> + Send + 'static,
) -> Result<Report, String> {
    let mut task = tokio::spawn(migrate);
    match timeout(limit, &mut task).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err("the migration panicked: the function's log has the place".into()),
        Err(_) => {
            task.abort();
            Err(format!("the migration did not finish within {} s", limit.as_secs()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Value {
        json!({
            "RequestType": "Update",
            "ServiceToken": "arn:aws:lambda:eu-central-1:123456789012:function:migrate",
            "ResponseURL": "https://example.com/signed",
            "StackId": "stack",
            "RequestId": "request",
            "ResourceType": "Custom::Migration",
            "LogicalResourceId": "Migration",
            "PhysicalResourceId": "schema",
            "ResourceProperties": {},
        })
    }

    #[test]
    fn deletion_and_rollback_do_not_change_the_schema() {
        let version =
            |number: u32| format!("arn:aws:lambda:eu-central-1:123456789012:function:migrate:{number}");
        let changes = |request_type: &str, new: Option<u32>, old: Option<u32>| {
            let mut event = event();
            event["RequestType"] = json!(request_type);
            for (name, number) in [("ResourceProperties", new), ("OldResourceProperties", old)] {
                if let Some(number) = number {
                    event[name]["Version"] = json!(version(number));
                }
            }
            CustomResource::of(&event).expect("an event of CloudFormation").changes_schema()
        };
        assert!(changes("Create", Some(1), None));
        assert!(changes("Update", Some(10), Some(9)));
        assert!(changes("Update", Some(9), Some(9)));
        assert!(!changes("Update", Some(9), Some(10)));
        assert!(!changes("Delete", Some(9), None));
        assert!(CustomResource::of(&json!({})).is_none());
    }

    #[test]
    fn a_response_identifies_its_request_and_is_short_enough() {
        let resource = CustomResource::of(&event()).expect("an event of CloudFormation");
        let applied =
            resource.response(&Ok(Report { applied: vec!["V1__schema".into()], ..Report::default() }));
        assert_eq!(
            applied,
            json!({
                "Status": "SUCCESS",
                "Reason": "Applied V1__schema.",
                "PhysicalResourceId": "schema",
                "StackId": "stack",
                "RequestId": "request",
                "LogicalResourceId": "Migration",
            })
        );
        let failed = resource.response(&Err("\u{1F4A5}".repeat(10_000)));
        assert_eq!(failed["Status"], "FAILED");
        assert!(failed.to_string().len() < 4096);
    }

    #[tokio::test]
    async fn a_migration_that_panics_or_takes_too_long_fails() {
        let panicked = outcome_within(Duration::from_secs(1), async { panic!("on purpose") }).await;
        assert_eq!(
            panicked.err().as_deref(),
            Some("the migration panicked: the function's log has the place")
        );
        let slow = outcome_within(Duration::from_millis(10), std::future::pending()).await;
        assert_eq!(slow.err().as_deref(), Some("the migration did not finish within 0 s"));
    }
}
