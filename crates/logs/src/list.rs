//! Which operations have logs: for checks, and for sweeping what a crash left.

use crate::LogError;
use std::{fs, io, path::Path};
use tenantry_model::OperationId;

/// The operations that have a folder, in order. Other files are nobody's business here.
pub fn operations(root: &Path) -> Result<Vec<OperationId>, LogError> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LogError::io("list", root)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(LogError::io("list", root))?;
        found.extend(entry.file_name().to_string_lossy().parse::<OperationId>().ok());
    }
    found.sort_unstable();
    Ok(found)
}
