//! Configuration of `cargo dev`: environment variables, then `.env`, then defaults that work in a fresh
//! clone.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use shared::{
    DatabaseConfig, Limits, auth::TokenConfig, error::Recorded, logs::LogConfig, variables::Variables,
};
use uuid::Uuid;

use crate::token::{self, Claims, TokenRequest};

const DEFAULT_ORIGIN: &str = "http://localhost:3000";
const DEFAULT_TOKEN_HOURS: u32 = 168;

/// The variables that are set, and the defaults of `cargo dev`. An empty variable counts as not set.
#[derive(Clone, Debug)]
pub struct Configuration {
    variables: BTreeMap<String, String>,
}

impl Configuration {
    /// Reads this process's environment and the workspace's `.env`, if it exists. The environment takes
    /// precedence.
    ///
    /// Tokens are signed with a random secret if none is set. It is stored in the state directory.
    ///
    /// # Errors
    /// If `.env` can't be read or has an entry that is not `NAME=value`, or if the random secret can't be
    /// read or created.
    pub fn load(workspace: &Path) -> Result<Self> {
        let file = match fs::read(workspace.join(".env")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.context("can't read .env")?,
        };
        // Skips variables that are not UTF-8: this project uses none.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::new(environment, &file, &state_directory(workspace))
    }

    fn new(
        environment: impl IntoIterator<Item = (String, String)>,
        file: &[u8],
        state: &Path,
    ) -> Result<Self> {
        // Editors on Windows begin a file with a byte order mark.
        let file = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file);
        let mut variables = BTreeMap::new();
        let mut last = None;
        for entry in dotenvy::from_read_iter(file) {
            // dotenvy's own message shows the entry, which may be a secret.
            let Ok((name, value)) = entry else {
                let place = last.map_or("the first entry".into(), |name| format!("the entry after {name}"));
                bail!(".env: {place} is not NAME=value (quote a value that contains spaces or #)");
            };
            last = Some(name.clone());
            variables.insert(name, value);
        }
        variables.extend(environment);
        variables.retain(|_, value| !value.trim().is_empty());

        variables.entry("ENVIRONMENT".into()).or_insert_with(|| "local".into());
        // No write limit by default, because scripts and benchmarks write faster than people do.
        variables.entry("WRITES_PER_MINUTE".into()).or_insert_with(|| "0".into());
        if !["JWT_SECRET", "BETTER_AUTH_SECRET"].iter().any(|&name| variables.contains_key(name)) {
            variables.insert("JWT_SECRET".into(), stored_secret(state)?);
        }
        Ok(Self { variables })
    }

    /// Returns the value of a variable, if it is set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Returns the URL of the configured database, or `None` if `cargo dev` must start one.
    pub fn database_url(&self) -> Option<&str> {
        self.get("DATABASE_URL").or_else(|| self.get("NEON_DATABASE_URL"))
    }

    /// Returns the origins that browsers may call from, separated by commas: `CORS_ALLOWED_ORIGINS`, else the
    /// origin of `BETTER_AUTH_URL`, else the usual address of a front end in development.
    pub fn cors_allowed_origins(&self) -> String {
        let origins = self.get("CORS_ALLOWED_ORIGINS").map(str::to_owned);
        let origins = origins.or_else(|| self.get("BETTER_AUTH_URL").map(origin));
        let origins = origins.unwrap_or_else(|| DEFAULT_ORIGIN.into());
        origins.split(',').map(str::trim).collect::<Vec<_>>().join(",")
    }

    /// Reads a configuration as the functions do when they start.
    ///
    /// # Errors
    /// All errors that a function would log, in its words.
    pub fn read<T>(&self, read: impl FnOnce(&mut Variables) -> Result<T, Recorded>) -> Result<T> {
        let (config, _) = Variables::read(|name| self.get(name).map(str::to_owned), read)?;
        Ok(config)
    }

    /// Checks every setting that an endpoint reads when it starts.
    ///
    /// # Errors
    /// As [`Configuration::read`].
    pub fn check(&self) -> Result<()> {
        let mut checked = self.clone();
        if self.database_url().is_none() {
            // Stands for the server that `cargo dev` starts, so that the database's other settings are read.
            checked.variables.insert("DATABASE_URL".into(), "postgres://localhost".into());
        }
        checked.read(|variables| {
            let log = LogConfig::read(variables).map(drop);
            let database = DatabaseConfig::read(variables).map(drop);
            let limits = Limits::read(variables).map(drop);
            let tokens = TokenConfig::read(variables).map(drop);
            log.and(database).and(limits).and(tokens)
        })
    }

    /// Signs a token and returns it with its claims. The secret is the first in the list. An issuer or
    /// audience that the request doesn't set comes from this configuration.
    ///
    /// # Errors
    /// If a variable for tokens is invalid.
    pub fn mint(&self, request: TokenRequest) -> Result<(String, Claims)> {
        let config = self.read(TokenConfig::read)?;
        let secret = config.secrets.first().context("JWT_SECRET is not set")?;
        let claims = Claims::from(&TokenRequest {
            issuer: request.issuer.or(config.issuer),
            audience: request.audience.or(config.audience),
            ..request
        });
        Ok((token::sign(secret, config.algorithm, &claims)?, claims))
    }

    /// Returns the lifetime of a token in hours: `JWT_EXPIRATION_HOURS`, else a week.
    ///
    /// # Errors
    /// If `JWT_EXPIRATION_HOURS` is not a whole number.
    pub fn token_hours(&self) -> Result<u32> {
        let hours = self.get("JWT_EXPIRATION_HOURS").map(|hours| hours.trim().parse());
        hours
            .unwrap_or(Ok(DEFAULT_TOKEN_HOURS))
            .ok()
            .context("JWT_EXPIRATION_HOURS must be a whole number of hours")
    }

    /// Returns the functions' environment: all variables, with `database_url` as `DATABASE_URL`.
    pub fn function_environment(&self, database_url: &str) -> BTreeMap<String, String> {
        let mut environment = self.variables.clone();
        environment.insert("DATABASE_URL".into(), database_url.into());
        environment
    }
}

