//! Configuration from environment variables, and from a secret where `SECRET_ID` names one. All mistakes are reported together, each by its variable's name
//! and never with its value. A variable that is set to nothing counts as not set.

use std::fmt;

use jsonwebtoken::Algorithm;
use tracing::level_filters::LevelFilter;

use crate::{
    auth::KeySetUrl,
    secrets::{Secret, SecretSource},
    store::DatabaseConfig,
};

/// A secret shorter than this (in bytes) is refused: HS256 needs a key at least as long as its hash (RFC 7518 §3.2).
const MIN_SECRET_LEN: usize = 32;

/// The variables that may name the database, the first that is set wins.
const DATABASE_URL: &[&str] = &["DATABASE_URL", "NEON_DATABASE_URL"];

/// What an endpoint needs to know before it can serve.
#[derive(Debug)]
pub struct Config {
    /// Where the tasks are kept.
    pub database: DatabaseConfig,
    /// Which tokens are accepted.
    pub tokens: TokenConfig,
}

/// Which tokens are accepted.
pub struct TokenConfig {
    /// `JWT_SECRET` or `BETTER_AUTH_SECRET`: the first signs, all verify (a rotation). Each at least 32 bytes.
    pub secrets: Vec<String>,
    /// `JWT_JWKS_URL`: where public keys are published.
    pub jwks_url: Option<KeySetUrl>,
    /// `JWT_ALGORITHM`: HS256, HS384 or HS512.
    pub algorithm: Algorithm,
    /// `JWT_ISSUER`: where set, a token's `iss` must be there and equal it.
    pub issuer: Option<String>,
    /// `JWT_AUDIENCE`: where set, a token's `aud` must be there and contain it.
    pub audience: Option<String>,
}

/// What is logged, and under which name.
#[derive(Debug)]
pub struct LogConfig {
    /// `LOG_LEVEL`, or debug where `DEBUG` is true.
    pub level: LevelFilter,
    /// `ENVIRONMENT`: a field of every log line.
    pub environment: Option<String>,
}

/// Every mistake found in the configuration, in one line.
#[derive(Debug, PartialEq)]
pub struct ConfigError(Vec<String>);

impl From<String> for ConfigError {
    fn from(mistake: String) -> Self {
        Self(vec![mistake])
    }
}

/// The environment being read, and the mistakes found so far.
pub struct Environment<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    mistakes: Vec<String>,
}

/// Reads a configuration from the environment, and from the secret that `SECRET_ID` names.
///
/// # Errors
/// All mistakes, together; or why the secret can't be had.
pub async fn load<T>(read: impl FnOnce(&mut Environment) -> Option<T>) -> Result<T, ConfigError> {
    load_with_secret(read).await.map(|(config, _)| config)
}

/// As [`load`], with the secret and where it came from.
pub(crate) async fn load_with_secret<T>(
    read: impl FnOnce(&mut Environment) -> Option<T>,
) -> Result<(T, Option<(SecretSource, Secret)>), ConfigError> {
    let Some(source) = SecretSource::from_environment().await? else {
        return Ok((Environment::read(&Secret::default(), read)?, None));
    };
    let secret = source.fetch().await?;
    Ok((Environment::read(&secret, read)?, Some((source, secret))))
}

