//! Regions of Argo: Workflows and when their events are due, bridges, and what a bridge leases of its step.

use super::samples::{at, bridge, command, environment, operation, session, staged, step, text, workflow};
use crate::{BridgeRow, CommandKind, Store, WorkflowRow, Write};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tenantry_model::{
    AgentSessionId, AttemptId, HookRef, Operation, OperationId, OperationState, RegionName,
};
use uuid::Uuid;

fn eu1() -> RegionName {
    text("eu1")
}

fn hook() -> HookRef {
    text("eu1/crm/crm-tenant")
}

/// Of the step that the checks lease.
fn attempt(number: u32) -> AttemptId {
    AttemptId { operation: OperationId(Uuid::nil()), step: hook(), number }
}

/// What must stay as it is: of the same hook in another operation, and of another hook of the same operation.
fn others() -> [AttemptId; 2] {
    let operation = OperationId(Uuid::from_u128(1));
    [AttemptId { operation, ..attempt(1) }, AttemptId { step: text("eu1/crm/crm-tenant-b"), ..attempt(1) }]
}

/// Leases at `now` for ten seconds; gives the numbers of the attempts and what is asked.
async fn lease(write: &mut dyn Write, session: AgentSessionId, now: i64) -> Vec<(u32, CommandKind)> {
    let of = attempt(0);
    let leased =
        write.lease_step_commands(of.operation, &of.step, session, at(now), at(now + 10)).await.unwrap();
    for command in &leased {
        let lease = command.lease.as_ref().unwrap();
        assert_eq!((lease.session, lease.until), (session, at(now + 10)), "the lease is told");
        assert_eq!((command.attempt.operation, &command.attempt.step), (of.operation, &of.step));
    }
    leased.iter().map(|command| (command.attempt.number, command.kind)).collect()
}

async fn put(write: &mut dyn Write, commands: &[(u32, CommandKind)]) {
    for (number, kind) in commands {
        write.put_command(&command("eu1", &attempt(*number), *kind)).await.unwrap();
    }
}

/// Who has a command of each of [`others`] until when.
async fn leases_of_others(write: &mut dyn Write) -> Vec<Option<AgentSessionId>> {
    let mut leases = Vec::new();
    for of in others() {
        for command in write.step_commands(of.operation, &of.step).await.unwrap() {
            leases.push(command.lease.map(|lease| lease.session));
        }
    }
    leases
}

/// Several operations of one environment.
async fn operations(write: &mut dyn Write, count: usize) -> Vec<Operation> {
    let home = environment("acme", "prod", "eu1");
    write.put_environment(&home).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..count {
        let operation = operation(home.id, "crm.reindex", OperationState::Running);
        write.put_operation(&operation).await.unwrap();
        all.push(operation);
    }
    all
}

/// By region and round, whatever the order in which they were put; the key is all three.
pub async fn workflows_come_by_region_and_round<S: Store>(store: Arc<S>) {
    let mut write = store.write().await.unwrap();
    let run = operations(&mut *write, 2).await;
    let (id, other) = (run[0].id, run[1].id);
    assert_eq!(write.workflows(id).await.unwrap(), []);
    let ordered = [("eu1", 1), ("eu1", 2), ("eu1", 10), ("eu1-b", 1), ("us1", 1)];
    let mut rows = ordered.map(|(region, round)| workflow(id, region, round));
    for n in [3, 1, 4, 0, 2] {
        write.put_workflow(&rows[n]).await.unwrap();
    }
    let foreign = workflow(other, "eu1", 1);
    write.put_workflow(&foreign).await.unwrap();
    assert_eq!(write.workflows(id).await.unwrap(), rows);
    assert_eq!(write.workflows(other).await.unwrap(), [foreign]);
    rows[1] = WorkflowRow {
        deliver_at: None,
        problem: None,
        name: None,
        staged: Some(staged()),
        ended: None,
        tries: 9,
        ..rows[1].clone()
    };
    write.put_workflow(&rows[1]).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(store.read().await.unwrap().workflows(id).await.unwrap(), rows, "a second put replaces");
}

