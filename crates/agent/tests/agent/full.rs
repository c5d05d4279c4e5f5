//! The agent's disk is full while hooks run: none of them is lost or run twice, its end is told, and its log says what is missing.

use crate::{
    mount::Mount,
    site::{Site, until},
};
use tenantry_model::Fact;

/// Neither does the agent end, nor is anybody told of what is not stored.
pub async fn a_template_that_comes_on_a_full_disk_is_told_of_when_there_is_room() {
    let (disk, site) = small().await;
    site.script("early", "exit 0");
    let agent = site.agent();
    let early = site.start("early").await;
    site.manager.wait_over(&early).await;
    disk.fill().unwrap();
    site.script("late", "exit 4");
    // Its file is begun, and there is no room for what is in it.
    let begun = || {
        let mut folders = vec![site.path("agent").join("templates")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).ok()?.flatten() {
                if entry.file_name() == ".new" {
                    return Some(());
                }
                if entry.path().is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        None
    };
    until("the template to find no room", begun).await;
    assert!(!agent.has_ended(), "the agent has ended");
    let told = site.manager.rows().hooks.keys().any(|path| path.to_string().ends_with("/late"));
    assert!(!told, "the manager was told of what is not stored");
    disk.free().unwrap();
    let late = site.start("late").await;
    let (fact, _) = site.manager.wait_over(&late).await;
    assert!(matches!(&fact, Fact::Ended { outcome, .. } if outcome.exit_code == Some(4)), "{fact:?}");
    agent.stop().await;
}

/// An agent with all that it keeps on a small disk: ledger, spool, templates, attempts' folders. What hooks write for the
/// test is elsewhere.
async fn small() -> (Mount, Site) {
    let disk = Mount::disk("4m").unwrap();
    let site = Site::new().await;
    for folder in ["agent", "attempts"] {
        std::fs::create_dir(disk.path().join(folder)).unwrap();
        std::os::unix::fs::symlink(disk.path().join(folder), site.path(folder)).unwrap();
    }
    (disk, site)
}

pub async fn a_hook_that_ends_on_a_full_disk_is_told_of_and_its_log_says_what_is_missing() {
    let (disk, site) = small().await;
    let (write, written, go) = (site.path("write"), site.path("written"), site.path("go"));
    let wait = |file: &std::path::Path| format!("while [ ! -e {} ]; do sleep 0.02; done", file.display());
    let script = format!(
        "echo begun; {}; head -c 100000 /dev/zero | tr '\\0' x; echo; touch {}; {}; echo goes on; exit 3",
        wait(&write),
        written.display(),
        wait(&go)
    );
    site.script("wordy", &script);
    let quiet_go = site.path("quiet-go");
    site.script("quiet", &format!("{}; exit 5", wait(&quiet_go)));
    let agent = site.agent();
    let (wordy, quiet) = (site.start("wordy").await, site.start("quiet").await);
    site.manager.wait_log(&wordy, "begun").await;
    site.manager.wait_running(&quiet).await;

    disk.fill().unwrap();
    std::fs::write(&write, "").unwrap();
    until("the hook to write on a full disk", || written.exists().then_some(())).await;
    // It ends while there is no room: the manager hears of it all the same, since room for its end was taken before it began.
    std::fs::write(&quiet_go, "").unwrap();
    let fact = site.manager.wait_end(&quiet).await;
    assert!(matches!(&fact, Fact::Ended { outcome, .. } if outcome.exit_code == Some(5)), "{fact:?}");

    disk.free().unwrap();
    std::fs::write(&go, "").unwrap();
    let (fact, log) = site.manager.wait_over(&wordy).await;
    assert!(matches!(&fact, Fact::Ended { outcome, .. } if outcome.exit_code == Some(3)), "{fact:?}");
    let log = String::from_utf8(log.bytes).unwrap();
    assert!(log.starts_with("begun\n") && log.ends_with("goes on\n"), "{} bytes", log.len());
    assert!(
        log.contains("bytes are lost here, because there was no room on the disk]"),
        "{} bytes",
        log.len()
    );
    agent.stop().await;
}