impl Environment<'_> {
    /// Reads a configuration from this process's environment, and from a secret what is not set there.
    ///
    /// # Errors
    /// All mistakes, together.
    pub fn read<T>(
        secret: &Secret,
        read: impl FnOnce(&mut Environment) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let set = |value: &String| !value.trim().is_empty();
        let lookup = |name: &str| std::env::var(name).ok().filter(set).or_else(|| secret.get(name).cloned());
        Environment::read_from(&lookup, read)
    }

    fn read_from<T>(
        lookup: &dyn Fn(&str) -> Option<String>,
        read: impl FnOnce(&mut Environment) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let mut environment = Environment { lookup, mistakes: Vec::new() };
        match read(&mut environment) {
            Some(config) if environment.mistakes.is_empty() => Ok(config),
            _ => Err(ConfigError(environment.mistakes)),
        }
    }

    /// Whether a database is named at all.
    pub fn has_database(&self) -> bool {
        self.first(DATABASE_URL).is_some()
    }

    /// The first of these variables that is set, with its name.
    fn first(&self, names: &[&'static str]) -> Option<(&'static str, String)> {
        names.iter().find_map(|name| self.get(name).map(|value| (*name, value)))
    }

    fn get(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Whether this variable is true; where it is not set, it is not.
    fn flag(&mut self, name: &str) -> Option<bool> {
        match self.get(name).map(|value| value.to_ascii_lowercase()).as_deref() {
            Some("true" | "1") => Some(true),
            None | Some("false" | "0") => Some(false),
            Some(_) => self.mistake(format!("{name} must be true or false")),
        }
    }

    /// Notes where this process was not started by Lambda, or by something that stands in for it.
    pub fn require_lambda(&mut self) {
        if self.get("AWS_LAMBDA_RUNTIME_API").is_none() {
            self.mistakes.push("AWS_LAMBDA_RUNTIME_API is not set: start this program by `cargo dev`".into());
        }
    }

    fn mistake<T>(&mut self, mistake: impl Into<String>) -> Option<T> {
        self.mistakes.push(mistake.into());
        None
    }
}

impl Config {
    /// Reads what every task endpoint needs; `None` where there was a mistake.
    pub fn read(environment: &mut Environment) -> Option<Self> {
        let database = DatabaseConfig::read(environment);
        let tokens = TokenConfig::read(environment);
        Some(Self { database: database?, tokens: tokens? })
    }
}

impl TokenConfig {
    fn read(environment: &mut Environment) -> Option<Self> {
        let secrets = Self::read_secrets(environment);
        let algorithm = match environment.get("JWT_ALGORITHM").as_deref() {
            None | Some("HS256") => Some(Algorithm::HS256),
            Some("HS384") => Some(Algorithm::HS384),
            Some("HS512") => Some(Algorithm::HS512),
            Some(_) => environment.mistake("JWT_ALGORITHM must be HS256, HS384 or HS512"),
        };
        let jwks_url = match environment.get("JWT_JWKS_URL").map(|url| url.parse()) {
            None => Some(None),
            Some(Ok(url)) => Some(Some(url)),
            Some(Err(mistake)) => environment.mistake(format!("JWT_JWKS_URL {mistake}")),
        };
        Some(Self {
            secrets: secrets?,
            jwks_url: jwks_url?,
            algorithm: algorithm?,
            issuer: environment.get("JWT_ISSUER"),
            audience: environment.get("JWT_AUDIENCE"),
        })
    }

    fn read_secrets(environment: &mut Environment) -> Option<Vec<String>> {
        let Some((name, list)) = environment.first(&["JWT_SECRET", "BETTER_AUTH_SECRET"]) else {
            return match environment.get("JWT_JWKS_URL") {
                Some(_) => Some(Vec::new()),
                None => {
                    environment.mistake("JWT_SECRET is not set (nor are BETTER_AUTH_SECRET or JWT_JWKS_URL)")
                }
            };
        };
        let secrets: Vec<String> = list.split(',').map(|secret| secret.trim().to_owned()).collect();
        match secrets.iter().find(|secret| secret.len() < MIN_SECRET_LEN) {
            None => Some(secrets),
            Some(short) if secrets.len() == 1 => environment
                .mistake(format!("{name} has {} bytes, it needs at least {MIN_SECRET_LEN}", short.len())),
            Some(short) => environment.mistake(format!(
                "{name} is a list in which a secret has {} bytes, each needs at least {MIN_SECRET_LEN}",
                short.len()
            )),
        }
    }
}

impl DatabaseConfig {
    /// Reads `DATABASE_URL` (or `NEON_DATABASE_URL`), `DATABASE_POOL_SIZE`, `DATABASE_PREPARED_STATEMENTS` and
    /// `DATABASE_CA_CERT`.
    pub fn read(environment: &mut Environment) -> Option<Self> {
        Self::read_url(environment, DATABASE_URL)
    }

    /// The same for migrations, which go past a connection pooler where `DATABASE_URL_UNPOOLED` says how.
    pub fn read_unpooled(environment: &mut Environment) -> Option<Self> {
        Self::read_url(environment, &["DATABASE_URL_UNPOOLED", "DATABASE_URL", "NEON_DATABASE_URL"])
    }

    fn read_url(environment: &mut Environment, names: &[&'static str]) -> Option<Self> {
        let pool_size = match environment.get("DATABASE_POOL_SIZE").map(|size| size.parse()) {
            None => Some(1),
            Some(Ok(size @ 1..=100)) => Some(size),
            Some(_) => environment.mistake("DATABASE_POOL_SIZE must be a whole number from 1 to 100"),
        };
        let prepared_statements = environment.flag("DATABASE_PREPARED_STATEMENTS");
        let ca_certificates = environment.get("DATABASE_CA_CERT");
        let Some((name, url)) = environment.first(names) else {
            return environment.mistake("DATABASE_URL is not set (nor is NEON_DATABASE_URL)");
        };
        match Self::new(&url, ca_certificates.as_deref()) {
            Ok(mut config) => {
                config.pool_size = pool_size?;
                config.prepared_statements = prepared_statements?;
                Some(config)
            }
            Err(mistake) => environment.mistake(mistake.describe(name)),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: LevelFilter::INFO, environment: None }
    }
}

impl LogConfig {
    /// Reads `LOG_LEVEL`, `DEBUG` and `ENVIRONMENT`.
    pub fn read(environment: &mut Environment) -> Option<Self> {
        let debug = environment.flag("DEBUG");
        let level = match environment.get("LOG_LEVEL").map(|level| level.to_ascii_lowercase()).as_deref() {
            None | Some("info") => Some(LevelFilter::INFO),
            Some("error") => Some(LevelFilter::ERROR),
            Some("warn" | "warning") => Some(LevelFilter::WARN),
            Some("debug") => Some(LevelFilter::DEBUG),
            Some("trace") => Some(LevelFilter::TRACE),
            Some(_) => environment.mistake("LOG_LEVEL must be error, warn, info, debug or trace"),
        };
        Some(Self {
            level: if debug? { LevelFilter::DEBUG } else { level? },
            environment: environment.get("ENVIRONMENT"),
        })
    }
}

impl fmt::Debug for TokenConfig {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenConfig").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: (&str, &str) = ("DATABASE_URL", "postgres://u:secret-password@localhost/db");
    const SECRET: (&str, &str) = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");

    fn read<T>(
        variables: &[(&str, &str)],
        read: impl FnOnce(&mut Environment) -> Option<T>,
    ) -> Result<T, String> {
        let lookup =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Environment::read_from(&lookup, read).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn all_mistakes_are_told_at_once_by_name_and_never_by_value() {
        let mistakes = read(
            &[
                ("JWT_SECRET", "tell-nobody"),
                ("JWT_ALGORITHM", "RS256"),
                ("DATABASE_POOL_SIZE", "0"),
                ("DATABASE_PREPARED_STATEMENTS", "perhaps"),
            ],
            Config::read,
        )
        .expect_err("five mistakes");
        assert_eq!(
            mistakes,
            "DATABASE_POOL_SIZE must be a whole number from 1 to 100; \
             DATABASE_PREPARED_STATEMENTS must be true or false; \
             DATABASE_URL is not set (nor is NEON_DATABASE_URL); \
             JWT_SECRET has 11 bytes, it needs at least 32; \
             JWT_ALGORITHM must be HS256, HS384 or HS512"
        );
    }

    #[test]
    fn a_broken_url_is_told_without_the_password() {
        let mistake = read(&[("DATABASE_URL", "mysql://u:secret-password@h/db"), SECRET], Config::read)
            .expect_err("not PostgreSQL");
        assert!(mistake.starts_with("DATABASE_URL "), "{mistake}");
        assert!(!mistake.contains("secret-password"), "{mistake}");
    }

    #[test]
    fn better_auth_secret_serves_where_jwt_secret_is_not_set() {
        let other = ("BETTER_AUTH_SECRET", "fedcba9876543210fedcba9876543210");
        let config = read(&[URL, ("JWT_SECRET", " "), other], Config::read).expect("complete");
        assert_eq!(config.tokens.secrets, [other.1]);
        let config = read(&[URL, SECRET, other], Config::read).expect("complete");
        assert_eq!(config.tokens.secrets, [SECRET.1]);
    }

    #[test]
    fn a_list_of_secrets_is_a_rotation_and_none_may_be_short() {
        let list = format!("{}, {}", "a".repeat(32), "b".repeat(40));
        let config = read(&[URL, ("JWT_SECRET", &list)], Config::read).expect("complete");
        assert_eq!(config.tokens.secrets, ["a".repeat(32), "b".repeat(40)]);

        let list = format!("{},short", "a".repeat(32));
        let mistake = read(&[URL, ("JWT_SECRET", &list)], Config::read).expect_err("short");
        assert_eq!(mistake, "JWT_SECRET is a list in which a secret has 5 bytes, each needs at least 32");
    }

    #[test]
    fn neon_database_url_serves_and_the_unpooled_one_is_for_migrations() {
        let config = read(
            &[
                ("NEON_DATABASE_URL", "postgres://u@pooled/db"),
                ("DATABASE_URL_UNPOOLED", "postgres://u@direct/db"),
            ],
            |environment| {
                Some((DatabaseConfig::read(environment)?, DatabaseConfig::read_unpooled(environment)?))
            },
        )
        .expect("complete");
        assert!(format!("{:?}", config.0).contains("pooled"));
        assert!(format!("{:?}", config.1).contains("direct"));
    }

    #[test]
    fn debug_means_the_level_debug() {
        for (variables, level) in [
            (&[][..], LevelFilter::INFO),
            (&[("LOG_LEVEL", "WARN")], LevelFilter::WARN),
            (&[("LOG_LEVEL", "warn"), ("DEBUG", "True")], LevelFilter::DEBUG),
            (&[("LOG_LEVEL", "error"), ("DEBUG", "false")], LevelFilter::ERROR),
            (&[("LOG_LEVEL", "trace")], LevelFilter::TRACE),
            (&[("LOG_LEVEL", "debug")], LevelFilter::DEBUG),
        ] {
            assert_eq!(read(variables, LogConfig::read).expect("valid").level, level);
        }
        let mistakes = read(&[("LOG_LEVEL", "loud"), ("DEBUG", "maybe")], LogConfig::read).expect_err("two");
        assert_eq!(
            mistakes,
            "DEBUG must be true or false; LOG_LEVEL must be error, warn, info, debug or trace"
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let config = read(&[URL, SECRET], Config::read).expect("complete");
        let printed = format!("{config:?}");
        assert!(!printed.contains(SECRET.1) && !printed.contains("secret-password"), "{printed}");
    }
}
