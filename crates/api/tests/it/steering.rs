//! Steering over HTTP: every verb, its refusals, looking before, holds by predicate, a second person, replays.

use crate::harness::got;
use crate::site::{A, B, Site, hooks, why};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tenantry_api_types::v1::IDEMPOTENCY_REPLAYED;
use tenantry_client::Call;
use tenantry_engine::VerbKind;
use tenantry_manager::ManagerConfig;
use tenantry_model::{ConflictPolicy, OperationDefinition, Role, Scope};
use uuid::Uuid;

#[tokio::test]
async fn each_verb_does_what_it_says_over_http() {
    let site = Site::new(ManagerConfig::default()).await;
    let id = site.operation("one").await;
    let a = site.starts().await.remove(0);
    // Hold beforehand, release.
    let held = site.verb(&id, B, "hold", json!({ "reason": "look", "until": "2099-01-01T00:00:00Z" })).await;
    assert_eq!(held.status, 200, "{held:?}");
    let b = site.step(&id, B).await;
    assert_eq!((&b["held"], &b["holds"][0]["reason"]), (&json!(true), &json!("look")));
    assert_eq!(b["holds"][0]["until"], "2099-01-01T00:00:00Z");
    assert_eq!(site.verb(&id, B, "release", json!({})).await.status, 200);
    // Stop a running one; it begins again at its release.
    assert_eq!(site.verb(&id, A, "stop", why()).await.status, 200);
    site.starts().await;
    site.end(&a, 143).await;
    assert_eq!(site.step(&id, A).await["attempts"][0]["state"], "superseded");
    assert!(site.starts().await.is_empty());
    assert_eq!(site.verb(&id, A, "release", json!({})).await.status, 200);
    let a = site.starts().await.remove(0);
    assert_eq!(a["number"], 2);
    // B does not wait for A any more, and runs beside it.
    let on = json!({ "reason": "not needed", "on": "eu1/crm/a" });
    assert_eq!(site.verb(&id, B, "ignore-dependency", on).await.status, 200);
    let b = site.starts().await.remove(0);
    assert_eq!(site.step(&id, B).await["ignored"]["eu1/crm/a"]["reason"], "not needed");
    site.end(&b, 3).await;
    assert_eq!(
        site.verb(&id, B, "confirm", json!({ "reason": "by hand", "outputs": { "k": "v" } })).await.status,
        200
    );
    site.end(&a, 0).await;
    let done = site.show(&id).await;
    assert_eq!(done["state"], "succeeded", "{done}");
}

#[tokio::test]
async fn a_rerun_with_successors_can_be_looked_at_and_then_does_exactly_that() {
    let site = Site::new(ManagerConfig::default()).await;
    let id = site.operation("one").await;
    let a = site.starts().await.remove(0);
    site.end(&a, 0).await;
    let b = site.starts().await.remove(0);
    let body = json!({ "reason": "bad data", "withSuccessors": true });
    let path = format!("/v1/operations/{id}/steps/{A}:rerun?validateOnly=true");
    // A check needs no Idempotency-Key and uses none up.
    let check = site.bench.http.post(format!("{}{path}", site.bench.server().url()));
    let seen = got(check.bearer_auth(&site.bench.admin).json(&body)).await;
    assert_eq!(seen.status, 200, "{seen:?}");
    assert_eq!(seen.body["reset"], json!(["eu1/crm/a", "eu1/crm/b"]));
    assert_eq!(seen.body["killed"], json!([b]));
    assert_eq!(site.step(&id, A).await["state"], "succeeded", "only looked");
    assert_eq!(site.verb(&id, A, "rerun", body).await.status, 200);
    site.starts().await;
    site.end(&b, 143).await;
    let again = site.starts().await.remove(0);
    assert_eq!((&again["step"], &again["number"]), (&json!("eu1/crm/a"), &json!(2)));
    site.end(&again, 0).await;
    site.run_all().await;
    assert_eq!(site.show(&id).await["state"], "succeeded");
}

