//! The key file: made on the first start, readable for its owner only, replaced by a rotation in an order that a crash
//! cannot break.
//!
//! A rotation writes the new key beside the old one, commits the head in which the old key announces it, and only then
//! takes the old one's place. Whoever finds a key beside the file looks whether it was announced.

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
    let next = beside(path);
    if let Some(signer) = read(&next)? {
        if announced.last() == Some(signer.public()) {
            put_in_place(path)?;
        } else {
            fs::remove_file(&next).map_err(failed("remove", &next))?;
        }
    }
    read(path)
}

/// Makes the file with a new key. One that is there stays: another process may have been first.
pub(super) fn make(path: &Path) -> Result<Signer, KeyFileError> {
    let signer = write(&beside(path))?;
    match fs::hard_link(beside(path), path) {
        Ok(()) => {
            fs::remove_file(beside(path)).map_err(failed("remove", &beside(path)))?;
            sync_folder(path)?;
            Ok(signer)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(beside(path)).map_err(failed("remove", &beside(path)))?;
            read(path)?.ok_or_else(|| failed("read", path)(ErrorKind::NotFound.into()))
        }
        Err(error) => Err(failed("write", path)(error)),
    }
}

/// Writes a new key beside the file; [`put_in_place`] makes it the one.
pub(super) fn make_next(path: &Path) -> Result<Signer, KeyFileError> {
    write(&beside(path))
}

/// The key beside the file takes its place.
pub(super) fn put_in_place(path: &Path) -> Result<(), KeyFileError> {
    fs::rename(beside(path), path).map_err(failed("replace", path))?;
    sync_folder(path)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".next");
    PathBuf::from(name)
}

fn read(path: &Path) -> Result<Option<Signer>, KeyFileError> {
    match fs::read_to_string(path) {
        Ok(text) => Signer::from_pem(&text).map(Some).map_err(unusable(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

fn write(path: &Path) -> Result<Signer, KeyFileError> {
    let signer = Signer::generate().map_err(unusable(path))?;
    let pem = signer.to_pem().map_err(unusable(path))?;
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()
    };
    write().map_err(failed("write", path))?;
    Ok(signer)
}

fn sync_folder(path: &Path) -> Result<(), KeyFileError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
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
