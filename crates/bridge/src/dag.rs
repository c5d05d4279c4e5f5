//! A complete Argo Workflow with one task per hook and the exact order between them.
//!
//! Pure. It must never know a cluster.

use crate::{
    Order,
    cli::DETACHED,
    run::{KILLED, MARK},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_hook::{LABEL_OPERATION, short_hash};
use tenantry_model::{HookPath, Namespace, OperationId, OperationName, RegionName};

/// Everything about the Workflow but its tasks.
#[derive(Clone, Debug)]
pub struct Submit<'a> {
    /// What runs.
    pub operation: &'a OperationName,
    /// Its id.
    pub id: OperationId,
    /// The text of `environment.yaml`; `None`: the manager has it.
    pub environment: Option<String>,
    /// Where the Workflow is made; `None`: where it is submitted.
    pub namespace: Option<&'a Namespace>,
    /// The service account of its Pods.
    pub service_account: &'a str,
    /// The image of this program.
    pub image: &'a str,
    /// Further flags of each bridge.
    pub flags: Vec<String>,
    /// Its name: a second one of the same name cannot be made.
    pub name: String,
    /// Seconds that it stays after its end.
    pub stays: u32,
    /// How many of its Pods there are at a time.
    pub parallelism: Option<u32>,
    /// Where Argo bounds Workflows, those with more begin first.
    pub priority: Option<i32>,
    /// What people find it by, in Argo's archive too.
    pub labels: BTreeMap<&'static str, String>,
    /// The manager that its bridges ask.
    pub manager: Option<SubmitManager<'a>>,
}

/// How the bridges of the Workflow reach the manager.
#[derive(Clone, Debug)]
pub struct SubmitManager<'a> {
    /// Its URL.
    pub url: &'a str,
    /// The region's name.
    pub region: &'a RegionName,
    /// Which Workflow of the operation.
    pub round: u32,
    /// The audience of their tokens.
    pub audience: &'a str,
    /// A Secret with the manager's authority.
    pub ca_secret: Option<&'a str>,
}

/// Where a Pod of a Workflow has what it needs to speak to the manager.
const TOKEN_FOLDER: &str = "/var/run/secrets/tenantry";
/// The token of the service account.
pub(crate) const TOKEN_FILE: &str = "/var/run/secrets/tenantry/token";
/// It is replaced when four fifths of this have passed.
const TOKEN_SECONDS: u32 = 3600;
/// The manager's authority, in the Secret and in the folder.
const AUTHORITY: &str = "ca.crt";

/// Argo allows 128 characters; node names, which begin with the Workflow's, become Pods' names.
const TASK_NAME: usize = 63;

/// Makes the Workflow.
#[must_use]
pub fn workflow(order: &Order, submit: &Submit<'_>) -> Value {
    let names = task_names(order.after.keys());
    let tasks: Vec<Value> = order
        .after
        .iter()
        .map(|(path, waits)| {
            let mut task = json!({
                "name": names[path],
                "template": "bridge",
                "arguments": {"parameters": [{"name": "job", "value": path.to_string()}]},
            });
            if !waits.is_empty() {
                task["dependencies"] = waits.iter().map(|target| names[target].as_str()).collect();
            }
            if order.may_fail.contains(path) {
                task["continueOn"] = json!({"failed": true});
            }
            task
        })
        .collect();
    let hooks = if tasks.is_empty() {
        // Argo refuses a graph without a task: this waits for a second, without a Pod.
        json!({"name": "hooks", "suspend": {"duration": "1"}})
    } else {
        json!({"name": "hooks", "dag": {"tasks": tasks}})
    };
    let mut workflow = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "name": submit.name,
            "labels": {LABEL_OPERATION: submit.id},
        },
        "spec": {
            "entrypoint": "hooks",
            "serviceAccountName": submit.service_account,
            "ttlStrategy": {"secondsAfterCompletion": submit.stays},
            "podGC": {"strategy": "OnWorkflowSuccess", "deleteDelayDuration": "1h"},
            "templates": [hooks, bridge(submit)],
        },
    });
    if let Some(most) = submit.parallelism {
        workflow["spec"]["parallelism"] = json!(most);
    }
    if let Some(priority) = submit.priority {
        workflow["spec"]["priority"] = json!(priority);
    }
    for (name, value) in &submit.labels {
        workflow["metadata"]["labels"][*name] = json!(value);
    }
    if let Some(manager) = &submit.manager {
        let (url, id) = (manager.url.trim_end_matches('/'), submit.id);
        // Argo's pages show it as Markdown; the Sensor gives its Workflow the same.
        let link = format!("[The operation in tenantry]({url}/v1/operations/{id}): `tenantry op get {id}`");
        workflow["metadata"]["annotations"] = json!({"workflows.argoproj.io/description": link});
    }
    if let Some(environment) = &submit.environment {
        // In base64: a value of the environment that looks like one of Argo's expressions is none.
        workflow["spec"]["arguments"] =
            json!({"parameters": [{"name": "environment", "value": STANDARD.encode(environment)}]});
    }
    if let Some(namespace) = submit.namespace {
        workflow["metadata"]["namespace"] = json!(namespace.as_str());
    }
    workflow
}

