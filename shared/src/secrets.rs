//! Reads configuration from AWS Secrets Manager: a JSON object whose keys are names of variables.
//!
//! Without `SECRET_ID` no AWS client is created, because that takes some milliseconds of a cold start.

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

use crate::{
    error::{Recorded, in_one_line},
    http_client::HttpClient,
    variables::{ConfigError, Variables},
};

/// Default of `SECRET_REFRESH_SECONDS`, in seconds.
const DEFAULT_MAX_AGE: i64 = 300;

/// Limit on one attempt to fetch a secret.
const ATTEMPT_LIMIT: Duration = Duration::from_millis(1500);

/// Limit on all attempts together.
const FETCH_LIMIT: Duration = Duration::from_secs(4);

/// The content of a secret: the values of variables by name.
#[derive(Clone, Default, PartialEq)]
pub struct Secret(BTreeMap<String, String>);

/// A secret in Secrets Manager, and the client that fetches it.
pub struct SecretSource {
    client: Client,
    id: String,
    /// `SECRET_REFRESH_SECONDS`: how long a fetched secret is used before it is fetched again, in seconds by
    /// the wall clock. After this time, a rotated secret is in use.
    pub max_age: i64,
}

/// A configuration and its origin.
pub struct Loaded<T> {
    /// The configuration.
    pub config: T,
    /// Problems of the configuration that do not prevent the start.
    pub warnings: Vec<String>,
    /// The secret that the configuration was read from, and how to fetch it again; `None` without
    /// `SECRET_ID`.
    pub secret: Option<(SecretSource, Secret)>,
}

/// Reads a configuration from the environment, and from the secret if `SECRET_ID` is set. The environment
/// takes precedence.
///
/// # Errors
/// All errors of the configuration, or the reason why the secret can't be fetched.
pub async fn load<T>(
    read: impl FnOnce(&mut Variables) -> Result<T, Recorded>,
) -> Result<Loaded<T>, ConfigError> {
    let (content, source) = match SecretSource::from_environment().await? {
        Some(source) => (source.fetch().await?, Some(source)),
        None => (Secret::default(), None),
    };
    let (config, warnings) = content.read(read)?;
    Ok(Loaded { config, warnings, secret: source.map(|source| (source, content)) })
}

impl Secret {
    /// Reads a configuration from the environment. Variables that are not set there are read from this
    /// secret. Returns the configuration and the warnings.
    ///
    /// # Errors
    /// All errors of the configuration.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&mut Variables) -> Result<T, Recorded>,
    ) -> Result<(T, Vec<String>), ConfigError> {
        Variables::read(|name| self.get(name).cloned(), read)
    }

    fn get(&self, name: &str) -> Option<&String> {
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
    /// The secret whose name or ARN is in `SECRET_ID`; `None` if `SECRET_ID` is not set.
    ///
    /// # Errors
    /// If `SECRET_REFRESH_SECONDS` is invalid.
    async fn from_environment() -> Result<Option<Self>, ConfigError> {
        let (settings, _) = Variables::read(
            |_| None,
            |variables| {
                let Some(id) = variables.get("SECRET_ID") else { return Ok(None) };
                match variables.get("SECRET_REFRESH_SECONDS").map(|seconds| seconds.parse()) {
                    None => Ok(Some((id, DEFAULT_MAX_AGE))),
                    Some(Ok(seconds @ 1..=86_400)) => Ok(Some((id, seconds))),
                    Some(_) => {
                        variables.error("SECRET_REFRESH_SECONDS must be a whole number from 1 to 86400")
                    }
                }
            },
        )?;
        let Some((id, max_age)) = settings else { return Ok(None) };
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_LIMIT)
            .operation_timeout(FETCH_LIMIT)
            .build();
        // Not aws-config's default chain: Lambda passes credentials and region in the environment, and every
        // other source of the chain would add code to each endpoint's binary.
        let mut config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(HttpClient::new().into_sdk_client())
            .credentials_provider(EnvironmentVariableCredentialsProvider::new())
            .region(EnvironmentVariableRegionProvider::new().region().await)
            .retry_config(RetryConfig::standard())
            .timeout_config(timeouts);
        config.set_endpoint_url(std::env::var("AWS_ENDPOINT_URL").ok());
        Ok(Some(Self { client: Client::from_conf(config.build()), id, max_age }))
    }

    /// Fetches the secret.
    ///
    /// # Errors
    /// If the secret can't be fetched or is not a JSON object: the reason, in one line that quotes nothing of
    /// the secret.
    pub async fn fetch(&self) -> Result<Secret, String> {
        let response = self.client.get_secret_value().secret_id(&self.id).send().await;
        let response = response.map_err(|error| match error.code() {
            Some("ResourceNotFoundException") => "SECRET_ID names a secret that does not exist".into(),
            Some("AccessDeniedException") => {
                "SECRET_ID names a secret that this function is not allowed to read: grant it \
                                              secretsmanager:GetSecretValue"
                    .into()
            }
            Some(code) => format!("SECRET_ID's secret can't be fetched: {code}"),
            None => format!("SECRET_ID's secret can't be fetched: {}", in_one_line(&error)),
        })?;
        let text =
            response.secret_string().ok_or("SECRET_ID's secret is binary: it must be a JSON object")?;
        Secret::parse(text).ok_or_else(|| "SECRET_ID's secret is not a JSON object".into())
    }
}

impl fmt::Debug for Secret {
    /// Prints the names without their values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_an_object_of_strings_numbers_and_booleans() {
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
