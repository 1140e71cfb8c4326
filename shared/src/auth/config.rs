//! Reads from the configuration which tokens are accepted.

use std::fmt;

use jsonwebtoken::{Algorithm, AlgorithmFamily};

use super::{algorithms, jwk::KeySet, jwks::KeySetUrl};
use crate::{error::Recorded, variables::Variables};

/// The values of `ENVIRONMENT` that turn some warnings into errors. This project itself uses the first.
const PRODUCTION: [&str; 2] = ["prod", "production"];

/// The secret that Better Auth uses if none is set. Its source code is public.
const BETTER_AUTH_DEFAULT: &str = "better-auth-secret-12345678901234567890";

/// The configuration of token checks.
pub struct TokenConfig {
    /// The secrets in `JWT_SECRET` or `BETTER_AUTH_SECRET`, each at least as long as the hash of `algorithm`.
    /// Tokens signed with any of them are accepted, so that secrets can be rotated. The first is the current
    /// one.
    pub secrets: Vec<String>,
    /// `JWT_JWKS`: the issuer's public keys; empty if not set.
    pub keys: KeySet,
    /// `JWT_JWKS_URL`: where the issuer publishes its public keys. If there are `keys`, it is asked only for
    /// others.
    pub jwks_url: Option<KeySetUrl>,
    /// `JWT_ALGORITHM`: HS256, HS384 or HS512.
    pub algorithm: Algorithm,
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
        let algorithm = match variables.get("JWT_ALGORITHM").map(|name| algorithms::algorithm(&name)) {
            None => Ok(Algorithm::HS256),
            Some(Some(algorithm)) if algorithm.family() == AlgorithmFamily::Hmac => Ok(algorithm),
            Some(_) => variables.error("JWT_ALGORITHM must be HS256, HS384 or HS512"),
        };
        // If the algorithm is invalid, the secrets are checked against the one with the shortest minimum.
        let secrets = read_secrets(variables, algorithm.unwrap_or(Algorithm::HS256));
        let keys = read_keys(variables);
        let jwks_url = match variables.get("JWT_JWKS_URL").map(|url| url.parse()) {
            None => Ok(None),
            Some(Ok(url)) => Ok(Some(url)),
            Some(Err(reason)) => variables.error(format!("JWT_JWKS_URL {reason}")),
        };
        let (issuer, audience) = (variables.get("JWT_ISSUER"), variables.get("JWT_AUDIENCE"));
        if matches!(jwks_url, Ok(Some(_))) || keys.as_ref().is_ok_and(|keys| !keys.is_empty()) {
            check_recipient(variables, issuer.is_some(), audience.is_some())?;
        }
        Ok(Self {
            secrets: secrets?,
            keys: keys?,
            jwks_url: jwks_url?,
            algorithm: algorithm?,
            issuer,
            audience,
        })
    }
}

fn read_keys(variables: &mut Variables) -> Result<KeySet, Recorded> {
    let Some(json) = variables.get("JWT_JWKS") else { return Ok(KeySet::default()) };
    let skip = |_: &str, reason| variables.warn(format!("JWT_JWKS has a key that is skipped: {reason}"));
    match KeySet::parse(json.as_bytes(), skip) {
        None => variables.error("JWT_JWKS is not a JSON Web Key Set"),
        Some(keys) if keys.is_empty() => variables.error("JWT_JWKS has no usable public key"),
        Some(keys) => Ok(keys),
    }
}

fn read_secrets(variables: &mut Variables, algorithm: Algorithm) -> Result<Vec<String>, Recorded> {
    let Some((name, list)) = variables.first(&["JWT_SECRET", "BETTER_AUTH_SECRET"]) else {
        return match variables.first(&["JWT_JWKS", "JWT_JWKS_URL"]) {
            Some(_) => Ok(Vec::new()),
            None => variables
                .error("JWT_SECRET is not set (nor are BETTER_AUTH_SECRET, JWT_JWKS or JWT_JWKS_URL)"),
        };
    };
    let secrets: Vec<String> = list.split(',').map(|secret| secret.trim().to_owned()).collect();
    if secrets.iter().any(|secret| secret == BETTER_AUTH_DEFAULT) {
        return variables.error(format!("{name} is Better Auth's public default: create a secret"));
    }
    // The length of the hash (RFC 7518 §3.2).
    let min = match algorithm {
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        _ => 32,
    };
    let short = secrets.iter().map(String::len).find(|len| *len < min);
    let is_list = format!("{name} is a list of {} secrets, because it contains a comma", secrets.len());
    match (secrets.len(), short) {
        (1, None) => Ok(secrets),
        (1, Some(len)) => {
            variables.error(format!("{name} has {len} bytes, {algorithm:?} needs at least {min}"))
        }
        (_, None) => {
            variables.warn(format!("{is_list}: tokens signed with any of them are accepted"));
            Ok(secrets)
        }
        (_, Some(len)) => {
            variables.error(format!("{is_list}, and one has {len} bytes: {algorithm:?} needs at least {min}"))
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
        "{missing} not set, so a token that the same issuer signed for another service is accepted: set \
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
