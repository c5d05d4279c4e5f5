//! Where signed heads are kept besides the database: a folder with a file each, or one file with a line each. It can be
//! another disk, or a folder that something carries away.
//!
//! What is there says how far the export has come, so that a crash or a full disk leaves no gap: the next try goes on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use tenantry_audit::SignedHead;
use tenantry_store::AuditHead;

const PREFIX: &str = "head-";
const SUFFIX: &str = ".json";

/// An open sink.
#[derive(Debug)]
pub(super) struct Sink {
    place: Place,
    /// The newest head that is there.
    pub(super) last: u64,
}

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    File(PathBuf),
}

impl Sink {
    /// Looks how far it has come. A path that is a folder, or ends with `/`, takes a file a head.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            fs::create_dir_all(path)?;
            let mut last = 0;
            for entry in fs::read_dir(path)? {
                last = last.max(number_of(&entry?.file_name().to_string_lossy()).unwrap_or(0));
            }
            return Ok(Self { place: Place::Folder(path.to_owned()), last });
        }
        let last = last_of(path)?;
        Ok(Self { place: Place::File(path.to_owned()), last })
    }

    /// Writes heads, in order, to the disk.
    pub(super) fn put(&mut self, heads: &[AuditHead]) -> io::Result<()> {
        match &self.place {
            Place::Folder(folder) => {
                for head in heads {
                    let name = format!("{PREFIX}{:012}{SUFFIX}", head.number);
                    let partial = folder.join(format!(".{name}.partial"));
                    let mut file = File::create(&partial)?;
                    file.write_all(head.document.as_bytes())?;
                    file.write_all(b"\n")?;
                    file.sync_all()?;
                    fs::rename(&partial, folder.join(name))?;
                    self.last = head.number;
                }
                File::open(folder)?.sync_all()
            }
            Place::File(path) => {
                let mut text = String::new();
                for head in heads {
                    text.push_str(&head.document);
                    text.push('\n');
                }
                let mut file = OpenOptions::new().append(true).create(true).open(path)?;
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                self.last = heads.last().map_or(self.last, |head| head.number);
                Ok(())
            }
        }
    }
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}

/// The newest head of a file. A line that was not written to its end is cut off: it will be written again.
fn last_of(path: &Path) -> io::Result<u64> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let (mut last, mut whole) = (0, 0);
    let mut reader = BufReader::new(file);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        if !line.ends_with('\n') {
            OpenOptions::new().write(true).open(path)?.set_len(whole)?;
            break;
        }
        whole += line.len() as u64;
        let head = serde_json::from_str::<SignedHead>(&line)?.head()?;
        last = last.max(head.number);
        line.clear();
    }
    Ok(last)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;
    use tenantry_audit::{Head, Signer};

    fn heads(numbers: std::ops::RangeInclusive<u64>) -> Vec<AuditHead> {
        let signer = Signer::generate().unwrap();
        numbers
            .map(|number| {
                let head = Head {
                    installation: uuid::Uuid::nil(),
                    number,
                    at: jiff::Timestamp::UNIX_EPOCH,
                    previous: String::new(),
                    chains: Vec::new(),
                    next_key: None,
                };
                AuditHead { number, document: serde_json::to_string(&signer.sign(&head).unwrap()).unwrap() }
            })
            .collect()
    }

    #[test]
    fn a_folder_and_a_file_say_how_far_they_have_come() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("heads.jsonl")] {
            assert_eq!(Sink::open(&path).unwrap().last, 0);
            Sink::open(&path).unwrap().put(&heads(1..=2)).unwrap();
            let mut again = Sink::open(&path).unwrap();
            assert_eq!(again.last, 2);
            again.put(&heads(3..=3)).unwrap();
            assert_eq!((again.last, Sink::open(&path).unwrap().last), (3, 3));
        }
    }

    #[test]
    fn a_torn_line_is_cut_off_and_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads.jsonl");
        Sink::open(&path).unwrap().put(&heads(1..=3)).unwrap();
        let length = fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 10).unwrap();
        let mut again = Sink::open(&path).unwrap();
        assert_eq!(again.last, 2);
        again.put(&heads(3..=4)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 4);
    }
}
