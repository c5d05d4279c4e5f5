//! Manager and agent end at named failpoints (docs/reference/failpoints.md), as kill -9 would end them, in the middle of
//! lives (of the examples, and of an administrator and an operator), and are started again. What is left is what an
//! undisturbed life leaves.
//!
//! First a life is recorded: which failpoints it passes, in which order. Then each of them ends its process at its first
//! and at its last passage, and at some in between (all with `TENANTRY_CRASHES=all`). Several ends lie in one life, far
//! from each other.

mod examples;
mod office;
mod plan;
pub mod points;

use anyhow::{Context, Result, anyhow, ensure};
use libtest_mimic::Trial;
use plan::{choose, deal, name_of};
use points::BY_THE_CLOCK;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;
use tenantry_e2e::{Needs, Site, World, on_postgres, trial, within};

/// Where the programs find what to do (crates/failpoints/src/armed.rs).
pub const VARIABLE: &str = "TENANTRY_FAILPOINTS";
/// Passages of one name that end a process, unless all are asked for.
const OF_ONE_NAME: usize = 3;
/// Only a test that fails waits this long.
const LIMIT: Duration = Duration::from_mins(5);

/// What programs say about a neighbour that ended.
const EXPECTED_LOG: [&str; 4] =
    ["waiting for the manager", "no session yet", "the session is over", "session-superseded"];

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::Laptop, "no_failpoint_is_forgotten", points::none_is_forgotten),
        trial(Needs::Minutes, "the_saas_example_survives_a_crash_at_each_failpoint", examples::saas),
        trial(Needs::Minutes, "a_night_of_risk_survives_a_crash_at_each_failpoint", examples::risk),
        trial(Needs::Minutes, "an_office_survives_a_crash_at_each_failpoint", office::on_sqlite),
        on_postgres(trial(
            Needs::Minutes,
            "an_office_on_postgresql_survives_a_crash_at_each_failpoint",
            office::on_postgresql,
        )),
    ]
}

/// A life that can be lived again and again.
struct Story<'s> {
    /// Failpoints that it must pass. Without them the programs have none, and nothing was tested.
    passes: &'s [&'s str],
    /// How many passages of a name end a process.
    wanted: &'s (dyn Fn(&str) -> usize + Sync),
    /// Ends in one life.
    ends: usize,
    /// Lives at the same time.
    at_once: usize,
    /// Lives it in a folder of its own, with these ends.
    live: &'s (dyn Fn(&Path, &[String]) -> Result<Lived> + Sync),
}

/// Where its processes were to end, and what it was.
type Tried = Result<(Vec<String>, Lived)>;

/// What a life was.
struct Lived {
    /// Names in the order in which they were passed.
    passages: Vec<String>,
    /// The passages that ended a process.
    ends: BTreeSet<String>,
    /// Requests that were not answered.
    unheard: usize,
    /// All that may not depend on its ends, in lines.
    end_state: Vec<String>,
}

fn all_are_asked_for() -> bool {
    std::env::var("TENANTRY_CRASHES").is_ok_and(|value| value == "all")
}

