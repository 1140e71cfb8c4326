//! A secret kept in AWS Secrets Manager: a JSON object whose keys are the names of configuration variables.
//!
//! Only where `SECRET_ID` is set. Without it no AWS client is made, which would cost each cold start some
//! milliseconds.

use std::{collections::BTreeMap, fmt, time::Duration};

use aws_config::{
    BehaviorVersion,
    environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider},
    meta::region::ProvideRegion,
    retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_secretsmanager::{Client, error::ProvideErrorMetadata};
use serde_json::Value;

use crate::https::HttpsClient;

/// How old a secret may become (in seconds) where nothing else is said.
const DEFAULT_MAX_AGE: i64 = 300;

/// Bound on one try, and on all of them.
const TRY_LIMIT: Duration = Duration::from_millis(1500);
const FETCH_LIMIT: Duration = Duration::from_secs(4);

/// What a secret holds, by the names of variables.
#[derive(Clone, Default, PartialEq)]
pub struct Secret(BTreeMap<String, String>);

/// Where a secret is kept.
pub struct SecretSource {
    client: Client,
    id: String,
    /// `SECRET_REFRESH_SECONDS`: after so long, by the wall clock, the secret is looked at again. The bound within which
    /// a rotated one is picked up.
    pub max_age: i64,
}

impl Secret {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&String> {
        self.0.get(name)
    }

    fn parse(text: &str) -> Option<Self> {
        let members: BTreeMap<String, Value> = serde_json::from_str(text).ok()?;
        let text_of = |value| match value {
            Value::String(text) => Some(text),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        let variables = members.into_iter().filter_map(|(name, value)| Some((name, text_of(value)?)));
        Some(Self(variables.collect()))
    }
}

impl SecretSource {
    /// The source that `SECRET_ID` names: the name or ARN of a secret. `None` where that is not set.
    ///
    /// # Errors
    /// `SECRET_REFRESH_SECONDS` is none.
    pub async fn from_environment() -> Result<Option<Self>, String> {
        let get = |name| {
            std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let Some(id) = get("SECRET_ID") else { return Ok(None) };
        let max_age = match get("SECRET_REFRESH_SECONDS").map(|seconds| seconds.parse()) {
            None => DEFAULT_MAX_AGE,
            Some(Ok(seconds @ 1..=86_400)) => seconds,
            Some(_) => return Err("SECRET_REFRESH_SECONDS must be a whole number from 1 to 86400".into()),
        };
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(TRY_LIMIT)
            .operation_timeout(FETCH_LIMIT)
            .build();
        // Not aws-config's default chain: within Lambda credentials and region stand in the environment, and every
        // other place that the chain would look in is code in each endpoint's binary.
        let mut config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(HttpsClient::new().into_sdk_client())
            .credentials_provider(EnvironmentVariableCredentialsProvider::new())
            .region(EnvironmentVariableRegionProvider::new().region().await)
            .retry_config(RetryConfig::standard())
            .timeout_config(timeouts);
        config.set_endpoint_url(std::env::var("AWS_ENDPOINT_URL").ok());
        Ok(Some(Self { client: Client::from_conf(config.build()), id, max_age }))
    }

    /// Fetches the secret as it is now.
    ///
    /// # Errors
    /// In one line, what to mend. Never with anything of the secret.
    pub async fn fetch(&self) -> Result<Secret, String> {
        let answer =
            self.client.get_secret_value().secret_id(&self.id).send().await.map_err(|error| {
                match (error.code(), error.as_service_error()) {
                    (Some("ResourceNotFoundException"), _) => {
                        "SECRET_ID names a secret that does not exist".into()
                    }
                    (Some("AccessDeniedException"), _) => {
                        "SECRET_ID names a secret that this function may not read: grant it \
                     secretsmanager:GetSecretValue"
                            .into()
                    }
                    (Some(code), _) => format!("SECRET_ID's secret can't be fetched: {code}"),
                    (None, _) => {
                        format!("SECRET_ID's secret can't be fetched: {}", crate::error::in_one_line(&error))
                    }
                }
            })?;
        let text = answer.secret_string().ok_or("SECRET_ID's secret is binary: it must be a JSON object")?;
        Secret::parse(text).ok_or_else(|| "SECRET_ID's secret is no JSON object".into())
    }
}

impl fmt::Debug for Secret {
    /// The names alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_an_object_of_texts_numbers_and_booleans() {
        let secret =
            Secret::parse(r#"{"A": "text", "B": 7, "C": true, "D": null, "E": {}}"#).expect("an object");
        let values = ["A", "B", "C", "D", "E"].map(|name| secret.get(name).map(String::as_str));
        assert_eq!(values, [Some("text"), Some("7"), Some("true"), None, None]);
        for other in ["", "text", "[]", "null", "{"] {
            assert_eq!(Secret::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::parse(r#"{"JWT_SECRET": "tell-nobody"}"#).expect("an object");
        assert_eq!(format!("{secret:?}"), r#"{"JWT_SECRET"}"#);
    }
}
