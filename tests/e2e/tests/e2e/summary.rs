//! The last lines of `make test`: whoever sees only them must see what failed, and why.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use std::fmt::Write;
use std::process::Command;
use tenantry_e2e::{Answer, Needs, World, repository, trial};

pub fn trials() -> Vec<Trial> {
    vec![trial(Needs::Laptop, "the_summary_of_a_test_run_says_last_what_failed_and_why", summary)]
}

/// Two targets as libtest and libtest-mimic print them, and one that was ended by a signal.
const RUN: &str = "\
running 2 tests
test rules::a ... ok
test rules::b ... FAILED

failures:

---- rules::b stdout ----

thread 'rules::b' (7) panicked at crates/x/src/lib.rs:3:5:
assertion `left == right` failed
  left: 1
 right: 2

failures:
    rules::b

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

error: test failed, to rerun pass `-p x --lib`
running 2 tests

failures:

---- a_secret_is_named ----
the end was not seen
LONG
what it left: /tmp/x

failures:
    a_secret_is_named

test result: FAILED. 40 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.00s

error: test failed, to rerun pass `-p y --test z`

Caused by:
  process didn't exit successfully: `/target/z` (signal: 9, SIGKILL: kill)
";

fn summary(world: &World) -> Result<()> {
    let mut long = String::new();
    for line in 1..=500 {
        writeln!(long, "line {line}")?;
    }
    let run = world.folder().join("run");
    std::fs::write(&run, RUN.replace("LONG\n", &long))?;
    let mut awk = Command::new("awk");
    awk.args(["-v", "MOST=60", "-f"]).arg(repository().join("tests/summary.awk")).arg(&run);
    let said = Answer::of(&mut awk)?.expect(0)?.out;
    let lines: Vec<&str> = said.lines().collect();
    ensure!(lines.len() < 120, "{} lines: nobody reads them", lines.len());
    ensure!(lines.contains(&" right: 2") && lines.contains(&"what it left: /tmp/x"), "{said}");
    ensure!(lines.contains(&"line 1") && !lines.contains(&"line 250"), "{said}");
    ensure!(lines.last() == Some(&"41 passed, 2 failed, 2 skipped"), "{said}");
    let list = lines.iter().position(|line| *line == "failed:").context("no list of what failed")?;
    let (list, whole) = (lines[list..].join("\n"), &said);
    for text in [
        "rules::b: thread 'rules::b' (7) panicked at crates/x/src/lib.rs:3:5: assertion `left == right` failed",
        "a_secret_is_named: the end was not seen",
        "signal: 9, SIGKILL",
    ] {
        ensure!(list.contains(text), "{text:?} is not in the list of\n{whole}");
    }
    Ok(())
}
