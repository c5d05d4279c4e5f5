//! With a manager: discovery and a bridge against a manager and an API server of this test, over real sockets.
#![allow(clippy::unwrap_used)] // a test may

mod server;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use server::{
    Asked,
    world::{OPERATION, World, cluster, template},
};
use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tenantry_api_types::{
    agent::{HookReport, LeasedCommand, OpenAttempt, Order, StartOrder},
    bridge::{
        HooksRequest, OrderAnswer, OrderRequest, OrderedStep, REGION_HEADER, StepEnd, StepFinishRequest,
        StepLeaseAnswer, StepLeaseRequest, StepLogsRequest, StepObservationsRequest, VERSION, VERSION_HEADER,
        WorkflowEnd, WorkflowEndRequest,
    },
};
use tenantry_bridge::cli::{DETACHED, PLATFORM};
use tenantry_hook::{AnnotationDomains, AttemptRequest, RegionPolicy, parse};
use tenantry_model::{AttemptId, CommandId, Fact, FailureReason, HookPath, KillCause, Outcome, TemplateHash};
use uuid::Uuid;

fn to(answer: impl serde::Serialize) -> (u16, Value) {
    (200, serde_json::to_value(answer).unwrap())
}

fn path(text: &str) -> HookPath {
    text.parse().unwrap()
}

fn ordered(hook: &str, after: &[&str]) -> OrderedStep {
    OrderedStep { hook: path(hook), after: after.iter().map(|text| path(text)).collect() }
}

#[tokio::test]
async fn discovery_tells_every_hook_and_prints_what_the_manager_orders() {
    let world = World::new("order", |asked| match (asked.call(), asked.nth) {
        ("hooks", _) => (200, json!({})),
        ("order:wait", 0) => to(OrderAnswer::Waiting { note: "waits for us1".to_owned(), list_again: false }),
        // What is not of the list is nothing that Argo could wait for.
        ("order:wait", _) => to(OrderAnswer::Ready {
            steps: vec![ordered("crm/one", &["crm/first", "eu2/x"]), ordered("crm/first", &[])],
        }),
        _ => (404, json!({})),
    })
    .await;
    assert_eq!(world.discover(&["--levels", "--expect=crm/one", "--workflow=argo/tenantry-x-2"]).await, 0);
    assert_eq!(
        world.read("out"),
        r#"[[{"name":"first","namespace":"crm"}],[{"name":"one","namespace":"crm"}]]"#
    );

    let told: Vec<HooksRequest> = world.manager.bodies("hooks");
    let [page] = &told[..] else { panic!("{told:?}") };
    assert!(page.begin && page.end);
    assert_eq!(
        (page.workflow.region.as_str(), page.workflow.round, page.workflow.name.as_str()),
        ("eu1", 2, "argo/tenantry-x-2")
    );
    let mut named: Vec<&HookReport> = page.present.iter().collect();
    named.sort_by_key(|report| report.path.to_string());
    let [broken, one] = named[..] else { panic!("{named:?}") };
    assert!(broken.hook.is_none() && !broken.problems.is_empty(), "unreadable, and no reason to stop");
    assert_eq!(one.hook.as_ref().unwrap().selector, "tier=gold", "judged by the manager");
    let polls: Vec<OrderRequest> = world.manager.bodies("order:wait");
    assert_eq!((polls.len(), polls[0].wait_seconds), (2, 20));
    let asked = world.manager.asked("order:wait");
    assert_eq!(asked[0].header("authorization"), "Bearer first");
    assert_eq!(asked[0].header(VERSION_HEADER), VERSION.to_string());
    assert_eq!(asked[0].header(REGION_HEADER), "eu1");
}

#[tokio::test]
async fn a_graph_needs_no_environment_with_a_manager() {
    let world = World::new("graph", |asked| match asked.call() {
        "hooks" => (200, json!({})),
        _ => to(OrderAnswer::Ready { steps: vec![ordered("crm/one", &[])] }),
    })
    .await;
    assert_eq!(world.discover(&["--as-dag"]).await, 0);
    let workflow: Value = serde_json::from_str(&world.read("out")).unwrap();
    assert_eq!(workflow["metadata"]["name"], format!("tenantry-{OPERATION}-2"));
    let args = workflow["spec"]["templates"][1]["container"]["args"].to_string();
    assert!(args.contains("--manager=http") && args.contains("--round=2") && !args.contains("--environment"));
}

