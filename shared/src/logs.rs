//! Logs: one JSON object per line on standard output, where Lambda collects them. docs/logs.md lists every
//! field and every warning and error.
//!
//! All text is written as JSON strings, so that no text from outside can forge or break a line.

use std::{
    fmt::{self, Write as _},
    io::{self, Write as _},
    time::Duration,
};

use chrono::{SecondsFormat, Utc};
use lambda_http::http::StatusCode;
use serde_json::{Value, json};
use tracing::{
    Event, Span, Subscriber, error_span,
    field::{Empty, Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::{
    error::{Error, Recorded, shortened},
    variables::Variables,
};

/// The configuration of the logs.
#[derive(Debug)]
pub struct LogConfig {
    /// `LOG_LEVEL`, or debug if `DEBUG` is true: the least severe level that is logged.
    pub level: LevelFilter,
    /// `ENVIRONMENT`: a field of every log line.
    pub environment: Option<String>,
    /// `METRICS_NAMESPACE`: the CloudWatch namespace for the metrics in request lines. If not set, request
    /// lines contain no metrics.
    pub metrics_namespace: Option<String>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: LevelFilter::INFO, environment: None, metrics_namespace: None }
    }
}

impl LogConfig {
    /// Reads `LOG_LEVEL`, `DEBUG`, `ENVIRONMENT` and `METRICS_NAMESPACE`.
    ///
    /// # Errors
    /// A variable is invalid.
    pub fn read(variables: &mut Variables) -> Result<Self, Recorded> {
        let debug = variables.flag("DEBUG");
        let level = match variables.get("LOG_LEVEL").map(|level| level.to_ascii_lowercase()).as_deref() {
            None | Some("info") => Ok(LevelFilter::INFO),
            Some("error") => Ok(LevelFilter::ERROR),
            Some("warn" | "warning") => Ok(LevelFilter::WARN),
            Some("debug") => Ok(LevelFilter::DEBUG),
            Some("trace") => Ok(LevelFilter::TRACE),
            Some(_) => variables.error("LOG_LEVEL must be error, warn, info, debug or trace"),
        };
        Ok(Self {
            level: if debug? { LevelFilter::DEBUG } else { level? },
            environment: variables.get("ENVIRONMENT"),
            metrics_namespace: variables.get("METRICS_NAMESPACE"),
        })
    }
}

/// The name of this Lambda function, or of the program outside Lambda.
pub fn function_name() -> String {
    std::env::var("AWS_LAMBDA_FUNCTION_NAME").ok().unwrap_or_else(|| {
        let program = std::env::current_exe().ok();
        let name = program.as_ref().and_then(|path| path.file_name());
        name.map_or_else(|| "unknown".into(), |name| name.to_string_lossy().into_owned())
    })
}

/// Starts logging. Libraries are limited to `warn` and `error`, because their other lines may contain the
/// data of a request.
pub fn init(config: &LogConfig) {
    let mut constant = Members::default();
    constant.push_text("function", &function_name());
    if let Some(environment) = &config.environment {
        constant.push_text("environment", environment);
    }
    let levels = Targets::new()
        .with_default(config.level.min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), config.level);
    let lines = JsonLines { constant: constant.json, metrics_namespace: config.metrics_namespace.clone() };
    tracing_subscriber::registry().with(levels).with(lines).init();
}

/// Creates the span of a request. Its fields are part of every line written while it is entered.
pub(crate) fn request_span(request_id: &str) -> Span {
    // The span has the most severe level, so that its fields are in the lines of every LOG_LEVEL.
    error_span!("request", request_id, user_id = Empty, database_ms = Empty)
}

/// Adds the user whom the token identifies to the lines of the current request.
pub(crate) fn set_user(user_id: &str) {
    Span::current().record("user_id", user_id);
}

/// Adds the duration of the database call to the lines of the current request.
pub(crate) fn set_database_time(duration: Duration) {
    Span::current().record("database_ms", milliseconds(duration));
}

/// Logs the one line that every request has. `route` is `None` if the payload is not an API Gateway event.
pub(crate) fn log_request(
    route: Option<&str>,
    status: StatusCode,
    error: Option<&Error>,
    duration: Duration,
    cold_start: bool,
) {
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                route,
                status = status.as_u16(),
                errors = u8::from(status.is_server_error()),
                ms = milliseconds(duration),
                cold_start,
                reason = error.map(ToString::to_string),
                "request"
            )
        };
    }
    match error {
        Some(Error::Unauthorized(_) | Error::Forbidden(_) | Error::Unavailable(_)) => log!(warn),
        Some(Error::Internal(_)) => log!(error),
        _ => log!(info),
    }
}

/// Logs what was done to which task. The request's span adds the user.
pub(crate) fn audit(action: &'static str, task_id: impl fmt::Display) {
    tracing::info!(audit = action, %task_id, "task changed");
}

