//! Commands, leases, and who may have what.

use super::samples::{at, command, session, text};
use crate::{Command, CommandKind, LEASE_BYTES, Store, Write};
use std::{collections::BTreeMap, sync::Arc};
use tenantry_model::{AgentSessionId, AttemptId, OperationId, RegionName};
use uuid::Uuid;

fn attempt(number: u32) -> AttemptId {
    AttemptId { operation: OperationId(Uuid::nil()), step: text("eu1/crm/crm-tenant"), number }
}

fn eu1() -> RegionName {
    text("eu1")
}

/// Leases at `now` for ten seconds; gives the numbers of the attempts and what is asked.
async fn lease(
    write: &mut dyn Write,
    session: AgentSessionId,
    now: i64,
    limit: u32,
) -> Vec<(u32, CommandKind)> {
    let free = write.has_command(&eu1(), at(now)).await.unwrap();
    let leased = write.lease_commands(&eu1(), session, at(now), at(now + 10), limit).await.unwrap();
    assert!(free || leased.is_empty(), "what can be leased is announced");
    for command in &leased {
        let lease = command.lease.as_ref().unwrap();
        assert_eq!((lease.session, lease.until), (session, at(now + 10)), "the lease is told");
    }
    leased.iter().map(|command| (command.attempt.number, command.kind)).collect()
}

/// In order, bounded, and nobody else gets them.
pub async fn commands_come_in_order_and_are_leased_once<S: Store>(store: Arc<S>) {
    use CommandKind::Start;
    let (one, two) = (session(), session());
    let mut write = store.write().await.unwrap();
    for number in [3, 1, 2, 5, 4] {
        write.put_command(&command("eu1", &attempt(number), CommandKind::Start)).await.unwrap();
    }
    let step = text("us1/crm/crm-tenant");
    write.put_command(&command("us1", &AttemptId { step, ..attempt(9) }, CommandKind::Start)).await.unwrap();
    assert_eq!(lease(&mut *write, one, 0, 2).await, [(3, Start), (1, Start)]);
    assert_eq!(lease(&mut *write, two, 0, 2).await, [(2, Start), (5, Start)]);
    assert_eq!(lease(&mut *write, one, 0, 10).await, [(4, Start)]);
    assert_eq!(lease(&mut *write, two, 9, 10).await, []);
    assert!(!write.has_command(&eu1(), at(9)).await.unwrap(), "all are held");
    assert!(write.has_command(&eu1(), at(10)).await.unwrap(), "leases have run out");
    let all = write.commands(&eu1(), 100).await.unwrap();
    assert_eq!(all.iter().map(|command| command.attempt.number).collect::<Vec<_>>(), [3, 1, 2, 5, 4]);
    assert_eq!(write.commands(&eu1(), 2).await.unwrap().len(), 2);
    assert_eq!(write.commands(&text("us1"), 10).await.unwrap().len(), 1, "another region's are its own");
}

/// Five hundred starts of an environment with a large `spec` are more than an agent takes in one answer.
pub async fn a_lease_ends_where_its_commands_become_too_large<S: Store>(store: Arc<S>) {
    use CommandKind::{Kill, Start};
    let one = session();
    let mut write = store.write().await.unwrap();
    let large = serde_json::json!({ "file": "x".repeat(usize::try_from(LEASE_BYTES).unwrap() * 5 / 8) });
    for number in 1..=3 {
        let start = Command { body: large.clone(), ..command("eu1", &attempt(number), Start) };
        write.put_command(&start).await.unwrap();
        write.put_command(&command("eu1", &attempt(number), Kill)).await.unwrap();
    }
    assert_eq!(lease(&mut *write, one, 0, 10).await, [(1, Start), (1, Kill), (2, Start)]);
    assert_eq!(
        lease(&mut *write, one, 0, 10).await,
        [(3, Start), (3, Kill)],
        "the second's kill comes after its start"
    );
}

