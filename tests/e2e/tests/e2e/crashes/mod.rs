//! Manager and agent end at named failpoints (docs/reference/failpoints.md), as kill -9 would end them, in the middle of
//! the examples' lives, and are started again. What is left is what an undisturbed life leaves.
//!
//! First a life is recorded: which failpoints it passes, in which order. Then each of them ends its process at its first
//! and at its last passage, and at some in between (all with `TENANTRY_CRASHES=all`). Several ends lie in one life, far
//! from each other.

use crate::life::{Act, Example, Left, RISK, SAAS, left_by, rows_of};
use anyhow::{Context, Result, anyhow, bail, ensure};
use libtest_mimic::Trial;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;
use tenantry_api_types::v1::{Operation, OperationsQuery};
use tenantry_e2e::{Needs, Site, World, trial, within};
use tenantry_model::OperationState;

/// Where the programs find what to do (crates/failpoints/src/armed.rs).
const VARIABLE: &str = "TENANTRY_FAILPOINTS";
const ENVIRONMENT: &str = "prod";
/// Ends in one life.
const ENDS: usize = 10;
/// Passages of one name that end a process, unless all are asked for.
const OF_ONE_NAME: usize = 3;
/// Lives at the same time.
const AT_ONCE: usize = 2;
/// Only a test that fails waits this long.
const LIMIT: Duration = Duration::from_mins(5);

/// Failpoints that every life passes. Without them the programs have none, and nothing was tested.
const EXPECTED: [&str; 8] = [
    "environment-create",
    "lifecycle-request",
    "commands-lease",
    "facts-take",
    "commands-finish",
    "start-noted",
    "shim-started",
    "release-noted",
];

/// They come when their time has come, which a short life may not live to see: where they come they end a process.
const BY_THE_CLOCK: [&str; 3] = ["heads-sign", "role-take", "session-heard"];

/// What programs say about a neighbour that ended.
const EXPECTED_LOG: [&str; 4] =
    ["waiting for the manager", "no session yet", "the session is over", "session-superseded"];

/// What a command says whose request may have been carried out, or may not: a person looks.
const UNHEARD: [&str; 2] = ["request-already-applied", "cannot be reached"];

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::Minutes, "the_saas_example_survives_a_crash_at_each_failpoint", |world| {
            crashes(world, &SAAS)
        }),
        trial(Needs::Minutes, "a_night_of_risk_survives_a_crash_at_each_failpoint", |world| {
            crashes(world, &RISK)
        }),
    ]
}

/// Where its processes were to end, and what it was.
type Tried = Result<(Vec<String>, Lived)>;

/// What a life was.
struct Lived {
    /// Names in the order in which they were passed.
    passages: Vec<String>,
    /// The passages that ended a process.
    ends: BTreeSet<String>,
    /// Commands that did not hear their answer.
    unheard: usize,
    end_state: EndState,
}

#[derive(Debug, PartialEq)]
struct EndState {
    /// What the hooks left before the environment's end, and after it.
    left: [Left; 2],
    /// What clients see.
    rows: Vec<String>,
}

