//! Data on stdout: a table for people, or the API's own JSON or YAML. Everything else goes to stderr.

use crate::cli::Format;
use anyhow::{Context, Result};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::Write;

/// How a thing looks as rows of a table.
pub trait Rows {
    /// Column headings.
    const HEADINGS: &'static [&'static str];
    /// One row's cells.
    fn cells(&self) -> Vec<String>;
}

/// Prints a list.
pub fn list<T: Serialize + Rows>(format: Format, items: &[T]) -> Result<()> {
    match format {
        Format::Table => table(T::HEADINGS, items.iter().map(Rows::cells)),
        Format::Json | Format::Yaml => document(format, &items),
    }
}

/// Prints one thing: as a document, or with `table` in the given lines.
pub fn one<T: Serialize>(
    format: Format,
    item: &T,
    lines: impl FnOnce(&T) -> Vec<(&'static str, String)>,
) -> Result<()> {
    match format {
        Format::Table => {
            let lines = lines(item);
            let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
            let mut text = String::new();
            for (key, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
                let indented = value.trim_end().replace('\n', &format!("\n{}", " ".repeat(width + 2)));
                text.push_str(&format!("{key:<width$}  {indented}\n"));
            }
            print(&text)
        }
        Format::Json | Format::Yaml => document(format, item),
    }
}

/// Prints a table.
pub fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    // A cell's padding on the left would shift the first column for `cut` and `awk`.
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    print(&text)
}

/// Prints a document as JSON or YAML.
pub fn document<T: Serialize>(format: Format, item: &T) -> Result<()> {
    let text = match format {
        Format::Yaml => serde_saphyr::to_string(item).context("cannot write the answer as YAML")?,
        Format::Json | Format::Table => {
            serde_json::to_string_pretty(item).context("cannot write the answer as JSON")? + "\n"
        }
    };
    print(&text)
}

/// Writes to stdout. A reader that has gone away (`| head`) is no error.
pub fn print(text: &str) -> Result<()> {
    bytes(text.as_bytes())
}

/// Writes raw bytes to stdout: hooks' logs may hold anything.
pub fn bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.context("cannot write to stdout"),
    }
}

/// A name as the API spells it (`kebab-case`), for states and kinds.
pub fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

/// How long ago, or how long until.
pub fn age(from: jiff::Timestamp, to: jiff::Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
