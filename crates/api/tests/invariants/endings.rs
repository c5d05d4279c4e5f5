//! Invariant 11: an end takes two steps, asks for a name, and is reached from no selector without a cap.

use crate::harness::Bench;
use crate::refused;
use crate::site::Site;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tenantry_manager::ManagerConfig;

/// A server and the path of its environment's purge.
async fn in_use() -> (Site, String) {
    let site = Site::new(ManagerConfig::default()).await;
    let id = site.bench.environment("prod").await.environment.id;
    site.run_all().await;
    (site, format!("/v1/environments/{id}"))
}

async fn decommissioned() -> (Site, String) {
    let (site, path) = in_use().await;
    let body = json!({ "reason": "contract ended", "retention": "PT1H" });
    let asked = site.bench.post(&site.bench.admin, &format!("{path}:decommission"), &body).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    site.run_all().await;
    (site, path)
}

fn purge(name: &str) -> Value {
    json!({ "name": name, "reason": "contract ended" })
}

async fn state(bench: &Bench, path: &str) -> Value {
    bench.get(&bench.admin, path).await.body["state"].clone()
}

pub async fn purge_asks_for_name() -> Vec<String> {
    let mut broken = Vec::new();
    let (site, path) = decommissioned().await;
    let bench = &site.bench;
    bench.pass(SignedDuration::from_hours(2));
    let nameless = bench.post(&bench.admin, &format!("{path}:purge"), &json!({ "reason": "x" })).await;
    refused(&mut broken, "without a name", &nameless, "invalid-body");
    let other = bench.post(&bench.admin, &format!("{path}:purge"), &purge("test")).await;
    refused(&mut broken, "with another name", &other, "purge-other-name");
    if state(bench, &path).await != "decommissioned" {
        broken.push("it is gone".to_owned());
    } else if bench.post(&bench.admin, &format!("{path}:purge"), &purge("prod")).await.status != 200 {
        broken.push("with its name it cannot be purged".to_owned());
    }
    broken
}

pub async fn purge_is_the_second_step() -> Vec<String> {
    let mut broken = Vec::new();
    let (site, path) = in_use().await;
    let early = site.bench.post(&site.bench.admin, &format!("{path}:purge"), &purge("prod")).await;
    refused(&mut broken, "in use", &early, "environment-state");
    if state(&site.bench, &path).await != "active" {
        broken.push("what was in use is gone".to_owned());
    }
    let (site, path) = decommissioned().await;
    let bench = &site.bench;
    let retained = bench.post(&bench.admin, &format!("{path}:purge"), &purge("prod")).await;
    refused(&mut broken, "within its retention", &retained, "purge-too-early");
    if state(bench, &path).await == "decommissioned" {
        let back = bench.post(&bench.admin, &format!("{path}:undelete"), &json!({ "reason": "back" })).await;
        if back.status != 202 {
            broken.push(format!("it cannot be brought back: {back:?}"));
        }
    } else {
        broken.push("what was retained is gone".to_owned());
    }
    broken
}

pub async fn selectors_are_capped() -> Vec<String> {
    let mut broken = Vec::new();
    let (site, _) = in_use().await;
    let bench = &site.bench;
    for name in ["two", "three"] {
        bench.environment(name).await;
        site.run_all().await;
    }
    let schedule = |name: &str, operation: &str, target: &Value| {
        json!({
            "name": name, "operation": operation, "target": target,
            "cron": "0 22 1 1 *", "timeZone": "UTC"
        })
    };
    let selector = |cap: Option<u32>| json!({ "selector": { "labels": "", "cap": cap } });
    for cap in [None, Some(0)] {
        let got =
            bench.post(&bench.admin, "/v1/schedules", &schedule("wide", "crm.reindex", &selector(cap))).await;
        if got.status.is_success() {
            broken.push(format!("a selector with the cap {cap:?}: {got:?}"));
        }
    }
    for operation in ["lifecycle.decommission", "lifecycle.purge", "purge"] {
        let got =
            bench.post(&bench.admin, "/v1/schedules", &schedule("end", operation, &selector(Some(5)))).await;
        if got.status.is_success() && operation.starts_with("lifecycle.") {
            broken.push(format!("a schedule of {operation}: {got:?}"));
        }
    }
    let narrow = schedule("narrow", "crm.reindex", &selector(Some(2)));
    let made = bench.post(&bench.admin, "/v1/schedules", &narrow).await;
    if made.status.is_success() {
        let asked = bench.post(&bench.admin, "/v1/schedules/narrow:run", &json!({ "reason": "now" })).await;
        refused(&mut broken, "three environments, a cap of two", &asked, "schedule-too-wide");
    } else {
        refused(&mut broken, "three environments, a cap of two", &made, "schedule-too-wide");
    }
    // A hold by predicate for everything asks for a cap too.
    let hold = bench.post(&bench.admin, "/v1/holds", &json!({ "predicate": {}, "reason": "freeze" })).await;
    refused(&mut broken, "a hold on everything", &hold, "hold-too-wide");
    broken
}
