//! Fixtures as files: `NUMBER/sqlite.tar.gz` and `NUMBER/postgresql.tar.gz`, each a data folder with the hooks' templates and the
//! administrator's token beside it; in the second also the database as SQL.

use super::place::Place;
use sqlx::{Connection as _, Executor as _};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The database of PostgreSQL, beside the data folder.
const ROWS: &str = "rows.sql";

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn numbers(folder: &Path, number: impl Fn(&OsStr) -> Option<u32>) -> Vec<u32> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut found: Vec<u32> = entries.filter_map(|entry| number(&entry.unwrap().file_name())).collect();
    found.sort_unstable();
    found
}

/// The schemas of which there is a fixture.
pub fn versions() -> Vec<u32> {
    let folder = crate_folder().join("fixtures");
    if !folder.exists() {
        return Vec::new();
    }
    numbers(&folder, |name| name.to_str()?.parse().ok())
}

/// The schemas that versions have had.
fn schemas() -> Vec<u32> {
    numbers(&crate_folder().join("../store-sqlite/migrations"), |name| {
        name.to_str()?.split('_').next()?.parse().ok()
    })
}

pub fn the_version_before_has_one() {
    let schemas = schemas();
    let before = schemas[schemas.len() - 2];
    assert!(
        versions().contains(&before),
        "no fixture of schema {before}: write one with the version that has it, as docs/testing.md says"
    );
}

/// Where to write one.
pub fn wanted() -> Option<PathBuf> {
    Some(crate_folder().join("../..").join(std::env::var_os("TENANTRY_FIXTURES")?))
}

pub fn keep(folder: &Path, kind: &str, left: &[u8]) {
    let folder = folder.join(format!("{:04}", schemas().last().unwrap()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{kind}.tar.gz")), left).unwrap();
}

pub fn read(version: u32, kind: &str) -> Vec<u8> {
    std::fs::read(crate_folder().join(format!("fixtures/{version:04}/{kind}.tar.gz"))).unwrap()
}

/// What lies there, as it lies there: nothing is closed before.
pub fn pack(place: &Place) -> Vec<u8> {
    let folder = place.world.folder.path();
    let mut parts = vec!["admin-token", "data", "templates"];
    if let Some(url) = &place.url {
        let dump = ["--no-owner", "--no-privileges", "--inserts", "--file", ROWS, "--dbname", url];
        run(folder, "pg_dump", &dump);
        parts.push(ROWS);
    }
    let archive =
        ["--exclude=*.lock", "--exclude=*-shm", "--sort=name", "--owner=0", "--group=0", "-cf", "left.tar"];
    run(folder, "tar", &[&archive[..], &parts].concat());
    run(folder, "gzip", &["-9n", "left.tar"]);
    std::fs::read(folder.join("left.tar.gz")).unwrap()
}

pub async fn unpack(place: &Place, left: &[u8]) {
    let folder = place.world.folder.path();
    std::fs::write(folder.join("left.tar.gz"), left).unwrap();
    run(folder, "tar", &["-xzf", "left.tar.gz"]);
    let Some(url) = &place.url else { return };
    let dump = std::fs::read_to_string(folder.join(ROWS)).unwrap();
    // What begins like this is for psql.
    let statements: Vec<&str> = dump.lines().filter(|line| !line.starts_with('\\')).collect();
    let mut database = sqlx::PgConnection::connect(url).await.unwrap();
    database.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statements.join("\n")))).await.unwrap();
    database.close().await.unwrap();
}

fn run(folder: &Path, program: &str, args: &[&str]) {
    let done = Command::new(program).args(args).current_dir(folder).output();
    let done = done.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}
