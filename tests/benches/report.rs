//! Statistics, and printing of results as tables or JSON.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

/// The results: printed as tables when they are added, or as JSON at the end.
pub struct Report {
    json: Option<Map<String, Value>>,
}

impl Report {
    pub fn new(json: bool) -> Self {
        Self { json: json.then(Map::new) }
    }

    /// Adds the description of the machine.
    pub fn begin(&mut self, machine: &str) {
        self.add("machine", &machine, || println!("{machine}"));
    }

    /// Adds the figures of a suite.
    pub fn add(&mut self, name: &str, figures: &impl Serialize, print: impl FnOnce()) {
        match &mut self.json {
            Some(json) => _ = json.insert(name.into(), json!(figures)),
            None => print(),
        }
    }

    pub fn finish(self) {
        if let Some(json) = self.json {
            println!("{:#}", Value::Object(json));
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
pub fn print_table(title: &str, head: &[&str], rows: &[Vec<String>]) {
    println!("\n{title}\n");
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
    };
    line(&mut head.iter().copied());
    let rules: Vec<_> = widths
        .iter()
        .enumerate()
        .map(|(column, &width)| match column {
            0 => "-".repeat(width),
            _ => format!("{}:", "-".repeat(width - 1)),
        })
        .collect();
    line(&mut rules.iter().map(String::as_str));
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

/// Formats a figure with three significant digits.
pub fn short(figure: f64) -> String {
    match figure {
        figure if figure.is_nan() => "–".into(),
        figure if figure.abs() < 10.0 => format!("{figure:.2}"),
        figure if figure.abs() < 100.0 => format!("{figure:.1}"),
        figure => format!("{figure:.0}"),
    }
}
