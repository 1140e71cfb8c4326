//! Logs: one JSON object per line on standard output, where Lambda collects them. docs/logs.md lists every
//! field and every warning and error.
//!
//! All text is written as JSON strings, so that no text from outside can forge or break a line.

use std::{
    fmt::{self, Write},
    io,
    time::Duration,
};

use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::Record,
};
use tracing_subscriber::{
    filter::Targets,
    fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, format::Writer},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::{error::Recorded, variables::Variables};

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
    let mut constant = String::new();
    push_member(&mut constant, "function", &function_name().into());
    if let Some(environment) = &config.environment {
        push_member(&mut constant, "environment", &environment.as_str().into());
    }
    let levels = Targets::new()
        .with_default(config.level.min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), config.level);
    let metrics_namespace = config.metrics_namespace.clone();
    let lines = tracing_subscriber::fmt::layer()
        .event_format(JsonLines { constant, metrics_namespace })
        .fmt_fields(JsonMembers)
        .with_writer(io::stdout);
    tracing_subscriber::registry().with(levels).with(lines).init();
}

/// Converts a duration to milliseconds, with microsecond precision.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

/// Logs what was done to which task. The request's span adds the user.
pub(crate) fn audit(action: &'static str, task_id: impl fmt::Display) {
    tracing::info!(audit = action, %task_id, "task changed");
}

/// Writes an event as one line: `{"timestamp":…,"level":…,…}`.
struct JsonLines {
    /// The JSON members that are the same in every line, each preceded by a comma.
    constant: String,
    /// See [`LogConfig::metrics_namespace`].
    metrics_namespace: Option<String>,
}

/// The members of a request line that are metrics. Their unit is milliseconds.
const METRICS: [&str; 2] = ["ms", "database_ms"];

/// Writes fields as JSON members, each preceded by a comma, so that they can be concatenated.
struct JsonMembers;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let now = Utc::now();
        let timestamp = now.to_rfc3339_opts(SecondsFormat::Millis, true);
        let level = event.metadata().level();
        let mut line = format!(r#"{{"timestamp":"{timestamp}","level":"{level}"{}"#, self.constant);
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                line.push_str(fields);
            }
        }
        context.format_fields(Writer::new(&mut line), event)?;
        if let Some(namespace) = &self.metrics_namespace
            && event.metadata().fields().field("route").is_some()
        {
            push_metrics(&mut line, namespace, now.timestamp_millis());
        }
        line.push_str("}\n");
        writer.write_str(&line)
    }
}

impl<'writer> FormatFields<'writer> for JsonMembers {
    fn format_fields<R: tracing_subscriber::field::RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut members = Members(String::new());
        fields.record(&mut members);
        writer.write_str(&members.0)
    }

    /// Appends without the space that the default implementation puts between the fields.
    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        self.format_fields(current.as_writer(), fields)
    }
}

struct Members(String);

impl Visit for Members {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        push_member(&mut self.0, field.name(), &format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        push_member(&mut self.0, field.name(), &value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        push_member(&mut self.0, field.name(), &value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        push_member(&mut self.0, field.name(), &value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        push_member(&mut self.0, field.name(), &value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        push_member(&mut self.0, field.name(), &value.into());
    }
}

/// Adds the member that tells CloudWatch which others are metrics ("Specification: Embedded metric format" in
/// CloudWatch's user guide).
fn push_metrics(line: &mut String, namespace: &str, timestamp: i64) {
    // Quotes within text are escaped, so this can't match text from outside.
    let present = METRICS.into_iter().filter(|name| line.contains(&format!(r#","{name}":"#)));
    let metrics: Vec<_> = present.map(|name| json!({ "Name": name, "Unit": "Milliseconds" })).collect();
    let directive = json!({ "Namespace": namespace, "Dimensions": [["route"]], "Metrics": metrics });
    push_member(line, "_aws", &json!({ "Timestamp": timestamp, "CloudWatchMetrics": [directive] }));
}

fn push_member(members: &mut String, name: &str, value: &Value) {
    write!(members, r#","{name}":{value}"#).expect("writing to a string can't fail");
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
