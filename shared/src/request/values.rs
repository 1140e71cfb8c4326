//! Parses single values: JSON values in the body, and texts in the path, query and headers.

use std::{borrow::Cow, ops::RangeInclusive};

use chrono::{DateTime, Datelike, Timelike, Utc};
use serde_json::Value;

use crate::task::{DueDate, Priority};

/// Maximum length of an idempotency key, in characters.
pub const MAX_IDEMPOTENCY_KEY_LEN: usize = 255;

/// The accepted years of a point in time, in UTC: those that RFC 3339 can express in a response.
pub const YEARS: RangeInclusive<i32> = 1..=9999;

/// Maximum number of a task's tags.
pub const MAX_TAGS: usize = 20;

/// Maximum length of a tag, in characters.
pub const MAX_TAG_CHARS: usize = 50;

/// Maximum length of a task's tags together, with a comma between them, in characters.
pub const MAX_TAGS_CHARS: usize = 500;

const NO_TAGS: Problem =
    ("list_type", Cow::Borrowed("Input should be an array of strings, or a string with commas between tags"));

/// The kind and message of an [`InputError`](crate::error::InputError).
pub type Problem = (&'static str, Cow<'static, str>);

const TOO_SHORT: Problem = ("string_too_short", Cow::Borrowed("String should have at least 1 character"));

/// Parses a JSON value.
pub trait Parse<T>: FnOnce(Value) -> Result<T, Problem> {}

impl<T, F: FnOnce(Value) -> Result<T, Problem>> Parse<T> for F {}

/// Parses text of 1 to `max` characters (Unicode scalar values) that is not only white space.
pub fn title(max: usize) -> impl Parse<String> {
    move |value| match text(max)(value)? {
        empty if empty.is_empty() => Err(TOO_SHORT),
        blank if blank.trim().is_empty() => {
            Err(("string_blank", "String should not consist only of white space".into()))
        }
        title => Ok(title),
    }
}

/// Parses text of at most `max` characters (Unicode scalar values). U+0000 is rejected because PostgreSQL
/// can't store it.
pub fn text(max: usize) -> impl Parse<String> {
    move |value| match value {
        Value::String(text) => check_text(&text, max).map(|()| text),
        _ => Err(("string_type", "Input should be a valid string".into())),
    }
}

/// Parses a search text of 1 to `max` characters. U+0000 is rejected, as in [`text`].
pub fn search(max: usize) -> impl FnOnce(&str) -> Result<String, Problem> {
    move |text| match check_text(text, max) {
        Ok(()) if text.is_empty() => Err(TOO_SHORT),
        checked => checked.map(|()| text.to_owned()),
    }
}

fn check_text(text: &str, max: usize) -> Result<(), Problem> {
    if text.chars().count() > max {
        Err(("string_too_long", format!("String should have at most {max} characters").into()))
    } else if text.contains('\0') {
        Err(("string_null_character", "String should not contain U+0000".into()))
    } else {
        Ok(())
    }
}

/// Parses the word of a priority.
pub fn priority(value: Value) -> Result<Priority, Problem> {
    one_of(&Priority::WORDS)(value.as_str().unwrap_or_default())
}

/// Parses tags: an array of strings, or one string in which they are separated by commas. White space around
/// them, empty ones and repetitions are dropped.
pub fn tags(value: Value) -> Result<Vec<String>, Problem> {
    let texts: Vec<&str> = match &value {
        Value::String(text) => text.split(',').collect(),
        Value::Array(values) => values.iter().map(Value::as_str).collect::<Option<_>>().ok_or(NO_TAGS)?,
        _ => return Err(NO_TAGS),
    };
    let mut tags: Vec<String> = Vec::new();
    for tag in texts.into_iter().map(str::trim).filter(|tag| !tag.is_empty()) {
        if tags.iter().any(|other| other == tag) {
            continue;
        }
        tags.push(self::tag(tag)?);
        if tags.len() > MAX_TAGS {
            return Err(("too_long", format!("There should be at most {MAX_TAGS} tags").into()));
        }
    }
    check_text(&tags.join(","), MAX_TAGS_CHARS)?;
    Ok(tags)
}

/// Parses a tag: 1 to 50 characters, without a comma. U+0000 is rejected, as in [`text`].
pub fn tag(text: &str) -> Result<String, Problem> {
    match search(MAX_TAG_CHARS)(text)? {
        several if several.contains(',') => Err(("value_error", "A tag should not contain a comma".into())),
        tag => Ok(tag),
    }
}

