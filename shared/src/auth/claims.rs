//! The claims of a token (RFC 7519 §4): checks them, and reads the caller from them.

use chrono::Utc;
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{Number, Value};

use crate::{error::TokenError, task::Caller};

/// The longest user id, in characters.
pub const MAX_USER_ID_CHARS: usize = 255;

/// The allowed difference between the clocks of issuer and function, in seconds.
const LEEWAY: f64 = 30.0;

/// The greatest accepted `exp`, in seconds since the epoch: the last second of the year 9999. A greater value
/// is a mistake, such as milliseconds, and would make a token that never expires.
const MAX_EXP: f64 = 253_402_300_799.0;

/// The claims that are used; all others are ignored. A claim that is present twice is rejected (RFC 7519 §4).
#[derive(Deserialize)]
pub(super) struct Claims {
    sub: Option<UserId>,
    user_id: Option<UserId>,
    exp: Number,
    nbf: Option<Number>,
    iss: Option<String>,
    aud: Option<Audience>,
    #[serde(default, deserialize_with = "present")]
    azp: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    cnf: Option<IgnoredAny>,
    #[serde(default)]
    email: Value,
    #[serde(default)]
    name: Value,
    #[serde(default)]
    image: Value,
    #[serde(default)]
    picture: Value,
    #[serde(default, rename = "emailVerified")]
    email_verified_camel: Value,
    #[serde(default)]
    email_verified: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum UserId {
    Text(String),
    Integer(Number),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Claims {
    /// Checks that the token is valid now.
    pub(super) fn check_times(&self) -> Result<(), TokenError> {
        let now = Utc::now().timestamp() as f64;
        match self.exp.as_f64() {
            Some(exp @ 0.0..=MAX_EXP) if exp < now - LEEWAY => return Err(TokenError::Expired),
            Some(0.0..=MAX_EXP) => {}
            _ => return Err(TokenError::Invalid("exp is negative or after the year 9999")),
        }
        match self.nbf.as_ref().map(Number::as_f64) {
            Some(Some(nbf)) if nbf > now + LEEWAY => Err(TokenError::Invalid("token is not valid yet")),
            _ => Ok(()),
        }
    }

    /// Checks that the token needs no proof of a key (RFC 7800), because none is checked.
    pub(super) fn check_confirmation(&self) -> Result<(), TokenError> {
        match self.cnf {
            Some(_) => Err(TokenError::Invalid("token is bound to a key by cnf")),
            None => Ok(()),
        }
    }

    /// Checks that the token comes from this issuer.
    pub(super) fn check_issuer(&self, issuer: &str) -> Result<(), TokenError> {
        match &self.iss {
            Some(iss) if iss == issuer => Ok(()),
            Some(_) => Err(TokenError::Invalid("iss differs from JWT_ISSUER")),
            None => Err(TokenError::Invalid("iss is missing")),
        }
    }

    /// Checks that the token is meant for this audience.
    pub(super) fn check_audience(&self, audience: &str) -> Result<(), TokenError> {
        match &self.aud {
            Some(Audience::One(aud)) if aud == audience => Ok(()),
            Some(Audience::Several(auds)) if auds.iter().any(|aud| aud == audience) => Ok(()),
            Some(_) => Err(TokenError::Invalid("aud does not contain JWT_AUDIENCE")),
            None => Err(TokenError::Invalid("aud is missing")),
        }
    }

    /// Checks that the token was not issued to an OAuth client. If no audience is required, nothing else says
    /// which application such a token is for.
    pub(super) fn check_no_client(&self) -> Result<(), TokenError> {
        match self.azp {
            Some(_) => Err(TokenError::Invalid("token has azp, but JWT_AUDIENCE is not set")),
            None => Ok(()),
        }
    }

    /// Returns the caller that the token identifies.
    pub(super) fn caller(self) -> Result<Caller, TokenError> {
        let user_id = match (self.sub.map(UserId::text), self.user_id.map(UserId::text)) {
            (Some(sub), Some(user_id)) if sub != user_id => {
                return Err(TokenError::Invalid("sub and user_id differ"));
            }
            (Some(id), _) | (None, Some(id)) => {
                id.ok_or(TokenError::Invalid("user id is a number but not an integer"))?
            }
            (None, None) => return Err(TokenError::Invalid("sub and user_id are missing")),
        };
        if !(1..=MAX_USER_ID_CHARS).contains(&user_id.chars().count()) || user_id.contains('\0') {
            return Err(TokenError::Invalid("user id must have 1 to 255 characters, without U+0000"));
        }
        Ok(Caller {
            user_id,
            email: storable(&self.email),
            name: storable(&self.name),
            image: storable(&self.image).or_else(|| storable(&self.picture)),
            email_verified: [self.email_verified_camel, self.email_verified].contains(&Value::Bool(true)),
        })
    }
}

impl UserId {
    fn text(self) -> Option<String> {
        match self {
            UserId::Text(text) => Some(text),
            UserId::Integer(number) => (!number.is_f64()).then(|| number.to_string()),
        }
    }
}

/// Returns a profile claim if the database can store it. Other values are dropped, because they must not lock
/// the user out.
fn storable(claim: &Value) -> Option<String> {
    claim.as_str().filter(|text| !text.is_empty() && !text.contains('\0')).map(str::to_owned)
}

/// Reads a member of which null is not the same as its absence.
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
