//! Operations for the tests of the view.

use serde_json::{Value, json};
use tenantry_api_types::v1::Operation;

/// A step as the API gives it.
pub fn step(name: &str, after: &[&str], state: &str, more: &Value) -> Value {
    let after: Vec<String> = after.iter().map(|name| format!("eu1/bank/{name}")).collect();
    let mut step = json!({
        "id": format!("eu1.bank.{name}"), "hook": format!("eu1/bank/{name}"), "templateHash": "0".repeat(64),
        "policy": {"onFailure": "wait", "onLost": "wait", "retries": 0, "timeout": null},
        "after": after, "state": state, "waiting": false, "held": false, "stale": false, "attempt": 0,
        "failureAccepted": false,
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        step[key] = value.clone();
    }
    step
}

/// An operation with these steps.
pub fn operation(state: &str, steps: &[Value]) -> Operation {
    let done = ["succeeded", "failed", "cancelled"].contains(&state);
    serde_json::from_value(json!({
        "id": "01a1fe68-9586-74bf-b868-1d21f8883203", "environment": "01a1fe68-955c-761a-a1c3-46f9a667effa",
        "tenant": "northbank", "environmentName": "risk", "region": "eu1", "name": "risk.nightly", "state": state,
        "done": done, "generation": 3,
        "requestedBy": {"kind": "token", "name": "scheduler"}, "createdAt": "2026-03-03T21:00:00Z",
        "startedAt": "2026-03-03T21:00:01Z", "revision": 40, "steps": steps,
    }))
    .expect("a sample is an operation")
}

fn attempt(number: u32, state: &str, more: &Value) -> Value {
    let mut attempt = json!({
        "number": number, "state": state, "createdAt": "2026-03-03T21:01:00Z", "startedAt": "2026-03-03T21:01:02Z",
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        attempt[key] = value.clone();
    }
    attempt
}

/// A bank's night at three in the morning: one scenario failed, one is unknown, the sum is held.
pub fn night() -> Operation {
    let ended = json!({"endedAt": "2026-03-03T21:01:44Z"});
    let done = json!({"attempt": 1, "attempts": [attempt(1, "succeeded", &ended)]});
    let scenarios = ["scenario-base", "scenario-rates-up", "scenario-volatility-up"];
    let failed = json!({"endedAt": "2026-03-03T21:01:09Z",
        "outcome": {"reason": "hook-failed", "exitCode": 1, "message": "the hook ended with code 1"}});
    operation(
        "running",
        &[
            step("load-positions", &[], "succeeded", &done),
            step(
                "load-market-data",
                &[],
                "confirmed",
                &json!({"decision": {
                "verb": "confirm", "by": {"kind": "token", "name": "anna"}, "reason": "copied by hand",
                "at": "2026-03-03T21:02:00Z"}}),
            ),
            step("check", &["load-positions", "load-market-data"], "succeeded", &done),
            step("scenario-base", &["check"], "succeeded", &done),
            step(
                "scenario-rates-up",
                &["check"],
                "running",
                &json!({"attempt": 1, "attempts": [
                attempt(1, "running", &json!({"unknownSince": "2026-03-03T21:05:00Z"}))]}),
            ),
            step(
                "scenario-volatility-up",
                &["check"],
                "failed",
                &json!({"waiting": true, "attempt": 2, "attempts": [
                attempt(1, "failed", &failed), attempt(2, "failed", &failed)]}),
            ),
            step(
                "aggregate",
                &scenarios,
                "blocked",
                &json!({"held": true, "holds": [{
                "id": null, "by": {"kind": "token", "name": "anna"}, "reason": "wait for repair",
                "since": "2026-03-03T21:03:00Z", "until": null}]}),
            ),
            step("report", &["aggregate"], "blocked", &json!({})),
        ],
    )
}

/// Each step waits for the one before.
pub fn chain(count: usize) -> Operation {
    let steps: Vec<Value> = (0..count)
        .map(|at| {
            let before = at.checked_sub(1).map(|before| format!("step-{before:04}"));
            let after: Vec<&str> = before.iter().map(String::as_str).collect();
            step(&format!("step-{at:04}"), &after, "blocked", &json!({}))
        })
        .collect();
    operation("running", &steps)
}