#[tokio::test]
async fn verbs_that_do_not_fit_are_refused_with_what_is_there() {
    let site = Site::new(ManagerConfig::default()).await;
    let id = site.operation("one").await;
    let a = site.starts().await.remove(0);
    let problem = site.verb(&id, "eu1.crm.nobody", "hold", why()).await.is_problem(404, "unknown-step");
    assert!(problem.detail.contains("eu1/crm/nobody"), "{problem:?}");
    site.verb(&id, A, "hold", json!({})).await.is_problem(422, "reason-required");
    let long = json!({ "reason": "x".repeat(1001) });
    site.verb(&id, A, "hold", long.clone()).await.is_problem(422, "invalid-request");
    let pause = format!("/v1/operations/{id}:pause");
    site.bench.post(&site.bench.admin, &pause, &long).await.is_problem(422, "invalid-request");
    site.bench.post(&site.bench.admin, &pause, &json!({})).await.is_problem(422, "reason-required");
    site.verb(&id, B, "kill", why()).await.is_problem(409, "wrong-state");
    let on = json!({ "reason": "x", "on": "eu1/crm/b" });
    site.verb(&id, B, "ignore-dependency", on).await.is_problem(409, "no-dependency");
    site.verb(&id, A, "hold", json!({ "reason": "x", "colour": "red" }))
        .await
        .is_problem(400, "invalid-body");
    site.end(&a, 3).await;
    // A step that has moved on.
    let seen = json!({ "reason": "x", "expected": { "state": "running", "attempt": 1 } });
    let problem = site.verb(&id, A, "kill", seen).await.is_problem(409, "moved-on");
    assert_eq!(problem.current, Some(json!({ "state": "failed", "attempt": 1 })));
    // Outputs above 4 KiB.
    let large = json!({ "reason": "x", "outputs": { "k": "v".repeat(5000) } });
    site.verb(&id, A, "confirm", large).await.is_problem(422, "outputs-too-large");
    // Two operators at once.
    let skip = json!({ "reason": "x", "expected": { "state": "failed", "attempt": 1 } });
    let (one, two) =
        tokio::join!(site.verb(&id, A, "skip", skip.clone()), site.verb(&id, A, "skip", skip.clone()));
    let codes = BTreeSet::from([one.status.as_u16(), two.status.as_u16()]);
    assert_eq!(codes, BTreeSet::from([200, 409]), "{one:?} {two:?}");
    // A finished operation.
    site.run_all().await;
    for verb in
        ["hold", "stop", "release", "rerun", "kill", "skip", "confirm", "ignore-dependency", "declare-lost"]
    {
        site.verb(&id, A, verb, why()).await.is_problem(409, "operation-state");
    }
    for verb in ["pause", "resume", "cancel"] {
        let path = format!("/v1/operations/{id}:{verb}");
        site.bench.post(&site.bench.admin, &path, &why()).await.is_problem(409, "operation-state");
    }
}

#[tokio::test]
async fn a_repeated_verb_gets_the_same_answer_and_is_carried_out_once() {
    let site = Site::new(ManagerConfig::default()).await;
    let id = site.operation("one").await;
    let a = site.starts().await.remove(0);
    site.end(&a, 3).await;
    let path = format!("{}/v1/operations/{id}/steps/{A}:rerun", site.bench.server().url());
    let ask = || {
        let request = site.bench.http.post(&path).bearer_auth(&site.bench.admin);
        got(request.header("idempotency-key", "once").json(&json!({ "reason": "again" })))
    };
    let first = ask().await;
    assert_eq!(first.status, 200, "{first:?}");
    let second = ask().await;
    assert_eq!(second.headers[IDEMPOTENCY_REPLAYED], "true");
    assert_eq!(first.body, second.body);
    assert_eq!(site.starts().await.len(), 1);
    let environment = first.body["environment"].as_str().unwrap();
    let path = format!("/v1/environments/{environment}/audit?action=step.rerun");
    let log = site.bench.get(&site.bench.admin, &path).await.body["items"].clone();
    assert_eq!((log.as_array().unwrap().len(), &log[0]["request"]), (1, &json!("once")), "{log}");
}

