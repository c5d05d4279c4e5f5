//! What is true of every verb: a second person where one is wanted, an entry in the audit log. What lasts, what is replaced,
//! and what is reported in any order.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

#[path = "../common/mod.rs"]
mod common;

mod audited;
mod hostile_reports;
mod lasting;
mod replaced;
mod second_person;

use common::*;
use tenantry_engine::StepVerb;
use tenantry_manager::{Manager, Principal, ReportedHook, Steered, StepOptions};
use tenantry_model::*;
use tenantry_store::AttentionFilter;
use uuid::Uuid;

const ALL: [&str; 2] = ["lifecycle.upsert", "crm.reindex"];

/// `crm/b` after `crm/a`, and `ops/c` beside them.
fn hooks() -> Vec<ReportedHook> {
    let hook = |path: &str, after: &[&str]| readable(hook(path, &ALL, after));
    vec![hook("crm/a", &[]), hook("crm/b", &["crm/a"]), hook("ops/c", &[])]
}

/// Somebody with a token of their own.
fn somebody(name: &str, role: Role) -> Principal {
    Principal {
        actor: Actor { kind: ActorKind::Token, name: name.to_owned() },
        role,
        token: Some(TokenId(Uuid::now_v7())),
        ..Principal::system()
    }
}

async fn steer(
    manager: &Manager,
    who: &Principal,
    id: OperationId,
    step: &str,
    verb: StepVerb,
) -> tenantry_manager::Result<Steered> {
    let options = StepOptions { reason: Some("because".to_owned()), ..StepOptions::default() };
    manager.steer_step(who, id, &hook_ref(step), verb, options).await
}

async fn step(manager: &Manager, id: OperationId, path: &str) -> Step {
    let view = manager.operation(id).await.unwrap();
    view.steps.into_iter().find(|step| step.hook == hook_ref(path)).unwrap()
}

async fn attention(manager: &Manager) -> Vec<Attention> {
    manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap().items
}
