//! The manager of a region of Argo ends at each failpoint that only such a region passes, and is started again, as systemd
//! would: the operation ends as it would have, and no hook runs twice.

use crate::argo_managed::{Managed, REGION};
use crate::crashes::{VARIABLE, points};
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use std::collections::BTreeSet;
use std::path::Path;
use tenantry_api_types::v1::OperationsQuery;
use tenantry_e2e::argo::{ARGO, PARTS};
use tenantry_e2e::{Needs, World, eventually, trial};
use tenantry_model::{OperationId, OperationState};

pub fn trials() -> Vec<Trial> {
    vec![trial(
        Needs::OwnCluster(PARTS),
        "a_region_of_argo_survives_a_crash_of_the_manager_at_each_failpoint",
        crashes,
    )]
}

/// The first passage of each ends the manager.
pub fn plan(folder: &Path, points: &[&str]) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let lines: Vec<String> = points.iter().map(|name| format!("{name} 1\n")).collect();
    Ok(std::fs::write(folder.join("crash"), lines.concat())?)
}

/// Those at which no manager has ended yet.
fn left(folder: &Path, points: &[&'static str]) -> BTreeSet<&'static str> {
    // There is none before the first end.
    let crashed = std::fs::read_to_string(folder.join("crashed")).unwrap_or_default();
    let crashed: BTreeSet<&str> = crashed.lines().filter_map(|line| line.split(' ').next()).collect();
    points.iter().copied().filter(|name| !crashed.contains(name)).collect()
}

fn crashes(world: &World) -> Result<()> {
    let folder = world.folder().join("failpoints");
    plan(&folder, points::ARGO)?;
    let mut managed = Managed::with(world, &[], &[(VARIABLE, &folder.display().to_string())])?;
    let first = managed.team.hook("first").gated_witness("0");
    let second = managed.team.hook("second").after("first").witness(0, "0");
    managed.argo.apply(&[&first, &second])?;

    // The answer may be lost with the manager: the first claim of the Workflow's event comes right behind the commit.
    let asked = managed.site.provision("prod", REGION).ok();
    let id = managed.revived("the operation", |managed| {
        let known = managed.site.call(managed.site.client().operations(&OperationsQuery::default())).ok();
        Ok(asked.or_else(|| known?.items.first().map(|operation| operation.id)))
    })?;
    managed.revived("the first hook's begin", |managed| {
        Ok((managed.world.witness().starts(id, first.name())? == 1).then_some(()))
    })?;
    let name = Managed::name(id, 1);
    world.cluster()?.kubectl(&["delete", "workflow", "-n", ARGO, &name, "--wait=false"])?;
    managed.state(id, OperationState::Paused)?;
    managed.revived("the operation to go on", |managed| {
        Ok((managed.site.cli(&["op", "resume", &id.to_string()])?.code == Some(0)).then_some(()))
    })?;
    world.open(&["first"])?;
    managed.state(id, OperationState::Succeeded)?;

    world.witness().check(id, &[("first", &[]), ("second", &["first"])])?;
    for hook in [&first, &second] {
        ensure!(world.witness().starts(id, hook.name())? == 1, "{} ran twice", hook.path());
    }
    // The last bridge leaves after the operation's end.
    managed.ended_at(&folder, points::ARGO)?;
    let count = managed.argo.workflows()?.len();
    ensure!(count == 1, "the second Workflow alone is left of two, not {count}");
    managed.site.finish()
}

impl Managed<'_> {
    /// Waits until the manager has ended at each of these.
    pub fn ended_at(&mut self, folder: &Path, points: &[&'static str]) -> Result<()> {
        let never = std::cell::RefCell::default();
        self.revived("an end at each failpoint", |_| {
            *never.borrow_mut() = left(folder, points);
            Ok(never.borrow().is_empty().then_some(()))
        })
        .with_context(|| format!("the manager never ended at {:?}", never.borrow()))
    }

    /// Waits, and starts again what has ended meanwhile.
    fn revived<T>(&mut self, what: &str, mut look: impl FnMut(&Self) -> Result<Option<T>>) -> Result<T> {
        eventually(what, || {
            self.site.revive()?;
            look(self)
        })
    }

    fn state(&mut self, id: OperationId, state: OperationState) -> Result<()> {
        self.revived(&format!("the operation to be {state:?}"), |managed| {
            let operation = managed.site.operation(id).ok();
            Ok(operation.filter(|operation| operation.state == state).map(drop))
        })
    }
}
