//! CloudFormation's side: a custom resource of the template, which the endpoints depend on. CloudFormation invokes the
//! function before it changes them and waits until the outcome is put to a URL that came with the event ("Custom
//! resource request and response reference" in its user guide).

use serde::Deserialize;
use serde_json::{Value, json};
use shared::HttpClient;

/// CloudFormation refuses an answer of more than 4 KiB; the reason is most of it.
const MAX_REASON_CHARS: usize = 500;

/// What CloudFormation asks for.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CustomResource {
    request_type: String,
    #[serde(rename = "ResponseURL")]
    response_url: String,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
}

impl CustomResource {
    /// Reads an event; `None` where it is not CloudFormation's.
    pub fn of(event: &Value) -> Option<Self> {
        Self::deserialize(event).ok()
    }

    /// Whether the stack, or this resource of it, is about to go.
    pub fn is_deleted(&self) -> bool {
        self.request_type == "Delete"
    }

    /// Tells CloudFormation the outcome: the names of what was applied, or why nothing was.
    ///
    /// # Errors
    /// Why it could not be told. CloudFormation goes on waiting then, for as long as the template says.
    pub async fn answer(&self, outcome: &Result<Vec<String>, String>) -> Result<(), String> {
        let answer = serde_json::to_vec(&self.answer_body(outcome)).expect("a JSON value");
        let told = HttpClient::new().put(&self.response_url, answer).await;
        told.map_err(|error| format!("CloudFormation can't be told: {error}"))
    }

    fn answer_body(&self, outcome: &Result<Vec<String>, String>) -> Value {
        let (status, reason) = match outcome {
            Ok(applied) => ("SUCCESS", format!("{} changes applied", applied.len())),
            Err(error) => ("FAILED", error.chars().take(MAX_REASON_CHARS).collect()),
        };
        json!({
            "Status": status,
            "Reason": reason,
            // Always the same: another one would make CloudFormation delete the one before.
            "PhysicalResourceId": "schema",
            "StackId": self.stack_id,
            "RequestId": self.request_id,
            "LogicalResourceId": self.logical_resource_id,
        })
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
    fn is_told_from_other_events() {
        assert!(CustomResource::of(&json!({})).is_none());
        assert!(CustomResource::of(&event()).is_some_and(|resource| !resource.is_deleted()));
        let mut delete = event();
        delete["RequestType"] = json!("Delete");
        assert!(CustomResource::of(&delete).is_some_and(|resource| resource.is_deleted()));
    }

    #[test]
    fn an_answer_names_what_it_answers_and_fits() {
        let resource = CustomResource::of(&event()).expect("one of CloudFormation's");
        let applied = resource.answer_body(&Ok(vec!["V1__users_and_tasks".into()]));
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
        let failed = resource.answer_body(&Err("\u{1F4A5}".repeat(10_000)));
        assert_eq!(failed["Status"], "FAILED");
        assert!(failed.to_string().len() < 4096);
    }
}
