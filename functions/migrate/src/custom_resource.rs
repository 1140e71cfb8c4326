//! CloudFormation's side: a custom resource of the template, which the endpoints depend on. CloudFormation invokes the
//! function before it changes them, and waits for a response at a URL that came with the event ("Custom resource
//! request and response reference" in its user guide).
//!
//! It must get exactly one response, whatever happens: without one it waits for as long as the template says. Once it
//! has one, the invocation must succeed, for Lambda would repeat one that fails.

use std::time::{Duration, SystemTime};

use lambda_runtime::Error;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::HttpClient;
use tokio::time::{sleep, timeout};

/// Length of a reason, in characters. CloudFormation rejects a response of more than 4 KiB.
const MAX_REASON_CHARS: usize = 500;

/// Time kept of the invocation for sending the response.
const RESPONSE_TIME: Duration = Duration::from_secs(20);

/// Time for one attempt to send it.
const ATTEMPT_TIME: Duration = Duration::from_secs(5);

/// Delays before sending the response again.
const RESPONSE_DELAYS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// A request of CloudFormation's.
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
    /// The ARN of a published version of the function.
    version: String,
}

impl CustomResource {
    /// Reads an event; `None` if it is not CloudFormation's.
    pub fn of(event: &Value) -> Option<Self> {
        Self::deserialize(event).ok()
    }

    /// Migrates if this request asks for that, and responds before `deadline`.
    ///
    /// # Errors
    /// If CloudFormation could not be reached. Lambda then repeats the invocation.
    pub async fn handle(
        &self,
        deadline: SystemTime,
        migrate: impl Future<Output = Result<Vec<String>, String>> + Send + 'static,
    ) -> Result<Value, Error> {
        let outcome = if self.changes_schema() {
            let limit = deadline.duration_since(SystemTime::now()).unwrap_or_default();
            outcome_within(limit.saturating_sub(RESPONSE_TIME), migrate).await
        } else {
            Ok(Vec::new())
        };
        self.respond(&outcome).await?;
        Ok(match outcome {
            Ok(applied) => json!({ "applied": applied }),
            Err(error) => json!({ "error": error }),
        })
    }

    /// Whether there may be something to migrate. What is in the database stays there when the stack is deleted, and a
    /// schema newer than the code is what a rollback expects. Neither needs a database.
    fn changes_schema(&self) -> bool {
        let versions = self.resource_properties.number().zip(self.old_resource_properties.number());
        let is_rollback = versions.is_some_and(|(new, old)| new < old);
        self.request_type != "Delete" && !is_rollback
    }

    async fn respond(&self, outcome: &Result<Vec<String>, String>) -> Result<(), Error> {
        let body = self.response(outcome).to_string().into_bytes();
        let client = HttpClient::new();
        let mut delays = RESPONSE_DELAYS.into_iter();
        // To send the same again is harmless: the URL is that of a file.
        loop {
            let sent = timeout(ATTEMPT_TIME, client.put(&self.response_url, body.clone())).await;
            match (sent.unwrap_or_else(|_| Err("no response in time".into())), delays.next()) {
                (Ok(()), _) => return Ok(()),
                (Err(_), Some(delay)) => sleep(delay).await,
                (Err(error), None) => return Err(format!("CloudFormation can't be reached: {error}").into()),
            }
        }
    }

    fn response(&self, outcome: &Result<Vec<String>, String>) -> Value {
        let (status, reason) = match outcome {
            Ok(applied) => ("SUCCESS", format!("{} changes applied", applied.len())),
            Err(error) => ("FAILED", error.chars().take(MAX_REASON_CHARS).collect()),
        };
        json!({
            "Status": status,
            "Reason": reason,
            // Always the same: CloudFormation would delete the one before.
            "PhysicalResourceId": "schema",
            "StackId": self.stack_id,
            "RequestId": self.request_id,
            "LogicalResourceId": self.logical_resource_id,
        })
    }
}

impl Properties {
    /// The number at the end of the version's ARN. Lambda never uses one twice, so that of newer code is higher.
    fn number(&self) -> Option<u64> {
        self.version.rsplit(':').next()?.parse().ok()
    }
}

/// The outcome of a migration, also if it panics or takes too long.
async fn outcome_within(
    limit: Duration,
    migrate: impl Future<Output = Result<Vec<String>, String>> + Send + 'static,
) -> Result<Vec<String>, String> {
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
    fn only_creation_and_newer_code_change_the_schema() {
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
            CustomResource::of(&event).expect("one of CloudFormation's").changes_schema()
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
        let resource = CustomResource::of(&event()).expect("one of CloudFormation's");
        let applied = resource.response(&Ok(vec!["V1__users_and_tasks".into()]));
        assert_eq!(
            applied,
            json!({
                "Status": "SUCCESS",
                "Reason": "1 changes applied",
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
    async fn a_migration_that_panics_or_takes_too_long_has_failed() {
        let panicked = outcome_within(Duration::from_secs(1), async { panic!("on purpose") }).await;
        assert_eq!(panicked, Err("the migration panicked: the function's log has the place".into()));
        let slow = outcome_within(Duration::from_millis(10), std::future::pending()).await;
        assert_eq!(slow, Err("the migration did not finish within 0 s".into()));
    }
}