/// From `until` on.
pub async fn a_lease_that_has_run_out_is_given_again<S: Store>(store: Arc<S>) {
    let (one, two) = (session(), session());
    let mut write = store.write().await.unwrap();
    write.put_command(&command("eu1", &attempt(1), CommandKind::Start)).await.unwrap();
    assert_eq!(lease(&mut *write, one, 0, 10).await.len(), 1);
    assert_eq!(lease(&mut *write, two, 9, 10).await.len(), 0);
    assert_eq!(lease(&mut *write, two, 10, 10).await.len(), 1);
    assert_eq!(lease(&mut *write, one, 11, 10).await.len(), 0);
}

/// A new agent process has taken over.
pub async fn breaking_leases_spares_the_new_session<S: Store>(store: Arc<S>) {
    let (old, new) = (session(), session());
    let mut write = store.write().await.unwrap();
    write.put_command(&command("eu1", &attempt(1), CommandKind::Start)).await.unwrap();
    assert_eq!(lease(&mut *write, old, 0, 10).await.len(), 1);
    write.put_command(&command("eu1", &attempt(2), CommandKind::Start)).await.unwrap();
    assert_eq!(lease(&mut *write, new, 0, 10).await, [(2, CommandKind::Start)]);
    write.break_leases(&eu1(), Some(new)).await.unwrap();
    assert_eq!(lease(&mut *write, new, 1, 10).await, [(1, CommandKind::Start)]);
}

/// The answer that gave them out may be lost; another region's has nothing to do with it.
pub async fn breaking_all_leases_spares_no_session_and_no_other_region<S: Store>(store: Arc<S>) {
    use CommandKind::{Kill, Start};
    let mine = session();
    let mut write = store.write().await.unwrap();
    write.put_command(&command("eu1", &attempt(1), Start)).await.unwrap();
    write.put_command(&command("eu1", &attempt(1), Kill)).await.unwrap();
    let elsewhere = text("us1");
    let step = text("us1/crm/crm-tenant");
    write.put_command(&command("us1", &AttemptId { step, ..attempt(2) }, Start)).await.unwrap();
    assert_eq!(lease(&mut *write, mine, 0, 10).await, [(1, Start), (1, Kill)]);
    let until = at(10);
    assert_eq!(write.lease_commands(&elsewhere, mine, at(0), until, 10).await.unwrap().len(), 1);
    write.break_leases(&eu1(), None).await.unwrap();
    assert_eq!(lease(&mut *write, mine, 1, 10).await, [(1, Start), (1, Kill)]);
    assert_eq!(write.lease_commands(&elsewhere, mine, at(1), until, 10).await.unwrap().len(), 0);
}

/// A kill that overtakes its start would kill nothing, and then the start would run.
pub async fn a_later_command_waits_while_somebody_has_an_earlier_one<S: Store>(store: Arc<S>) {
    use CommandKind::{Kill, Release, Start};
    let (one, two) = (session(), session());
    let mut write = store.write().await.unwrap();
    let start = command("eu1", &attempt(1), Start);
    write.put_command(&start).await.unwrap();
    assert_eq!(lease(&mut *write, one, 0, 10).await, [(1, Start)]);
    write.put_command(&command("eu1", &attempt(1), Kill)).await.unwrap();
    write.put_command(&command("eu1", &attempt(2), Start)).await.unwrap();
    assert_eq!(lease(&mut *write, two, 1, 10).await, [(2, Start)], "the kill waits, others do not");
    assert!(write.finish_command(&eu1(), start.id).await.unwrap());
    assert_eq!(lease(&mut *write, two, 2, 10).await, [(1, Kill)], "the start is done");
    write.put_command(&command("eu1", &attempt(3), Start)).await.unwrap();
    write.put_command(&command("eu1", &attempt(3), Kill)).await.unwrap();
    write.put_command(&command("eu1", &attempt(3), Release)).await.unwrap();
    assert_eq!(lease(&mut *write, one, 3, 2).await, [(3, Start), (3, Kill)], "or given out with it");
    assert_eq!(lease(&mut *write, two, 4, 10).await, [], "the release waits for both");
    let all = [(1, Kill), (2, Start), (3, Start), (3, Kill), (3, Release)];
    assert_eq!(lease(&mut *write, two, 13, 10).await, all, "all leases have run out");
}