#[tokio::test]
async fn what_waits_is_replaced_as_the_caller_or_the_definition_says() {
    let site = Site::new(ManagerConfig::default()).await;
    let environment = site.bench.environment("one").await.environment.id;
    site.run_all().await;
    let ask = async |method: &str, body: Value| {
        let path = format!("/v1/environments/{environment}:{method}");
        site.bench.post(&site.bench.admin, &path, &body).await
    };
    let made = async |method: &str, body: Value| {
        let answer = ask(method, body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.body["operation"]["id"].as_str().unwrap().to_owned()
    };
    let states = async |ids: &[&String]| {
        let mut states = Vec::new();
        for id in ids {
            states.push(site.show(id).await["state"].as_str().unwrap().to_owned());
        }
        states.join(" ")
    };
    let reindex = || json!({ "operation": "crm.reindex" });
    let choice = |what: &str| json!({ "operation": "crm.reindex", "onConflict": what });
    let running = made("run", reindex()).await;
    let waiting = made("run", reindex()).await;
    let seen = ask("run?validateOnly=true", choice("replace")).await;
    assert_eq!(seen.body["preview"]["cancels"], json!([waiting]), "{seen:?}");
    ask("run", choice("refuse")).await.is_problem(409, "operation-conflict");
    let chosen = made("run", choice("replace")).await;
    assert_eq!(states(&[&running, &waiting, &chosen]).await, "running cancelled pending");
    assert_eq!(site.show(&waiting).await["cancel"]["reason"], "crm.reindex takes its place");

    // Methods of the environment's life have the same choice.
    let first = made("reconcile", json!({})).await;
    let second = made("reconcile", json!({ "onConflict": "replace" })).await;
    assert_eq!(states(&[&chosen, &first, &second]).await, "pending cancelled pending");

    // The definition says so for who does not choose.
    let mut definition = OperationDefinition::undefined("crm.reindex".parse().unwrap());
    definition.on_conflict = ConflictPolicy::Replace;
    site.bench.admin().put_definition(&definition, &Call::default()).await.unwrap();
    let queued = made("run", choice("queue")).await;
    let last = made("run", reindex()).await;
    assert_eq!(states(&[&running, &chosen, &queued, &last]).await, "running cancelled cancelled pending");
    loop {
        let starts = site.starts().await;
        for attempt in &starts {
            assert!([&running, &second, &last].iter().any(|id| attempt["operation"] == id.as_str()));
            site.end(attempt, 0).await;
        }
        if starts.is_empty() {
            break;
        }
    }
    assert_eq!(states(&[&running, &second, &last]).await, "succeeded succeeded succeeded");
}

#[tokio::test]
async fn an_operation_is_paused_and_resumed() {
    let site = Site::new(ManagerConfig::default()).await;
    let id = site.operation("one").await;
    let a = site.starts().await.remove(0);
    let steer = async |verb: &str, body: Value| {
        site.bench.post(&site.bench.admin, &format!("/v1/operations/{id}:{verb}"), &body).await
    };
    let seen = steer("pause?validateOnly=true", why()).await;
    assert_eq!(seen.body["operation"], "paused", "{seen:?}");
    let paused = steer("pause", why()).await;
    assert_eq!(
        (&paused.body["state"], &paused.body["pause"]["reason"]),
        (&json!("paused"), &json!("because"))
    );
    site.end(&a, 0).await;
    assert!(site.starts().await.is_empty());
    let moved = steer("resume", json!({ "expectedState": "running" })).await.is_problem(409, "moved-on");
    assert_eq!(moved.current, Some(json!({ "state": "paused" })));
    assert_eq!(steer("resume", json!({})).await.body["state"], "running");
    assert_eq!(site.starts().await.len(), 1);
}

#[tokio::test]
async fn holds_by_predicate_are_set_looked_at_listed_and_lifted() {
    let settings = ManagerConfig { hold_cap: 1, ..ManagerConfig::default() };
    let site = Site::new(settings).await;
    let bench = &site.bench;
    let id = site.operation("one").await;
    let create =
        async |query: &str, body: Value| bench.post(&bench.admin, &format!("/v1/holds{query}"), &body).await;
    let problem = create("", why()).await.is_problem(422, "hold-too-wide");
    assert_eq!(problem.current, Some(json!({ "steps": 2, "operations": 1, "allowed": 0 })));
    let crm = json!({ "reason": "freeze", "predicate": { "namespace": "crm" } });
    create("", crm.clone()).await.is_problem(422, "hold-too-wide");
    let bad = json!({ "reason": "x", "predicate": { "selector": "tier in (gold" } });
    create("", bad).await.is_problem(422, "invalid-request");
    let mut capped = crm;
    capped["maxSteps"] = json!(2);
    let seen = create("?validateOnly=true", capped.clone()).await;
    assert_eq!((seen.status.as_u16(), &seen.body["steps"]), (200, &json!(2)), "{seen:?}");
    let made = create("", capped).await;
    assert_eq!((made.status.as_u16(), &made.body["by"]["name"]), (201, &json!("admin")), "{made:?}");
    let held = made.body["held"].as_array().unwrap();
    assert!(held.contains(&json!({ "operation": id, "step": "eu1/crm/b" })), "{held:?}");
    let id_of_it = made.body["id"].as_str().unwrap();
    assert_eq!(site.step(&id, B).await["holds"][0]["id"], id_of_it);
    let listed = bench.get(&bench.admin, "/v1/holds").await;
    assert_eq!(listed.body["items"][0]["predicate"], json!({ "namespace": "crm" }));
    // One that belongs to no region is nobody's with fewer rights.
    let region = bench.token(Role::Operator, vec![Scope::Region("eu1".parse().unwrap())]).await;
    assert_eq!(bench.get(&region, "/v1/holds").await.body["items"], json!([]));
    bench.get(&region, &format!("/v1/holds/{id_of_it}")).await.is_problem(404, "not-found");
    bench.post(&region, &format!("/v1/holds/{id_of_it}:lift"), &json!({})).await.is_problem(403, "forbidden");
    bench
        .post(&region, "/v1/holds", &json!({ "reason": "x", "predicate": { "namespace": "ops" } }))
        .await
        .is_problem(403, "forbidden");
    let mine = json!({ "reason": "x", "predicate": { "region": "eu1", "namespace": "ops" } });
    assert_eq!(bench.post(&region, "/v1/holds", &mine).await.status, 201);
    // For this step only, then as a whole.
    assert_eq!(site.verb(&id, B, "release", json!({ "hold": id_of_it })).await.status, 200);
    assert_eq!(site.step(&id, B).await["held"], false);
    let ended = bench.post(&bench.admin, &format!("/v1/holds/{id_of_it}:lift"), &why()).await;
    assert_eq!(ended.body["lifted"]["reason"], "because", "{ended:?}");
    assert_eq!(
        bench.get(&bench.admin, "/v1/holds?lifted=true").await.body["items"].as_array().unwrap().len(),
        2
    );
    site.run_all().await;
    assert_eq!(site.show(&id).await["state"], "succeeded");
    let audit = bench.get(&bench.admin, "/v1/audit").await.body;
    let actions: Vec<&str> =
        audit["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert!(actions.contains(&"hold.create") && actions.contains(&"hold.lift"), "{actions:?}");
}

#[tokio::test]
async fn a_verb_of_four_eyes_waits_for_another_credential() {
    let four_eyes = BTreeSet::from([VerbKind::Confirm]);
    let site = Site::new(ManagerConfig { four_eyes, ..ManagerConfig::default() }).await;
    let bench = &site.bench;
    let id = site.operation("one").await;
    let a = site.starts().await.remove(0);
    site.end(&a, 3).await;
    let first = bench.token(Role::Operator, vec![Scope::All]).await;
    let second = bench.token(Role::Operator, vec![Scope::All]).await;
    let path = format!("/v1/operations/{id}/steps/{A}:confirm");
    let seen = bench.post(&first, &format!("{path}?validateOnly=true"), &why()).await;
    assert_eq!(seen.body["settled"], json!(["eu1/crm/a"]), "{seen:?}");
    let asked = bench.post(&first, &path, &why()).await;
    assert_eq!((asked.status.as_u16(), &asked.body["state"]), (202, &json!("pending")), "{asked:?}");
    let approval = asked.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(site.step(&id, A).await["state"], "failed");
    let attention = bench.get(&bench.admin, "/v1/attention").await.body;
    let kinds: Vec<&Value> =
        attention["items"].as_array().unwrap().iter().map(|item| &item["kind"]).collect();
    assert!(kinds.contains(&&json!("approval-pending")), "{kinds:?}");
    bench.post(&first, &format!("{approval}:approve"), &json!({})).await.is_problem(403, "second-person");
    let viewer = bench.token(Role::Viewer, vec![Scope::All]).await;
    bench.post(&viewer, &format!("{approval}:approve"), &json!({})).await.is_problem(403, "forbidden");
    let look = bench.post(&second, &format!("{approval}:approve?validateOnly=true"), &json!({})).await;
    assert_eq!(look.body["preview"]["settled"], json!(["eu1/crm/a"]), "{look:?}");
    let done = bench.post(&second, &format!("{approval}:approve"), &json!({ "reason": "seen" })).await;
    assert_eq!(
        (done.status.as_u16(), &done.body["approval"]["state"]),
        (200, &json!("approved")),
        "{done:?}"
    );
    assert_eq!(site.step(&id, A).await["state"], "confirmed");
    let problem = bench
        .post(&second, &format!("{approval}:reject"), &json!({}))
        .await
        .is_problem(409, "approval-decided");
    assert_eq!(problem.current, Some(json!({ "state": "approved" })));
    assert_eq!(bench.get(&viewer, "/v1/approvals").await.body["items"], json!([]));
    assert_eq!(bench.get(&viewer, "/v1/approvals?decided=true").await.body["items"][0]["state"], "approved");
}

#[tokio::test]
async fn a_definition_asks_for_a_second_person_for_its_operations() {
    let site = Site::new(ManagerConfig::default()).await;
    let bench = &site.bench;
    let id = site.operation("one").await;
    let a = site.starts().await.remove(0);
    site.end(&a, 3).await;
    let path = "/v1/definitions/lifecycle.upsert";
    let shipped = bench.get(&bench.admin, path).await.body;
    let (etag, mut body) = (shipped["etag"].as_str().unwrap().to_owned(), shipped["definition"].clone());
    assert!(body["lock"].is_string() && body.get("fourEyes").is_none(), "{body}");
    let put = |body: &Value| {
        let request = bench.ask(&bench.admin, reqwest::Method::PUT, path).json(body);
        got(request.header("if-match", &etag))
    };
    body["fourEyes"] = json!(["kill"]);
    put(&body).await.is_problem(400, "invalid-body");
    body["fourEyes"] = json!(["purge"]);
    put(&body).await.is_problem(422, "invalid-request");
    body["fourEyes"] = json!(["confirm"]);
    let made = put(&body).await;
    assert_eq!(
        (made.status.as_u16(), &made.body["definition"]["fourEyes"]),
        (200, &json!(["confirm"])),
        "{made:?}"
    );
    let asked = bench.post(&bench.admin, &format!("/v1/operations/{id}/steps/{A}:confirm"), &why()).await;
    assert_eq!((asked.status.as_u16(), &asked.body["state"]), (202, &json!("pending")), "{asked:?}");
}

#[tokio::test]
async fn a_replay_is_a_new_operation_that_names_the_old_one() {
    let site = Site::new(ManagerConfig::default()).await;
    let bench = &site.bench;
    let original = site.operation("one").await;
    let path = format!("/v1/operations/{original}:replay");
    bench.post(&bench.admin, &path, &why()).await.is_problem(409, "operation-state");
    site.run_all().await;
    bench.post(&bench.admin, &path, &json!({})).await.is_problem(422, "reason-required");
    let unknown = json!({ "reason": "x", "from": ["eu1/crm/nobody"] });
    bench.post(&bench.admin, &path, &unknown).await.is_problem(422, "replay-unknown-step");
    let body = json!({ "reason": "again", "from": ["eu1/crm/b"], "set": { "date": "2026-11-21" } });
    let look = bench.post(&bench.admin, &format!("{path}?validateOnly=true"), &body).await;
    let states: Vec<&Value> =
        look.body["preview"]["steps"].as_array().unwrap().iter().map(|step| &step["state"]).collect();
    assert_eq!(states, [&json!("succeeded"), &json!("blocked")], "{look:?}");
    let made = bench.post(&bench.admin, &path, &body).await;
    assert_eq!(made.status, 202, "{made:?}");
    let id = made.body["operation"]["id"].as_str().unwrap();
    let replay = &made.body["operation"]["replay"];
    assert_eq!(
        (&replay["of"], &replay["changed"]["date"]["after"]),
        (&json!(original), &json!("2026-11-21"))
    );
    assert_eq!(site.show(&original).await["replays"], json!([id]));
    assert_eq!(site.step(id, A).await["kept"]["operation"], original);
    let starts = site.starts().await;
    assert_eq!((starts.len(), &starts[0]["step"]), (1, &json!("eu1/crm/b")));
    site.end(&starts[0], 0).await;
    assert_eq!(site.show(id).await["state"], "succeeded");
    // The hook is gone.
    let only_a = json!({ "session": site.session, "begin": true, "end": true,
        "present": [hooks("aa")[0]], "absent": [] });
    let reported = bench.post(&site.credential, "/agent/v1/inventory", &only_a).await;
    assert_eq!(reported.status, 200, "{reported:?}");
    let problem = bench.post(&bench.admin, &path, &body).await.is_problem(409, "replay-hook-gone");
    assert!(problem.detail.contains("eu1/crm/b") && problem.detail.contains("current"), "{problem:?}");
}

#[tokio::test]
async fn what_cannot_be_looked_at_refuses_to() {
    let site = Site::new(ManagerConfig::default()).await;
    for path in ["/v1/audit:seal?validateOnly=true", "/v1/audit:rotate-key?validateOnly=true"] {
        site.bench.post(&site.bench.admin, path, &why()).await.is_problem(400, "invalid-query");
    }
    let path = format!("/v1/operations/{}:pause?dryRun=true", Uuid::nil());
    site.bench.post(&site.bench.admin, &path, &why()).await.is_problem(400, "invalid-query");
}
