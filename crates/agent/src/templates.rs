//! The template store: each version of each hook that may still be needed, as a file of its own.
//!
//! Commands carry hashes only; what no team wrote in this region cannot be run. Hooks with the same content have the
//! same hash, so a version belongs to its hook. It must never know attempts or the manager: what to keep is told.

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

/// So many files are synced one by one; of more all that the file system has.
const ONE_BY_ONE: usize = 16;

/// `templates/<hash>/<namespace>/<name>` and `templates/index.json` (the last good version of each hook).
pub struct TemplateStore {
    folder: PathBuf,
    good: BTreeMap<HookPath, TemplateHash>,
    /// `index.json` says something else.
    unsaved: bool,
    /// Written, and not durable yet.
    unsynced: Vec<PathBuf>,
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
        Ok(Self { folder, good: index.good, unsaved: false, unsynced: Vec::new() })
    }

    /// Keeps a version and makes it the last good one of its hook. Both are durable after [`Self::save`]: of a listing with
    /// thousands of hooks the disk is waited for once. What a loss of power leaves half written is written again.
    pub fn put(&mut self, path: &HookPath, hash: &TemplateHash, template: &Value) -> Result<(), AgentError> {
        let Some(file) = self.file(path, hash) else {
            return Err(AgentError::Executor(format!("{hash} of {path} is no SHA-256")));
        };
        let bytes = serde_json::to_vec(template).unwrap_or_default();
        if std::fs::read(&file).ok().as_ref() != Some(&bytes) {
            replace(&file, |new| new.write_all(&bytes)).map_err(AgentError::folder("write", &file))?;
            self.unsynced.push(file);
        }
        if self.good.get(path) != Some(hash) {
            self.good.insert(path.clone(), hash.clone());
            self.unsaved = true;
        }
        Ok(())
    }

    /// Makes durable what was put, and then which versions are the last good ones. Before the manager is told of any.
    pub fn save(&mut self) -> Result<(), AgentError> {
        self.sync().map_err(AgentError::folder("write", &self.folder))?;
        self.unsynced.clear();
        if self.unsaved {
            let index = Index { good: self.good.clone() };
            let text = serde_json::to_vec(&index).unwrap_or_default();
            // After an error whoever tries again has it written again.
            write_durably(&self.folder.join("index.json"), &text)?;
            self.unsaved = false;
        }
        Ok(())
    }

    /// The template of a version of a hook, as it was stored.
    #[must_use]
    pub fn get(&self, path: &HookPath, hash: &TemplateHash) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.file(path, hash)?).ok()?).ok()
    }

    /// Removes every version that is neither in `keep` nor the last good one of a hook in `present`, nor young.
    pub fn tidy(
        &mut self,
        keep: &BTreeSet<TemplateHash>,
        present: &BTreeSet<HookPath>,
    ) -> Result<(), AgentError> {
        let before = self.good.len();
        self.good.retain(|path, hash| present.contains(path) || keep.contains(hash));
        self.unsaved |= self.good.len() != before;
        self.save()?;
        let good: BTreeSet<&TemplateHash> = self.good.values().collect();
        let entries = std::fs::read_dir(&self.folder).map_err(AgentError::folder("read", &self.folder))?;
        for entry in entries.flatten() {
            let Some(hash) = entry.file_name().to_str().map(|name| TemplateHash(name.to_owned())) else {
                continue;
            };
            let is_old = entry
                .metadata()
                .and_then(|m| m.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > GRACE));
            if is_hash(&hash) && is_old && !keep.contains(&hash) && !good.contains(&hash) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        Ok(())
    }

    /// A hash comes from the manager: nothing but hex becomes part of a path. Names have no slash and begin with a
    /// letter or a digit.
    fn file(&self, path: &HookPath, hash: &TemplateHash) -> Option<PathBuf> {
        is_hash(hash)
            .then(|| self.folder.join(&hash.0).join(path.namespace.to_string()).join(path.name.to_string()))
    }

    /// Files, and the folders that name them.
    fn sync(&self) -> std::io::Result<()> {
        if self.unsynced.len() > ONE_BY_ONE {
            return sync_all_under(&self.folder);
        }
        for file in &self.unsynced {
            for named in file.ancestors().take_while(|above| above.starts_with(&self.folder)) {
                File::open(named)?.sync_all()?;
            }
        }
        Ok(())
    }
}