#[tokio::test]
async fn nothing_is_planned_without_a_hook_that_is_expected() {
    let world = World::new("expect", |_| (200, json!({}))).await;
    assert_eq!(world.discover(&["--expect=crm/one,crm/gone"]).await, 1);
    // Argo calls the Workflow failed: nobody else would say so.
    let told: Vec<WorkflowEndRequest> = world.manager.bodies("workflows:end");
    assert!(matches!(&told[..], [told] if told.end == WorkflowEnd::GaveUp && told.why.contains("crm/gone")));
    assert!(world.manager.bodies::<HooksRequest>("hooks").iter().all(|page| !page.end));
}

#[tokio::test]
async fn hooks_are_told_again_when_the_manager_lost_them_or_finds_them_old() {
    let world = World::new("again-all", |asked| match (asked.call(), asked.nth) {
        ("hooks", 0) => (409, json!({"code": "inventory-restart", "detail": "begin anew"})),
        ("order:wait", 0) => to(OrderAnswer::Waiting { note: String::new(), list_again: true }),
        ("order:wait", _) => to(OrderAnswer::Ready { steps: Vec::new() }),
        _ => (200, json!({})),
    })
    .await;
    assert_eq!(world.discover(&[]).await, 0);
    let told: Vec<HooksRequest> = world.manager.bodies("hooks");
    let sessions: std::collections::BTreeSet<_> = told.iter().map(|page| page.session.0).collect();
    assert_eq!((told.len(), sessions.len()), (3, 3), "each listing has a session of its own");
    assert!(told.iter().all(|page| page.begin && page.end && page.present.len() == 2));
    assert!(world.manager.bodies::<WorkflowEndRequest>("workflows:end").is_empty());
}

#[tokio::test]
async fn what_is_over_is_nothing_to_do_or_a_failure() {
    for (succeeded, code, printed) in [(true, 0, "[]"), (false, 1, "")] {
        let world = World::new(&format!("over-{succeeded}"), move |asked| match asked.call() {
            "hooks" => (200, json!({})),
            _ => to(OrderAnswer::Over { succeeded, message: "cancelled by jo".to_owned() }),
        })
        .await;
        assert_eq!(world.discover(&[]).await, code);
        assert_eq!(world.read("out"), printed);
    }
}

#[tokio::test]
async fn a_call_is_repeated_until_it_is_answered_and_the_token_is_read_again() {
    let token = Arc::new(Mutex::new(String::new()));
    let file = Arc::clone(&token);
    let world = World::new("again", move |asked| match (asked.call(), asked.nth) {
        ("hooks", 0) => {
            // As the kubelet does when an hour is nearly over.
            fs::write(&*file.lock().unwrap(), "second").unwrap();
            (503, json!({"code": "unavailable", "detail": "the store is away"}))
        }
        ("hooks", 1) => (0, Value::Null),
        ("hooks", _) => (200, json!({})),
        _ => to(OrderAnswer::Ready { steps: Vec::new() }),
    })
    .await;
    *token.lock().unwrap() = world.file("token");
    assert_eq!(world.discover(&[]).await, 0);
    assert_eq!(world.read("out"), "[]");
    let tokens: Vec<String> =
        world.manager.asked("hooks").iter().map(|asked| asked.header("authorization").to_owned()).collect();
    assert_eq!(tokens, ["Bearer first", "Bearer second", "Bearer second"]);
}

#[tokio::test]
async fn a_refusal_ends_the_program_at_once() {
    for (status, discovery) in [(401, 3), (403, 3), (426, 1), (400, 1)] {
        let world = World::new(&format!("refused-{status}"), move |_| {
            (status, json!({"code": "no", "detail": "an audience that is not this installation's"}))
        })
        .await;
        assert_eq!(world.discover(&[]).await, discovery);
        assert_eq!(world.manager.asked("hooks").len(), 1, "{status} is not repeated");
        assert_eq!(world.bridge(&[]).await, PLATFORM);
        assert_eq!(world.read("reason"), "manager-refused");
        let told = !world.manager.asked("workflows:end").is_empty();
        assert_eq!(told, status == 400, "who is refused altogether need not try");
    }
}