/// From its time on, until it has none; each region's by themselves, so that none hides another's.
pub async fn workflows_whose_event_is_due_come_earliest_first<S: Store>(store: Arc<S>) {
    let mut write = store.write().await.unwrap();
    assert_eq!(write.next_workflow(&eu1()).await.unwrap(), None);
    let run = operations(&mut *write, 3).await;
    let due = |of: usize, region: &str, seconds: Option<i64>| WorkflowRow {
        deliver_at: seconds.map(at),
        ..workflow(run[of].id, region, 1)
    };
    let second = due(0, "eu1", Some(20));
    let first = due(1, "eu1", Some(10));
    let third = due(2, "eu1", Some(30));
    let elsewhere = due(1, "us1", Some(5));
    let never = due(0, "us1", None);
    for row in [&never, &third, &elsewhere, &second, &first] {
        write.put_workflow(row).await.unwrap();
    }
    assert_eq!(write.next_workflow(&eu1()).await.unwrap(), Some(at(10)));
    assert_eq!(write.next_workflow(&text("us1")).await.unwrap(), Some(at(5)));
    assert_eq!(write.due_workflows(&eu1(), at(9), 10).await.unwrap(), []);
    assert_eq!(write.due_workflows(&eu1(), at(20), 10).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(
        write.due_workflows(&eu1(), at(99), 10).await.unwrap(),
        [first.clone(), second.clone(), third.clone()]
    );
    assert_eq!(write.due_workflows(&eu1(), at(99), 2).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(write.due_workflows(&text("us1"), at(99), 10).await.unwrap(), [elsewhere]);
    // One is told again later, the other not any more.
    let later = WorkflowRow { deliver_at: Some(at(40)), ..first };
    write.put_workflow(&later).await.unwrap();
    write.put_workflow(&WorkflowRow { deliver_at: None, ..second }).await.unwrap();
    assert_eq!(write.due_workflows(&eu1(), at(99), 10).await.unwrap(), [third, later]);
    assert_eq!(write.next_workflow(&eu1()).await.unwrap(), Some(at(30)));
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.next_workflow(&eu1()).await.unwrap(), Some(at(30)), "to the nanosecond");
    assert_eq!(read.due_workflows(&eu1(), at(39), 10).await.unwrap().len(), 1);
}

/// In the order of steps; the key is operation and hook.
pub async fn bridges_come_by_hook<S: Store>(store: Arc<S>) {
    let mut write = store.write().await.unwrap();
    let run = operations(&mut *write, 2).await;
    let (id, other) = (run[0].id, run[1].id);
    // As text '-' comes before '/'.
    let ordered = ["eu1/crm/a", "eu1/crm/b", "eu1/crm-a/b", "us1/crm/a"];
    let mut rows = ordered.map(|hook| bridge(id, hook));
    for n in [2, 3, 0, 1] {
        write.put_bridge(&rows[n]).await.unwrap();
    }
    let foreign = bridge(other, "eu1/crm/a");
    write.put_bridge(&foreign).await.unwrap();
    assert_eq!(write.bridges(id).await.unwrap(), rows);
    rows[0] = BridgeRow { round: 3, session: session(), left_at: None, ..rows[0].clone() };
    write.put_bridge(&rows[0]).await.unwrap();
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.bridges(id).await.unwrap(), rows, "a second put replaces");
    assert_eq!(read.bridges(other).await.unwrap(), std::slice::from_ref(&foreign));
    assert_eq!(read.bridge(id, &text("eu1/crm/a")).await.unwrap().as_ref(), Some(&rows[0]));
    assert_eq!(read.bridge(other, &text("eu1/crm/a")).await.unwrap(), Some(foreign));
    assert_eq!(read.bridge(other, &text("eu1/crm/b")).await.unwrap(), None, "another operation's");
}

