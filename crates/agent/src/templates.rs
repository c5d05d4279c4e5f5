//! The template store: each version that may still be needed, by its hash, as a file of its own.
//!
//! Commands carry hashes only; what no team wrote in this region cannot be run. It must never know attempts or the
//! manager: what to keep is told.

use crate::AgentError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};
use tenantry_model::{HookPath, TemplateHash};

/// A version that nobody asks for is kept this long all the same: the manager may plan with an inventory that is
/// older than its keep-list.
const GRACE: Duration = Duration::from_hours(1);

/// `templates/<hash>.json` and `templates/index.json` (the last good version of each hook).
pub struct TemplateStore {
    folder: PathBuf,
    good: BTreeMap<HookPath, TemplateHash>,
}

#[derive(Default, Serialize, Deserialize)]
struct Index {
    good: BTreeMap<HookPath, TemplateHash>,
}

impl TemplateStore {
    /// Opens `templates/` in `folder`.
    pub fn open(folder: &Path) -> Result<Self, AgentError> {
        let folder = folder.join("templates");
        std::fs::create_dir_all(&folder).map_err(AgentError::folder("create", &folder))?;
        let path = folder.join("index.json");
        let index = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| AgentError::Damaged {
                path,
                line: e.line(),
                message: e.to_string(),
            })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Index::default(),
            Err(e) => return Err(AgentError::folder("read", path)(e)),
        };
        Ok(Self { folder, good: index.good })
    }

    /// Keeps a version and makes it the last good one of its hook. Durable when it returns: the manager may be told.
    pub fn put(&mut self, path: &HookPath, hash: &TemplateHash, template: &Value) -> Result<(), AgentError> {
        let Some(file) = self.file(hash) else {
            return Err(AgentError::Executor(format!("{hash} of {path} is no SHA-256")));
        };
        if !file.exists() {
            write_durably(&file, &serde_json::to_vec(template).unwrap_or_default())?;
        }
        if self.good.get(path) != Some(hash) {
            self.good.insert(path.clone(), hash.clone());
            self.write_index()?;
        }
        Ok(())
    }

    /// The template of a version, as it was stored.
    #[must_use]
    pub fn get(&self, hash: &TemplateHash) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.file(hash)?).ok()?).ok()
    }

    /// Removes every version that is neither in `keep` nor the last good one of a hook in `present`, nor young.
    pub fn tidy(
        &mut self,
        keep: &BTreeSet<TemplateHash>,
        present: &BTreeSet<HookPath>,
    ) -> Result<(), AgentError> {
        let before = self.good.len();
        self.good.retain(|path, hash| present.contains(path) || keep.contains(hash));
        if self.good.len() != before {
            self.write_index()?;
        }
        let good: BTreeSet<&TemplateHash> = self.good.values().collect();
        let entries = std::fs::read_dir(&self.folder).map_err(AgentError::folder("read", &self.folder))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(hash) = name.to_str().and_then(|n| n.strip_suffix(".json")) else { continue };
            let hash = TemplateHash(hash.to_owned());
            let is_old = entry
                .metadata()
                .and_then(|m| m.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > GRACE));
            if hash.0 != "index" && is_old && !keep.contains(&hash) && !good.contains(&hash) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// A hash comes from the manager: nothing but hex becomes part of a path.
    fn file(&self, hash: &TemplateHash) -> Option<PathBuf> {
        let is_hex = hash.0.len() == 64 && hash.0.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex.then(|| self.folder.join(format!("{}.json", hash.0)))
    }

    fn write_index(&self) -> Result<(), AgentError> {
        let index = Index { good: self.good.clone() };
        write_durably(&self.folder.join("index.json"), &serde_json::to_vec(&index).unwrap_or_default())
    }
}

/// All or nothing, also after a loss of power.
fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), AgentError> {
    let temporary = path.with_extension("new");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        std::fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(AgentError::folder("write", path))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn hash(letter: &str) -> TemplateHash {
        TemplateHash(letter.repeat(64))
    }

    #[test]
    fn a_version_is_kept_while_somebody_may_need_it() {
        let folder = tempfile::tempdir().unwrap();
        let path: HookPath = "crm/a".parse().unwrap();
        let mut store = TemplateStore::open(folder.path()).unwrap();
        for letter in ["a", "b", "c"] {
            store.put(&path, &hash(letter), &Value::from(letter)).unwrap();
            let file = File::options().write(true).open(store.file(&hash(letter)).unwrap()).unwrap();
            file.set_modified(SystemTime::now() - 2 * GRACE).unwrap();
        }
        store.tidy(&BTreeSet::from([hash("a")]), &BTreeSet::from([path.clone()])).unwrap();
        let mut store = TemplateStore::open(folder.path()).unwrap();
        assert_eq!(store.get(&hash("a")), Some(Value::from("a")), "asked for");
        assert_eq!(store.get(&hash("b")), None, "of no use");
        assert_eq!(store.get(&hash("c")), Some(Value::from("c")), "the last good one");
        store.put(&path, &hash("d"), &Value::from("d")).unwrap();
        store.tidy(&BTreeSet::new(), &BTreeSet::new()).unwrap();
        assert_eq!(store.get(&hash("d")), Some(Value::from("d")), "young");
        assert_eq!(store.get(&hash("c")), None);
    }
}
