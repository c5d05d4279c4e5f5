//! Every kind of row comes back as it was put.

use super::samples::{
    answer, applied, at, attempt, attention, command, definition, entry, environment, event, hook, operation,
    region, step, tenant, text, token,
};
use crate::{CommandKind, EnvironmentFilter, EventFilter, Lease, Store};
use serde_json::json;
use std::sync::Arc;
use tenantry_model::{AttemptId, AttemptState, EnvironmentId, OperationId, OperationState, Page};
use uuid::Uuid;

/// Field by field.
pub async fn what_was_put_reads_back_equal<S: Store>(store: Arc<S>) {
    let tenant = tenant("acme");
    let mut environment = environment("acme", "prod", "eu1");
    environment.aliases = [text("acme.example.com"), text("acme")].into();
    let (definition, region, hook) = (definition("crm.reindex"), region("eu1"), hook("eu1/crm/crm-tenant"));
    let operation = operation(environment.id, "crm.reindex", OperationState::Running);
    let step = step(operation.id, "eu1/crm/crm-tenant");
    let attempt = attempt(operation.id, "eu1/crm/crm-tenant", 1, AttemptState::Running);
    let applied = applied("eu1/crm/crm-tenant", operation.id);
    let mut command = command("eu1", &attempt.id, CommandKind::Kill);
    command.lease = Some(Lease { session: super::samples::session(), until: at(99) });
    let mut attention = attention("step x");
    attention.environment = Some(environment.id);
    attention.operation = Some(operation.id);
    attention.region = Some(text("eu1"));
    let (token, answer) = (token("ana"), answer("k", 5));
    let (entry, central) = (entry(Some(environment.id), 1), entry(None, 1));
    let mut event = event(Some(environment.id), Some(operation.id), json!({"a": [1, null]}));
    let view = json!({"spec": {"n": 18_446_744_073_709_551_615_u64}});

    let mut write = store.write().await.unwrap();
    write.put_tenant(&tenant).await.unwrap();
    write.put_environment(&environment).await.unwrap();
    write.put_generation(environment.id, 4, &view).await.unwrap();
    write.put_applied(environment.id, &applied).await.unwrap();
    write.put_definition(&definition).await.unwrap();
    write.put_operation(&operation).await.unwrap();
    write.put_timer(operation.id, Some(at(30))).await.unwrap();
    write.put_step(&step).await.unwrap();
    write.put_attempt(&attempt).await.unwrap();
    write.put_region(&region).await.unwrap();
    write.put_hook(&hook).await.unwrap();
    write.put_command(&command).await.unwrap();
    write.put_attention(&attention).await.unwrap();
    write.append_event(&event).await.unwrap();
    write.put_token(&token).await.unwrap();
    write.put_idempotent(&answer).await.unwrap();
    write.append_audit(&entry).await.unwrap();
    write.append_audit(&central).await.unwrap();
    write.put_setting("platform-schema", &view).await.unwrap();
    assert_eq!(write.lock_environment(environment.id).await.unwrap().as_ref(), Some(&environment));
    assert_eq!(write.open_attention("step x").await.unwrap().as_ref(), Some(&attention));
    write.commit().await.unwrap();

    let mut read = store.read().await.unwrap();
    assert_eq!(read.tenant(&tenant.name).await.unwrap(), Some(tenant));
    assert_eq!(read.environment(environment.id).await.unwrap().as_ref(), Some(&environment));
    let named = read.environment_by_name(&environment.tenant, &environment.name).await.unwrap();
    assert_eq!(named.as_ref(), Some(&environment));
    for alias in &environment.aliases {
        assert_eq!(read.environment_by_alias(alias).await.unwrap().as_ref(), Some(&environment));
    }
    assert_eq!(read.generation(environment.id, 4).await.unwrap().as_ref(), Some(&view));
    assert_eq!(read.applied(environment.id).await.unwrap(), vec![applied]);
    assert_eq!(read.definition(&definition.name).await.unwrap().as_ref(), Some(&definition));
    assert_eq!(read.definitions().await.unwrap(), vec![definition]);
    assert_eq!(read.operation(operation.id).await.unwrap().as_ref(), Some(&operation));
    assert_eq!(read.unfinished(environment.id).await.unwrap(), vec![operation.clone()]);
    assert_eq!(read.next_due().await.unwrap(), Some(at(30)));
    assert_eq!(read.steps(operation.id).await.unwrap(), vec![step]);
    assert_eq!(read.attempts(operation.id).await.unwrap(), vec![attempt.clone()]);
    assert_eq!(read.attempt(&attempt.id).await.unwrap().as_ref(), Some(&attempt));
    let next = AttemptId { number: attempt.id.number + 1, ..attempt.id };
    assert_eq!(read.attempt(&next).await.unwrap(), None);
    assert_eq!(read.region(&region.name).await.unwrap().as_ref(), Some(&region));
    assert_eq!(read.regions().await.unwrap(), vec![region]);
    assert_eq!(read.hook(&hook.hook).await.unwrap().as_ref(), Some(&hook));
    assert_eq!(read.hooks(&hook.hook.region).await.unwrap(), vec![hook]);
    assert_eq!(read.commands(&command.region, 10).await.unwrap(), vec![command]);
    assert_eq!(read.attention(attention.id).await.unwrap(), Some(attention));
    let events = read.events(&EventFilter::default(), 0, 10).await.unwrap();
    event.position = events[0].position;
    assert_eq!(events, vec![event.clone()]);
    assert_eq!(read.last_event().await.unwrap(), event.position);
    assert_eq!(store.token(token.id).await.unwrap().as_ref(), Some(&token));
    assert_eq!(read.token(token.id).await.unwrap(), Some(token));
    assert_eq!(read.idempotent("k").await.unwrap(), Some(answer));
    assert_eq!(read.audit_head(Some(environment.id)).await.unwrap().as_ref(), Some(&entry));
    assert_eq!(read.audit(None, 0, 10).await.unwrap(), vec![central]);
    assert_eq!(read.setting("platform-schema").await.unwrap(), Some(view));
}