/// With nothing of another operation; and there is none without its operation.
pub async fn workflows_and_bridges_go_with_their_operation<S: Store>(store: Arc<S>) {
    let mut write = store.write().await.unwrap();
    let run = operations(&mut *write, 2).await;
    for Operation { id, .. } in &run {
        write.put_step(&step(*id, "eu1/crm/a")).await.unwrap();
        for round in [1, 2] {
            let row = WorkflowRow { deliver_at: Some(at(5)), ..workflow(*id, "eu1", round) };
            write.put_workflow(&row).await.unwrap();
        }
        write.put_bridge(&bridge(*id, "eu1/crm/a")).await.unwrap();
    }
    write.commit().await.unwrap();
    let mut write = store.write().await.unwrap();
    assert!(write.delete_operation(run[0].id).await.unwrap());
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.workflows(run[0].id).await.unwrap(), []);
    assert_eq!(read.bridges(run[0].id).await.unwrap(), []);
    assert_eq!(read.bridge(run[0].id, &text("eu1/crm/a")).await.unwrap(), None);
    let left = read.due_workflows(&eu1(), at(9), 10).await.unwrap();
    assert_eq!(
        left.iter().map(|row| (row.operation, row.round)).collect::<Vec<_>>(),
        [(run[1].id, 1), (run[1].id, 2)]
    );
    assert_eq!(read.workflows(run[1].id).await.unwrap().len(), 2);
    assert_eq!(read.bridges(run[1].id).await.unwrap().len(), 1);
    drop(read);

    let mut write = store.write().await.unwrap();
    write.put_workflow(&workflow(run[0].id, "eu1", 1)).await.unwrap();
    assert!(write.commit().await.is_err(), "a Workflow of no operation");
    let mut write = store.write().await.unwrap();
    write.put_bridge(&bridge(run[0].id, "eu1/crm/a")).await.unwrap();
    assert!(write.commit().await.is_err(), "a bridge of no operation");
    let mut read = store.read().await.unwrap();
    assert_eq!(read.workflows(run[0].id).await.unwrap(), []);
    assert_eq!(read.bridges(run[0].id).await.unwrap(), []);
}

/// All of them in their order, whoever has them; nothing of another step or operation.
pub async fn a_steps_commands_come_in_order_and_are_leased_once<S: Store>(store: Arc<S>) {
    use CommandKind::{Kill, Release, Start};
    let (one, two) = (session(), session());
    let mut write = store.write().await.unwrap();
    let all = [(3, Start), (1, Start), (10, Start), (1, Release), (2, Kill), (2, Release)];
    put(&mut *write, &all).await;
    for of in others() {
        write.put_command(&command("eu1", &of, Start)).await.unwrap();
    }
    let of = attempt(0);
    assert_eq!(lease(&mut *write, one, 0).await, all, "all of them at once");
    assert_eq!(lease(&mut *write, two, 9).await, [], "somebody has them");
    put(&mut *write, &[(4, Start)]).await;
    assert_eq!(lease(&mut *write, two, 9).await, [(4, Start)]);
    assert_eq!(leases_of_others(&mut *write).await, [None, None], "another step's are its own");
    let found = write.step_commands(of.operation, &of.step).await.unwrap();
    let told: Vec<_> = found.iter().map(|command| (command.attempt.number, command.kind)).collect();
    assert_eq!(told, [&all[..], &[(4, Start)]].concat());
    let holders: Vec<_> = found.iter().map(|command| command.lease.as_ref().unwrap().session).collect();
    assert_eq!(holders, [one, one, one, one, one, one, two]);
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.step_commands(of.operation, &of.step).await.unwrap(), found);
    assert_eq!(read.step_commands(of.operation, &text("us1/crm/crm-tenant")).await.unwrap(), []);
}

/// In order, as long as nobody has them or the lease is over; of the region alone.
pub async fn a_regions_free_commands_are_those_that_nobody_holds<S: Store>(store: Arc<S>) {
    use CommandKind::{Kill, Start};
    let mut write = store.write().await.unwrap();
    assert_eq!(write.free_commands(&eu1(), at(0)).await.unwrap(), []);
    let mine = command("eu1", &attempt(1), Start);
    write.put_command(&mine).await.unwrap();
    let others = others();
    let theirs = command("eu1", &others[0], Kill);
    write.put_command(&theirs).await.unwrap();
    write.put_command(&command("us1", &others[1], Start)).await.unwrap();
    let both = [(mine.id, mine.attempt.clone()), (theirs.id, theirs.attempt.clone())];
    assert_eq!(write.free_commands(&eu1(), at(0)).await.unwrap(), both);
    assert_eq!(lease(&mut *write, session(), 0).await.len(), 1);
    assert_eq!(write.free_commands(&eu1(), at(9)).await.unwrap(), both[1..], "one is held until 10");
    assert_eq!(write.free_commands(&eu1(), at(10)).await.unwrap(), both);
    assert!(write.finish_command(&eu1(), mine.id).await.unwrap());
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.free_commands(&eu1(), at(99)).await.unwrap(), both[1..]);
}

