//! A day in an office: an administrator sets an installation up, an operator steers, holds, asks a second person and
//! keeps schedules, and what is old goes. Everything by the API, with a client that repeats a request under its key while
//! nobody answers; what the programs must do by themselves is waited for.
//!
//! The chapters are one life, in this order; each says what it leaves.

mod desk;
mod holds;
mod keeping;
mod left;
mod schedules;
mod second_person;
mod set_up;
mod steering;

use super::{Failpoints, Lived, OF_ONE_NAME, Story, VARIABLE, crashes, points};
use anyhow::Result;
use desk::Desk;
use std::path::Path;
use tenantry_e2e::{Hook, Postgres, Site, World};

const REGION: &str = "office";
const TENANT: &str = "acme";
/// What the manager is told: everything that takes hours by default comes within seconds.
const FLAGS: [&str; 6] = ["--held-too-long", "1s", "--agent-silent", "6s", "--audit-heads-every", "2s"];
/// Hooks that are at work until their gate is open.
const GATED: [&str; 2] = ["slow", "night"];

/// What programs say about a neighbour that ended, or that stands still because the life wants it.
const EXPECTED_LOG: [&str; 5] =
    ["waiting for the manager", "no session yet", "the session is over", "session-superseded", "cannot join"];

pub fn on_sqlite(world: &World) -> Result<()> {
    let own = |name: &str| if points::OFFICE.contains(&name) { OF_ONE_NAME } else { 0 };
    crashes(
        world,
        &Story {
            passes: points::OFFICE,
            wanted: &own,
            ends: 12,
            // They wait most of their time.
            at_once: 6,
            live: &|folder, plan| live(folder, plan, None),
        },
    )
}

/// Each once: what differs is how a transaction is committed, and when others see it.
pub fn on_postgresql(world: &World) -> Result<()> {
    let postgres = Postgres::start(world)?;
    let passes: Vec<&str> = points::OFFICE.iter().chain(points::POSTGRES).copied().collect();
    let once = |name: &str| usize::from(passes.contains(&name));
    crashes(
        world,
        &Story {
            passes: &passes,
            wanted: &once,
            ends: 12,
            at_once: 7,
            live: &|folder, plan| live(folder, plan, Some(&postgres)),
        },
    )
}

fn live(folder: &Path, plan: &[String], postgres: Option<&Postgres>) -> Result<Lived> {
    let failpoints = Failpoints::new(folder, plan)?;
    failpoints.begin()?;
    let variable = failpoints.variable();
    let variables = [(VARIABLE, variable.as_str())];
    let heads = folder.join("heads/").display().to_string();
    let sink = keeping::sink(folder)?;
    let mut flags = FLAGS.to_vec();
    flags.extend(["--audit-heads", &heads, "--notify-command", &sink]);
    let place = folder.join("site");
    let site = match postgres {
        None => Site::start_at(&place, &flags, &variables)?,
        Some(postgres) => Site::start_on(&place, postgres, &flags, &variables)?,
    };
    for text in EXPECTED_LOG {
        site.expect_log(text);
    }
    let mut desk = Desk::new(site, folder)?;
    set_up::all(&mut desk, &hooks(folder)?, &variable)?;
    schedules::begin(&mut desk)?;
    steering::all(&mut desk)?;
    holds::all(&mut desk)?;
    second_person::all(&mut desk)?;
    schedules::end(&mut desk)?;
    keeping::all(&mut desk)?;
    let mut end_state = left::all(&mut desk)?;
    end_state.extend(keeping::everything_old_goes(&mut desk)?);
    failpoints.end(&mut desk.site)?;
    desk.site.cli(&["audit", "verify", "--heads", &heads])?.expect(0)?;
    desk.site.cli(&["check", "--deep"])?.expect(0)?;
    let unheard = desk.unheard;
    desk.site.finish()?;
    Ok(failpoints.lived(unheard, end_state))
}

/// The team's hooks.
fn hooks(folder: &Path) -> Result<Vec<Hook>> {
    let witness = folder.join("witness");
    std::fs::create_dir_all(&witness)?;
    let hook = |name: &str, operation: &str| Hook::new("team", name).tenant("lifecycle", operation);
    let missing = serde_json::json!([{
        "name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "missing", "key": "password"}}
    }]);
    Ok(vec![
        hook("base", "lifecycle.upsert").local_witness(&witness, 0, "0"),
        hook("old", "lifecycle.upsert").local_witness(&witness, 0, "0"),
        hook("slow", "team.work").local_gated_witness(&witness, "0"),
        hook("next", "team.work").after("slow").local_witness(&witness, 0, "0"),
        hook("night", "team.night").local_gated_witness(&witness, "0"),
        hook("tick", "team.tick").local_witness(&witness, 0, "0"),
        hook("broken", "team.broken").local_witness(&witness, 0, "0").container("env", missing),
    ])
}
