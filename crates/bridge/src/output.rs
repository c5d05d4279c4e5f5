//! The lists that a Workflow goes through, and where they go.
//!
//! It must never cut anything: half a list looks like a whole one.

use crate::{BridgeError, Order};
use serde::Serialize;
use std::{collections::BTreeSet, io::Write, path::Path};
use tenantry_hook::levels;
use tenantry_model::HookPath;

/// All that Argo takes from a container's stdout; of more it keeps the end.
pub const STDOUT_LIMIT: usize = 256 * 1024;

/// The form of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// One list, by name.
    Flat,
    /// A list of lists.
    Levels,
}

#[derive(Serialize)]
struct Item<'a> {
    name: &'a str,
    namespace: &'a str,
}

impl<'a> Item<'a> {
    fn of(path: &'a HookPath) -> Self {
        Self { name: path.name.as_str(), namespace: path.namespace.as_str() }
    }
}

impl Listing {
    /// The list as JSON.
    #[must_use]
    pub fn text(self, order: &Order) -> String {
        match self {
            Self::Flat => serde_json::to_string(&order.after.keys().map(Item::of).collect::<Vec<_>>()),
            Self::Levels => {
                let levels: Vec<BTreeSet<HookPath>> = levels(&order.after);
                let items: Vec<Vec<Item<'_>>> =
                    levels.iter().map(|level| level.iter().map(Item::of).collect()).collect();
                serde_json::to_string(&items)
            }
        }
        .unwrap_or_default()
    }
}

/// Writes the text to the file, or to stdout.
pub(crate) fn give(text: &str, file: Option<&Path>) -> Result<(), BridgeError> {
    let Some(path) = file else {
        if text.len() >= STDOUT_LIMIT {
            return Err(BridgeError::TooLarge { size: text.len(), limit: STDOUT_LIMIT });
        }
        let mut stdout = std::io::stdout().lock();
        return stdout
            .write_all(format!("{text}\n").as_bytes())
            .and_then(|()| stdout.flush())
            .map_err(|source| BridgeError::File { verb: "write to", path: "/dev/stdout".into(), source });
    };
    write(path, text)
}

/// Writes a file.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), BridgeError> {
    std::fs::write(path, text).map_err(|source| BridgeError::File {
        verb: "write",
        path: path.to_owned(),
        source,
    })
}