/// Converts a duration to milliseconds, with microsecond precision.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

/// Writes each event as one line: `{"timestamp":…,"level":…,…}`.
struct JsonLines {
    /// The members that are the same in every line.
    constant: String,
    /// See [`LogConfig::metrics_namespace`].
    metrics_namespace: Option<String>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JsonLines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut members = Members::default();
        attributes.record(&mut members);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(members);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(members) = span.extensions_mut().get_mut::<Members>()
        {
            values.record(members);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let now = Utc::now();
        let mut line = Members::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(members) = span.extensions().get::<Members>() {
                line.extend(members);
            }
        }
        event.record(&mut line);
        if let Some(namespace) = &self.metrics_namespace {
            line.push_metrics(namespace, now.timestamp_millis());
        }
        let timestamp = now.to_rfc3339_opts(SecondsFormat::Millis, true);
        let (level, constant, members) = (event.metadata().level(), &self.constant, line.json);
        let line = format!("{{\"timestamp\":\"{timestamp}\",\"level\":\"{level}\"{constant}{members}}}\n");
        // There is no other place to report that the log can't be written.
        let _ = io::stdout().write_all(line.as_bytes());
    }
}

/// A field that CloudWatch stores as a metric.
struct Metric {
    name: &'static str,
    unit: &'static str,
    /// The field whose values tell apart what is measured.
    dimension: &'static str,
}

/// The metrics of a request line.
const METRICS: [Metric; 3] = [
    Metric { name: "errors", unit: "Count", dimension: "function" },
    Metric { name: "ms", unit: "Milliseconds", dimension: "route" },
    Metric { name: "database_ms", unit: "Milliseconds", dimension: "route" },
];

/// Maximum length of a message, in bytes of JSON.
const MAX_MESSAGE_LEN: usize = 3 * 1024;

/// Maximum length of any other text, in bytes of JSON. A line contains few of them, so it is at most 8 KiB
/// long.
const MAX_TEXT_LEN: usize = 1024;

/// Members of a JSON object, each preceded by a comma, so that they can be concatenated.
#[derive(Default)]
struct Members {
    json: String,
    names: Vec<&'static str>,
}

impl Members {
    fn extend(&mut self, other: &Self) {
        self.json.push_str(&other.json);
        self.names.extend(&other.names);
    }

    fn push(&mut self, name: &'static str, value: &impl fmt::Display) {
        self.names.push(name);
        write!(self.json, ",\"{name}\":{value}").expect("writing to a string can't fail");
    }

    fn push_text(&mut self, name: &'static str, text: &str) {
        let max = if name == "message" { MAX_MESSAGE_LEN } else { MAX_TEXT_LEN };
        self.push(name, &Value::from(shortened(text, max)));
    }

    /// Adds the member that tells CloudWatch which others are metrics ("Specification: Embedded metric format"
    /// in CloudWatch's user guide), if this is a request line.
    fn push_metrics(&mut self, namespace: &str, timestamp: i64) {
        let has = |name| self.names.contains(&name);
        if !has("errors") {
            return;
        }
        let directive = |dimension: &str| {
            let metrics = METRICS.iter().filter(|metric| metric.dimension == dimension && has(metric.name));
            let metrics = metrics.map(|metric| json!({ "Name": metric.name, "Unit": metric.unit }));
            json!({
                "Namespace": namespace, "Dimensions": [[dimension]], "Metrics": metrics.collect::<Value>(),
            })
        };
        let dimensions = ["function", "route"].into_iter().filter(|name| *name == "function" || has(name));
        let directives: Value = dimensions.map(directive).collect();
        self.push("_aws", &json!({ "Timestamp": timestamp, "CloudWatchMetrics": directives }));
    }
}

impl Visit for Members {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push_text(field.name(), &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push_text(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field.name(), &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field.name(), &Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field.name(), &value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::read_for_test;

    #[test]
    fn debug_overrides_log_level_and_invalid_values_are_reported() {
        for (variables, level) in [
            (&[][..], LevelFilter::INFO),
            (&[("LOG_LEVEL", "WARN")], LevelFilter::WARN),
            (&[("LOG_LEVEL", "warn"), ("DEBUG", "True")], LevelFilter::DEBUG),
            (&[("LOG_LEVEL", "error"), ("DEBUG", "false")], LevelFilter::ERROR),
            (&[("LOG_LEVEL", "trace")], LevelFilter::TRACE),
            (&[("LOG_LEVEL", "debug")], LevelFilter::DEBUG),
        ] {
            assert_eq!(read_for_test(variables, LogConfig::read).expect("valid").level, level);
        }
        let mistakes =
            read_for_test(&[("LOG_LEVEL", "loud"), ("DEBUG", "maybe")], LogConfig::read).expect_err("two");
        assert_eq!(
            mistakes,
            "DEBUG must be true or false; LOG_LEVEL must be error, warn, info, debug or trace"
        );
    }
}
