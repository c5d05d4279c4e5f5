//! Who passes which failpoint: no name of the list (docs/reference/failpoints.md) may be forgotten.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use tenantry_e2e::{World, repository};

/// Every life of an example passes these, the agent's among them.
pub const EXAMPLES: &[&str] = &[
    "environment-create",
    "lifecycle-request",
    "operation-request",
    "commands-lease",
    "commands-finish",
    "facts-take",
    "commands-leased",
    "start-noted",
    "folder-made",
    "shim-started",
    "start-asked",
    "release-asked",
    "release-noted",
    "order-done",
    "finish-synced",
    "finish-told",
    "fact-noted",
    "facts-unsent",
    "facts-told",
    "facts-acknowledged",
    "log-spooled",
    "logs-unsent",
    "logs-told",
    "logs-acknowledged",
];

/// What an administrator and an operator bring about (`office`).
pub const OFFICE: &[&str] = &[
    // Setting up.
    "admin-token-create",
    "region-create",
    "join-token-create",
    "region-join",
    "inventory-take",
    "template-stored",
    "inventory-told",
    "session-begun",
    "session-open",
    "session-heard",
    "role-take",
    "token-create",
    "schema-put",
    "definition-put",
    "definition-delete",
    "tenant-create",
    "tenant-update",
    "tenant-delete",
    "environment-update",
    // Steering.
    "step-steer",
    "operation-steer",
    "operation-replay",
    "kill-noted",
    "kill-asked",
    "never-noted",
    "timers-claim",
    "timers-hasten",
    "timer-tick",
    "region-silent-tell",
    "region-silent",
    "nothing-to-change",
    // Holds by predicate.
    "hold-create",
    "hold-tell-one",
    "hold-told",
    "hold-lasts",
    "hold-lift",
    "hold-expire",
    // A second person.
    "approval-ask",
    "approval-approve",
    "approval-reject",
    "approval-expire",
    "purge-ask",
    "purge-approve",
    "environment-purge",
    // Schedules.
    "schedule-create",
    "schedule-update",
    "schedule-pause",
    "schedule-fire",
    "schedule-run-ask",
    "schedule-backfill",
    "schedule-delete",
    "run-begin",
    "run-watch",
    "run-skip",
    "run-decommissioned",
    "runs-expire",
    // Telling, keeping, removing.
    "notifier-begin",
    "notifier-deliver",
    "answer-keep",
    "answers-expire",
    "heads-sign",
    "heads-tell",
    "key-rotate",
    "hook-retire",
    "token-revoke",
    "roles-give-back",
    "retire-begin",
    "retire-operations",
    "retire-events",
    "retire-attention",
    "retire-note",
];

/// What only a manager on PostgreSQL passes.
pub const POSTGRES: &[&str] = &["logs-folder-name"];

/// What only a region of Argo brings about (`argo_crashes`).
pub const ARGO: &[&str] = &[
    "region-argo",
    "workflow-claim",
    "workflow-deliver",
    "workflow-hooks",
    "workflow-order",
    "workflow-end",
    "workflow-round",
    "bridge-hello",
    "bridge-lease",
    "bridge-finish",
    "bridge-leave",
];

/// Comes when nobody has spoken for a Workflow for minutes (`argo_silent`).
pub const SILENT: &[&str] = &["workflow-silent"];

/// No life passes these, since what brings them about takes days, a wrong clock, or an answer that is lost. A manager of its
/// own ends at each in `crates/manager/tests/points`, and the next one goes on.
const OVER_ROWS: &[&str] = &[
    // After 500 events in a row that are no attention.
    "notifier-skip",
    // After an answer to an agent's poll was lost.
    "leases-give-back",
    // When environments are older than their retention.
    "purge-remind",
    // A clock that was a week ahead.
    "retire-doubt",
    "schedule-take-back",
    // A zone database that has lost a zone.
    "schedule-pause-unreadable",
    // No sink of events is in the office.
    "sink-replay",
    "sink-forget",
    "letters-redeliver",
    "letters-discard",
    // Messages of a stream.
    "event-take",
    "letter-keep",
];

/// No stream asks for operations in the office: `crates/manager/tests/{inbox,nats}.rs`, `crates/api/tests/it/{inbox,repeats}.rs`.
const INBOX: &[&str] = &["letter-retry", "letter-discard", "letter-expire", "inbox-tell"];

/// They come when their time has come, which a short life may not live to see: where they come they end a process. Timers
/// are looked at when a manager takes the role for it, at its start or ten minutes later, if the one before did not give
/// it back in time.
pub const BY_THE_CLOCK: [&str; 4] = ["heads-sign", "role-take", "session-heard", "timers-hasten"];

pub fn none_is_forgotten(_: &World) -> Result<()> {
    let page = std::fs::read_to_string(repository().join("docs/reference/failpoints.md"))?;
    let names = page.lines().filter_map(|line| line.strip_prefix("| `")).map(|line| line.split('`').next());
    let listed: BTreeSet<&str> = names.map(|name| name.context("a name")).collect::<Result<_>>()?;
    let mut passed = BTreeSet::new();
    for name in
        EXAMPLES.iter().chain(OFFICE).chain(POSTGRES).chain(ARGO).chain(SILENT).chain(OVER_ROWS).chain(INBOX)
    {
        ensure!(passed.insert(*name), "{name} stands in two lists");
    }
    let forgotten: Vec<_> = listed.difference(&passed).collect();
    ensure!(forgotten.is_empty(), "no test is named for {forgotten:?}");
    let unknown: Vec<_> = passed.difference(&listed).collect();
    ensure!(unknown.is_empty(), "there is no failpoint {unknown:?}");
    let mut cases = String::new();
    for file in ["cases", "sinks"] {
        cases +=
            &std::fs::read_to_string(repository().join(format!("crates/manager/tests/points/{file}.rs")))?;
    }
    let missing: Vec<_> = OVER_ROWS.iter().filter(|name| !cases.contains(&format!("\"{name}\""))).collect();
    ensure!(missing.is_empty(), "crates/manager/tests/points ends at no {missing:?}");
    Ok(())
}