fn crashes(world: &World, story: &Story) -> Result<()> {
    // Two records: what depends on the moment differs in them, and is not asked of the others.
    let mut calm = live_all(world, story, "calm", vec![Vec::new(); 2])?;
    let (one, other) = (calm.remove(0).1, calm.remove(0).1);
    for life in [&one, &other] {
        let names: BTreeSet<&str> = life.passages.iter().map(String::as_str).collect();
        ensure!(life.ends.is_empty() && life.unheard == 0, "ends in an undisturbed life: {:?}", life.ends);
        let certain = story.passes.iter().filter(|name| !BY_THE_CLOCK.contains(name));
        let missing: Vec<_> = certain.filter(|name| !names.contains(**name)).collect();
        ensure!(
            missing.is_empty(),
            "{missing:?} are not passed (only `cargo test --workspace` builds failpoints): {names:?}"
        );
    }
    ensure!(
        one.end_state == other.end_state,
        "two undisturbed lives: {}",
        difference(&one.end_state, &other.end_state)
    );
    let plan = choose(&[&one.passages, &other.passages], |name| match (story.wanted)(name) {
        0 => 0,
        _ if all_are_asked_for() => usize::MAX,
        some => some,
    });
    let planned: BTreeSet<String> = plan.iter().cloned().collect();
    let lived = live_all(world, story, "life", deal(plan, story.ends))?;

    let (count, mut unheard, mut came) = (lived.len(), 0, BTreeSet::new());
    for (plan, life) in lived {
        ensure!(
            life.end_state == one.end_state,
            "ends at {:?}: {}",
            life.ends,
            difference(&one.end_state, &life.end_state)
        );
        unheard += life.unheard;
        for end in life.ends {
            ensure!(plan.contains(&end), "{end} was not planned");
            came.insert(end);
        }
    }
    // A first passage always comes; a later one may not, when what was reported one by one is now reported at once.
    let not: Vec<&String> = planned.difference(&came).collect();
    let certain = |passage: &&&String| passage.ends_with(" 1") && !BY_THE_CLOCK.contains(&name_of(passage));
    let never: Vec<_> = not.iter().filter(certain).collect();
    ensure!(never.is_empty(), "nothing ended at {never:?}");
    let mut ended: BTreeMap<&str, usize> = BTreeMap::new();
    for end in &came {
        *ended.entry(name_of(end)).or_default() += 1;
    }
    eprintln!(
        "crashes: {count} lives, {} ends of {} planned, {unheard} answers unheard; not at {not:?}; at {ended:?}",
        came.len(),
        planned.len()
    );
    ensure!(
        came.len() * 10 >= planned.len() * 8,
        "only {} of {} planned ends came",
        came.len(),
        planned.len()
    );
    Ok(())
}

/// Lives through all plans, in their order or what is left of it when one fails.
fn live_all(
    world: &World,
    story: &Story,
    name: &str,
    plans: Vec<Vec<String>>,
) -> Result<Vec<(Vec<String>, Lived)>> {
    let lives = plans.len();
    let queue = Mutex::new(plans.into_iter().enumerate());
    let results: Mutex<Vec<Tried>> = Mutex::default();
    let folder = world.folder().to_owned();
    std::thread::scope(|scope| {
        for _ in 0..story.at_once.min(lives) {
            scope.spawn(|| {
                while let Some((number, plan)) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                    let folder = folder.join(format!("{name}-{number}"));
                    let tried = (story.live)(&folder, &plan)
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
    let results = results.into_iter().collect::<Result<Vec<_>>>()?;
    ensure!(results.len() == lives, "{} of {lives} lives ended", results.len());
    Ok(results)
}

/// The lines that only one of them has.
fn difference(calm: &[String], other: &[String]) -> String {
    let only = |these: &[String], those: &[String]| -> String {
        let only = these.iter().filter(|line| !those.contains(line));
        only.flat_map(|line| [line.as_str(), "\n"]).collect()
    };
    format!("left\n{}instead of\n{}", only(other, calm), only(calm, other))
}

/// Passages in a folder of their own.
struct Failpoints {
    beside: std::path::PathBuf,
    folder: std::path::PathBuf,
    passed: std::path::PathBuf,
}

impl Failpoints {
    fn new(folder: &Path, plan: &[String]) -> Result<Self> {
        let beside = folder.join("planned");
        std::fs::create_dir_all(&beside)?;
        std::fs::write(beside.join("crash"), plan.join("\n"))?;
        Ok(Self { beside, folder: folder.join("failpoints"), passed: folder.join("passed") })
    }

    /// What the programs are told.
    fn variable(&self) -> String {
        self.folder.display().to_string()
    }

    /// From here on passages count. Made beside and renamed: whoever finds the folder finds the plan.
    fn begin(&self) -> Result<()> {
        Ok(std::fs::rename(&self.beside, &self.folder)?)
    }

    /// From here on none counts; waits for the last end.
    fn end(&self, site: &mut Site) -> Result<()> {
        std::fs::rename(&self.folder, &self.passed)?;
        // One that has said so may still be about to end.
        within(LIMIT, "the last end", || Ok((site.revive()? == self.lines("crashed").len()).then_some(())))
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.passed.join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn lived(&self, unheard: usize, end_state: Vec<String>) -> Lived {
        Lived {
            passages: self.lines("passages"),
            ends: self.lines("crashed").into_iter().collect(),
            unheard,
            end_state,
        }
    }
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
