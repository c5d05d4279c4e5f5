//! A server, its one agent played by hand, and two hooks of which one waits for the other.

use crate::harness::{Bench, Got, hook};
use serde_json::{Value, json};
use tenantry_manager::ManagerConfig;
use tenantry_model::AgentSessionId;

/// A server with an agent and `crm/b` after `crm/a`.
pub struct Site {
    pub bench: Bench,
    pub credential: String,
    pub session: AgentSessionId,
}

impl Site {
    pub async fn new(settings: ManagerConfig) -> Self {
        let bench = Bench::with(settings).await;
        bench.basics().await;
        let (credential, session) = bench.agent("eu1", hooks("aa")).await;
        Self { bench, credential, session }
    }

    /// Makes an environment; the id of its upsert.
    pub async fn operation(&self, name: &str) -> String {
        self.bench.environment(name).await.operation.unwrap().id.to_string()
    }

    /// Takes the orders that wait and says that they are done; the attempts of the starts.
    pub async fn starts(&self) -> Vec<Value> {
        let lease = json!({ "session": self.session, "limit": 100, "waitSeconds": 0 });
        let leased = self.bench.post(&self.credential, "/agent/v1/commands:lease", &lease).await;
        let commands = leased.body["commands"].as_array().unwrap().clone();
        let ids: Vec<&Value> = commands.iter().map(|command| &command["id"]).collect();
        let done = json!({ "session": self.session, "commands": ids });
        self.bench.post(&self.credential, "/agent/v1/commands:finish", &done).await;
        let start =
            |command: &Value| (command["order"]["order"] == "start").then(|| command["attempt"].clone());
        commands.iter().filter_map(start).collect()
    }

    pub async fn end(&self, attempt: &Value, code: i32) {
        let outcome = if code == 0 {
            json!({ "reason": null, "exitCode": 0, "message": "", "outputs": {} })
        } else {
            json!({ "reason": "hook-failed", "exitCode": code, "message": "", "outputs": {} })
        };
        let body = json!({ "session": self.session, "observations": [{
            "attempt": attempt, "number": 9, "at": "2026-11-21T10:00:00Z",
            "fact": { "fact": "ended", "startedAt": null, "endedAt": "2026-11-21T10:00:00Z", "images": {},
                      "outcome": outcome }
        }] });
        let observed = self.bench.post(&self.credential, "/agent/v1/observations", &body).await;
        assert_eq!(observed.body["unknown"], json!([]), "{observed:?}");
    }

    /// Runs everything that can run.
    pub async fn run_all(&self) {
        loop {
            let starts = self.starts().await;
            if starts.is_empty() {
                return;
            }
            for attempt in &starts {
                self.end(attempt, 0).await;
            }
        }
    }

    pub async fn verb(&self, operation: &str, step: &str, verb: &str, body: Value) -> Got {
        let path = format!("/v1/operations/{operation}/steps/{step}:{verb}");
        self.bench.post(&self.bench.admin, &path, &body).await
    }

    pub async fn show(&self, operation: &str) -> Value {
        self.bench.get(&self.bench.admin, &format!("/v1/operations/{operation}")).await.body
    }

    pub async fn step(&self, operation: &str, id: &str) -> Value {
        let steps = self.show(operation).await["steps"].clone();
        steps.as_array().unwrap().iter().find(|step| step["id"] == id).unwrap().clone()
    }
}

/// What the hooks register for.
const OPERATIONS: [&str; 7] = [
    "lifecycle.upsert",
    "lifecycle.suspend",
    "lifecycle.resume",
    "lifecycle.backup",
    "lifecycle.restore",
    "lifecycle.decommission",
    "crm.reindex",
];

pub fn hooks(hash: &str) -> Value {
    let with = |path: &str, after: Value| {
        let mut hook = hook(path);
        hook["hook"]["after"] = after;
        hook["hook"]["hash"] = json!(hash.repeat(32));
        hook["hook"]["operations"] = json!(OPERATIONS);
        hook
    };
    json!([with("crm/a", json!([])), with("crm/b", json!([{ "hook": "crm/a", "optional": false }]))])
}

pub const A: &str = "eu1.crm.a";
pub const B: &str = "eu1.crm.b";

pub fn why() -> Value {
    json!({ "reason": "because" })
}
