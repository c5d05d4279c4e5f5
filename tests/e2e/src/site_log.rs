//! tenantry's own logs: a warning or an error that a test does not expect fails it.

use anyhow::{Result, ensure};
use serde_json::Value;
use std::path::Path;

/// What a test expects of the logs.
#[derive(Clone, Debug, Default)]
pub struct LogCheck {
    expected: Vec<String>,
}

impl LogCheck {
    /// Warnings and errors that contain this text are expected.
    pub fn expect(&mut self, text: &str) {
        self.expected.push(text.to_owned());
    }

    /// Reads a log (JSON lines) and complains of what is not expected.
    pub fn check(&self, log: &Path) -> Result<()> {
        let text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
        let unexpected: Vec<&str> = text
            .lines()
            .filter(|line| is_trouble(line))
            .filter(|line| !self.expected.iter().any(|text| line.contains(text.as_str())))
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
