//! Which tokens are accepted, read from the configuration.

use std::fmt;

use jsonwebtoken::Algorithm;

use super::jwks::KeySetUrl;
use crate::{error::Recorded, variables::Variables};

/// The shortest secret, in bytes: HS256 needs a key at least as long as its hash (RFC 7518 §3.2).
const MIN_SECRET_LEN: usize = 32;

/// Which tokens are accepted.
pub struct TokenConfig {
    /// `JWT_SECRET` or `BETTER_AUTH_SECRET`, each at least 32 bytes. A token may be signed with any of them, so that
    /// secrets can be rotated; the first is the current one.
    pub secrets: Vec<String>,
    /// `JWT_JWKS_URL`: where public keys are published.
    pub jwks_url: Option<KeySetUrl>,
    /// `JWT_ALGORITHM`: HS256, HS384 or HS512.
    pub algorithm: Algorithm,
    /// `JWT_ISSUER`: if set, a token's `iss` must be present and equal it.
    pub issuer: Option<String>,
    /// `JWT_AUDIENCE`: if set, a token's `aud` must be present and contain it.
    pub audience: Option<String>,
}

impl TokenConfig {
    /// Reads the variables named above.
    ///
    /// # Errors
    /// A variable is invalid, or neither a secret nor a key set is configured.
    pub fn read(variables: &mut Variables) -> Result<Self, Recorded> {
        let secrets = read_secrets(variables);
        let algorithm = match variables.get("JWT_ALGORITHM").as_deref() {
            None | Some("HS256") => Ok(Algorithm::HS256),
            Some("HS384") => Ok(Algorithm::HS384),
            Some("HS512") => Ok(Algorithm::HS512),
            Some(_) => variables.error("JWT_ALGORITHM must be HS256, HS384 or HS512"),
        };
        let jwks_url = match variables.get("JWT_JWKS_URL").map(|url| url.parse()) {
            None => Ok(None),
            Some(Ok(url)) => Ok(Some(url)),
            Some(Err(reason)) => variables.error(format!("JWT_JWKS_URL {reason}")),
        };
        Ok(Self {
            secrets: secrets?,
            jwks_url: jwks_url?,
            algorithm: algorithm?,
            issuer: variables.get("JWT_ISSUER"),
            audience: variables.get("JWT_AUDIENCE"),
        })
    }
}

fn read_secrets(variables: &mut Variables) -> Result<Vec<String>, Recorded> {
    let Some((name, list)) = variables.first(&["JWT_SECRET", "BETTER_AUTH_SECRET"]) else {
        return match variables.get("JWT_JWKS_URL") {
            Some(_) => Ok(Vec::new()),
            None => variables.error("JWT_SECRET is not set (nor are BETTER_AUTH_SECRET or JWT_JWKS_URL)"),
        };
    };
    let secrets: Vec<String> = list.split(',').map(|secret| secret.trim().to_owned()).collect();
    match secrets.iter().map(String::len).find(|len| *len < MIN_SECRET_LEN) {
        None => Ok(secrets),
        Some(len) if secrets.len() == 1 => {
            variables.error(format!("{name} has {len} bytes, it needs at least {MIN_SECRET_LEN}"))
        }
        Some(len) => variables.error(format!(
            "{name} is a list in which a secret has {len} bytes, each needs at least {MIN_SECRET_LEN}"
        )),
    }
}

impl fmt::Debug for TokenConfig {
    /// Without the secrets.
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
    fn better_auth_secret_serves_where_jwt_secret_is_not_set() {
        let other = ("BETTER_AUTH_SECRET", "fedcba9876543210fedcba9876543210");
        let config = read_for_test(&[("JWT_SECRET", " "), other], TokenConfig::read).expect("complete");
        assert_eq!(config.secrets, [other.1]);
        let config = read_for_test(&[SECRET, other], TokenConfig::read).expect("complete");
        assert_eq!(config.secrets, [SECRET.1]);
    }

    #[test]
    fn a_list_of_secrets_is_a_rotation_and_none_may_be_short() {
        let list = format!("{}, {}", "a".repeat(32), "b".repeat(40));
        let config = read_for_test(&[("JWT_SECRET", &list)], TokenConfig::read).expect("complete");
        assert_eq!(config.secrets, ["a".repeat(32), "b".repeat(40)]);

        let list = format!("{},short", "a".repeat(32));
        let mistake = read_for_test(&[("JWT_SECRET", &list)], TokenConfig::read).expect_err("short");
        assert_eq!(mistake, "JWT_SECRET is a list in which a secret has 5 bytes, each needs at least 32");
    }
}
