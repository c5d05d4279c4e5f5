//! Invariant 10: where secrets must not be.

use crate::harness::{Bench, Got};
use serde_json::json;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use tenantry_agent::Masker;
use tenantry_model::{Role, Scope};

/// Where a secret was found, by the kind of place.
pub struct Found {
    pub audit: Vec<String>,
    pub errors: Vec<String>,
    pub logs: Vec<String>,
    pub rows: Vec<String>,
}

/// Log lines of every level, of this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Makes credentials of every kind, uses them well and wrongly, and looks for them everywhere.
pub async fn look() -> Found {
    let lines = Lines::default();
    let writer = {
        let lines = lines.clone();
        move || lines.clone()
    };
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(writer).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let bench = Bench::new().await;
    bench.basics().await;
    let (agent, _) = bench.agent("eu1", json!([])).await;
    let operator = bench.token(Role::Operator, vec![Scope::All]).await;
    bench.environment("prod").await;
    let unknown = format!("{}x", &operator[..operator.len() - 1]);
    let secrets = [bench.admin.clone(), agent, operator, unknown.clone()];

    let mut answers: Vec<Got> = Vec::new();
    for secret in &secrets {
        for path in ["/v1/tokens", "/v1/whoami", "/v1/nowhere", "/v1/regions", "/agent/v1/sessions"] {
            answers.push(bench.get(secret, path).await);
            answers.push(bench.post(secret, path, &json!({ "name": 7 })).await);
        }
    }
    if !answers.iter().any(|answer| answer.status == 401) {
        answers.clear();
    }
    let audit = bench.get(&bench.admin, "/v1/audit?pageSize=1000").await.body.to_string();
    let exported = bench.get(&bench.admin, "/v1/audit:export").await.body.to_string();
    let (rows, files) = (bench.dump().await, bench.files());
    drop(guard);
    let lines = String::from_utf8_lossy(&lines.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();

    // tnt_ID_SECRET; the secret itself may hold a '_'.
    let halves = secrets.map(|secret| secret.splitn(3, '_').nth(2).unwrap().to_owned());
    let inside = |text: &[u8], place: &str| -> Vec<String> {
        let mut found = Vec::new();
        for half in &halves {
            if text.windows(half.len()).any(|part| part == half.as_bytes()) {
                found.push(format!("{place} holds a credential"));
            }
        }
        found
    };
    let refusals: Vec<String> = answers.iter().map(|answer| answer.body.to_string()).collect();
    let mut found = Found {
        audit: [inside(audit.as_bytes(), "the audit log"), inside(exported.as_bytes(), "its export")]
            .concat(),
        errors: inside(refusals.concat().as_bytes(), "a refusal"),
        logs: inside(lines.as_bytes(), "a log line"),
        rows: [inside(rows.as_bytes(), "a row"), inside(&files, "a file")].concat(),
    };
    // What was looked through must be there.
    for (list, text, word) in [
        (&mut found.audit, &audit, "token.create"),
        (&mut found.errors, &refusals.concat(), "unauthenticated"),
        (&mut found.logs, &lines, "tenantry"),
        (&mut found.rows, &rows, "tokens"),
    ] {
        if !text.contains(word) {
            list.push(format!("there is no {word} to look through"));
        }
    }
    found
}

/// Wherever two reads of a hook's output are cut.
pub fn masked_in_hook_logs() -> Vec<String> {
    const SECRET: &str = "correct-horse-battery";
    let text = format!("user=x password={SECRET} {SECRET}\n");
    let mut broken = Vec::new();
    for cut in 1..text.len() {
        let mut masker = Masker::new([SECRET]);
        let (first, second) = text.as_bytes().split_at(cut);
        let log = [masker.push(first), masker.push(second), masker.finish()].concat();
        if log != b"user=x password=*** ***\n" {
            broken.push(format!("cut at {cut}: {}", String::from_utf8_lossy(&log)));
        }
    }
    broken
}
