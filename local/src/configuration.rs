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
use jsonwebtoken::Algorithm;
use uuid::Uuid;

use crate::token::{self, Claims, TokenRequest};

/// Variables that are passed to the functions, besides those that start with `AWS_`.
const FUNCTION_VARIABLES: [&str; 20] = [
    "BETTER_AUTH_SECRET",
    "BETTER_AUTH_URL",
    "CORS_ALLOWED_ORIGINS",
    "DATABASE_CA_CERT",
    "DATABASE_POOL_SIZE",
    "DATABASE_URL",
    "DATABASE_URL_UNPOOLED",
    "DEBUG",
    "ENVIRONMENT",
    "JWT_ALGORITHM",
    "JWT_AUDIENCE",
    "JWT_ISSUER",
    "JWT_JWKS",
    "JWT_JWKS_URL",
    "JWT_SECRET",
    "LOG_LEVEL",
    "SECRET_ID",
    "SECRET_REFRESH_SECONDS",
    "TASKS_PER_USER",
    "WRITES_PER_MINUTE",
];

const DEFAULT_ORIGIN: &str = "http://localhost:3000";
const DEFAULT_TOKEN_HOURS: u32 = 168;

/// The variables that are set. An empty variable counts as not set.
#[derive(Clone, Debug)]
pub struct Configuration {
    variables: BTreeMap<String, String>,
    state: PathBuf,
}

impl Configuration {
    /// Reads this process's environment and the workspace's `.env`, if it exists. The environment takes
    /// precedence.
    ///
    /// # Errors
    /// If `.env` can't be read or has an entry that is not `NAME=value`.
    pub fn load(workspace: &Path) -> Result<Self> {
        let file = match fs::read(workspace.join(".env")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.context("can't read .env")?,
        };
        // Skips variables that are not UTF-8: this project uses none.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::new(environment, &file, state_directory(workspace))
    }

