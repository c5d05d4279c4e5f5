//! Every endpoint that changes something, with a request that it carries out. Used by tests that try something at every
//! change; an endpoint that is in no row here fails them.

use crate::harness::{Bench, wish};
use crate::site::{A, B, Site, hooks, why};
use jiff::Timestamp;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tempfile::TempDir;
use tenantry_api::access::{Access, RULES, Rule};
use tenantry_engine::VerbKind;
use tenantry_events::{CloudEvent, Message, Sink, Undelivered};
use tenantry_manager::{AuditConfig, ManagerConfig, OPERATION_REQUEST, Outlet, Round, Taken, Wants};
use tenantry_model::{LetterId, OperationDefinition, Role, Scope};
use uuid::Uuid;

/// A request that can be carried out once.
pub struct Change {
    pub rule: &'static Rule,
    pub path: String,
    pub body: Value,
    /// Precondition, if it needs one.
    pub header: Option<(&'static str, String)>,
    pub token: String,
    /// Of its answer.
    pub status: u16,
}

impl Change {
    /// The request, at any server over the same rows; `query` begins with `?`.
    pub fn ask(&self, http: &reqwest::Client, server: &str, query: &str) -> RequestBuilder {
        let method: Method = self.rule.method.parse().unwrap();
        let mut request =
            http.request(method, format!("{server}{}{query}", self.path)).bearer_auth(&self.token);
        if let Some((name, value)) = &self.header {
            request = request.header(*name, value);
        }
        if self.body.is_null() { request } else { request.json(&self.body) }
    }

    /// Its answer holds a secret, which is shown once.
    pub fn is_secret(&self) -> bool {
        matches!(self.rule.path, "/v1/tokens" | "/v1/regions/{region}/join-tokens")
    }

    /// It is more than one unit of work, each of which can be done again without harm.
    pub fn is_harmless(&self) -> bool {
        matches!(self.rule.path, "/v1/audit:seal" | "/v1/retention:run")
    }

    /// It makes what cannot be looked at beforehand: a signature, a key.
    pub fn signs(&self) -> bool {
        matches!(self.rule.path, "/v1/audit:seal" | "/v1/audit:rotate-key")
    }
}

/// A receiver that takes nothing.
struct Refuses(String);

#[async_trait::async_trait]
impl Sink for Refuses {
    fn name(&self) -> &str {
        &self.0
    }
    async fn deliver(&self, _: &CloudEvent) -> Result<(), Undelivered> {
        Err(Undelivered::for_good("refused".to_owned()))
    }
}

/// The rows of the access table that change something for an API token.
pub fn changing() -> Vec<&'static Rule> {
    let changes = |rule: &&Rule| rule.method != "GET" && matches!(rule.access, Access::Api(..));
    let found: Vec<_> = RULES.iter().filter(changes).collect();
    assert!(found.len() > 40, "the table shrank to {}", found.len());
    found
}

/// A place with everything that a change may need: a key file, and a second person for `confirm`.
pub async fn place() -> Site {
    let folder = TempDir::new().unwrap();
    let audit = AuditConfig { key_file: Some(folder.path().join("audit-key.pem")), ..AuditConfig::default() };
    let four_eyes = BTreeSet::from([VerbKind::Confirm]);
    let settings = ManagerConfig { audit, four_eyes, ..ManagerConfig::default() };
    let bench = Bench::within(folder, settings).await;
    bench.basics().await;
    let (credential, session) = bench.agent("eu1", hooks("aa")).await;
    Site { bench, credential, session }
}

impl Site {
    /// An environment whose upsert runs: A's attempt, B waits for it.
    async fn running(&self, name: &str) -> (String, String, Value) {
        let made = self.bench.environment(name).await;
        let operation = made.operation.unwrap().id.to_string();
        let attempt = self.starts().await.remove(0);
        (made.environment.id.to_string(), operation, attempt)
    }

    /// An environment whose step A has failed.
    async fn failed(&self, name: &str) -> String {
        let (_, operation, attempt) = self.running(name).await;
        self.end(&attempt, 3).await;
        operation
    }

    /// An active environment, and its upsert, which has succeeded.
    async fn active(&self, name: &str) -> (String, String) {
        let made = self.bench.environment(name).await;
        self.run_all().await;
        (made.environment.id.to_string(), made.operation.unwrap().id.to_string())
    }

    /// A lifecycle method, to its end.
    async fn after(&self, environment: &str, method: &str) {
        self.made(&format!("/v1/environments/{environment}:{method}"), &why()).await;
        self.run_all().await;
    }

