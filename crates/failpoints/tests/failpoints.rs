//! Every failpoint has one place, every transaction of the manager has a failpoint, and no program that is released has
//! any. `UPDATE=1` writes the page anew.

#![allow(clippy::unwrap_used)] // in tests a panic is the message

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The text of each source file below a folder.
fn sources(folder: &Path, all: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            all.insert(path, text);
        }
    }
}

fn sources_of(rooms: &[&str]) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    for room in rooms {
        sources(&repository().join("crates").join(room).join("src"), &mut all);
    }
    all
}

#[test]
fn the_page_is_the_committed_one() {
    let path = repository().join("docs/reference/failpoints.md");
    let fresh = tenantry_failpoints::page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == fresh,
        "docs/reference/failpoints.md is not what the code says: run UPDATE=1 cargo test --workspace --test failpoints"
    );
}

#[test]
fn every_failpoint_has_exactly_one_place() {
    let points = std::fs::read_to_string(repository().join("crates/failpoints/src/points.rs")).unwrap();
    let listed: Vec<&str> = points
        .lines()
        .filter_map(|line| line.strip_prefix("        ")?.split_once(" \""))
        .map(|(point, _)| point)
        .filter(|point| point.chars().all(char::is_alphanumeric))
        .collect();
    let rows = tenantry_failpoints::page().lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(listed.len(), rows, "{listed:?}");
    let code = sources_of(&["manager", "agent", "tenantry"]);
    for point in listed {
        let word = format!("Point::{point}");
        let is_it = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric());
        let places: Vec<&PathBuf> = code
            .iter()
            .flat_map(|(path, text)| {
                text.split(word.as_str()).skip(1).filter(|rest| is_it(rest)).map(move |_| path)
            })
            .collect();
        assert_eq!(places.len(), 1, "{word} stands in {places:?}");
    }
}

#[test]
fn names_are_unique_and_can_be_words_of_a_file() {
    let page = tenantry_failpoints::page();
    let names: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let unique: std::collections::BTreeSet<&&str> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
    assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')), "{names:?}");
}

/// A transaction is committed by one function, which asks for a failpoint; and by the start of a manager, which has
/// nothing but the store.
#[test]
fn no_transaction_is_committed_without_a_failpoint() {
    let bare: Vec<String> = sources_of(&["manager", "tenantry", "api"])
        .iter()
        .flat_map(|(path, text)| {
            text.lines()
                .filter(|line| line.contains(".commit()"))
                .map(move |line| format!("{}: {}", path.file_name().unwrap().to_string_lossy(), line.trim()))
        })
        .collect();
    assert_eq!(
        bare,
        [
            "work.rs: tx.commit().await?;",
            "storage.rs: write.commit().await.map_err(|error| refused(&error))?;",
        ]
    );
}

/// What cargo would build without any test: the features of the released program.
#[test]
fn a_released_program_has_no_failpoints() {
    let tree = |edges: &str| {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--locked", "-p", "tenantry", "-e", edges, "--prefix", "none"])
            .current_dir(repository())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let released = tree("normal,build,features");
    assert!(released.contains("tenantry-failpoints v"), "{released}");
    for feature in [
        "tenantry-failpoints feature \"armed\"",
        "tenantry-engine feature \"mutants\"",
        "tenantry-schedule feature \"mutants\"",
        "tenantry-mutants feature \"planted\"",
    ] {
        assert!(!released.contains(feature), "{feature} is in what is released");
    }
}
