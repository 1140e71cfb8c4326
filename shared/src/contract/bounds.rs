//! The bounds that the contracts put on a request.

use std::ops::RangeInclusive;

use super::Contract::{self, Envelope, Plain};

/// `limit` of an envelope list.
pub const ENVELOPE_LIMIT: RangeInclusive<i64> = 1..=100;

/// `limit` of an envelope list if the query has none.
pub const ENVELOPE_LIMIT_DEFAULT: i64 = 10;

/// `offset` of an envelope list.
pub const OFFSET: RangeInclusive<i64> = 0..=10_000;

/// `limit` of a plain list.
pub const PLAIN_LIMIT: RangeInclusive<i64> = 1..=1000;

/// `limit` of a plain list if the query has none.
pub const PLAIN_LIMIT_DEFAULT: i64 = 1000;

/// The longest `search` of a list, in characters.
pub const SEARCH_MAX: usize = 200;

/// `limit` of a list of changes.
pub const CHANGES_LIMIT: RangeInclusive<i64> = 1..=500;

/// `limit` of a list of changes if the query has none.
pub const CHANGES_LIMIT_DEFAULT: i64 = 100;

/// The task ids of the plain contract.
pub const TASK_NUMBER: RangeInclusive<i64> = 1..=i64::MAX;

impl Contract {
    /// The longest title, in characters.
    pub const fn title_max(self) -> usize {
        match self {
            Envelope => 255,
            Plain => 200,
        }
    }

    /// The longest description, in characters.
    pub const fn description_max(self) -> usize {
        match self {
            Envelope => 2000,
            Plain => 1000,
        }
    }
}
