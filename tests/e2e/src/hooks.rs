//! Templates made of a few words, the same for a cluster and for a laptop.

use serde_json::{Map, Value, json};
use std::path::Path;

/// The witness of hooks that run as processes; writes what `tb witness` writes.
const SCRIPT: &str = r#"
file=$1 name=$2 pause=$3 code=$4 gate=$5
run="$$/$(date +%s%N)"
record() {
  printf '{"event":"%s","at":"%s","name":"%s","run":"%s","operation":"%s","environment":"%s","step":"%s","attempt":"%s"%s}\n' \
    "$1" "$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)" "$name" "$run" "$LIFECYCLE_OPERATION_ID" "$LIFECYCLE_TENANT_ENV_ID" \
    "$LIFECYCLE_STEP" "$LIFECYCLE_ATTEMPT" "$2" >> "$file"
}
record start ""
echo "$name is at work, attempt $LIFECYCLE_ATTEMPT"
sleep "$pause"
until [ -z "$gate" ] || [ -e "$gate" ]; do sleep 0.1; done
case $code in first:*) [ "$LIFECYCLE_ATTEMPT" = 1 ] && code=${code#first:} || code=0;; esac
record end ",\"exit\":$code"
exit "$code"
"#;

/// The file in the witness's folder that a hook of this name waits for.
pub(crate) fn gate(name: &str) -> String {
    format!("go-{name}")
}

/// A template in the making.
#[derive(Clone, Debug)]
pub struct Hook {
    namespace: String,
    name: String,
    domain: String,
    annotations: Map<String, Value>,
    foreign: Map<String, Value>,
    labels: Map<String, Value>,
    container: Map<String, Value>,
    pod: Map<String, Value>,
}

impl Hook {
    /// A hook for `lifecycle.upsert` that does nothing.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        let hook = Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            domain: "tenantry.io".to_owned(),
            annotations: Map::new(),
            foreign: Map::new(),
            labels: Map::new(),
            container: Map::new(),
            pod: Map::new(),
        };
        hook.tenant("lifecycle", "lifecycle.upsert")
            .container("name", json!("hook"))
            .container("image", json!("local/tools:1"))
            .container("imagePullPolicy", json!("Never"))
            .shell("true")
            .pod("restartPolicy", json!("Never"))
            .pod("terminationGracePeriodSeconds", json!(2))
    }

    /// An annotation of the contract: `tenant.NAME`.
    #[must_use]
    pub fn tenant(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name.to_owned(), json!(value));
        self
    }

    /// Under which prefix the contract's annotations stand.
    #[must_use]
    pub fn domain(mut self, domain: &str) -> Self {
        domain.clone_into(&mut self.domain);
        self
    }

    /// `tenant.after`.
    #[must_use]
    pub fn after(self, targets: &str) -> Self {
        self.tenant("after", targets)
    }

    /// An annotation that is none of tenantry's, on the template and on its pods.
    #[must_use]
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.foreign.insert(name.to_owned(), json!(value));
        self
    }

    /// A label of the template and of its pods.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), json!(value));
        self
    }

    /// A field of the container.
    #[must_use]
    pub fn container(mut self, field: &str, value: Value) -> Self {
        self.container.insert(field.to_owned(), value);
        self
    }

    /// A field of the pod.
    #[must_use]
    pub fn pod(mut self, field: &str, value: Value) -> Self {
        self.pod.insert(field.to_owned(), value);
        self
    }

    /// What it runs.
    #[must_use]
    pub fn command(self, command: &[&str]) -> Self {
        self.container("command", json!(command))
    }

    /// A shell line.
    #[must_use]
    pub fn shell(self, script: &str) -> Self {
        self.command(&["sh", "-c", script])
    }

    /// In a cluster: a witness in the team's claim, at work for `seconds`, ending with `code` (`first:N`: the first
    /// attempt ends with N, others with 0).
    #[must_use]
    pub fn witness(self, seconds: u32, code: &str) -> Self {
        self.witness_with(&format!("--sleep {seconds}s"), code)
    }

    /// The same, at work until the test opens its gate ([`crate::World::open`]): nothing depends on how fast the machine
    /// is.
    #[must_use]
    pub fn gated_witness(self, code: &str) -> Self {
        let gate = format!("--until /witness/{}", gate(&self.name));
        self.witness_with(&gate, code)
    }

    /// At work for so many milliseconds, with a record every 100 ms: of a run that is killed it can be told until when it
    /// was at work.
    #[must_use]
    pub fn beating_witness(self, milliseconds: u32) -> Self {
        self.witness_with(&format!("--sleep {milliseconds}ms --beat 100ms"), "0")
    }

    fn witness_with(self, work: &str, code: &str) -> Self {
        let name = self.name.clone();
        let exit = match code.strip_prefix("first:") {
            Some(first) => format!("$([ \"$LIFECYCLE_ATTEMPT\" = 1 ] && echo {first} || echo 0)"),
            None => code.to_owned(),
        };
        self.shell(&format!("exec tb witness /witness/records --name {name} {work} --exit {exit}"))
            .container("volumeMounts", json!([{"name": "witness", "mountPath": "/witness"}]))
            .pod("volumes", json!([{"name": "witness", "persistentVolumeClaim": {"claimName": "witness"}}]))
    }

    /// The same as a process that writes to a folder of this machine.
    #[must_use]
    pub fn local_witness(self, folder: &Path, seconds: u32, code: &str) -> Self {
        self.local_witness_with(folder, seconds, code, "")
    }

    /// A process at work until the test opens its gate.
    #[must_use]
    pub fn local_gated_witness(self, folder: &Path, code: &str) -> Self {
        let gate = folder.join(gate(&self.name)).display().to_string();
        self.local_witness_with(folder, 0, code, &gate)
    }

    fn local_witness_with(self, folder: &Path, seconds: u32, code: &str, gate: &str) -> Self {
        let file = folder.join("records").display().to_string();
        let (name, seconds) = (self.name.clone(), seconds.to_string());
        self.command(&["sh", "-c", SCRIPT, "witness", &file, &name, &seconds, code, gate])
    }

    /// Its name without the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `namespace/name`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> Value {
        let mut annotations = self.foreign.clone();
        for (name, value) in &self.annotations {
            annotations.insert(format!("{}/tenant.{name}", self.domain), value.clone());
        }
        let mut pod = self.pod.clone();
        pod.insert("containers".to_owned(), json!([self.container]));
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": self.name, "namespace": self.namespace,
                "annotations": annotations, "labels": self.labels
            },
            "spec": {
                "suspend": true,
                "template": {
                    "metadata": {"labels": self.labels, "annotations": self.foreign},
                    "spec": pod
                }
            }
        })
    }
}
