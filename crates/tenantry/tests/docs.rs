//! Runs the commands of the guides against `tenantry up`, in the order in which they stand, and compares the generated
//! reference with what is committed. A fenced block takes part when its info string is `sh run`.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says where it broke")]

use libtest_mimic::{Arguments, Trial};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// `tenantry up` in a temporary folder; ended when dropped.
struct Up {
    child: Child,
    scratch: tempfile::TempDir,
}

impl Up {
    fn start(templates: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tenantry"))
            .args(["up", "--temporary", "--log", "warn", "--templates", templates, "--root"])
            .arg(scratch.path().join("root"))
            .arg("--env-file")
            .arg(scratch.path().join("env"))
            .current_dir(repository())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let up = Self { child, scratch };
        let deadline = Instant::now() + Duration::from_mins(1);
        while !up.scratch.path().join("env").exists() {
            assert!(Instant::now() < deadline, "tenantry up was not ready within 60 s");
            std::thread::sleep(Duration::from_millis(20));
        }
        up
    }

    fn run(&self, script: &str) -> (bool, String) {
        let binary = Path::new(env!("CARGO_BIN_EXE_tenantry")).parent().unwrap().to_owned();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        let output = Command::new("bash")
            .args([
                "-euo",
                "pipefail",
                "-c",
                "set -a; . \"$SCRATCH/env\"; set +a; exec 2>&1; eval \"$SCRIPT\"",
            ])
            .env("PATH", path)
            .env("SCRATCH", self.scratch.path())
            .env("ROOT", self.scratch.path().join("root"))
            .env("SCRIPT", script)
            .current_dir(repository())
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Ends it and gives back what it logged.
    fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(self.child.wait().unwrap().success(), "tenantry up ended badly:\n{log}");
        log
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn blocks(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository().join(page)).unwrap();
    let mut blocks = Vec::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        match &mut current {
            None if line == "```sh run" => current = Some(String::new()),
            None => {}
            Some(_) if line == "```" => blocks.extend(current.take()),
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    assert!(!blocks.is_empty(), "{page} has no commands to run");
    blocks
}

fn run_page(page: &str, templates: &str) {
    let up = Up::start(templates);
    for block in blocks(page) {
        let (succeeded, output) = up.run(&block);
        assert!(succeeded, "{page}: this failed:\n{block}\nwith:\n{output}");
    }
    let log = up.stop();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{page}: unexpected in the log:\n{log}");
}

fn main() {
    // A guide is a life of seconds to half a minute, most of it hooks in Python; one of them stands for all in the fast run.
    let long = std::env::var_os("TENANTRY_LONG").is_none();
    let guide = |name: &str, pages: &'static [&str], templates: &'static str| {
        Trial::test(name, move || {
            for page in pages {
                run_page(page, templates);
            }
            Ok(())
        })
        .with_ignored_flag(long)
    };
    let saas = "examples/saas";
    let tests = vec![
        guide("the_commands_for_service_teams_work", &["docs/guide/service-team.md"], saas)
            .with_ignored_flag(false),
        guide("the_commands_for_operators_work", &["docs/guide/operator.md"], saas),
        guide("the_commands_for_steering_work", &["docs/guide/steering.md"], saas),
        guide("the_commands_for_platform_engineers_work", &["docs/guide/platform-engineer.md"], saas),
        guide("the_commands_of_an_environments_end_work", &["docs/guide/end-of-life.md"], saas),
        guide("the_commands_for_schedules_work", &["docs/guide/schedules.md"], saas),
        guide(
            "the_commands_of_the_banks_night_work",
            &["docs/guide/nightly-risk.md"],
            "examples/nightly-risk",
        ),
        guide("the_commands_for_receivers_of_events_work", &["docs/guide/events.md"], saas),
        guide("the_commands_for_callers_of_the_api_work", &["docs/guide/api-client.md"], saas),
        guide(
            "the_commands_of_the_runbooks_work",
            &["docs/operations/audit.md", "docs/operations/retention.md", "docs/operations/check.md"],
            saas,
        ),
        Trial::test("a_repeated_key_gives_the_first_answer_and_a_look_changes_nothing", || {
            a_repeated_key_gives_the_first_answer_and_a_look_changes_nothing();
            Ok(())
        }),
        Trial::test("the_generated_reference_is_up_to_date", || {
            the_generated_reference_is_up_to_date();
            Ok(())
        }),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

/// The flags of a script that may be repeated, or only wants to know.
fn a_repeated_key_gives_the_first_answer_and_a_look_changes_nothing() {
    let up = Up::start("examples/saas");
    let run = |script: &str| {
        let common = "create() { tenantry env create acme/prod -f examples/saas/environment-small.yaml --region local \
                      -o json \"$@\" 2>/dev/null; }; rows() { tenantry env list -o json; tenantry op list -o json; \
                      tenantry audit list -o json; }; at=$SCRATCH\n";
        up.run(&format!("{common}{script}"))
    };
    let done = |script: &str| {
        let (succeeded, output) = run(script);
        assert!(succeeded, "{script}\nfailed with:\n{output}");
        output
    };
    done("tenantry tenant create acme; rows > $at/before");
    let look = done("create --validate-only --idempotency-key order");
    assert!(look.contains("\"preview\"") && look.contains("local/crm/crm-tenant"), "{look}");
    done("rows > $at/after; cmp $at/before $at/after");
    // A look has not used the key up; the second one finds what the first one made, however far that has come.
    done("create --idempotency-key order > $at/one; tenantry env reconcile acme/prod --wait --reason later");
    done("create --idempotency-key order > $at/two; cmp $at/one $at/two; rows > $at/before");
    let count =
        done("tenantry op list -o json | python3 -c 'import json,sys; print(len(json.load(sys.stdin)))'");
    assert_eq!(count.trim(), "2", "created once, reconciled once");
    let look = done("tenantry env decommission acme/prod --reason test --validate-only -o json 2>/dev/null");
    assert!(look.contains("lifecycle.decommission"), "{look}");
    done("rows > $at/after; cmp $at/before $at/after");
    let (succeeded, output) =
        run("tenantry env backup acme/prod --reason other --idempotency-key order || test $? = 3 && exit 3");
    assert!(!succeeded && output.contains("idempotency-key-reused"), "{output}");
    done("rows > $at/after; cmp $at/before $at/after");
    let log = up.stop();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "unexpected in the log:\n{log}");
}

fn the_generated_reference_is_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let made =
        Command::new(env!("CARGO_BIN_EXE_tenantry")).arg("reference").arg(folder.path()).status().unwrap();
    assert!(made.success());
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let name = entry.unwrap().file_name();
        let made = std::fs::read_to_string(folder.path().join(&name)).unwrap();
        let committed =
            std::fs::read_to_string(repository().join("docs/reference").join(&name)).unwrap_or_default();
        assert!(made == committed, "docs/reference/{} is stale: run `make docs`", name.display());
    }
}