/// Same key, new content.
pub async fn a_second_put_replaces<S: Store>(store: Arc<S>) {
    let mut environment = environment("acme", "prod", "eu1");
    let mut operation = operation(environment.id, "crm.reindex", OperationState::Running);
    let mut attempt = attempt(operation.id, "eu1/crm/crm-tenant", 1, AttemptState::Running);
    let mut attention = attention("k");
    let mut write = store.write().await.unwrap();
    for round in 0..2 {
        environment.version += round;
        operation.revision += round;
        attempt.observed += round;
        attention.settled_at = (round > 0).then(|| at(40));
        write.put_environment(&environment).await.unwrap();
        write.put_operation(&operation).await.unwrap();
        write.put_attempt(&attempt).await.unwrap();
        write.put_attention(&attention).await.unwrap();
        write.put_setting("s", &json!(round)).await.unwrap();
        write.put_generation(environment.id, 1, &json!(round)).await.unwrap();
    }
    assert_eq!(write.environment(environment.id).await.unwrap(), Some(environment.clone()));
    assert_eq!(write.operation(operation.id).await.unwrap(), Some(operation.clone()));
    assert_eq!(write.attempts(operation.id).await.unwrap(), vec![attempt]);
    assert_eq!(write.attention(attention.id).await.unwrap(), Some(attention));
    assert_eq!(write.open_attention("k").await.unwrap(), None, "a settled one is not open");
    assert_eq!(write.setting("s").await.unwrap(), Some(json!(1)));
    assert_eq!(write.generation(environment.id, 1).await.unwrap(), Some(json!(1)));
}

/// A step's change is one small write, however large the environment's document is.
pub async fn raising_the_version_leaves_the_rest_of_the_environment_alone<S: Store>(store: Arc<S>) {
    let mut environment = environment("acme", "prod", "eu1");
    environment.aliases = [text("a")].into();
    let mut write = store.write().await.unwrap();
    write.put_environment(&environment).await.unwrap();
    for _ in 0..3 {
        let raised = write.raise_version(&environment).await.unwrap();
        assert_eq!(raised, environment.version + 1);
        environment.version = raised;
    }
    assert_eq!(write.lock_environment(environment.id).await.unwrap().as_ref(), Some(&environment));
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    let by_name = read.environment_by_name(&environment.tenant, &environment.name).await.unwrap();
    assert_eq!(by_name.as_ref(), Some(&environment));
    assert_eq!(read.environment_by_alias(&text("a")).await.unwrap().as_ref(), Some(&environment));
    let listed = read.environments(&EnvironmentFilter::default(), &Page::default()).await.unwrap();
    assert_eq!(listed.items, [environment]);
}

