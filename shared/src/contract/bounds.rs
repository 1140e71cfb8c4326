//! The bounds that the contracts set for values in a request.

use std::ops::RangeInclusive;

use super::Contract::{self, Envelope, Plain};

/// Bounds of `limit` in an envelope list.
pub const ENVELOPE_LIMIT: RangeInclusive<i64> = 1..=100;

/// Default `limit` of an envelope list.
pub const ENVELOPE_LIMIT_DEFAULT: i64 = 10;

/// Bounds of `offset` in an envelope list.
pub const OFFSET: RangeInclusive<i64> = 0..=10_000;

/// Bounds of `limit` in a plain list.
pub const PLAIN_LIMIT: RangeInclusive<i64> = 1..=1000;

/// Default `limit` of a plain list.
pub const PLAIN_LIMIT_DEFAULT: i64 = 1000;

/// Maximum length of `search`, in characters.
pub const SEARCH_MAX: usize = 200;

/// Bounds of `limit` in a list of changes.
pub const CHANGES_LIMIT: RangeInclusive<i64> = 1..=500;

/// Default `limit` of a list of changes.
pub const CHANGES_LIMIT_DEFAULT: i64 = 100;

/// Bounds of a task id in the plain contract.
pub const TASK_NUMBER: RangeInclusive<i64> = 1..=i64::MAX;

impl Contract {
    /// Returns the maximum length of a title, in characters.
    pub const fn title_max(self) -> usize {
        match self {
            Envelope => 255,
            Plain => 200,
        }
    }

    /// Returns the maximum length of a description, in characters.
    pub const fn description_max(self) -> usize {
        match self {
            Envelope => 2000,
            Plain => 1000,
        }
    }
}
