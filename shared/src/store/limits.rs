//! The limits on how many tasks a user can store and how often they can write.

use chrono::{DateTime, Utc};

use crate::{error::Recorded, task::RateLimit, variables::Variables};

/// The limits per user.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The greatest number of tasks.
    pub(super) tasks_per_user: i32,
    /// The greatest number of writes per minute, on average over ten minutes. 0 means no limit.
    pub(super) writes_per_minute: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tasks_per_user: 10_000, writes_per_minute: 100 }
    }
}

impl Limits {
    /// Reads `TASKS_PER_USER` (10,000 if not set) and `WRITES_PER_MINUTE` (100 if not set).
    ///
    /// # Errors
    /// If a variable is invalid.
    pub fn read(variables: &mut Variables) -> Result<Self, Recorded> {
        let default = Self::default();
        let tasks_per_user = match variables.get("TASKS_PER_USER").map(|value| value.parse()) {
            None => Ok(default.tasks_per_user),
            Some(Ok(tasks @ 1..=100_000)) => Ok(tasks),
            Some(_) => variables.error("TASKS_PER_USER must be a whole number from 1 to 100000"),
        };
        let writes_per_minute = match variables.get("WRITES_PER_MINUTE").map(|value| value.parse()) {
            None => Ok(default.writes_per_minute),
            Some(Ok(writes @ 0..=100_000)) => Ok(writes),
            Some(_) => {
                variables.error("WRITES_PER_MINUTE must be a whole number from 0 (no limit) to 100000")
            }
        };
        Ok(Self { tasks_per_user: tasks_per_user?, writes_per_minute: writes_per_minute? })
    }

    /// Returns the state of a user's write budget, which has accrued from `since` to `now`; `None` if there
    /// is no limit. Both times are `None` for a user without a row, whose budget is full.
    pub(super) fn rate_limit(
        self,
        since: Option<DateTime<Utc>>,
        now: Option<DateTime<Utc>>,
    ) -> Option<RateLimit> {
        const MICROS: i64 = 1_000_000;
        let writes = i64::from(self.writes_per_minute);
        if writes == 0 {
            return None;
        }
        let window = RateLimit::WINDOW * MICROS;
        let accrued = match (since, now) {
            (Some(since), Some(now)) => (now - since).num_microseconds().unwrap_or(window).clamp(0, window),
            _ => window,
        };
        let quota = writes * RateLimit::WINDOW / 60;
        let write = 60 * MICROS / writes;
        let seconds = |micros: i64| micros.max(0).div_euclid(MICROS) + i64::from(micros.max(0) % MICROS > 0);
        Some(RateLimit {
            quota,
            remaining: (accrued * writes / (60 * MICROS)).min(quota),
            reset: seconds(window - accrued),
            retry_after: seconds(write - accrued),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn default_budget_is_100_writes_per_minute_or_1000_in_ten_minutes() {
        let limits = Limits::default();
        assert_eq!(limits.writes_per_minute, 100);
        assert_eq!(limits.rate_limit(None, None).map(|limit| limit.quota), Some(1000));
    }
}
