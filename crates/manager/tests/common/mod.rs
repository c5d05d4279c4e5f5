//! A manager over a real SQLite store and real log files, and the agent's side of the protocol driven by hand.
#![allow(dead_code, clippy::unwrap_used, clippy::missing_panics_doc, clippy::wildcard_imports)] // each test file uses a part; a panic is a failed test

pub mod hostile;
pub mod pager;
pub mod replace;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, json};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::Poll;
use std::time::Duration;
use tenantry_api_types::{
    agent::StartOrder,
    v1::{CheckLine, Finding},
};
use tenantry_hook::{AfterTarget, AttemptKind, Hook};
use tenantry_manager::{
    ChangeOptions, CheckOptions, InventoryPart, Lifecycle, LifecycleOptions, LogStore, Manager,
    ManagerConfig, NewEnvironment, OperationAnswer, Principal, ReportedHook,
};
use tenantry_model::*;
use tenantry_store::{Command, CommandKind, Store, StoreError};
use tenantry_store_sqlite::SqliteStore;
use uuid::Uuid;

pub const START: i64 = 1_790_000_000_000;

/// A data folder and a clock that outlive managers.
pub struct World {
    pub folder: tempfile::TempDir,
    clock: Arc<AtomicI64>,
    pub config: ManagerConfig,
}

impl World {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(AtomicI64::new(START)),
            config: ManagerConfig::default(),
        }
    }

    /// A new process over the same rows.
    pub async fn manager(&self) -> Manager {
        self.managers(1).await.remove(0)
    }

    /// Several managers over one store, each with its own memory.
    pub async fn managers(&self, count: usize) -> Vec<Manager> {
        let store = self.store().await;
        let logs = || LogStore::open(&self.folder.path().join("logs")).unwrap();
        (0..count).map(|_| self.over(Arc::clone(&store) as Arc<dyn Store>, logs())).collect()
    }

    /// The rows, held by this process alone.
    pub async fn store(&self) -> Arc<SqliteStore> {
        let folder = self.folder.path().join("data");
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        loop {
            match SqliteStore::open(&folder).await {
                // The one that was dropped a moment ago closes its connections in threads of its own.
                Err(StoreError::InUse(_)) if std::time::Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                opened => return Arc::new(opened.unwrap()),
            }
        }
    }

    /// A manager over rows that another one may use too; it remembers nothing.
    pub fn beside(&self, store: Arc<SqliteStore>) -> Manager {
        self.over(store, LogStore::open(&self.folder.path().join("logs")).unwrap())
    }

    /// A manager over this store, with the world's clock; it remembers nothing.
    pub fn over(&self, store: Arc<dyn Store>, logs: LogStore) -> Manager {
        let clock = Arc::clone(&self.clock);
        let now = move || Timestamp::from_millisecond(clock.load(Ordering::SeqCst)).unwrap();
        Manager::with_clock(store, logs, self.config.clone(), Arc::new(now))
    }

    pub fn pass(&self, time: SignedDuration) {
        self.clock.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.clock.load(Ordering::SeqCst)).unwrap()
    }
}

pub fn admin() -> Principal {
    Principal { actor: Actor { kind: ActorKind::Token, name: "ann".to_owned() }, ..Principal::system() }
}

pub fn region() -> RegionName {
    "eu1".parse().unwrap()
}

pub fn hook_ref(path: &str) -> HookRef {
    HookRef::new(region(), path.parse().unwrap())
}

/// A readable hook.
pub fn hook(path: &str, operations: &[&str], after: &[&str]) -> Hook {
    Hook {
        path: path.parse().unwrap(),
        hash: TemplateHash(format!("{path}@1")),
        operations: operations.iter().map(|name| name.parse().unwrap()).collect(),
        after: after
            .iter()
            .map(|path| AfterTarget { hook: path.parse().unwrap(), optional: false })
            .collect(),
        after_for: BTreeMap::new(),
        selector: String::new(),
        policy: StepPolicy { on_failure: OnFailure::Wait, on_lost: OnLost::Wait, retries: 0, timeout: None },
        kind: AttemptKind::Pod,
        container: "main".to_owned(),
    }
}

pub fn readable(hook: Hook) -> ReportedHook {
    ReportedHook { path: hook.path.clone(), hook: Some(hook), problems: Vec::new() }
}

/// A tenant and a region.
pub async fn prepare(manager: &Manager) {
    manager.create_tenant(&admin(), "acme".parse().unwrap(), "Acme".to_owned()).await.unwrap();
    manager.create_region(&admin(), region()).await.unwrap();
}

pub fn new_environment(name: &str) -> NewEnvironment {
    NewEnvironment {
        id: None,
        tenant: "acme".parse().unwrap(),
        name: name.parse().unwrap(),
        aliases: BTreeSet::new(),
        labels: BTreeMap::from([("tier".to_owned(), "gold".to_owned())]),
        region: region(),
        spec: EnvironmentSpec {
            apps: Map::new(),
            settings: json!({ "size": 1 }).as_object().cloned().unwrap(),
        },
    }
}

/// Makes an environment; gives it and its first operation.
pub async fn create(manager: &Manager, name: &str) -> (Environment, OperationId) {
    let answer =
        manager.create_environment(&admin(), new_environment(name), ChangeOptions::default()).await.unwrap();
    (answer.environment, requested(answer.operation.unwrap()).id)
}

pub fn requested(answer: OperationAnswer) -> Operation {
    match answer {
        OperationAnswer::Requested(operation) => *operation,
        OperationAnswer::Preview(preview) => panic!("only a preview: {preview:?}"),
    }
}