/// Returns the directory for the state that `cargo dev` keeps between runs: its database and its secret.
pub fn state_directory(workspace: &Path) -> PathBuf {
    workspace.join("target/dev")
}

/// Returns the scheme, host and port of a URL.
fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    format!("{scheme}://{host}")
}

/// Returns the secret stored in `state`, and creates it the first time.
fn stored_secret(state: &Path) -> Result<String> {
    let path = state.join("jwt-secret");
    let read_or_create = || {
        fs::create_dir_all(state)?;
        match File::options().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => {
                let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
                file.write_all(secret.as_bytes())?;
                Ok(secret)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read_to_string(&path),
            Err(error) => Err(error),
        }
    };
    read_or_create().with_context(|| format!("can't read or create the secret {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: (&str, &str) = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");

    fn configuration(environment: &[(&str, &str)], file: &str) -> Result<Configuration> {
        let environment = environment.iter().map(|&(name, value)| (name.into(), value.into()));
        Configuration::new(environment, file.as_bytes(), Path::new("/nonexistent"))
    }

    #[test]
    fn the_environment_takes_precedence_over_the_file() {
        let configuration = configuration(
            &[("LOG_LEVEL", "debug"), SECRET],
            "LOG_LEVEL=warn\n# a comment\nexport JWT_ISSUER=\"https://a.example\"\n",
        );
        let configuration = configuration.expect("the file is valid");
        assert_eq!(configuration.get("LOG_LEVEL"), Some("debug"));
        assert_eq!(configuration.get("JWT_ISSUER"), Some("https://a.example"));
    }

    #[test]
    fn empty_variables_count_as_not_set() {
        let file = "DATABASE_URL=\nNEON_DATABASE_URL=postgres://neon\nBETTER_AUTH_SECRET=x\nJWT_SECRET=";
        let configuration = configuration(&[], file).expect("the file is valid");
        assert_eq!(configuration.database_url(), Some("postgres://neon"));
        assert_eq!(configuration.get("JWT_SECRET"), None);
        assert_eq!(configuration.token_hours().expect("there is a default"), 168);
    }

    #[test]
    fn errors_in_the_file_name_the_place_but_not_the_value() {
        let error = configuration(&[], "LOG_LEVEL=info\nJWT_SECRET=top secret\n")
            .expect_err("a value with a space needs quotes");
        let message = format!("{error:#}");
        assert!(message.contains("after LOG_LEVEL") && !message.contains("top"), "{message}");
    }

    #[test]
    fn origins_fall_back_to_better_auth_url_then_to_localhost() {
        let origins = |name: &str, value: &str| {
            let configuration = configuration(&[("BETTER_AUTH_URL", "https://a"), (name, value), SECRET], "");
            configuration.expect("the configuration is valid").cors_allowed_origins()
        };
        assert_eq!(origins("BETTER_AUTH_URL", ""), "http://localhost:3000");
        assert_eq!(origins("BETTER_AUTH_URL", "https://a.example:8443/auth?x"), "https://a.example:8443");
        assert_eq!(origins("CORS_ALLOWED_ORIGINS", "https://a, https://b"), "https://a,https://b");
    }
}
