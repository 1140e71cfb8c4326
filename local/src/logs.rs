//! Formats the functions' log lines for a terminal.

use std::sync::Arc;

use chrono::{DateTime, Local};
use serde_json::{Map, Value};

/// Receives each line that a function writes, with the function's name first.
pub type LogSink = Arc<dyn Fn(&str, &str) + Send + Sync>;

const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Width of the longest function name.
const NAME_WIDTH: usize = 13;

/// Formats a line that `function` wrote.
///
/// A JSON object is shown as time, status, duration and user, or as level and message, followed by its other
/// fields. Any other line is shown unchanged after the function's name. Control characters are escaped, so
/// the result is a single line and can't control the terminal.
pub fn render(function: &str, line: &str, color: bool) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(line) else {
        return escape(&format!("{:8}  {function:NAME_WIDTH$}  {line}", ""));
    };
    let level = text(&mut fields, "level").to_uppercase();
    let line = escape(&summary(function, &level, fields));
    let paint = match level.as_str() {
        "ERROR" => RED,
        "WARN" => YELLOW,
        "DEBUG" | "TRACE" => DIM,
        _ => "",
    };
    if color && !paint.is_empty() { format!("{paint}{line}{RESET}") } else { line }
}

fn summary(function: &str, level: &str, mut fields: Map<String, Value>) -> String {
    let timestamp = text(&mut fields, "timestamp");
    let time = match DateTime::parse_from_rfc3339(&timestamp) {
        Ok(time) => time.with_timezone(&Local).format("%H:%M:%S").to_string(),
        Err(_) => timestamp,
    };
    let message = text(&mut fields, "message");
    // `function` is shown as the name, and `environment` is the same in every line.
    fields.remove("function");
    fields.remove("environment");

    let ends_request = fields.contains_key("status") && fields.contains_key("ms");
    let mut line = format!("{time:8}  {function:NAME_WIDTH$}  ");
    if ends_request {
        let ms = fields.remove("ms").and_then(|ms| ms.as_f64()).unwrap_or_default();
        let precision = usize::from(ms < 10.0);
        line += &format!("{}  {ms:>6.precision$} ms", text(&mut fields, "status"));
        let cold_start = fields.remove("cold_start") == Some(Value::Bool(true));
        // Needed only after a failure, and then another line has them.
        fields.remove("request_id");
        fields.remove("route");
        fields.remove("method");
        line += &format!("  {}", text(&mut fields, "user_id"));
        if cold_start {
            line += "  cold start";
        }
    } else {
        if !matches!(level, "INFO" | "") {
            line += &format!("{level}  ");
        }
        line += &message;
    }
    for name in fields.keys().cloned().collect::<Vec<_>>() {
        line += &format!("  {name}={}", text(&mut fields, &name));
    }
    line.trim_end().to_owned()
}

/// Removes a field and returns its value: text without quotation marks, anything else as JSON. Empty if it is
/// absent.
fn text(fields: &mut Map<String, Value>, name: &str) -> String {
    match fields.remove(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(value) => value.to_string(),
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line without its time, which depends on the machine's time zone.
    fn rendered(line: &str) -> String {
        render("create-task", line, false).split_off(10)
    }

    #[test]
    fn request_lines_are_short() {
        let line = r#"{"timestamp":"2026-01-06T15:30:00.123Z","level":"INFO","function":"create-task","environment":"local",
            "request_id":"r-1","user_id":"alice","route":"POST /api/{user_id}/tasks","status":201,"ms":3.14159,"cold_start":false,"message":"done"}"#;
        assert_eq!(rendered(line), "create-task    201     3.1 ms  alice");
        let line = r#"{"timestamp":"2026-01-06T15:30:00Z","level":"INFO","status":503,"ms":2012.7,"cold_start":true}"#;
        assert_eq!(rendered(line), "create-task    503    2013 ms    cold start");
    }

    #[test]
    fn other_lines_show_every_field() {
        let line = r#"{"timestamp":"2026-01-06T15:30:00Z","level":"WARN","message":"refused","reason":"no token","status":401}"#;
        assert_eq!(rendered(line), "create-task    WARN  refused  reason=no token  status=401");
        assert_eq!(rendered("Segmentation fault"), "create-task    Segmentation fault");
        assert_eq!(rendered("[1]"), "create-task    [1]");
        assert_eq!(rendered("{}"), "create-task");
    }

    #[test]
    fn times_are_local() {
        let line = render("f", r#"{"timestamp":"2026-01-06T15:30:07Z"}"#, false);
        let time = line.split(' ').next().expect("split gives at least one part");
        assert!(time.len() == 8 && time.ends_with(":07"), "{line}");
    }

    #[test]
    fn errors_are_colored_only_if_color_is_on() {
        let line = r#"{"level":"error","message":"x"}"#;
        assert!(render("f", line, true).starts_with(RED));
        assert!(render("f", line, true).ends_with(RESET));
        assert!(!render("f", line, false).contains('\x1b'));
        assert!(!render("f", r#"{"level":"info","message":"x"}"#, true).contains('\x1b'));
    }

    #[test]
    fn control_characters_are_escaped() {
        for line in [
            r#"{"message":"a\u001b[2Jb\nc"}"#,
            r#"{"level":"\u001b[2J\n","timestamp":"\u001b[2J\n","user_id":"\r","x\n":"\u009b"}"#,
            "a\u{1b}[2Jb\nc",
        ] {
            let rendered = render("f", line, false);
            assert!(!rendered.contains(char::is_control), "{rendered:?}");
        }
    }
}
