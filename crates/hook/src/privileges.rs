//! What a template asks for beyond its own namespace or container, against the region's policy.
//!
//! The list follows the *baseline* of Kubernetes' Pod Security Standards. Works on the JSON, not on types: a privilege in a field that the types do not know yet must not slip through a
//! typing error somewhere else. It must never change the template.

use crate::{
    Privilege, RegionPolicy, codes,
    problems::{Problems, below},
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tenantry_mutants::{self as mutants, Mutant};

const POD: &str = "/spec/template/spec";

/// Annotations whose values name objects as `namespace/name` (Multus).
const NETWORKS: [&str; 2] = ["k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network"];

pub(crate) fn pod_spec(spec: &Map<String, Value>, policy: &RegionPolicy, problems: &mut Problems) {
    let mut check = Check { policy, problems };
    for (field, privilege) in [
        ("hostNetwork", Privilege::HostNetwork),
        ("hostPID", Privilege::HostPid),
        ("hostIPC", Privilege::HostIpc),
    ] {
        if spec.get(field) == Some(&Value::Bool(true)) {
            check.asks(privilege, below(POD, field), field);
        }
    }
    if spec.get("nodeName").is_some_and(|name| !name.is_null() && name != "") {
        check.asks(Privilege::NodeName, below(POD, "nodeName"), "nodeName");
    }
    if let Some(context) = spec.get("securityContext") {
        let pointer = below(POD, "securityContext");
        check.security_context(context, &pointer);
        if context.get("sysctls").and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
            check.asks(Privilege::Sysctls, below(&pointer, "sysctls"), "sysctls");
        }
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for (index, container) in spec.get(list).and_then(Value::as_array).into_iter().flatten().enumerate() {
            check.container(container, &below(&below(POD, list), index));
        }
    }
    for (index, volume) in spec.get("volumes").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let pointer = below(&below(POD, "volumes"), index);
        if volume.get("hostPath").is_some_and(|source| !source.is_null()) {
            check.asks(Privilege::HostPath, below(&pointer, "hostPath"), "hostPath");
        }
        foreign_claim_source(volume, &pointer, check.problems);
    }
}

/// Annotations of the pod that name objects of another namespace, or take a container's confinement away.
pub(crate) fn pod_annotations(
    annotations: &BTreeMap<String, String>,
    policy: &RegionPolicy,
    problems: &mut Problems,
) {
    for (key, value) in annotations {
        if key.starts_with("container.apparmor.security.beta.kubernetes.io/") && value == "unconfined" {
            let pointer = below("/spec/template/metadata/annotations", key);
            Check { policy, problems }.asks(Privilege::Unconfined, pointer, "an unconfined AppArmor profile");
        }
    }
    let allowed = policy.allow.contains(&Privilege::ForeignNamespaceAnnotations);
    if allowed || mutants::on(Mutant::ForeignAnnotations) {
        return;
    }
    for (key, value) in annotations.iter().filter(|(key, _)| NETWORKS.contains(&key.as_str())) {
        if let Some(named) = foreign(value) {
            problems.add(
                codes::FOREIGN_NAMESPACE,
                below("/spec/template/metadata/annotations", key),
                format!("{key} names {named:?} with a namespace"),
                "name an object of the hook's own namespace, without namespace; or ask the region's operators to allow foreign-namespace-annotations",
            );
        }
    }
}

// `ns/name`, `ns/name@if`, several with commas, or a JSON list of objects with `namespace`. Its own namespace written
// out is refused too: what the namespace is, a template for several regions cannot know.
fn foreign(value: &str) -> Option<String> {
    if let Ok(json) = serde_json::from_str::<Value>(value) {
        let items = match json {
            Value::Array(items) => items,
            other => vec![other],
        };
        return items.iter().find_map(|item| item.get("namespace")?.as_str().map(str::to_owned));
    }
    value.split(',').map(str::trim).find(|item| item.contains('/')).map(str::to_owned)
}