/// One of an operation's many, and nobody else's.
pub async fn a_step_is_read_by_its_key<S: Store>(store: Arc<S>) {
    let mut write = store.write().await.unwrap();
    let run = operations(&mut *write, 2).await;
    let mine = [step(run[0].id, "eu1/crm/a"), step(run[0].id, "eu1/crm-a/b")];
    let theirs = step(run[1].id, "eu1/crm/c");
    for step in mine.iter().chain([&theirs]) {
        write.put_step(step).await.unwrap();
    }
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    for step in &mine {
        assert_eq!(read.step(run[0].id, &step.hook).await.unwrap().as_ref(), Some(step));
    }
    assert_eq!(read.step(run[0].id, &theirs.hook).await.unwrap(), None, "another operation's");
}

/// From `until` on a lease is over; what is finished is gone.
pub async fn a_steps_lease_that_has_run_out_is_given_again<S: Store>(store: Arc<S>) {
    use CommandKind::{Kill, Start};
    let (one, two) = (session(), session());
    let mut write = store.write().await.unwrap();
    let start = command("eu1", &attempt(1), Start);
    write.put_command(&start).await.unwrap();
    put(&mut *write, &[(1, Kill)]).await;
    assert_eq!(lease(&mut *write, one, 0).await, [(1, Start), (1, Kill)]);
    assert_eq!(lease(&mut *write, two, 9).await, []);
    assert_eq!(lease(&mut *write, two, 10).await, [(1, Start), (1, Kill)]);
    assert!(write.finish_command(&eu1(), start.id).await.unwrap());
    let left = write.step_commands(start.attempt.operation, &start.attempt.step).await.unwrap();
    assert_eq!(left.iter().map(|command| command.kind).collect::<Vec<_>>(), [Kill]);
    assert_eq!(lease(&mut *write, one, 20).await, [(1, Kill)], "what is done is not given again");
}

/// As for an agent: a kill that overtakes its start would kill nothing.
pub async fn a_steps_later_command_waits_while_somebody_has_an_earlier_one<S: Store>(store: Arc<S>) {
    use CommandKind::{Kill, Release, Start};
    let (one, two) = (session(), session());
    let mut write = store.write().await.unwrap();
    let start = command("eu1", &attempt(1), Start);
    write.put_command(&start).await.unwrap();
    assert_eq!(lease(&mut *write, one, 0).await, [(1, Start)]);
    put(&mut *write, &[(1, Kill), (2, Start), (1, Release)]).await;
    assert_eq!(lease(&mut *write, two, 1).await, [(2, Start)], "the kill waits, another attempt does not");
    assert!(write.finish_command(&eu1(), start.id).await.unwrap());
    assert_eq!(lease(&mut *write, two, 2).await, [(1, Kill), (1, Release)], "the start is done");
}

/// There is one lease on a command, whichever way it was asked for; once given out it is not withdrawn (invariant 2).
pub async fn a_step_and_its_region_lease_the_same_commands<S: Store>(store: Arc<S>) {
    use CommandKind::{Kill, Release, Start};
    let (agent, mine) = (session(), session());
    let mut write = store.write().await.unwrap();
    put(&mut *write, &[(1, Start), (1, Kill)]).await;
    let leased = write.lease_commands(&eu1(), agent, at(0), at(10), 1).await.unwrap();
    assert_eq!(leased.len(), 1);
    assert_eq!(lease(&mut *write, mine, 1).await, [], "the agent has the start, the kill waits for it");
    assert_eq!(lease(&mut *write, mine, 10).await, [(1, Start), (1, Kill)]);
    assert!(!write.has_command(&eu1(), at(11)).await.unwrap());
    assert_eq!(write.lease_commands(&eu1(), agent, at(11), at(21), 10).await.unwrap(), []);
    put(&mut *write, &[(1, Release), (2, Start)]).await;
    write.break_step_leases(attempt(1).operation, &hook(), None).await.unwrap();
    for kind in [Start, Kill] {
        assert!(!write.withdraw_command(&attempt(1), kind).await.unwrap(), "a bridge had it");
    }
    assert!(write.withdraw_command(&attempt(2), Start).await.unwrap(), "nobody had it");
}

