//! The table that a run prints: each figure beside its peer's.

use std::fmt;
use std::time::Duration;

/// The table of one run.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<[String; 5]>,
}

impl Table {
    /// A figure beside its peer's in the same unit; the ratio is ours by theirs. `aim`: the largest ratio wanted.
    pub fn ratio(&mut self, figure: &str, ours: f64, peer: f64, unit: &str, aim: Option<f64>) {
        self.push([
            figure.to_owned(),
            format!("{} {unit}", number(ours)),
            format!("{} {unit}", number(peer)),
            if peer > 0.0 { format!("{:.2}", ours / peer) } else { String::new() },
            aim.map(|aim| format!("≤ {aim:.2}")).unwrap_or_default(),
        ]);
    }

    /// The same for times.
    pub fn times(&mut self, figure: &str, ours: Duration, peer: Duration, aim: Option<f64>) {
        self.ratio(figure, ours.as_secs_f64(), peer.as_secs_f64(), "s", aim);
    }

    fn push(&mut self, row: [String; 5]) {
        // A long run says how far it is.
        eprintln!("{}", row.join(" | "));
        self.rows.push(row);
    }
}

/// A count as a number to divide by.
pub fn count(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

fn number(value: f64) -> String {
    let digits = if value < 10.0 { 2 } else { 1 };
    format!("{value:.digits$}")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["figure", "ours", "peer", "ratio", "aim"].map(str::to_owned);
        let mut widths = head.each_ref().map(|cell| cell.chars().count());
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let [first, ours, peer, ratio, aim] = widths;
        let rule = [
            "-".repeat(first),
            "-".repeat(ours - 1) + ":",
            "-".repeat(peer - 1) + ":",
            "-".repeat(ratio - 1) + ":",
            "-".repeat(aim - 1) + ":",
        ];
        for [a, b, c, d, e] in [&head, &rule].into_iter().chain(&self.rows) {
            writeln!(f, "| {a:first$} | {b:>ours$} | {c:>peer$} | {d:>ratio$} | {e:>aim$} |")?;
        }
        Ok(())
    }
}