/// Whatever brought it here: the manager is told nothing either, since the Workflow is not this region's.
#[tokio::test]
async fn what_was_asked_of_another_region_is_refused() {
    let world = World::new("elsewhere", |_| to(OrderAnswer::Ready { steps: Vec::new() })).await;
    let other = ["--for-region=us1"];
    assert_eq!(world.discover(&other).await, 1);
    assert_eq!((world.bridge(&other).await, world.read("reason").as_str()), (PLATFORM, "wrong-region"));
    for call in ["hooks", "order:wait", "commands:lease", "workflows:end"] {
        assert!(world.manager.asked(call).is_empty(), "{call}");
    }
    for this in ["--for-region=eu1", "--for-region="] {
        assert_eq!(world.discover(&[this]).await, 0, "{this}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_there_or_would_go_in_the_clear_is_a_wrong_command_line() {
    let mut world = World::new("plain", |_| (200, json!({}))).await;
    let here = std::mem::replace(&mut world.manager.url, "http://192.0.2.1:7777".to_owned());
    assert_eq!(world.discover(&[]).await, 2);
    assert_eq!((world.bridge(&[]).await, world.read("reason").as_str()), (PLATFORM, "usage"));
    world.manager.url = here;
    fs::remove_file(world.file("token")).unwrap();
    assert_eq!(world.discover(&[]).await, 2);
    assert_eq!((world.bridge(&[]).await, world.read("reason").as_str()), (PLATFORM, "usage"));
    assert!(world.manager.asked("hooks").is_empty());
}

fn attempt(number: u32) -> AttemptId {
    AttemptId { operation: OPERATION.parse().unwrap(), step: "eu1/crm/one".parse().unwrap(), number }
}

fn command(id: u128, number: u32, order: Order) -> LeasedCommand {
    LeasedCommand { id: CommandId(Uuid::from_u128(id)), attempt: attempt(number), order }
}

fn start(number: u32, hash: &str) -> Order {
    let request = AttemptRequest {
        attempt: attempt(number),
        nonce: Uuid::from_u128(u128::from(number)),
        environment: OPERATION.parse().unwrap(),
        operation_name: "lifecycle.upsert".parse().unwrap(),
        batch: None,
        scheduled_time: None,
        traceparent: None,
        environment_file: "{}".to_owned(),
        changeset_file: "{}".to_owned(),
        object_store: None,
    };
    Order::Start(Box::new(StartOrder {
        hook: path("crm/one"),
        hash: TemplateHash(hash.to_owned()),
        request,
        timeout: None,
    }))
}

fn leased(commands: Vec<LeasedCommand>, open: Vec<OpenAttempt>, end: Option<StepEnd>) -> (u16, Value) {
    to(StepLeaseAnswer { commands, open, note: "waits for crm/first".to_owned(), end })
}

fn failed(reason: FailureReason) -> Outcome {
    Outcome { reason: Some(reason), ..Outcome::default() }
}

#[tokio::test]
async fn a_bridge_starts_nothing_but_what_was_planned_and_ends_when_its_step_does() {
    let end = StepEnd {
        done: false,
        state: "failed".to_owned(),
        outcome: Some(failed(FailureReason::TemplateGone)),
    };
    let world = World::new("gone", move |asked| match (asked.call(), asked.nth) {
        // The first attempt is what an earlier life may have left; nothing of it is there.
        ("commands:lease", 0) => leased(
            Vec::new(),
            vec![OpenAttempt {
                attempt: attempt(1),
                nonce: Uuid::from_u128(1),
                observed: 7,
                log_offset: 0,
                unknown: false,
            }],
            None,
        ),
        ("commands:lease", 1) => leased(
            vec![
                command(2, 2, start(2, "of-the-plan")),
                command(3, 3, Order::Kill { cause: KillCause::Operator }),
            ],
            Vec::new(),
            None,
        ),
        ("commands:lease", nth) if nth < 4 => leased(Vec::new(), Vec::new(), None),
        ("commands:lease", _) => leased(Vec::new(), Vec::new(), Some(end.clone())),
        ("observations" | "logs", _) => (200, json!({"unknown": []})),
        _ => (200, json!({})),
    })
    .await;
    assert_eq!(world.bridge(&[]).await, PLATFORM, "it failed without an exit code");
    assert_eq!((world.read("reason").as_str(), world.read("outputs").as_str()), ("template-gone", "{}"));

    let leases: Vec<StepLeaseRequest> = world.manager.bodies("commands:lease");
    assert!(leases.iter().all(|lease| lease.step.session == leases[0].step.session && !lease.unanswered));
    assert!(leases[0].first && leases[1..].iter().all(|lease| !lease.first));
    let seen: Vec<_> = world
        .manager
        .bodies::<StepObservationsRequest>("observations")
        .into_iter()
        .flat_map(|request| request.observations)
        .collect();
    let facts: Vec<String> = seen
        .iter()
        .map(|seen| match &seen.fact {
            Fact::Unknown { .. } => format!("{} unknown", seen.attempt.number),
            Fact::NotStarted { outcome } => format!("{} {:?}", seen.attempt.number, outcome.reason.unwrap()),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(facts, ["1 unknown", "2 TemplateGone", "3 Killed"]);
    assert!(seen[0].number > 7);
    let logs: Vec<(u32, u64, bool)> = world
        .manager
        .bodies::<StepLogsRequest>("logs")
        .into_iter()
        .flat_map(|request| request.chunks)
        .map(|chunk| (chunk.attempt.number, chunk.offset, chunk.last))
        .collect();
    assert_eq!(logs, [(2, 0, true), (3, 0, true)], "who reads the log learns that there is none");
    let finished: Vec<CommandId> = world
        .manager
        .bodies::<StepFinishRequest>("commands:finish")
        .into_iter()
        .flat_map(|request| request.commands)
        .collect();
    assert_eq!(finished, [CommandId(Uuid::from_u128(2)), CommandId(Uuid::from_u128(3))]);
}

#[tokio::test]
async fn a_settled_step_ends_with_what_it_came_to() {
    let mut with_code = failed(FailureReason::HookFailed);
    with_code.exit_code = Some(7);
    let mut with_outputs = Outcome::default();
    with_outputs.outputs.insert("url".to_owned(), "x".to_owned());
    let cases = [
        (true, "succeeded", Some(with_outputs), (0, "", r#"{"url":"x"}"#)),
        (true, "confirmed", Some(with_code.clone()), (0, "", "{}")),
        (false, "failed", Some(with_code), (7, "hook-failed", "{}")),
        (false, "cancelled", None, (PLATFORM, "cancelled", "{}")),
        // It ran well and was cancelled all the same: what comes after it must not begin.
        (false, "cancelled", Some(Outcome::default()), (PLATFORM, "cancelled", "{}")),
    ];
    for (at, (done, state, outcome, expected)) in cases.into_iter().enumerate() {
        let end = StepEnd { done, state: state.to_owned(), outcome };
        let world = World::new(&format!("settled-{at}"), move |asked| match (asked.call(), asked.nth) {
            ("commands:lease", 0) => (0, Value::Null),
            _ => leased(Vec::new(), Vec::new(), Some(end.clone())),
        })
        .await;
        let code = world.bridge(&[]).await;
        assert_eq!((code, world.read("reason").as_str(), world.read("outputs").as_str()), expected, "{at}");
        let leases: Vec<StepLeaseRequest> = world.manager.bodies("commands:lease");
        let unanswered: Vec<bool> = leases.iter().map(|lease| lease.unanswered).collect();
        assert_eq!(unanswered, [false, true]);
        assert!(leases.iter().all(|lease| lease.first), "none was answered before");
    }
}

/// A Pod's log, as the API server has it.
fn log(lines: &[&str]) -> String {
    let line = |(at, line): (usize, &&str)| format!("2026-11-21T12:00:01.{at:09}Z {line}\n");
    lines.iter().enumerate().map(line).collect()
}

/// An API server that takes one Pod, which ends at once with 3, and shows its log.
fn cluster_with_a_pod(log: String) -> impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static {
    let pod = Mutex::new(Value::Null);
    let events = Mutex::new(Vec::new());
    move |asked| {
        let mut pod = pod.lock().unwrap();
        let path = asked.path.split('?').next().unwrap_or_default();
        match (asked.method.as_str(), path) {
            ("POST", "/api/v1/namespaces/crm/pods") => {
                *pod = serde_json::from_slice(&asked.body).unwrap();
                pod["metadata"]["uid"] = json!("u");
                pod["metadata"]["resourceVersion"] = json!("2");
                pod["metadata"]["creationTimestamp"] = json!("2026-11-21T12:00:00Z");
                pod["status"] = json!({"phase": "Failed", "containerStatuses": [{
                    "name": "hook", "image": "i", "imageID": "i", "ready": false, "restartCount": 0,
                    "state": {"terminated": {
                        "exitCode": 3, "reason": "Error",
                        "startedAt": "2026-11-21T12:00:01Z", "finishedAt": "2026-11-21T12:00:02Z",
                    }},
                }]});
                events.lock().unwrap().push(json!({"type": "ADDED", "object": *pod}));
                (201, pod.clone())
            }
            ("GET", "/api/v1/namespaces/crm/pods") if asked.path.contains("watch=true") => {
                (200, Value::from(events.lock().unwrap().clone()))
            }
            (_, path) if path.ends_with("/log") => (200, Value::from(log.as_str())),
            ("GET" | "PATCH" | "DELETE", path)
                if path.starts_with("/api/v1/namespaces/crm/pods/") && !pod.is_null() =>
            {
                (200, pod.clone())
            }
            _ => cluster(asked),
        }
    }
}

/// The version that is there.
fn planned() -> String {
    let domains = AnnotationDomains::new(["tenantry.io"]).unwrap();
    parse(&template("one", "lifecycle.upsert", true), &domains, &RegionPolicy::default()).unwrap().hash.0
}

#[tokio::test]
async fn an_attempt_that_was_planned_runs_and_its_log_is_told_before_its_end() {
    let hash = planned();
    let mut outcome = failed(FailureReason::HookFailed);
    outcome.exit_code = Some(3);
    let end = StepEnd { done: false, state: "failed".to_owned(), outcome: Some(outcome) };
    // As a manager does: the end is followed by the release, and that by the step's end.
    let (ended, released) = (AtomicBool::new(false), AtomicBool::new(false));
    let order = Arc::new(Mutex::new(Vec::new()));
    let calls = Arc::clone(&order);
    let manager = move |asked: &Asked| {
        let body = String::from_utf8_lossy(&asked.body).into_owned();
        match asked.call() {
            "commands:lease" if asked.nth == 0 => {
                leased(vec![command(1, 1, start(1, &hash))], Vec::new(), None)
            }
            "commands:lease" if released.load(Ordering::SeqCst) => {
                leased(Vec::new(), Vec::new(), Some(end.clone()))
            }
            "commands:lease" if ended.load(Ordering::SeqCst) => {
                leased(vec![command(2, 1, Order::Release)], Vec::new(), None)
            }
            "commands:lease" => leased(Vec::new(), Vec::new(), None),
            "commands:finish" => {
                released.fetch_or(body.contains(&Uuid::from_u128(2).to_string()), Ordering::SeqCst);
                calls.lock().unwrap().push("finish");
                (200, json!({}))
            }
            call => {
                ended.fetch_or(body.contains("\"Ended\"") || body.contains("\"ended\""), Ordering::SeqCst);
                calls.lock().unwrap().push(if call == "logs" { "logs" } else { "facts" });
                (200, json!({"unknown": []}))
            }
        }
    };
    let world = World::of("runs", manager, cluster_with_a_pod(log(&["one", "two"]))).await;
    assert_eq!(world.bridge(&[]).await, 3);
    assert_eq!(world.read("reason"), "hook-failed");
    let chunks: Vec<_> = world
        .manager
        .bodies::<StepLogsRequest>("logs")
        .into_iter()
        .flat_map(|request| request.chunks)
        .collect();
    let text: Vec<u8> = chunks.iter().flat_map(|chunk| STANDARD.decode(&chunk.data).unwrap()).collect();
    assert_eq!(String::from_utf8(text).unwrap(), "one\ntwo\n");
    assert!(chunks.last().unwrap().last);
    let seen: Vec<_> = world
        .manager
        .bodies::<StepObservationsRequest>("observations")
        .into_iter()
        .flat_map(|request| request.observations)
        .collect();
    let Some(Fact::Ended { outcome, .. }) = seen.last().map(|seen| &seen.fact) else { panic!("{seen:?}") };
    assert_eq!(outcome.exit_code, Some(3));
    assert!(seen.windows(2).all(|pair| pair[0].number < pair[1].number));
    let order = order.lock().unwrap();
    assert_eq!(order[..4], ["finish", "logs", "facts", "finish"], "{order:?}");
}

#[tokio::test]
async fn the_next_life_finds_what_an_earlier_one_started_and_tells_what_the_manager_lacks() {
    let hash = planned();
    let (refused, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    let manager = move |asked: &Asked| match asked.call() {
        "commands:lease" if asked.nth == 0 => leased(vec![command(1, 1, start(1, &hash))], Vec::new(), None),
        "commands:lease" if ended.load(Ordering::SeqCst) => leased(
            Vec::new(),
            Vec::new(),
            Some(StepEnd { done: true, state: "confirmed".to_owned(), outcome: None }),
        ),
        "commands:lease" if refused.load(Ordering::SeqCst) => {
            let (attempt, nonce) = (attempt(1), Uuid::from_u128(1));
            let open = OpenAttempt { attempt, nonce, observed: 0, log_offset: 4, unknown: false };
            leased(Vec::new(), vec![open], None)
        }
        "commands:lease" => leased(Vec::new(), Vec::new(), None),
        "observations" if !refused.swap(true, Ordering::SeqCst) => {
            (409, json!({"code": "session-superseded", "detail": "another bridge of this step has begun"}))
        }
        "observations" => {
            ended.store(true, Ordering::SeqCst);
            (200, json!({"unknown": []}))
        }
        _ => (200, json!({"unknown": []})),
    };
    let world = World::of("finds", manager, cluster_with_a_pod(log(&["one", "two"]))).await;
    assert_eq!(world.bridge(&[]).await, DETACHED, "its end is not told");
    let before = world.manager.bodies::<StepLogsRequest>("logs").len();
    assert_eq!(world.bridge(&[]).await, 0);
    let logs: Vec<StepLogsRequest> = world.manager.bodies("logs");
    let chunks: Vec<_> = logs.into_iter().skip(before).flat_map(|request| request.chunks).collect();
    assert_eq!((chunks[0].offset, STANDARD.decode(&chunks[0].data).unwrap()), (4, b"two\n".to_vec()));
    let told: Vec<StepObservationsRequest> = world.manager.bodies("observations");
    let [lost, found] = &told[..] else { panic!("{told:?}") };
    assert_ne!(lost.step.session, found.step.session);
    assert!(found.observations[0].number > lost.observations[0].number, "both may come");
}

#[tokio::test]
async fn what_found_no_room_while_the_manager_was_away_is_read_again_when_it_is_back() {
    let hash = planned();
    let ended = AtomicBool::new(false);
    let manager = move |asked: &Asked| match (asked.call(), asked.nth) {
        ("commands:lease", 0) => leased(vec![command(1, 1, start(1, &hash))], Vec::new(), None),
        ("commands:lease", _) if ended.load(Ordering::SeqCst) => leased(
            Vec::new(),
            Vec::new(),
            Some(StepEnd { done: true, state: "confirmed".to_owned(), outcome: None }),
        ),
        ("commands:lease" | "logs", 1) => (503, json!({"detail": "away"})),
        ("logs", 0) => (0, Value::Null),
        ("commands:lease", _) => leased(Vec::new(), Vec::new(), None),
        (call, _) => {
            ended.fetch_or(call == "observations", Ordering::SeqCst);
            (200, json!({"unknown": []}))
        }
    };
    let line = "x".repeat(1023);
    let world = World::of("away", manager, cluster_with_a_pod(log(&vec![line.as_str(); 400]))).await;
    assert_eq!(world.bridge(&[]).await, 0);
    let logs: Vec<StepLogsRequest> = world.manager.bodies("logs");
    assert!(logs.len() > 4, "more than there is room for at once");
    let (mut had, mut ended) = (0, false);
    for chunk in logs.into_iter().skip(2).flat_map(|request| request.chunks) {
        assert_eq!(chunk.offset, had, "nothing is left out, nothing comes twice");
        had += STANDARD.decode(&chunk.data).unwrap().len() as u64;
        ended = chunk.last;
    }
    assert_eq!((had, ended), (400 * 1024, true));
}
