//! Reads from the configuration which tokens are accepted.

use std::fmt;

use super::{jwks::KeySetUrl, signature::HmacAlgorithm};
use crate::{error::Recorded, variables::Variables};

/// The values of `ENVIRONMENT` that turn some warnings into errors. This project itself uses the first.
const PRODUCTION: [&str; 2] = ["prod", "production"];

/// The configuration of token checks.
pub struct TokenConfig {
    /// The secrets in `JWT_SECRET` or `BETTER_AUTH_SECRET`, each at least as long as the hash of `algorithm`.
    /// Tokens signed with any of them are accepted, so that secrets can be rotated. The first is the current
    /// one.
    pub secrets: Vec<String>,
    /// `JWT_JWKS_URL`: where the issuer publishes its public keys.
    pub jwks_url: Option<KeySetUrl>,
    /// `JWT_ALGORITHM`: HS256, HS384 or HS512.
    pub algorithm: HmacAlgorithm,
    /// `JWT_ISSUER`: if set, a token must have the same `iss`.
    pub issuer: Option<String>,
    /// `JWT_AUDIENCE`: if set, a token must have an `aud` that contains it.
    pub audience: Option<String>,
}

impl TokenConfig {
    /// Reads the variables named above, and `ENVIRONMENT`.
    ///
    /// # Errors
    /// If a variable is invalid, if neither a secret nor a key set is configured, or if a key set is
    /// configured in production without an issuer and an audience.
    pub fn read(variables: &mut Variables) -> Result<Self, Recorded> {
        let algorithm = match variables.get("JWT_ALGORITHM").map(|name| name.parse()) {
            None => Ok(HmacAlgorithm::Hs256),
            Some(Ok(algorithm)) => Ok(algorithm),
            Some(Err(())) => variables.error("JWT_ALGORITHM must be HS256, HS384 or HS512"),
        };
        // If the algorithm is invalid, the secrets are checked against the one with the shortest minimum.
        let secrets = read_secrets(variables, algorithm.unwrap_or(HmacAlgorithm::Hs256));
        let jwks_url = match variables.get("JWT_JWKS_URL").map(|url| url.parse()) {
            None => Ok(None),
            Some(Ok(url)) => Ok(Some(url)),
            Some(Err(reason)) => variables.error(format!("JWT_JWKS_URL {reason}")),
        };
        let (issuer, audience) = (variables.get("JWT_ISSUER"), variables.get("JWT_AUDIENCE"));
        if let Ok(Some(_)) = jwks_url {
            check_recipient(variables, issuer.is_some(), audience.is_some())?;
        }
        Ok(Self { secrets: secrets?, jwks_url: jwks_url?, algorithm: algorithm?, issuer, audience })
    }
}

fn read_secrets(variables: &mut Variables, algorithm: HmacAlgorithm) -> Result<Vec<String>, Recorded> {
    let Some((name, list)) = variables.first(&["JWT_SECRET", "BETTER_AUTH_SECRET"]) else {
        return match variables.get("JWT_JWKS_URL") {
            Some(_) => Ok(Vec::new()),
            None => variables.error("JWT_SECRET is not set (nor are BETTER_AUTH_SECRET or JWT_JWKS_URL)"),
        };
    };
    let secrets: Vec<String> = list.split(',').map(|secret| secret.trim().to_owned()).collect();
    let min = algorithm.min_secret_len();
    let short = secrets.iter().map(String::len).find(|len| *len < min);
    let is_list = format!("{name} is a list of {} secrets, because it contains a comma", secrets.len());
    match (secrets.len(), short) {
        (1, None) => Ok(secrets),
        (1, Some(len)) => {
            variables.error(format!("{name} has {len} bytes, {algorithm} needs at least {min}"))
        }
        (_, None) => {
            variables.warn(format!("{is_list}: tokens signed with any of them are accepted"));
            Ok(secrets)
        }
        (_, Some(len)) => {
            variables.error(format!("{is_list}, and one has {len} bytes: {algorithm} needs at least {min}"))
        }
    }
}

/// Checks that an issuer and an audience are configured for tokens of published keys, because one issuer's
/// keys may sign tokens for several services (RFC 8725 §3.8, §3.9). A missing one is a warning, and in
/// production an error.
fn check_recipient(variables: &mut Variables, issuer: bool, audience: bool) -> Result<(), Recorded> {
    let missing = match (issuer, audience) {
        (true, true) => return Ok(()),
        (false, true) => "JWT_ISSUER is",
        (true, false) => "JWT_AUDIENCE is",
        (false, false) => "JWT_ISSUER and JWT_AUDIENCE are",
    };
    let message = format!(
        "{missing} not set, so a token that the issuer of JWT_JWKS_URL signed for another service is accepted: set \
         JWT_ISSUER to the `iss` and JWT_AUDIENCE to the `aud` of its tokens (for Better Auth, both are its base URL)"
    );
    let environment = variables.get("ENVIRONMENT").map(|name| name.to_ascii_lowercase());
    if environment.is_some_and(|name| PRODUCTION.contains(&name.as_str())) {
        return variables.error(message);
    }
    variables.warn(message);
    Ok(())
}

impl fmt::Debug for TokenConfig {
    /// Prints no secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenConfig").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::read_for_test;

    const SECRET: (&str, &str) = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");

    #[test]
    fn better_auth_secret_is_used_if_jwt_secret_is_not_set() {
        let other = ("BETTER_AUTH_SECRET", "fedcba9876543210fedcba9876543210");
        let config = read_for_test(&[("JWT_SECRET", " "), other], TokenConfig::read).expect("complete");
        assert_eq!(config.secrets, [other.1]);
        let config = read_for_test(&[SECRET, other], TokenConfig::read).expect("complete");
        assert_eq!(config.secrets, [SECRET.1]);
    }

    #[test]
    fn a_comma_separates_secrets_and_each_must_be_long_enough() {
        let list = format!("{}, {}", "a".repeat(32), "b".repeat(40));
        let config = read_for_test(&[("JWT_SECRET", &list)], TokenConfig::read).expect("complete");
        assert_eq!(config.secrets, ["a".repeat(32), "b".repeat(40)]);

        let list = format!("{},short", "a".repeat(32));
        let mistake = read_for_test(&[("JWT_SECRET", &list)], TokenConfig::read).expect_err("short");
        assert_eq!(
            mistake,
            "JWT_SECRET is a list of 2 secrets, because it contains a comma, and one has 5 bytes: HS256 needs at \
             least 32"
        );
    }
}