pub async fn ask(manager: &Manager, id: EnvironmentId, what: Lifecycle) -> Operation {
    let options = LifecycleOptions { reason: Some("test".to_owned()), ..LifecycleOptions::default() };
    requested(manager.lifecycle(&admin(), id, what, options).await.unwrap())
}

pub async fn state(manager: &Manager, id: OperationId) -> OperationState {
    manager.operation(id).await.unwrap().operation.state
}

/// The agent's side: what it was told to run, and what it says of it.
pub struct Agent {
    pub session: AgentSessionId,
    pub region: RegionName,
    numbers: BTreeMap<AttemptId, u64>,
}

/// A start as the agent got it.
pub struct Started {
    pub command: CommandId,
    pub attempt: AttemptId,
    pub order: StartOrder,
}

impl Agent {
    /// Opens a session and reports these hooks as the whole inventory.
    pub async fn open(manager: &Manager, hooks: Vec<ReportedHook>) -> Self {
        let session = AgentSessionId(Uuid::now_v7());
        manager.agent_session(&region(), session, Executor::Process, "test").await.unwrap();
        let agent = Self { session, region: region(), numbers: BTreeMap::new() };
        agent.inventory(manager, hooks).await;
        agent
    }

    pub async fn inventory(&self, manager: &Manager, present: Vec<ReportedHook>) {
        let part = InventoryPart { begin: true, end: true, present, absent: Vec::new() };
        manager.agent_inventory(&self.region, self.session, part).await.unwrap();
        manager.run_due().await.unwrap();
    }

    pub async fn lease(&self, manager: &Manager) -> Vec<Command> {
        manager.agent_lease(&self.region, self.session, 100, Duration::ZERO).await.unwrap()
    }

    pub async fn finish(&self, manager: &Manager, command: CommandId) {
        manager.agent_finish(&self.region, self.session, &[command]).await.unwrap();
    }

    /// Leases, finishes everything, and gives the starts.
    pub async fn starts(&self, manager: &Manager) -> Vec<Started> {
        let mut started = Vec::new();
        for command in self.lease(manager).await {
            self.finish(manager, command.id).await;
            if command.kind == CommandKind::Start {
                let order: StartOrder = serde_json::from_value(command.body).unwrap();
                started.push(Started { command: command.id, attempt: command.attempt, order });
            }
        }
        started
    }

    pub fn observation(&mut self, attempt: &AttemptId, at: Timestamp, fact: Fact) -> Observation {
        let number = self.numbers.entry(attempt.clone()).or_default();
        *number += 1;
        Observation { attempt: attempt.clone(), number: *number, at, fact }
    }

    pub async fn running(&mut self, manager: &Manager, attempt: &AttemptId, at: Timestamp) {
        let fact =
            Fact::Running { object: "pid 1".to_owned(), started_at: at, node: None, images: BTreeMap::new() };
        let observation = self.observation(attempt, at, fact);
        assert_eq!(manager.agent_observe(&self.region, vec![observation]).await.unwrap(), vec![]);
    }

    pub async fn ended(&mut self, manager: &Manager, attempt: &AttemptId, at: Timestamp, outcome: Outcome) {
        let observation = self.observation(attempt, at, ended_fact(at, outcome));
        assert_eq!(manager.agent_observe(&self.region, vec![observation]).await.unwrap(), vec![]);
    }

    /// Runs everything that is there to run, successfully, until nothing comes any more; the steps in order.
    pub async fn run_all(&mut self, manager: &Manager, at: Timestamp) -> Vec<String> {
        let mut ran = Vec::new();
        loop {
            let starts = self.starts(manager).await;
            if starts.is_empty() {
                return ran;
            }
            for start in starts {
                self.running(manager, &start.attempt, at).await;
                self.ended(manager, &start.attempt, at, success()).await;
                ran.push(start.attempt.step.path().to_string());
            }
        }
    }
}

pub fn ended_fact(at: Timestamp, outcome: Outcome) -> Fact {
    Fact::Ended { started_at: Some(at), ended_at: at, outcome, images: BTreeMap::new() }
}

pub fn success() -> Outcome {
    Outcome { reason: None, exit_code: Some(0), message: String::new(), outputs: BTreeMap::new() }
}

pub fn success_with(name: &str, value: &str) -> Outcome {
    Outcome { outputs: BTreeMap::from([(name.to_owned(), value.to_owned())]), ..success() }
}

pub fn failure() -> Outcome {
    Outcome { reason: Some(FailureReason::HookFailed), exit_code: Some(3), ..success() }
}

/// Everything that does not fit together, whatever state the work is in.
pub async fn findings(manager: &Manager) -> Vec<Finding> {
    let (sender, mut lines) = tokio::sync::mpsc::channel(8);
    let reading = async {
        let (mut findings, mut ended) = (Vec::new(), false);
        while let Some(line) = lines.recv().await {
            match line {
                CheckLine::Finding(finding) => findings.push(finding),
                CheckLine::End { errors, warnings, checked } => {
                    assert_eq!(errors + warnings, findings.len() as u64);
                    assert!(checked.len() >= 8, "{checked:?}");
                    ended = true;
                }
                CheckLine::Progress { .. } => {}
            }
        }
        assert!(ended, "the check broke off: {findings:?}");
        findings
    };
    let checking = async { manager.check(CheckOptions { deep: true }, sender).await };
    tokio::join!(checking, reading).1
}

/// A future that is dropped after it has been polled so many times: what a process that is killed leaves behind.
pub async fn die_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    stand_still_after(polls, std::pin::pin!(future)).await
}

/// A future that is polled so many times and once more, and then left as it is: a process that stands still. Its output if it
/// came to an end.
pub async fn stand_still_after<F: Future>(polls: usize, mut future: Pin<&mut F>) -> Option<F::Output> {
    let mut left = polls;
    std::future::poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        Poll::Pending
    })
    .await
}