    async fn made(&self, path: &str, body: &Value) -> Value {
        let made = self.bench.post(&self.bench.admin, path, body).await;
        assert!(made.status.is_success(), "{path}: {made:?}");
        made.body
    }

    async fn etag(&self, path: &str) -> Option<(&'static str, String)> {
        let got = self.bench.get(&self.bench.admin, path).await;
        Some(("if-match", got.headers["etag"].to_str().unwrap().to_owned()))
    }

    async fn schedule(&self, name: &str) -> String {
        let (environment, _) = self.active(name).await;
        self.made("/v1/schedules", &schedule(name, &environment)).await;
        format!("/v1/schedules/{name}")
    }

    /// A sink of events that refuses the only one that it was given.
    pub async fn sink(&self, name: &str) {
        let outlet = Outlet {
            sink: Arc::new(Refuses(name.to_owned())),
            wants: Wants::Types(vec!["io.tenantry.tenant.".to_owned()]),
            to: "nowhere".to_owned(),
        };
        let manager = &self.bench.manager;
        manager.publish_round(&outlet).await.unwrap();
        self.made("/v1/tenants", &json!({ "name": format!("of-{name}") })).await;
        while manager.publish_round(&outlet).await.unwrap() == Round::Moved {}
        let letters =
            self.bench.get(&self.bench.admin, &format!("/v1/event-sinks/{name}/dead-letters")).await;
        assert_eq!(letters.body["items"].as_array().unwrap().len(), 1, "{letters:?}");
    }

    /// A message that asked for an operation of an environment which is not there.
    pub async fn refused(&self, name: &str) -> LetterId {
        let body = event(name, &format!("acme/{name}"), "crm.reindex").to_string();
        let message = Message {
            stream: "requests".to_owned(),
            sequence: 1,
            subject: format!("requests.{name}"),
            published_at: Timestamp::now(),
            delivered: 1,
            headers: Vec::new(),
            body: body.into(),
        };
        match self.bench.manager.take_message(&self.bench.admin, &message).await.unwrap() {
            Taken::Refused(letter) => letter,
            started @ (Taken::Started(_) | Taken::Later) => panic!("{started:?}"),
        }
    }

    async fn approval(&self, name: &str) -> String {
        let operation = self.failed(name).await;
        let path = format!("/v1/operations/{operation}/steps/{A}:confirm");
        format!("/v1/approvals/{}", self.made(&path, &why()).await["id"].as_str().unwrap())
    }

