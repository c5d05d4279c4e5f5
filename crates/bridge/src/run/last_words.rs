//! What is left when the program has ended: Argo's output parameters, and the message of its Pod.
//!
//! An exit code alone does not say whether the hook or the bridge was killed: 137 and 143 are both. The message does, and the
//! Workflow's `retryStrategy` reads it.

use crate::{
    BridgeError,
    cli::{self, Bridge},
    output, tell,
};
use std::{collections::BTreeMap, path::Path};

/// A message of the Pod that the program itself wrote begins so.
pub(crate) const MARK: &str = "tenantry: ";
/// Codes of a process that was killed, with SIGKILL and SIGTERM.
pub(crate) const KILLED: [u8; 2] = [137, 143];
/// Of a message; a kubelet keeps four times as much, of all containers together three times that.
const LONGEST: usize = 1024;

/// How the step ended.
#[derive(Default)]
pub(super) struct LastWords {
    /// In one word; empty after success.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The hook's.
    pub outputs: BTreeMap<String, String>,
    /// Of the program.
    pub code: u8,
}

/// Empties the files: nothing of an earlier life in the same Pod may be taken for this one's.
pub(super) fn begin(arguments: &Bridge) -> Result<(), BridgeError> {
    parameters(arguments, &LastWords::default())
}

impl LastWords {
    /// Writes all of it; answers the exit code.
    pub fn write(&self, arguments: &Bridge) -> u8 {
        if let Err(error) = parameters(arguments, self) {
            tell(&error);
        }
        let Some(file) = &arguments.message_file else { return self.code };
        match self.leave(file) {
            Ok(()) => self.code,
            Err(error) => {
                tell(&error);
                // Without the message Argo would take it for the bridge's own end, and start it again and again.
                if KILLED.contains(&self.code) { cli::PLATFORM } else { self.code }
            }
        }
    }

    fn leave(&self, file: &Path) -> Result<(), BridgeError> {
        match self.code {
            0 => Ok(()),
            _ => output::write(file, &self.text()),
        }
    }

    fn text(&self) -> String {
        let text = format!("{MARK}{}: {}", self.reason, self.message);
        let text = text.trim_end_matches(": ");
        text[..text.floor_char_boundary(LONGEST)].to_owned()
    }
}

fn parameters(arguments: &Bridge, last: &LastWords) -> Result<(), BridgeError> {
    if let Some(path) = &arguments.reason_file {
        output::write(path, &last.reason)?;
    }
    if let Some(path) = &arguments.outputs_file {
        output::write(path, &serde_json::to_string(&last.outputs).unwrap_or_default())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_mark_and_a_bounded_length() {
        let last = LastWords { reason: "hook-failed".to_owned(), ..Default::default() };
        assert_eq!(last.text(), "tenantry: hook-failed");
        let long = LastWords { message: "ü".repeat(LONGEST), ..last };
        assert!(long.text().starts_with("tenantry: hook-failed: ü"));
        assert!(long.text().len() <= LONGEST);
    }
}
