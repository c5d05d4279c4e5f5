//! tenantry's own logs: a warning or an error that a test does not expect fails it.

use anyhow::{Result, ensure};
use jiff::Timestamp;
use serde_json::Value;
use std::path::Path;

/// What a test expects of the logs.
#[derive(Clone, Debug, Default)]
pub struct LogCheck {
    expected: Vec<String>,
    explained: Vec<Explained>,
}

/// Lines that are expected while something explains them.
#[derive(Clone, Debug)]
struct Explained {
    text: String,
    /// Of programs with this name.
    program: String,
    during: Vec<(Timestamp, Timestamp)>,
}

impl Explained {
    fn explains(&self, log: &Path, line: &str) -> bool {
        if !line.contains(&self.text) || log.file_stem().is_none_or(|name| *name != *self.program) {
            return false;
        }
        let value: Value = serde_json::from_str(line).unwrap_or_default();
        let at: Option<Timestamp> = value["timestamp"].as_str().and_then(|text| text.parse().ok());
        at.is_some_and(|at| self.during.iter().any(|(from, until)| *from <= at && at <= *until))
    }
}

impl LogCheck {
    /// Warnings and errors that contain this text are expected.
    pub fn expect(&mut self, text: &str) {
        self.expected.push(text.to_owned());
    }

    /// The same of one program (`manager-0`, `agent-eu1`), and only at these times.
    pub fn expect_during(&mut self, program: &str, text: &str, during: &[(Timestamp, Timestamp)]) {
        let (program, text) = (program.to_owned(), text.to_owned());
        self.explained.push(Explained { text, program, during: during.to_vec() });
    }

    /// Reads a log (JSON lines) and complains of what is not expected.
    pub fn check(&self, log: &Path) -> Result<()> {
        let text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
        let unexpected: Vec<&str> = text
            .lines()
            .filter(|line| is_trouble(line))
            .filter(|line| !self.expected.iter().any(|text| line.contains(text.as_str())))
            .filter(|line| !self.explained.iter().any(|explained| explained.explains(log, line)))
            .collect();
        let shown = unexpected.iter().take(10).copied().collect::<Vec<_>>().join("\n");
        ensure!(
            unexpected.is_empty(),
            "{}: {} line(s) that this test does not expect:\n{shown}",
            log.display(),
            unexpected.len()
        );
        Ok(())
    }
}

fn is_trouble(line: &str) -> bool {
    if line.contains("panicked at") {
        return true;
    }
    let Ok(value) = serde_json::from_str::<Value>(line) else { return false };
    matches!(value["level"].as_str(), Some("WARN" | "ERROR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_explained_for_its_program_and_while_there_is_a_reason() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let line = |at: &str, level: &str| {
            format!("{{\"timestamp\":\"{at}\",\"level\":\"{level}\",\"x\":\"away\"}}\n")
        };
        let check = |program: &str, text: &str| -> Result<()> {
            let mut check = LogCheck::default();
            let during = ("2026-11-21T10:00:00Z".parse()?, "2026-11-21T10:00:10Z".parse()?);
            check.expect_during("manager-0", "away", &[during]);
            let log = folder.path().join(format!("{program}.log"));
            std::fs::write(&log, text)?;
            check.check(&log)
        };
        check("manager-0", &line("2026-11-21T10:00:04.123456Z", "WARN"))?;
        check("manager-1", &line("2026-11-21T10:00:04.123456Z", "INFO"))?;
        assert!(check("manager-0", &line("2026-11-21T10:00:10.5Z", "WARN")).is_err(), "too late");
        assert!(check("manager-0", &line("2026-11-21T09:59:59Z", "ERROR")).is_err(), "too early");
        assert!(check("manager-1", &line("2026-11-21T10:00:04Z", "WARN")).is_err(), "another program");
        Ok(())
    }
}
