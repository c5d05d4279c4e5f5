//! The key file: made on the first start, readable for its owner only, replaced by a rotation in an order that a crash
//! cannot break.
//!
//! A rotation writes the new key beside the old one, commits the head in which the old key announces it, and only then
//! takes the old one's place. Whoever finds a key beside the file looks whether it was announced. Managers of one database
//! share the file, so that each key beside it has a name of its own: nobody moves another one's key.

use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use tenantry_audit::{KeyError, PublicKey, Signer};

/// A public key of the installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditKey {
    /// Its id, as heads name it.
    pub id: String,
    /// PEM.
    pub pem: String,
    /// Whether new heads are signed with it.
    pub current: bool,
}

/// Why the key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyFileError {
    #[error("cannot {what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path}: {source}")]
    Key { path: PathBuf, source: KeyError },
}

/// The key of the file, if there is one. `announced` are the public keys that the rows know, the newest last.
pub(super) fn load(path: &Path, announced: &[PublicKey]) -> Result<Option<Signer>, KeyFileError> {
    for next in all_beside(path)? {
        // What a crash left half written is no key.
        let public = match read(&next) {
            Ok(Some(signer)) => Some(signer.public().clone()),
            Ok(None) => continue,
            Err(KeyFileError::Key { .. }) => None,
            Err(error) => return Err(error),
        };
        if public.is_some() && public.as_ref() == announced.last() {
            fs::rename(&next, path).or_else(moved_by_another).map_err(failed("replace", path))?;
            sync_folder(path)?;
        } else if !announced.is_empty() {
            // Before the first head it may be another manager's that is not told of yet.
            remove(&next)?;
        }
    }
    read(path)
}

/// Makes the file with a new key. One that is there stays: another process may have been first.
pub(super) fn make(path: &Path) -> Result<Signer, KeyFileError> {
    let signer = make_next(path)?;
    let next = beside(path, &signer.public().id());
    match fs::hard_link(&next, path) {
        Ok(()) => {
            remove(&next)?;
            sync_folder(path)?;
            Ok(signer)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            remove(&next)?;
            read(path)?.ok_or_else(|| failed("read", path)(ErrorKind::NotFound.into()))
        }
        Err(error) => Err(failed("write", path)(error)),
    }
}

/// Writes a new key beside the file; [`put_in_place`] makes it the one.
pub(super) fn make_next(path: &Path) -> Result<Signer, KeyFileError> {
    let signer = Signer::generate().map_err(unusable(path))?;
    write(&signer, &beside(path, &signer.public().id()))?;
    Ok(signer)
}

/// The key beside the file takes its place, unless another manager that has read of it has put it there.
pub(super) fn put_in_place(path: &Path, id: &str) -> Result<(), KeyFileError> {
    fs::rename(beside(path, id), path).or_else(moved_by_another).map_err(failed("replace", path))?;
    sync_folder(path)
}

/// The key beside the file was announced by nothing that was kept.
pub(super) fn discard(path: &Path, id: &str) -> Result<(), KeyFileError> {
    remove(&beside(path, id))
}

fn beside(path: &Path, id: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".next-{id}"));
    PathBuf::from(name)
}

fn all_beside(path: &Path) -> Result<Vec<PathBuf>, KeyFileError> {
    let Some(name) = path.file_name() else { return Ok(Vec::new()) };
    let begins = [name.as_encoded_bytes(), b".next"].concat();
    let folder = folder_of(path);
    let list = || fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let all: Vec<PathBuf> = match list() {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        other => other.map_err(failed("read", folder))?,
    };
    let is_next =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(&begins));
    Ok(all.into_iter().filter(is_next).collect())
}

fn moved_by_another(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn remove(path: &Path) -> Result<(), KeyFileError> {
    fs::remove_file(path).or_else(moved_by_another).map_err(failed("remove", path))
}

fn read(path: &Path) -> Result<Option<Signer>, KeyFileError> {
    match fs::read_to_string(path) {
        Ok(text) => Signer::from_pem(&text).map(Some).map_err(unusable(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

fn write(signer: &Signer, path: &Path) -> Result<(), KeyFileError> {
    let pem = signer.to_pem().map_err(unusable(path))?;
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()
    };
    write().map_err(failed("write", path))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_folder(path: &Path) -> Result<(), KeyFileError> {
    let folder = folder_of(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write", folder))
}

fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::Io { what, path: path.clone(), source }
}

fn unusable(path: &Path) -> impl Fn(KeyError) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::Key { path: path.clone(), source }
}