    /// A request that the endpoint of this row carries out; `n` makes its names unique.
    #[allow(clippy::too_many_lines)] // a table
    pub async fn change(&self, rule: &'static Rule, n: usize) -> Change {
        let name = format!("c{n}");
        let mut header = None;
        let mut token = self.bench.admin.clone();
        let (path, body, status) = match (rule.method, rule.path) {
            ("POST", "/v1/tenants") => (rule.path.to_owned(), json!({ "name": name }), 201),
            ("PATCH" | "DELETE", "/v1/tenants/{tenant}") => {
                self.bench.tenant(&name).await;
                let path = format!("/v1/tenants/{name}");
                header = self.etag(&path).await;
                if rule.method == "PATCH" {
                    (path, json!({ "displayName": "Another" }), 200)
                } else {
                    (path, Value::Null, 204)
                }
            }
            ("POST", "/v1/environments") => {
                (rule.path.to_owned(), serde_json::to_value(wish("acme", &name, "eu1")).unwrap(), 202)
            }
            ("PATCH", "/v1/environments/{environment}") => {
                let path = format!("/v1/environments/{}", self.active(&name).await.0);
                header = self.etag(&path).await;
                (path, json!({ "labels": { "tier": "gold" } }), 202)
            }
            ("POST", path) if path.starts_with("/v1/environments/{environment}:") => {
                let method = path.rsplit_once(':').unwrap().1;
                let (environment, _) = self.active(&name).await;
                match method {
                    "resume" | "decommission" => self.after(&environment, "suspend").await,
                    "restore" => self.after(&environment, "backup").await,
                    "undelete" | "purge" => {
                        self.after(&environment, "suspend").await;
                        self.after(&environment, "decommission").await;
                    }
                    _ => {}
                }
                let (body, status) = match method {
                    "run" => (json!({ "operation": "crm.reindex", "reason": "because" }), 202),
                    "purge" => {
                        (json!({ "name": name, "beforeRetentionEnds": true, "reason": "because" }), 200)
                    }
                    _ => (why(), 202),
                };
                (format!("/v1/environments/{environment}:{method}"), body, status)
            }
            ("POST", "/v1/operations/{operation}:replay") => {
                let (_, operation) = self.active(&name).await;
                (format!("/v1/operations/{operation}:replay"), why(), 202)
            }
            ("POST", path) if path.starts_with("/v1/operations/{operation}:") => {
                let method = path.rsplit_once(':').unwrap().1;
                let (_, operation, _) = self.running(&name).await;
                if method == "resume" {
                    self.made(&format!("/v1/operations/{operation}:pause"), &why()).await;
                }
                (format!("/v1/operations/{operation}:{method}"), why(), 200)
            }
            ("POST", path) if path.starts_with("/v1/operations/{operation}/steps/{step}:") => {
                let verb = path.rsplit_once(':').unwrap().1;
                let (step, operation) = match verb {
                    "hold" | "ignore-dependency" | "release" => (B, self.running(&name).await.1),
                    "stop" | "kill" => (A, self.running(&name).await.1),
                    "declare-lost" => {
                        let (_, operation, attempt) = self.running(&name).await;
                        self.silent(&attempt).await;
                        (A, operation)
                    }
                    _ => (A, self.failed(&name).await),
                };
                let path = |verb: &str| format!("/v1/operations/{operation}/steps/{step}:{verb}");
                if verb == "release" {
                    self.made(&path("hold"), &why()).await;
                }
                // A second person is needed for one of them.
                (path(verb), why(), if verb == "confirm" { 202 } else { 200 })
            }
            ("POST", "/v1/holds" | "/v1/holds/{hold}:lift") => {
                let (environment, _) = self.active(&name).await;
                let run = json!({ "operation": "crm.reindex", "reason": "because" });
                self.made(&format!("/v1/environments/{environment}:run"), &run).await;
                let hold =
                    json!({ "reason": "x", "predicate": { "operation": "crm.reindex" }, "maxSteps": 100 });
                if rule.path == "/v1/holds" {
                    ("/v1/holds".to_owned(), hold, 201)
                } else {
                    let made = self.made("/v1/holds", &hold).await;
                    (format!("/v1/holds/{}:lift", made["id"].as_str().unwrap()), why(), 200)
                }
            }
            ("POST", "/v1/approvals/{approval}:approve") => {
                let path = self.approval(&name).await;
                token = self.bench.token(Role::Admin, vec![Scope::All]).await;
                (format!("{path}:approve"), why(), 200)
            }
            ("POST", "/v1/approvals/{approval}:reject") => {
                (format!("{}:reject", self.approval(&name).await), why(), 200)
            }
            ("POST", "/v1/hooks/{hook}:retire") => {
                let mut old = hooks("aa")[0].clone();
                old["path"] = json!(format!("crm/{name}"));
                old["hook"]["path"] = json!(format!("crm/{name}"));
                old["hook"]["operations"] = json!(["crm.never"]);
                self.report(json!([old]), json!([])).await;
                self.report(json!([]), json!([format!("crm/{name}")])).await;
                (format!("/v1/hooks/eu1.crm.{name}:retire"), why(), 200)
            }
            (method @ ("PUT" | "DELETE"), "/v1/definitions/{name}") => {
                let definition = OperationDefinition::undefined(format!("crm.{name}").parse().unwrap());
                let body = serde_json::to_value(definition).unwrap();
                let path = format!("/v1/definitions/crm.{name}");
                if method == "PUT" {
                    header = Some(("if-none-match", "*".to_owned()));
                    (path, body, 201)
                } else {
                    let put = self.bench.ask(&self.bench.admin, Method::PUT, &path);
                    let put = put.header("if-none-match", "*").json(&body).send().await.unwrap();
                    assert_eq!(put.status(), 201);
                    header = self.etag(&path).await;
                    (path, Value::Null, 204)
                }
            }
            (method @ ("PUT" | "DELETE"), path @ "/v1/platform-schema") => {
                header = self.etag(path).await;
                let put = method == "PUT";
                let body = if put { json!({ "type": "object" }) } else { Value::Null };
                (path.to_owned(), body, if put { 200 } else { 204 })
            }
            ("POST", "/v1/schedules") => {
                let (environment, _) = self.active(&name).await;
                (rule.path.to_owned(), schedule(&name, &environment), 201)
            }
            ("PATCH" | "DELETE", "/v1/schedules/{schedule}") => {
                let path = self.schedule(&name).await;
                header = self.etag(&path).await;
                if rule.method == "PATCH" {
                    (path, json!({ "description": "Another" }), 200)
                } else {
                    (path, Value::Null, 204)
                }
            }
            ("POST", path) if path.starts_with("/v1/schedules/{schedule}:") => {
                let method = path.rsplit_once(':').unwrap().1;
                let path = self.schedule(&name).await;
                if method == "resume" {
                    self.made(&format!("{path}:pause"), &why()).await;
                }
                let (body, status) = match method {
                    "run" => (why(), 202),
                    "backfill" => {
                        let range = json!({ "from": "2025-12-31T00:00:00Z", "until": "2026-01-02T00:00:00Z",
                            "reason": "lost" });
                        (range, 202)
                    }
                    _ => (why(), 200),
                };
                (format!("{path}:{method}"), body, status)
            }
            ("POST", "/v1/regions") => (rule.path.to_owned(), json!({ "name": name }), 201),
            ("POST", "/v1/regions/{region}/join-tokens") => {
                ("/v1/regions/eu1/join-tokens".to_owned(), json!({}), 201)
            }
            ("POST", "/v1/tokens") => {
                (rule.path.to_owned(), json!({ "name": name, "role": "viewer", "scopes": ["all"] }), 201)
            }
            ("POST", "/v1/tokens/{token}:revoke") => {
                let wanted = json!({ "name": name, "role": "viewer", "scopes": ["all"] });
                let made = self.made("/v1/tokens", &wanted).await;
                (format!("/v1/tokens/{}:revoke", made["token"]["id"].as_str().unwrap()), why(), 200)
            }
            ("POST", path) if path.starts_with("/v1/event-sinks/{sink}") => {
                self.sink(&name).await;
                let body = match path.rsplit_once(':').unwrap().1 {
                    "replay" => json!({ "fromTime": "2020-01-01T00:00:00Z", "reason": "lost" }),
                    _ => why(),
                };
                let status = if path.ends_with(":forget") { 204 } else { 200 };
                (path.replace("{sink}", &name), body, status)
            }
            ("POST", "/v1/cloudevents") => {
                let (environment, _) = self.active(&name).await;
                header = Some(("content-type", "application/cloudevents+json".to_owned()));
                (rule.path.to_owned(), event(&name, &environment, "crm.reindex"), 202)
            }
            ("POST", path) if path.starts_with("/v1/inbox/") => {
                let letter = self.refused(&name).await;
                if path.ends_with(":retry") {
                    // What was wrong is repaired.
                    self.active(&name).await;
                    (path.replace("{letter}", &letter.to_string()), why(), 202)
                } else {
                    (path.to_owned(), json!({ "messages": [letter], "reason": "because" }), 200)
                }
            }
            ("POST", path @ "/v1/audit:rotate-key") => (path.to_owned(), why(), 200),
            ("POST", path @ ("/v1/audit:seal" | "/v1/retention:run")) => (path.to_owned(), json!({}), 200),
            (method, path) => panic!("{method} {path} changes something and is in no row"),
        };
        Change { rule, path, body, header, token, status }
    }

