//! Schedules over a real store with a clock that the test moves.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

#[path = "../common/mod.rs"]
mod common;

mod asked;
mod changes;
mod clock;
mod crash;
mod deadlines;
mod fire;
mod overlap;

use common::*;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tenantry_manager::{ChangeOptions, Manager, NewSchedule};
use tenantry_model::*;
use tenantry_store::{AttentionFilter, OperationFilter};
use tenantry_store_sqlite::SqliteStore;

/// A manager at 21 September 2026, 14:13 UTC, an agent with two hooks of `risk.nightly`, and an environment.
struct Night {
    world: World,
    store: Arc<SqliteStore>,
    manager: Manager,
    agent: Agent,
    environment: Environment,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn name(text: &str) -> ScheduleName {
    text.parse().unwrap()
}

impl Night {
    async fn new() -> Self {
        let mut world = World::new();
        // Days pass between two calls of the agent; nothing here is about its silence.
        world.config.agent_silent_after = SignedDuration::from_hours(10_000);
        let store = world.store().await;
        let manager = world.beside(Arc::clone(&store));
        prepare(&manager).await;
        let hooks = vec![
            readable(hook("night/load", &["risk.nightly"], &[])),
            readable(hook("night/report", &["risk.nightly"], &["night/load"])),
        ];
        let agent = Agent::open(&manager, hooks).await;
        let (environment, _) = create(&manager, "prod").await;
        Self { world, store, manager, agent, environment }
    }

    /// 22:00 in Berlin for the one environment; latest, queue, no deadline.
    fn nightly(&self) -> NewSchedule {
        NewSchedule {
            name: name("nightly"),
            description: String::new(),
            operation: "risk.nightly".parse().unwrap(),
            parameters: json!({"portfolio": "main"}).as_object().cloned().unwrap(),
            target: ScheduleTarget::Environment(self.environment.id),
            cron: "0 22 * * *".to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            catch_up: CatchUp::Latest,
            overlap: Overlap::Queue,
            deadline: None,
            validate_only: false,
        }
    }

    async fn schedule(&self, new: NewSchedule) -> Schedule {
        self.manager.create_schedule(&admin(), new).await.unwrap()
    }

    /// Sets the clock and lets the schedules run.
    async fn go_to(&self, time: &str) {
        self.world.pass(at(time).duration_since(self.world.now()));
        self.manager.run_schedules().await.unwrap();
    }

    async fn operations(&self) -> Vec<Operation> {
        operations(&self.manager).await
    }

    /// The scheduled times of all operations, oldest first, in UTC.
    async fn times(&self) -> Vec<String> {
        self.operations()
            .await
            .iter()
            .map(|operation| operation.scheduled_time.unwrap().to_string())
            .collect()
    }

    /// State and day of each run, oldest first.
    async fn runs(&self) -> Vec<(String, RunState)> {
        let mut runs = self.manager.schedule_runs(&name("nightly"), &Page::default()).await.unwrap().items;
        runs.reverse();
        runs.into_iter().map(|run| (run.scheduled_time.strftime("%d").to_string(), run.state)).collect()
    }

    async fn waiting(&self) -> Vec<AttentionKind> {
        waiting(&self.manager).await
    }

    /// Runs all hooks that may run, and lets the schedules go on with what that freed.
    async fn run_all(&mut self) -> Vec<String> {
        let mut ran = Vec::new();
        loop {
            self.manager.run_schedules().await.unwrap();
            let some = self.agent.run_all(&self.manager, self.world.now()).await;
            if some.is_empty() {
                return ran;
            }
            ran.extend(some);
        }
    }
}

/// The operations of `risk.nightly`, oldest first.
async fn operations(manager: &Manager) -> Vec<Operation> {
    let filter =
        OperationFilter { name: Some("risk.nightly".parse().unwrap()), ..OperationFilter::default() };
    let mut found =
        manager.operations(&admin(), filter, &Page { after: None, limit: 1000 }).await.unwrap().items;
    found.reverse();
    found
}

async fn waiting(manager: &Manager) -> Vec<AttentionKind> {
    let all = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
    all.items.into_iter().map(|attention| attention.kind).collect()
}

/// Further environments of the tier.
async fn more(manager: &Manager, count: usize, tier: &str) -> Vec<EnvironmentId> {
    let mut made = Vec::new();
    for n in 0..count {
        let mut new = new_environment(&format!("{tier}-{n}"));
        new.labels = BTreeMap::from([("tier".to_owned(), tier.to_owned())]);
        let answer = manager.create_environment(&admin(), new, ChangeOptions::default()).await.unwrap();
        made.push(answer.environment.id);
    }
    made
}

fn selector(labels: &str, cap: u32) -> ScheduleTarget {
    ScheduleTarget::Selector { tenant: None, region: None, labels: labels.to_owned(), cap }
}

fn no_parameters() -> Map<String, serde_json::Value> {
    Map::new()
}