fn bridge(submit: &Submit<'_>) -> Value {
    let mut args = vec![
        "bridge".to_owned(),
        "--job={{inputs.parameters.job}}".to_owned(),
        format!("--operation={}", submit.operation),
        format!("--operation-id={}", submit.id),
    ];
    let mut inputs = json!({"parameters": [{"name": "job"}]});
    if submit.environment.is_some() {
        args.extend(["--environment-file=/tenantry/environment".to_owned(), "--base64".to_owned()]);
        inputs["artifacts"] = json!([{
            "name": "environment",
            "path": "/tenantry/environment",
            "raw": {"data": "{{workflow.parameters.environment}}"},
        }]);
    }
    args.extend([
        "--workflow={{workflow.namespace}}/{{workflow.name}}".to_owned(),
        "--reason-file=/tmp/reason".to_owned(),
        "--outputs-file=/tmp/outputs".to_owned(),
        "--message-file=/dev/termination-log".to_owned(),
    ]);
    let mut mounts = vec![json!({"name": "tmp", "mountPath": "/tmp"})];
    let mut volumes = vec![json!({"name": "tmp", "emptyDir": {"sizeLimit": "8Mi"}})];
    if let Some(manager) = &submit.manager {
        args.extend(manager.flags());
        mounts.push(json!({"name": "manager", "mountPath": TOKEN_FOLDER, "readOnly": true}));
        volumes.push(manager.volume());
    }
    args.extend(submit.flags.iter().cloned());
    json!({
        "name": "bridge",
        "inputs": inputs,
        "outputs": {
            "parameters": [
                {"name": "reason", "valueFrom": {"path": "/tmp/reason", "default": "lost"}},
                {"name": "outputs", "valueFrom": {"path": "/tmp/outputs", "default": "{}"}},
            ],
        },
        // The bridge's own Pod may be lost; a hook is repeated by tenant.retries alone. No maxDuration: Argo counts it from the
        // first try's start, and a bridge that had run longer would not be started again at all.
        "retryStrategy": {
            "limit": "1000",
            "retryPolicy": "Always",
            "expression": lost(),
            "backoff": {"duration": "2", "factor": "2", "cap": "60"},
        },
        "container": {
            "image": submit.image,
            "command": ["/tenantry-bridge"],
            "args": args,
            "resources": {
                "requests": {"cpu": "5m", "memory": "12Mi"},
                "limits": {"memory": "48Mi"},
            },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumeMounts": mounts,
        },
        "volumes": volumes,
    })
}

/// That a bridge's Pod was lost, and not that its hook failed: Argo has no exit code, or none of a failure, or the bridge's
/// word, or that of a process that was killed without a last word of the bridge.
fn lost() -> String {
    let [killed, terminated] = KILLED;
    format!(
        "lastRetry.status == \"Error\" || asInt(lastRetry.exitCode) in [-1, 0, {DETACHED}] || \
         (asInt(lastRetry.exitCode) in [{killed}, {terminated}] && !(lastRetry.message contains \"{MARK}\"))"
    )
}

impl SubmitManager<'_> {
    fn flags(&self) -> Vec<String> {
        let mut flags = vec![
            format!("--manager={}", self.url),
            format!("--manager-token-file={TOKEN_FILE}"),
            format!("--region={}", self.region),
            format!("--round={}", self.round),
        ];
        if self.ca_secret.is_some() {
            flags.push(format!("--manager-ca-file={TOKEN_FOLDER}/{AUTHORITY}"));
        }
        flags
    }

    /// A token of the Pod's service account for the manager alone, and the manager's authority.
    fn volume(&self) -> Value {
        let mut sources = vec![json!({"serviceAccountToken": {
            "path": "token",
            "audience": self.audience,
            "expirationSeconds": TOKEN_SECONDS,
        }})];
        if let Some(name) = self.ca_secret {
            sources.push(json!({"secret": {"name": name, "items": [{"key": AUTHORITY, "path": AUTHORITY}]}}));
        }
        json!({"name": "manager", "projected": {"sources": sources}})
    }
}

/// What people read in Argo's graph: `namespace-name`, with a hash where that would be another's, or no name that Argo
/// takes.
fn task_names<'a>(paths: impl Iterator<Item = &'a HookPath> + Clone) -> BTreeMap<HookPath, String> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for path in paths.clone() {
        *taken.entry(plain(path)).or_default() += 1;
    }
    let mut used = BTreeSet::new();
    let mut names = BTreeMap::new();
    for path in paths {
        let name = plain(path);
        let exact = name.len() <= TASK_NAME && !path.name.as_str().contains('.') && taken[&name] == 1;
        let mut unique = if exact { name.clone() } else { hashed(&name, &path.to_string()) };
        // A name may look like another one with its hash.
        while !used.insert(unique.clone()) {
            unique = hashed(&name, &unique);
        }
        names.insert(path.clone(), unique);
    }
    names
}

fn plain(path: &HookPath) -> String {
    let name = format!("{}-{}", path.namespace, path.name).replace('.', "-");
    // Argo refuses a digit at the beginning of a task with dependencies.
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("n-{name}") } else { name }
}

fn hashed(name: &str, of: &str) -> String {
    let room = TASK_NAME - 9;
    let cut: String = name.chars().take(room).collect();
    format!("{}-{}", cut.trim_end_matches('-'), short_hash(of, 8))
}