    async fn report(&self, present: Value, absent: Value) {
        let body = json!({ "session": self.session, "begin": false, "end": false, "present": present,
            "absent": absent });
        let reported = self.bench.post(&self.credential, "/agent/v1/inventory", &body).await;
        assert_eq!(reported.status, 200, "{reported:?}");
    }

    /// The agent has looked for the attempt and cannot tell.
    async fn silent(&self, attempt: &Value) {
        let body = json!({ "session": self.session, "observations": [{
            "attempt": attempt, "number": 9, "at": "2026-11-21T10:00:00Z",
            "fact": { "fact": "unknown", "why": "the node is silent" }
        }] });
        let observed = self.bench.post(&self.credential, "/agent/v1/observations", &body).await;
        assert_eq!(observed.body["unknown"], json!([]), "{observed:?}");
    }
}

/// Once a year, so that nothing fires by itself.
fn schedule(name: &str, environment: &str) -> Value {
    json!({ "name": name, "operation": "crm.reindex", "target": { "environment": environment },
        "cron": "0 22 1 1 *", "timeZone": "Europe/Berlin" })
}

/// An event that asks for an operation.
pub fn event(id: &str, environment: &str, operation: &str) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "urn:crm", "type": OPERATION_REQUEST,
        "time": Timestamp::now(), "datacontenttype": "application/json",
        "data": { "environment": environment, "operation": operation, "reason": "because" } })
}

/// A key that was never used.
pub fn key() -> String {
    Uuid::now_v7().to_string()
}