/// Delivered at least once, asked for once.
pub async fn an_equal_command_is_kept_once<S: Store>(store: Arc<S>) {
    let mut write = store.write().await.unwrap();
    let first = command("eu1", &attempt(1), CommandKind::Kill);
    let again = Command {
        body: serde_json::json!({"cause": "timeout"}),
        ..command("eu1", &attempt(1), CommandKind::Kill)
    };
    write.put_command(&first).await.unwrap();
    write.put_command(&again).await.unwrap();
    write.put_command(&first).await.unwrap();
    assert_eq!(write.commands(&eu1(), 10).await.unwrap(), vec![first.clone()]);
    assert!(write.finish_command(&eu1(), first.id).await.unwrap());
    write.put_command(&again).await.unwrap();
    assert_eq!(write.commands(&eu1(), 10).await.unwrap(), vec![again], "a done one is no obstacle");
}

/// What an agent once had it may have carried out, whatever became of its lease (invariant 2).
pub async fn only_what_was_never_given_out_can_be_withdrawn<S: Store>(store: Arc<S>) {
    use CommandKind::{Kill, Start};
    let mut write = store.write().await.unwrap();
    write.put_command(&command("eu1", &attempt(1), Start)).await.unwrap();
    assert!(!write.withdraw_command(&attempt(1), Kill).await.unwrap(), "another kind");
    assert!(!write.withdraw_command(&attempt(2), Start).await.unwrap(), "another attempt");
    assert!(write.withdraw_command(&attempt(1), Start).await.unwrap());
    assert!(!write.withdraw_command(&attempt(1), Start).await.unwrap());
    write.put_command(&command("eu1", &attempt(1), Start)).await.unwrap();
    assert_eq!(lease(&mut *write, session(), 0, 10).await.len(), 1);
    assert!(!write.withdraw_command(&attempt(1), Start).await.unwrap(), "somebody has it");
    write.break_leases(&eu1(), Some(session())).await.unwrap();
    assert!(!write.withdraw_command(&attempt(1), Start).await.unwrap(), "somebody had it");
    assert_eq!(write.commands(&eu1(), 10).await.unwrap().len(), 1);
}

/// Done is done; a foreign region cannot finish it.
pub async fn a_finished_command_is_gone_and_only_its_region_finishes_it<S: Store>(store: Arc<S>) {
    let mut write = store.write().await.unwrap();
    let only = command("eu1", &attempt(1), CommandKind::Start);
    write.put_command(&only).await.unwrap();
    assert!(!write.finish_command(&text("us1"), only.id).await.unwrap());
    assert!(write.finish_command(&eu1(), only.id).await.unwrap());
    assert!(!write.finish_command(&eu1(), only.id).await.unwrap());
    assert_eq!(lease(&mut *write, session(), 0, 10).await, []);
}

/// Several sessions lease at once until all is given out: each command went to one of them.
pub async fn two_sessions_never_share_a_command<S: Store>(store: Arc<S>) {
    let mut write = store.write().await.unwrap();
    for number in 0..100 {
        write.put_command(&command("eu1", &attempt(number), CommandKind::Start)).await.unwrap();
    }
    write.commit().await.unwrap();
    let mut sessions = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = Arc::clone(&store);
        sessions.spawn(async move {
            let (me, mut mine) = (session(), Vec::new());
            loop {
                let mut write = store.write_one().await.unwrap();
                let leased = lease(&mut *write, me, 0, 7).await;
                write.commit().await.unwrap();
                if leased.is_empty() {
                    return mine;
                }
                mine.extend(leased.into_iter().map(|(number, _)| number));
            }
        });
    }
    let mut given = BTreeMap::new();
    while let Some(mine) = sessions.join_next().await {
        for number in mine.unwrap() {
            *given.entry(number).or_insert(0) += 1;
        }
    }
    assert_eq!(given, (0..100).map(|number| (number, 1)).collect());
}
