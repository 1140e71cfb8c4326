//! Statistics, and printing of results as tables or JSON.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, json};
use serde_yaml_ng::{Mapping, Value};

/// The results: printed as tables when they are added, or as JSON at the end.
pub struct Report {
    json: Option<Map<String, serde_json::Value>>,
}

impl Report {
    pub fn new(json: bool) -> Self {
        Self { json: json.then(Map::new) }
    }

    /// Adds the description of the machine.
    pub fn begin(&mut self, machine: &str) {
        match &mut self.json {
            Some(json) => _ = json.insert("machine".into(), machine.into()),
            None => println!("{machine}"),
        }
    }

    /// Adds a table with a row for each of the figures, and a column for each of their fields.
    pub fn add(&mut self, name: &str, title: &str, figures: &[impl Serialize]) -> Result<()> {
        match &mut self.json {
            Some(json) => _ = json.insert(name.into(), json!(figures)),
            None => print_table(title, figures)?,
        }
        Ok(())
    }

    pub fn finish(self) {
        if let Some(json) = self.json {
            println!("{:#}", serde_json::Value::Object(json));
        }
    }
}

/// The median.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    quantile(figures, 0.5)
}

/// The quantile: the figure below which this share of the figures lies.
pub fn quantile(figures: impl IntoIterator<Item = f64>, share: f64) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let index = (figures.len().saturating_sub(1)) as f64 * share;
    figures.get(index.round() as usize).copied().unwrap_or(f64::NAN)
}

pub fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Prints a Markdown table. The first column is aligned to the left, all others to the right.
fn print_table(title: &str, figures: &[impl Serialize]) -> Result<()> {
    // Unlike JSON's, YAML's values keep the order of the fields.
    let rows: Vec<Mapping> = serde_yaml_ng::from_value(serde_yaml_ng::to_value(figures)?)?;
    let Some(first) = rows.first() else { return Ok(()) };
    let head = first.keys().map(|name| cell(name).replace('_', " ")).collect();
    let lines = rows.iter().map(|row| row.values().map(cell).collect());
    let lines: Vec<Vec<String>> = [head].into_iter().chain(lines).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<_> = (0..first.len()).filter_map(width).collect();
    println!("\n{title}\n");
    for (number, line) in lines.iter().enumerate() {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
        if number == 0 {
            println!("|---{}|", "|--:".repeat(widths.len() - 1));
        }
    }
    Ok(())
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => number.as_f64().map(short).unwrap_or_default(),
        Value::Number(count) => count.to_string(),
        _ => "–".into(),
    }
}

/// Formats a figure with three significant digits.
fn short(figure: f64) -> String {
    match figure {
        figure if figure.is_nan() => "–".into(),
        figure if figure.abs() < 10.0 => format!("{figure:.2}"),
        figure if figure.abs() < 100.0 => format!("{figure:.1}"),
        figure => format!("{figure:.0}"),
    }
}