/// A new bridge gets what an earlier one had; the answer that gave them out may be lost.
pub async fn breaking_a_steps_leases_spares_one_session_and_other_steps<S: Store>(store: Arc<S>) {
    use CommandKind::Start;
    let (old, new) = (session(), session());
    let mut write = store.write().await.unwrap();
    for of in others() {
        write.put_command(&command("eu1", &of, Start)).await.unwrap();
        let until = at(10);
        let leased = write.lease_step_commands(of.operation, &of.step, old, at(0), until).await.unwrap();
        assert_eq!(leased.len(), 1);
    }
    put(&mut *write, &[(1, Start)]).await;
    assert_eq!(lease(&mut *write, old, 0).await, [(1, Start)]);
    put(&mut *write, &[(2, Start)]).await;
    assert_eq!(lease(&mut *write, new, 0).await, [(2, Start)]);
    let of = attempt(0);
    write.break_step_leases(of.operation, &of.step, Some(new)).await.unwrap();
    assert_eq!(lease(&mut *write, new, 1).await, [(1, Start)], "its own stays");
    write.break_step_leases(of.operation, &of.step, None).await.unwrap();
    assert_eq!(leases_of_others(&mut *write).await, [Some(old), Some(old)]);
    assert_eq!(lease(&mut *write, old, 2).await, [(1, Start), (2, Start)], "every one's");
}

/// Whether the two come after or beside each other: what one gives out, the other neither gives out nor overtakes.
pub async fn a_step_overtakes_nothing_that_is_being_given_out<S: Store>(store: Arc<S>) {
    use CommandKind::{Kill, Start};
    let mut write = store.write().await.unwrap();
    put(&mut *write, &[(1, Start), (1, Kill)]).await;
    write.commit().await.unwrap();
    let mut first = store.write_one().await.unwrap();
    let leased = first.lease_commands(&eu1(), session(), at(0), at(10), 1).await.unwrap();
    assert_eq!(leased.len(), 1);
    let beside = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let mut write = store.write_one().await.unwrap();
            let leased = lease(&mut *write, session(), 0).await;
            write.commit().await.unwrap();
            leased
        }
    });
    // Long enough for one that does not wait.
    tokio::time::sleep(Duration::from_millis(200)).await;
    first.commit().await.unwrap();
    assert_eq!(beside.await.unwrap(), [], "the kill waits for the start");
}

/// Two lives of a bridge, and more, that lease while commands come: each command went to one of them.
pub async fn two_bridges_never_share_a_command<S: Store>(store: Arc<S>) {
    let mut bridges = tokio::task::JoinSet::new();
    for n in 0..4 {
        let store = Arc::clone(&store);
        bridges.spawn(async move {
            let (me, mut mine) = (session(), Vec::new());
            for number in n * 25..(n + 1) * 25 {
                let mut write = store.write_one().await.unwrap();
                put(&mut *write, &[(number, CommandKind::Start)]).await;
                write.commit().await.unwrap();
                let mut write = store.write_one().await.unwrap();
                mine.extend(lease(&mut *write, me, 0).await);
                write.commit().await.unwrap();
            }
            mine
        });
    }
    let mut given = BTreeMap::new();
    while let Some(mine) = bridges.join_next().await {
        for (number, _) in mine.unwrap() {
            *given.entry(number).or_insert(0) += 1;
        }
    }
    // What one had in its hands at the end of all others is left over.
    let mut write = store.write().await.unwrap();
    for (number, _) in lease(&mut *write, session(), 0).await {
        *given.entry(number).or_insert(0) += 1;
    }
    assert_eq!(given, (0..100).map(|number| (number, 1)).collect());
}