    fn new(
        environment: impl IntoIterator<Item = (String, String)>,
        file: &[u8],
        state: PathBuf,
    ) -> Result<Self> {
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
        Ok(Self { variables, state })
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

    /// Returns the secret that signs tokens: the first one in the configured list, else a random one that is
    /// stored in the state directory.
    ///
    /// # Errors
    /// If the list has no secret, or the stored secret can't be read or created.
    pub fn secret(&self) -> Result<String> {
        let list = match self.get("JWT_SECRET").or_else(|| self.get("BETTER_AUTH_SECRET")) {
            Some(list) => list.to_owned(),
            None => stored_secret(&self.state)?,
        };
        let first = list.split(',').map(str::trim).find(|secret| !secret.is_empty());
        Ok(first.context("the list in JWT_SECRET (or BETTER_AUTH_SECRET) has no secret")?.to_owned())
    }

    /// Returns the algorithm that signs tokens: `JWT_ALGORITHM`, else HS256.
    ///
    /// # Errors
    /// If `JWT_ALGORITHM` is not the name of an algorithm.
    pub fn algorithm(&self) -> Result<Algorithm> {
        let name = self.get("JWT_ALGORITHM").unwrap_or("HS256").trim();
        name.parse().ok().with_context(|| format!("JWT_ALGORITHM must be HS256, HS384 or HS512, not {name}"))
    }

    /// Signs a token and returns it with its claims. An issuer or audience that the request doesn't set comes
    /// from this configuration.
    ///
    /// # Errors
    /// If the secret or the algorithm is unusable.
    pub fn mint(&self, request: TokenRequest) -> Result<(String, Claims)> {
        let claims = Claims::from(&TokenRequest {
            issuer: request.issuer.or_else(|| self.get("JWT_ISSUER").map(str::to_owned)),
            audience: request.audience.or_else(|| self.get("JWT_AUDIENCE").map(str::to_owned)),
            ..request
        });
        Ok((token::sign(&self.secret()?, self.algorithm()?, &claims)?, claims))
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

    /// Returns the functions' environment variables, with `database_url` as `DATABASE_URL`.
    ///
    /// # Errors
    /// The same as for [`Configuration::secret`].
    pub fn function_environment(&self, database_url: &str) -> Result<BTreeMap<String, String>> {
        let mut environment = self.variables.clone();
        environment.retain(|name, _| {
            let aws = name.starts_with("AWS_") && !name.starts_with("AWS_LAMBDA_");
            aws || FUNCTION_VARIABLES.contains(&name.as_str())
        });
        environment.insert("DATABASE_URL".into(), database_url.into());
        environment.insert("CORS_ALLOWED_ORIGINS".into(), self.cors_allowed_origins());
        environment.entry("ENVIRONMENT".into()).or_insert_with(|| "local".into());
        // No write limit by default, because scripts and benchmarks write faster than people do.
        environment.entry("WRITES_PER_MINUTE".into()).or_insert_with(|| "0".into());
        if !["JWT_SECRET", "BETTER_AUTH_SECRET"].iter().any(|&name| environment.contains_key(name)) {
            environment.insert("JWT_SECRET".into(), self.secret()?);
        }
        Ok(environment)
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

    fn configuration(environment: &[(&str, &str)], file: &str) -> Result<Configuration> {
        let environment = environment.iter().map(|&(name, value)| (name.into(), value.into()));
        Configuration::new(environment, file.as_bytes(), "/nonexistent".into())
    }

    #[test]
    fn the_environment_takes_precedence_over_the_file() {
        let configuration = configuration(
            &[("LOG_LEVEL", "debug")],
            "LOG_LEVEL=warn\n# a comment\nexport JWT_ISSUER=\"https://a.example\"\n",
        );
        let configuration = configuration.expect("the file is valid");
        assert_eq!(configuration.get("LOG_LEVEL"), Some("debug"));
        assert_eq!(configuration.get("JWT_ISSUER"), Some("https://a.example"));
    }

    #[test]
    fn empty_variables_count_as_not_set() {
        let file = "DATABASE_URL=\nNEON_DATABASE_URL=postgres://neon\nJWT_ALGORITHM=\nBETTER_AUTH_SECRET=x\nJWT_SECRET=";
        let configuration = configuration(&[], file).expect("the file is valid");
        assert_eq!(configuration.database_url(), Some("postgres://neon"));
        assert_eq!(configuration.algorithm().expect("there is a default"), Algorithm::HS256);
        assert_eq!(configuration.secret().expect("a secret is set"), "x");
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
    fn the_first_secret_of_a_list_signs() {
        let configuration =
            configuration(&[("JWT_SECRET", " new , old")], "").expect("the configuration is valid");
        assert_eq!(configuration.secret().expect("a secret is set"), "new");
    }

    #[test]
    fn origins_fall_back_to_better_auth_url_then_to_localhost() {
        let origins = |environment: &[(&str, &str)]| {
            configuration(environment, "").expect("the configuration is valid").cors_allowed_origins()
        };
        assert_eq!(origins(&[]), "http://localhost:3000");
        assert_eq!(
            origins(&[("BETTER_AUTH_URL", "https://a.example:8443/auth?x")]),
            "https://a.example:8443"
        );
        assert_eq!(origins(&[("CORS_ALLOWED_ORIGINS", "https://a, https://b")]), "https://a,https://b");
        assert_eq!(origins(&[("BETTER_AUTH_URL", "https://a"), ("CORS_ALLOWED_ORIGINS", "*")]), "*");
    }

    #[test]
    fn functions_get_only_their_own_variables() {
        let configuration = configuration(
            &[
                ("HOME", "/root"),
                ("JWT_SECRET", "a,b"),
                ("JWT_EXPIRATION_HOURS", "1"),
                ("AWS_SESSION_TOKEN", "t"),
                ("AWS_LAMBDA_FUNCTION_NAME", "other"),
                ("NEON_DATABASE_URL", "postgres://neon"),
            ],
            "",
        );
        let environment = configuration.and_then(|it| it.function_environment("postgres://here"));
        let expected = [
            ("AWS_SESSION_TOKEN", "t"),
            ("CORS_ALLOWED_ORIGINS", "http://localhost:3000"),
            ("DATABASE_URL", "postgres://here"),
            ("ENVIRONMENT", "local"),
            ("JWT_SECRET", "a,b"),
            ("WRITES_PER_MINUTE", "0"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(environment.expect("the configuration is valid"), expected.into());
    }
}
