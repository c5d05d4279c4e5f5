//! A data folder that is damaged at rest: what a real manager says when it is started on it, with which exit code, and that
//! the documented way out (docs/operations/check.md) is one.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tenantry_e2e::{AgentSettings, Answer, Hook, Needs, Program, Site, World, tenantry, trial};
use tenantry_model::OperationId;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::Laptop, "a_damaged_database_is_refused_and_a_backup_is_the_way_out", database),
        trial(Needs::Laptop, "a_page_of_a_database_that_is_damaged_is_found_by_a_deep_check", page),
        trial(Needs::Laptop, "a_damaged_log_segment_is_named_and_moving_it_away_is_the_way_out", segment),
    ]
}

/// A manager that has run one operation with a log, stopped in good order.
fn stopped(world: &World) -> Result<(Site, OperationId)> {
    let templates = world.folder().join("templates");
    std::fs::create_dir_all(&templates)?;
    let hook = Hook::new("team", "talks").shell("echo first line; echo second line");
    std::fs::write(templates.join("hook.yaml"), hook.manifest().to_string())?;
    let mut site = Site::start(world, &[])?;
    site.expect_log("cannot reach the manager");
    site.add_region("eu1", AgentSettings::process(&templates))?;
    site.wait_for_hooks("eu1", &["team/talks"])?;
    let id = site.provision("prod", "eu1")?;
    site.wait_succeeded(id)?;
    ensure!(site.log_text(id, "talks", 1)? == "first line\nsecond line\n");
    site.stop_managers()?;
    // What is still beside the database's file goes into it: else what is damaged there would be read from beside it.
    Answer::of(tenantry().args(["store", "migrate", "--data"]).arg(data(world)))?.expect(0)?;
    Ok((site, id))
}

fn data(world: &World) -> PathBuf {
    world.folder().join("site/data")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    Answer::of(std::process::Command::new("cp").arg("-a").arg(from).arg(to))?.expect(0).map(drop)
}

/// Writes something else over some bytes.
fn damage(file: &Path, at: u64, bytes: &[u8]) -> Result<()> {
    let mut file = OpenOptions::new().write(true).open(file)?;
    file.seek(SeekFrom::Start(at))?;
    Ok(file.write_all(bytes)?)
}

/// `tenantry check --deep` of the folder at rest.
fn check(data: &Path) -> Result<Answer> {
    Answer::of(tenantry().args(["check", "--deep", "-o", "json", "--data"]).arg(data))
}

/// The manager on this folder, which must refuse it.
fn refused(world: &World, site: &Site, name: &str) -> Result<String> {
    let mut manager = Program::start(name, world.folder(), &mut site.manager_command())?;
    let status = manager.wait(Duration::from_mins(2))?;
    let log = manager.log_text()?;
    ensure!(status.code() == Some(3), "{status}: {log}");
    ensure!(manager.out_text()?.is_empty(), "it has begun something");
    Ok(log)
}

fn database(world: &World) -> Result<()> {
    const SAID: &str = "the database file is damaged; stop the manager and put a backup in its place";
    let (mut site, id) = stopped(world)?;
    let (data, backup) = (data(world), world.folder().join("backup"));
    copy(&data, &backup)?;
    let file = data.join("tenantry.db");
    // What a file system that lost its writes leaves: nothing of the header, or nothing of the file's end.
    let length = std::fs::metadata(&file)?.len();
    for (name, cut) in [("header", None), ("end", Some(length / 2))] {
        match cut {
            None => damage(&file, 0, &[0xa5; 4096])?,
            Some(length) => OpenOptions::new().write(true).open(&file)?.set_len(length)?,
        }
        let before = std::fs::read(&file)?;
        let log = refused(world, &site, name)?;
        ensure!(log.contains(SAID), "{name}: {log}");
        ensure!(std::fs::read(&file)? == before, "{name}: the evidence is changed");
        let looked = check(&data)?;
        ensure!(looked.code.is_some_and(|code| code != 0), "{name}: {looked:?}");
        ensure!((looked.out.clone() + &looked.err).contains("damaged"), "{name}: {looked:?}");

        std::fs::rename(&data, world.folder().join(format!("kept-{name}")))?;
        copy(&backup, &data)?;
        check(&data)?.expect(0)?;
    }
    site.start_manager()?;
    ensure!(site.log_text(id, "talks", 1)? == "first line\nsecond line\n");
    let again = site.provision("again", "eu1")?;
    site.wait_succeeded(again)?;
    site.finish()
}