fn foreign_claim_source(volume: &Value, pointer: &str, problems: &mut Problems) {
    let path = "/ephemeral/volumeClaimTemplate/spec/dataSourceRef/namespace";
    if volume.pointer(path).is_some_and(|namespace| !namespace.is_null()) {
        problems.add(
            codes::FOREIGN_NAMESPACE,
            format!("{pointer}{path}"),
            "the volume's data source names a namespace",
            "use a data source of the hook's own namespace",
        );
    }
}

/// Who makes the node call something, and how.
const HANDLERS: [&str; 5] =
    ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle/postStart", "lifecycle/preStop"];
const CALLS: [&str; 2] = ["httpGet", "tcpSocket"];

/// The `SELinux` types that Pod Security's baseline allows.
const SELINUX_TYPES: [&str; 5] =
    ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

struct Check<'a> {
    policy: &'a RegionPolicy,
    problems: &'a mut Problems,
}

impl Check<'_> {
    fn asks(&mut self, privilege: Privilege, pointer: String, what: &str) {
        if self.policy.allow.contains(&privilege) {
            return;
        }
        let name = serde_json::to_value(privilege).ok().and_then(|name| name.as_str().map(str::to_owned));
        self.problems.add(
            codes::POLICY_FORBIDDEN,
            pointer,
            format!("the region's policy forbids {what}"),
            format!(
                "do without it, or ask the region's operators to allow {}",
                name.unwrap_or_else(|| what.to_owned())
            ),
        );
    }

    fn container(&mut self, container: &Value, pointer: &str) {
        if let Some(context) = container.get("securityContext") {
            self.security_context(context, &below(pointer, "securityContext"));
        }
        for (handler, call) in HANDLERS.iter().flat_map(|handler| CALLS.map(|call| (*handler, call))) {
            let place = format!("/{handler}/{call}/host");
            if container.pointer(&place).is_some_and(|host| !host.is_null() && host != "") {
                self.asks(
                    Privilege::ProbeHost,
                    format!("{pointer}{place}"),
                    "a host in probes and lifecycle handlers",
                );
            }
        }
        let ports = container.get("ports").and_then(Value::as_array).into_iter().flatten();
        for (index, port) in ports.enumerate() {
            if port.get("hostPort").and_then(Value::as_i64).is_some_and(|port| port != 0) {
                let pointer = below(&below(&below(pointer, "ports"), index), "hostPort");
                self.asks(Privilege::HostPort, pointer, "hostPort");
            }
        }
    }

    fn security_context(&mut self, context: &Value, pointer: &str) {
        if context.get("privileged") == Some(&Value::Bool(true)) {
            self.asks(Privilege::Privileged, below(pointer, "privileged"), "privileged containers");
        }
        if context.get("procMount").is_some_and(|mount| mount == "Unmasked") {
            self.asks(Privilege::Privileged, below(pointer, "procMount"), "procMount: Unmasked");
        }
        if context.pointer("/windowsOptions/hostProcess") == Some(&Value::Bool(true)) {
            let pointer = format!("{pointer}/windowsOptions/hostProcess");
            self.asks(Privilege::Privileged, pointer, "hostProcess containers");
        }
        if context.pointer("/capabilities/add").and_then(Value::as_array).is_some_and(|list| !list.is_empty())
        {
            self.asks(
                Privilege::AddCapabilities,
                format!("{pointer}/capabilities/add"),
                "additional capabilities",
            );
        }
        if let Some(options) = context.get("seLinuxOptions") {
            let text = |field: &str| options.get(field).and_then(Value::as_str).unwrap_or_default();
            let own_type = SELINUX_TYPES.contains(&text("type"));
            if !own_type || !text("user").is_empty() || !text("role").is_empty() {
                let pointer = below(pointer, "seLinuxOptions");
                self.asks(Privilege::SelinuxOptions, pointer, "these SELinux options");
            }
        }
        for profile in ["seccompProfile", "appArmorProfile"] {
            if context.get(profile).and_then(|p| p.get("type")).is_some_and(|kind| kind == "Unconfined") {
                let pointer = below(&below(pointer, profile), "type");
                self.asks(Privilege::Unconfined, pointer, &format!("an unconfined {profile}"));
            }
        }
    }
}