/// Parses a boolean, without converting other types.
pub fn boolean(value: Value) -> Result<bool, Problem> {
    value.as_bool().ok_or(("bool_type", "Input should be a valid boolean".into()))
}

/// Parses a JSON string as a due date: a date, or a date and a time (UTC unless it has an offset), in ISO 8601's
/// extended format. Seconds may be omitted. The year in UTC must be in [`YEARS`], and the second at most 59.
pub fn due_date_value(value: Value) -> Result<DueDate, Problem> {
    // Other types, including numbers, become the empty string, which is invalid.
    due_date(value.as_str().unwrap_or_default())
}

/// Parses a point in time in a query, as [`due_date_value`] does; a date is its midnight.
pub fn date_time(text: &str) -> Result<DateTime<Utc>, Problem> {
    due_date(text).map(DueDate::time).map_err(|(kind, message)| match text.contains(' ') {
        // A plus sign in a query is decoded as a space.
        true => (kind, format!("{message}: encode + as %2B").into()),
        false => (kind, message),
    })
}

fn due_date(text: &str) -> Result<DueDate, Problem> {
    let invalid = || ("datetime_parsing", "Input should be a valid datetime".into());
    let time = DateTime::parse_from_rfc3339(&to_rfc3339(text).ok_or_else(invalid)?).map_err(|_| invalid())?;
    let time = time.to_utc();
    match text.len() {
        // A leap second.
        _ if !YEARS.contains(&time.year()) || time.nanosecond() >= 1_000_000_000 => Err(invalid()),
        10 => Ok(DueDate::Date(time.date_naive())),
        _ => Ok(DueDate::Time(time)),
    }
}

/// Adds the parts that RFC 3339 requires but ISO 8601 allows to omit: time, seconds, offset, minutes of the
/// offset.
fn to_rfc3339(text: &str) -> Option<String> {
    let Some((date, time)) = text.split_at_checked(10).filter(|(_, time)| !time.is_empty()) else {
        return Some(format!("{text}T00:00:00Z"));
    };
    if !time.starts_with(['T', 't']) {
        return None;
    }
    let (clock, offset) = match time.get(1..)?.find(['Z', 'z', '+', '-']) {
        Some(at) => time.split_at(at + 1),
        None => (time, "Z"),
    };
    let seconds = if clock.len() == "T00:00".len() { ":00" } else { "" };
    let offset = match offset.len() {
        3 => format!("{offset}:00"),
        5 if !offset.contains(':') => format!("{}:{}", offset.get(..3)?, offset.get(3..)?),
        _ => offset.to_owned(),
    };
    Some(format!("{date}{clock}{seconds}{offset}"))
}

/// Parses a decimal integer within a range, without a plus sign.
pub fn integer(text: &str, range: RangeInclusive<i64>) -> Result<i64, Problem> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = "Input should be a valid integer, unable to parse string as an integer";
        return Err(("int_parsing", message.into()));
    }
    // Parsing fails only if the number doesn't fit into 64 bits. Its sign then determines which bound it
    // exceeds.
    let number = text.parse::<i64>().ok();
    let is_below = number.map_or(text.starts_with('-'), |number| number < *range.start());
    match number {
        Some(number) if range.contains(&number) => Ok(number),
        _ if is_below => {
            let message = format!("Input should be greater than or equal to {}", range.start());
            Err(("greater_than_equal", message.into()))
        }
        _ => {
            Err(("less_than_equal", format!("Input should be less than or equal to {}", range.end()).into()))
        }
    }
}

/// Parses an idempotency key: 1–255 visible ASCII characters.
pub fn idempotency_key(value: &[u8]) -> Result<String, Problem> {
    match value {
        [_, ..] if value.len() <= MAX_IDEMPOTENCY_KEY_LEN && value.iter().all(u8::is_ascii_graphic) => {
            Ok(String::from_utf8_lossy(value).into_owned())
        }
        _ => Err(("string_pattern_mismatch", "Input should be 1-255 visible ASCII characters".into())),
    }
}

/// Parses one of several words, and returns the value that belongs to it.
pub fn one_of<T: Copy>(words: &[(&str, T)]) -> impl FnOnce(&str) -> Result<T, Problem> {
    move |text| match words.iter().find(|(word, _)| *word == text) {
        Some((_, meaning)) => Ok(*meaning),
        None => {
            let quoted: Vec<_> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
            let (last, others) = quoted.split_last().expect("at least two words");
            Err(("literal_error", format!("Input should be {} or {last}", others.join(", ")).into()))
        }
    }
}

#[cfg(test)]
mod tests;