/// An empty store answers with nothing, not with errors.
pub async fn what_is_absent_reads_as_nothing<S: Store>(store: Arc<S>) {
    let (environment, operation) = (EnvironmentId(Uuid::now_v7()), OperationId(Uuid::now_v7()));
    let mut read = store.read().await.unwrap();
    assert!(read.tenant(&text("acme")).await.unwrap().is_none());
    assert!(read.environment(environment).await.unwrap().is_none());
    assert!(read.environment_by_alias(&text("x")).await.unwrap().is_none());
    assert!(read.generation(environment, 1).await.unwrap().is_none());
    assert!(read.applied(environment).await.unwrap().is_empty());
    assert!(read.operation(operation).await.unwrap().is_none());
    assert!(read.steps(operation).await.unwrap().is_empty());
    assert!(read.next_due().await.unwrap().is_none());
    assert!(read.due(at(1_000_000), 10).await.unwrap().is_empty());
    assert!(read.hook(&text("eu1/crm/x")).await.unwrap().is_none());
    assert_eq!(read.last_event().await.unwrap(), 0);
    assert!(read.audit_head(None).await.unwrap().is_none());
    assert!(read.idempotent("k").await.unwrap().is_none());
    assert!(read.setting("s").await.unwrap().is_none());
}

/// Its row stays as it is, and other environments keep theirs.
pub async fn a_forgotten_environment_keeps_its_row_alone<S: Store>(store: Arc<S>) {
    let (gone, other) = (environment("acme", "prod", "eu1"), environment("acme", "test", "eu1"));
    let applied = applied("eu1/crm/crm-tenant", OperationId(Uuid::now_v7()));
    let mut write = store.write().await.unwrap();
    for row in [&gone, &other] {
        write.put_environment(row).await.unwrap();
        for generation in [1, 2] {
            write.put_generation(row.id, generation, &json!({"n": generation})).await.unwrap();
        }
        write.put_applied(row.id, &applied).await.unwrap();
    }
    write.forget_environment(gone.id).await.unwrap();
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    for (row, stays) in [(&gone, false), (&other, true)] {
        assert_eq!(read.environment(row.id).await.unwrap().as_ref(), Some(row));
        assert_eq!(read.generation(row.id, 1).await.unwrap().is_some(), stays);
        assert_eq!(read.generation(row.id, 2).await.unwrap().is_some(), stays);
        assert_eq!(read.applied(row.id).await.unwrap().is_empty(), !stays);
    }
}

/// Tenants and definitions are the rows that go.
pub async fn deleting_removes_and_tells_whether_there_was_one<S: Store>(store: Arc<S>) {
    let definition = definition("crm.reindex");
    let mut write = store.write().await.unwrap();
    write.put_tenant(&tenant("acme")).await.unwrap();
    write.delete_tenant(&text("acme")).await.unwrap();
    assert!(write.tenant(&text("acme")).await.unwrap().is_none());
    write.put_definition(&definition).await.unwrap();
    assert!(write.delete_definition(&definition.name).await.unwrap());
    assert!(!write.delete_definition(&definition.name).await.unwrap());
}

/// The limit of a settings document is above what fits a page of a database.
pub async fn a_row_of_five_megabytes_reads_back<S: Store>(store: Arc<S>) {
    let mut environment = environment("acme", "prod", "eu1");
    environment.spec.settings.insert("blob".to_owned(), json!("ä".repeat(2_500_000)));
    let mut write = store.write().await.unwrap();
    write.put_environment(&environment).await.unwrap();
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    assert!(read.environment(environment.id).await.unwrap() == Some(environment), "five megabytes read back");
}
