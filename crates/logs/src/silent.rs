//! Attempts that ended without a line: one file for each operation, so that a hook that says nothing costs no file.
//!
//! A line each, between line breaks, so that a torn one spoils no other. It knows nothing of segments.

use crate::{LogError, handles::Handles};
use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};
use tenantry_model::AttemptId;

/// Where an attempt's silence is noted.
#[derive(Debug)]
pub struct Silent {
    path: PathBuf,
    line: String,
}

impl Silent {
    /// Of one attempt, below the folder of all logs.
    pub fn of(root: &Path, attempt: &AttemptId) -> Self {
        let path = root.join(attempt.operation.to_string()).join("silent");
        Self { path, line: format!("{}#{}", attempt.step, attempt.number) }
    }

    /// Whether it is noted.
    pub fn is_noted(&self) -> Result<bool, LogError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => {
                Ok(text.split_inclusive('\n').any(|line| line.strip_suffix('\n') == Some(&self.line)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(LogError::io("read", &self.path)(error)),
        }
    }

    /// Notes it; answers the file, which is not on the disk yet.
    pub fn note(&self, handles: &Handles) -> Result<PathBuf, LogError> {
        let file = match handles.append(&self.path) {
            // The first of its operation.
            Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let folder = self.path.parent().unwrap_or(&self.path);
                fs::create_dir_all(folder).map_err(LogError::io("make", folder))?;
                handles.append(&self.path)?
            }
            opened => opened?,
        };
        (&*file)
            .write_all(format!("\n{}\n", self.line).as_bytes())
            .map_err(LogError::io("append to", &self.path))?;
        Ok(self.path.clone())
    }
}