fn crashes(world: &World, example: &Example) -> Result<()> {
    let calm = live(&world.folder().join("calm"), example, &[])?;
    ensure!(calm.ends.is_empty() && calm.unheard == 0, "ends in an undisturbed life: {:?}", calm.ends);
    let names: BTreeSet<&str> = calm.passages.iter().map(String::as_str).collect();
    for name in EXPECTED {
        ensure!(
            names.contains(name),
            "{name} is not passed (only `cargo test --workspace` builds failpoints): {names:?}"
        );
    }
    let all = std::env::var("TENANTRY_CRASHES").is_ok_and(|value| value == "all");
    let plans = deal(choose(&calm.passages, if all { usize::MAX } else { OF_ONE_NAME }));
    let planned: usize = plans.iter().map(Vec::len).sum();
    let lives = plans.len();

    let folder = world.folder().to_owned();
    let queue = Mutex::new(plans.into_iter().enumerate());
    let results: Mutex<Vec<Tried>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((number, plan)) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                    let folder = folder.join(format!("life-{number}"));
                    let tried = live(&folder, example, &plan)
                        .with_context(|| format!("ends planned: {plan:?}, in {}", folder.display()))
                        .map(|life| (plan, life));
                    let failed = tried.is_err();
                    if let Ok(mut results) = results.lock() {
                        results.push(tried);
                    }
                    // The others would only take their time.
                    if failed && let Ok(mut queue) = queue.lock() {
                        queue.by_ref().for_each(drop);
                    }
                }
            });
        }
    });

    let results = results.into_inner().map_err(|_| anyhow!("a life panicked"))?;
    let came = results.len();
    let (mut ends, mut unheard, mut ended) = (0, 0, BTreeMap::<String, usize>::new());
    for result in results {
        let (plan, life) = result?;
        ensure!(
            life.end_state == calm.end_state,
            "ends at {:?}: {}",
            life.ends,
            difference(&calm.end_state, &life.end_state)
        );
        ends += life.ends.len();
        unheard += life.unheard;
        for end in life.ends {
            ensure!(plan.contains(&end), "{end} was not planned");
            *ended.entry(end.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    ensure!(came == lives, "{came} of {lives} lives ended");
    // A first passage always comes; a last one may not, when what was reported one by one is now reported at once.
    let certain = names.iter().filter(|name| !BY_THE_CLOCK.contains(*name));
    let never: Vec<_> = certain.filter(|name| !ended.contains_key(**name)).collect();
    ensure!(never.is_empty(), "nothing ended at {never:?}");
    ensure!(ends * 2 >= planned, "only {ends} of {planned} planned ends came: {ended:?}");
    eprintln!(
        "crashes: {lives} lives, {ends} ends of {planned} planned, {unheard} answers unheard, at {ended:?}"
    );
    Ok(())
}

/// The lines that only one of them has.
fn difference(calm: &EndState, other: &EndState) -> String {
    let lines = |state: &EndState| format!("{state:#?}").lines().map(str::to_owned).collect::<Vec<_>>();
    let (calm, other) = (lines(calm), lines(other));
    let only = |these: &[String], those: &[String]| -> String {
        let only = these.iter().filter(|line| !those.contains(line));
        only.flat_map(|line| [line.as_str(), "\n"]).collect()
    };
    format!("left\n{}instead of\n{}", only(&other, &calm), only(&calm, &other))
}

/// Of each name its first and last passage and some in between, in the order of the record, as `NAME NUMBER`.
fn choose(passages: &[String], of_one_name: usize) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, name) in passages.iter().enumerate() {
        places.entry(name).or_default().push(place);
    }
    let mut chosen = BTreeMap::new();
    for (name, places) in places {
        let count = places.len().min(of_one_name);
        for nth in 0..count {
            let index = if count == 1 { 0 } else { nth * (places.len() - 1) / (count - 1) };
            chosen.insert(places[index], format!("{name} {}", index + 1));
        }
    }
    chosen.into_values().collect()
}

/// Into lives: the ends of one life lie far from each other.
fn deal(chosen: Vec<String>) -> Vec<Vec<String>> {
    let lives = chosen.len().div_ceil(ENDS);
    let mut plans = vec![Vec::new(); lives];
    for (number, passage) in chosen.into_iter().enumerate() {
        plans[number % lives].push(passage);
    }
    plans
}