/// A page of rows that a start does not read: a deep check does.
fn page(world: &World) -> Result<()> {
    const PAGE: usize = 4096;
    let (mut site, id) = stopped(world)?;
    let (data, backup) = (data(world), world.folder().join("backup"));
    copy(&data, &backup)?;
    let file = data.join("tenantry.db");
    // The last one that names the operation: one of its rows, an event or an entry of the audit log.
    let (bytes, id) = (std::fs::read(&file)?, id.to_string());
    let of_it = |page: &[u8]| page.windows(id.len()).any(|part| part == id.as_bytes());
    let page = bytes.chunks(PAGE).rposition(of_it).context("a page of the operation")?;
    damage(&file, (page * PAGE) as u64, &[0xa5; PAGE])?;
    let found = check(&data)?.expect(1)?;
    let findings: Vec<serde_json::Value> = serde_json::from_str(&found.out)?;
    let of_file = findings.iter().find(|finding| finding["row"] == "database").context(found.out.clone())?;
    ensure!(of_file["severity"] == "error", "{of_file}");
    ensure!(of_file["message"].as_str().is_some_and(|text| text.contains("damaged")), "{of_file}");
    ensure!(of_file["remedy"].as_str().is_some_and(|remedy| remedy.contains("backup")), "{of_file}");
    std::fs::rename(&data, world.folder().join("kept"))?;
    copy(&backup, &data)?;
    check(&data)?.expect(0)?;
    site.start_manager()?;
    site.finish()
}

fn segment(world: &World) -> Result<()> {
    let (mut site, id) = stopped(world)?;
    let data = data(world);
    let file = data.join("logs").join(id.to_string()).join("eu1/team/talks/1.00000000000000000000.seg");
    // Within the text of the first record.
    let text = std::fs::read(&file)?;
    let at = text.windows(5).position(|part| part == b"first").context("the log's text")?;
    damage(&file, at as u64, b"F")?;

    let found = check(&data)?.expect(1)?;
    let findings: Vec<serde_json::Value> = serde_json::from_str(&found.out)?;
    let [finding] = &findings[..] else { anyhow::bail!("{found:?}") };
    ensure!(finding["check"] == "log-segment" && finding["severity"] == "error", "{finding}");
    let message = finding["message"].as_str().context("a message")?;

    // The manager starts, says it of this log, and does everything else.
    site.expect_log("is damaged at byte");
    site.expect_log("\"status\":503");
    site.start_manager()?;
    let words = ["op", "logs", &id.to_string(), "team/talks"].map(str::to_owned);
    let words = words.each_ref().map(String::as_str);
    // Who reads it is told of no files; who keeps the manager is.
    let refused = site.cli(&words)?.expect(6)?;
    ensure!(refused.err.contains("logs-unavailable"), "{refused:?}");
    ensure!(site.manager_log(0)?.contains(message), "the manager's log does not say the same: {message}");
    let again = site.provision("again", "eu1")?;
    site.wait_succeeded(again)?;
    let running = site.cli(&["check", "--deep"])?.expect(1)?;
    ensure!(running.out.contains("log-segment"), "{running:?}");

    let command = message.split_once('(').and_then(|(_, rest)| rest.split_once(')')).context("a command")?.0;
    ensure!(command.starts_with("mv ") && command.contains(&*file.display().to_string()), "{message}");
    Answer::of(std::process::Command::new("sh").args(["-c", command]))?.expect(0)?;
    site.cli(&["check", "--deep"])?.expect(0)?;
    let log = site.cli(&words)?.expect(0)?;
    ensure!(!log.out.contains("first line"), "{log:?}");
    ensure!(log.out.contains("in a damaged file, which was moved away"), "no note about it: {log:?}");
    site.finish()
}