fn is_hash(hash: &TemplateHash) -> bool {
    hash.0.len() == 64 && hash.0.bytes().all(|b| b.is_ascii_hexdigit())
}

/// All or nothing, also after a loss of power.
fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), AgentError> {
    let write = || {
        replace(path, |file| file.write_all(bytes).and_then(|()| file.sync_data()))?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(AgentError::folder("write", path))
}

/// All or nothing while the machine has power; folders are made.
fn replace(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> std::io::Result<()> {
    // No hook has a name like this.
    let temporary = path.with_file_name(".new");
    let create = || File::create(&temporary);
    let mut file = match create() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            create()?
        }
        file => file?,
    };
    write(&mut file)?;
    std::fs::rename(&temporary, path)
}

/// One wait for the disk.
#[cfg(target_os = "linux")]
fn sync_all_under(folder: &Path) -> std::io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_all_under(_: &Path) -> std::io::Result<()> {
    rustix::fs::sync();
    Ok(())
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
            let version = File::open(store.folder.join(hash(letter).0)).unwrap();
            version.set_modified(SystemTime::now() - 2 * GRACE).unwrap();
        }
        store.tidy(&BTreeSet::from([hash("a")]), &BTreeSet::from([path.clone()])).unwrap();
        let mut store = TemplateStore::open(folder.path()).unwrap();
        assert_eq!(store.get(&path, &hash("a")), Some(Value::from("a")), "asked for");
        assert_eq!(store.get(&path, &hash("b")), None, "of no use");
        assert_eq!(store.get(&path, &hash("c")), Some(Value::from("c")), "the last good one");
        store.put(&path, &hash("d"), &Value::from("d")).unwrap();
        store.tidy(&BTreeSet::new(), &BTreeSet::new()).unwrap();
        assert_eq!(store.get(&path, &hash("d")), Some(Value::from("d")), "young");
        assert_eq!(store.get(&path, &hash("c")), None);
    }

    #[test]
    fn the_last_good_version_is_what_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path: HookPath = "crm/a".parse().unwrap();
        let mut store = TemplateStore::open(folder.path()).unwrap();
        for (letter, saved) in [("a", "a"), ("b", "a"), ("b", "b")] {
            store.put(&path, &hash(letter), &Value::from(letter)).unwrap();
            if letter == saved {
                store.save().unwrap();
            }
            store = TemplateStore::open(folder.path()).unwrap();
            assert_eq!(store.good.get(&path), Some(&hash(saved)));
            assert_eq!(
                store.get(&path, &hash(letter)),
                Some(Value::from(letter)),
                "it is there all the same"
            );
        }
    }

    #[test]
    fn what_a_loss_of_power_left_half_written_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path: HookPath = "crm/a".parse().unwrap();
        let mut store = TemplateStore::open(folder.path()).unwrap();
        store.put(&path, &hash("a"), &Value::from("a")).unwrap();
        std::fs::write(store.file(&path, &hash("a")).unwrap(), "").unwrap();
        let mut store = TemplateStore::open(folder.path()).unwrap();
        assert_eq!(store.get(&path, &hash("a")), None);
        store.put(&path, &hash("a"), &Value::from("a")).unwrap();
        assert_eq!(store.get(&path, &hash("a")), Some(Value::from("a")));
    }

    #[test]
    fn many_are_saved_like_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = TemplateStore::open(folder.path()).unwrap();
        let paths: Vec<HookPath> = (0..=ONE_BY_ONE).map(|n| format!("crm/a{n}").parse().unwrap()).collect();
        for path in &paths {
            store.put(path, &hash("a"), &Value::from(path.to_string())).unwrap();
        }
        assert_eq!(store.unsynced.len(), paths.len());
        store.save().unwrap();
        assert!(store.unsynced.is_empty());
        let store = TemplateStore::open(folder.path()).unwrap();
        assert_eq!(store.good.len(), paths.len());
    }

    #[test]
    fn hooks_with_the_same_content_each_have_their_own_template() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = TemplateStore::open(folder.path()).unwrap();
        let paths: Vec<HookPath> = ["crm/a", "crm/b", "billing/a"].map(|path| path.parse().unwrap()).into();
        for path in &paths {
            store.put(path, &hash("a"), &Value::from(path.to_string())).unwrap();
        }
        for path in &paths {
            assert_eq!(store.get(path, &hash("a")), Some(Value::from(path.to_string())));
        }
        assert_eq!(store.get(&"crm/c".parse().unwrap(), &hash("a")), None, "no team wrote that");
    }
}