/// A life in a site of its own, with these ends.
fn live(folder: &Path, example: &Example, plan: &[String]) -> Result<Lived> {
    let failpoints = folder.join("failpoints");
    let variable = failpoints.display().to_string();
    let mut site = example.site(&folder.join("site"), &example.templates(), &[(VARIABLE, &variable)])?;
    if !plan.is_empty() {
        for text in EXPECTED_LOG {
            site.expect_log(text);
        }
    }
    // From here on passages count. Made beside and renamed: whoever finds the folder finds the plan.
    let beside = folder.join("planned");
    std::fs::create_dir_all(&beside)?;
    std::fs::write(beside.join("crash"), plan.join("\n"))?;
    std::fs::rename(&beside, &failpoints)?;

    let mut unheard = 0;
    for act in example.life.iter().chain(example.more) {
        unheard += carry_out(&mut site, example, act)?;
    }
    let environments = [ENVIRONMENT.to_owned()];
    let mut left = |site: &Site| -> Result<Left> {
        Ok(left_by(site, example, &environments)?.remove(ENVIRONMENT).unwrap_or_default())
    };
    settle(&mut site)?;
    let before = patiently(&mut site, "what is left", &mut left)?;
    unheard += carry_out(&mut site, example, example.end)?;
    // What follows an end (reports, releases) may still pass failpoints; then they are switched off.
    quiet(&mut site)?;
    std::fs::rename(&failpoints, folder.join("passed"))?;
    let lines = |file: &str| -> Vec<String> {
        let text = std::fs::read_to_string(folder.join("passed").join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    // One that has said so may still be about to end.
    within(LIMIT, "the last end", || Ok((site.revive()? == lines("crashed").len()).then_some(())))?;
    settle(&mut site)?;
    let end_state = EndState { left: [before, left(&site)?], rows: rows_of(&site, example, ENVIRONMENT)? };
    site.cli(&["audit", "verify"])?.expect(0)?;
    site.cli(&["check", "--deep"])?.expect(0)?;
    site.finish()?;
    Ok(Lived {
        passages: lines("passages"),
        ends: lines("crashed").into_iter().collect(),
        unheard,
        end_state,
    })
}

/// Does it as a person would: a command whose answer is not heard is followed by a look, and given again if nothing
/// came of it. Answers how often no answer was heard.
fn carry_out(site: &mut Site, example: &Example, act: Act) -> Result<usize> {
    let mut unheard = 0;
    loop {
        settle(site)?;
        let before = patiently(site, "the operations", operations)?.len();
        let mut command = example.command(site, act, ENVIRONMENT);
        let mut child = command.arg("--wait").stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        within(LIMIT, format!("the end of {act:?}"), || {
            site.revive()?;
            Ok(child.try_wait()?)
        })?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        settle(site)?;
        let after = patiently(site, "the operations", operations)?;
        ensure!(after.len() <= before + 1, "{act:?} was carried out twice: {after:?}");
        if output.status.success() {
            ensure!(after.len() == before + 1, "{act:?} says it is done, and nothing is there");
            return Ok(unheard);
        }
        ensure!(UNHEARD.iter().any(|text| said.contains(text)), "{act:?}: {said}");
        unheard += 1;
        if after.len() == before + 1 {
            return Ok(unheard);
        }
    }
}

/// All operations of the site.
fn operations(site: &Site) -> Result<Vec<Operation>> {
    Ok(site.call(site.client().operations(&OperationsQuery::default()))?.items)
}

/// Looks again while the manager is away.
fn patiently<T>(site: &mut Site, what: &str, mut look: impl FnMut(&Site) -> Result<T>) -> Result<T> {
    let mut last = None;
    within(LIMIT, what, || {
        site.revive()?;
        Ok(look(site).map_err(|error| last = Some(error)).ok())
    })
    .map_err(|error| last.map_or(error, |last| last.context("the last look")))
}

/// Waits until manager and agent are there and nothing is under way; all that was done succeeded.
fn settle(site: &mut Site) -> Result<()> {
    let mut last = None;
    within(LIMIT, "the end of what is under way", || {
        site.revive()?;
        let Ok(all) = operations(site) else { return Ok(None) };
        if let Some(bad) = all.iter().find(|one| one.done && one.state != OperationState::Succeeded) {
            bail!("{bad:#?}");
        }
        let Some(open) = all.iter().find(|one| !one.done) else { return Ok(Some(())) };
        let open = site.operation(open.id).ok();
        if let Some(step) = open.iter().flat_map(|open| open.steps.iter().flatten()).find(|step| step.waiting)
        {
            bail!("a step waits for a person, and nobody did anything wrong: {step:#?}");
        }
        last = open;
        Ok(None)
    })
    .with_context(|| format!("open: {last:#?}"))
}

/// Waits until the agent has nothing left to do, so that what follows the last operation is passed as well.
fn quiet(site: &mut Site) -> Result<()> {
    let region = crate::life::REGION.parse()?;
    within(LIMIT, "the end of all commands", || {
        site.revive()?;
        let open = site.call(site.client().open_commands(&region));
        Ok(open.is_ok_and(|open| open.items.is_empty()).then_some(()))
    })
}
