//! A team: a namespace of a cluster (or only a name, on a laptop), its hooks, and the witness that they write to.

use crate::{Cluster, Hook};
use anyhow::Result;
use serde_json::{Value, json};
use std::path::Path;

/// A team's namespace.
#[derive(Clone, Debug)]
pub struct Team {
    /// Its name.
    pub namespace: String,
}

impl Team {
    /// The team's namespace with a claim `witness` for the folder.
    pub fn create(cluster: &Cluster, namespace: &str, witness: &Path) -> Result<Self> {
        let mut objects = vec![json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}
        })];
        objects.extend(volume(namespace, "witness", "e2e-witness", witness));
        objects.push(json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "witness", "namespace": namespace},
            "spec": {
                "storageClassName": "e2e-witness", "accessModes": ["ReadWriteMany"],
                "resources": {"requests": {"storage": "1Gi"}}
            }
        }));
        cluster.apply(&objects)?;
        crate::eventually(format!("the service account of {namespace}"), || {
            // Every Pod mounts the second; one that comes before it waits for the kubelet's next try.
            let both = ["get", "-n", namespace, "serviceaccount/default", "configmap/kube-root-ca.crt"];
            Ok(cluster.kubectl(&both).ok())
        })?;
        Ok(Self { namespace: namespace.to_owned() })
    }

    /// A hook of the team.
    #[must_use]
    pub fn hook(&self, name: &str) -> Hook {
        Hook::new(&self.namespace, name)
    }
}

/// A persistent volume on the node for one claim of the namespace.
#[must_use]
pub fn volume(namespace: &str, claim: &str, class: &str, folder: &Path) -> Vec<Value> {
    vec![json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": format!("{namespace}-{claim}"), "labels": {"e2e/namespace": namespace}},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain", "storageClassName": class,
            "claimRef": {"namespace": namespace, "name": claim},
            "hostPath": {"path": folder, "type": "DirectoryOrCreate"}
        }
    })]
}
