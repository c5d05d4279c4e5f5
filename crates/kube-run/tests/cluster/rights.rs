//! The shipped manifests are enough, and no more than enough: everything here runs with exactly them.

use crate::{
    bed::{Bed, eventually, settings},
    trial,
};
use anyhow::{Context, ensure};
use futures::StreamExt;
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    batch::v1::Job,
    core::v1::{Namespace, Pod, Secret, ServiceAccount},
};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use libtest_mimic::Trial;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::PathBuf};
use tenantry_hook::AnnotationDomains;
use tenantry_kube_run::{Cluster, Connection, Discovered, Runner, Scope, discover};
use tenantry_model::KillCause;

pub fn trials(kubeconfig: Option<&PathBuf>) -> Vec<Trial> {
    let file = kubeconfig.cloned().unwrap_or_default();
    vec![trial(kubeconfig, "the_shipped_rights_are_enough_for_everything_and_for_nothing_else", |bed| {
        least_privilege(bed, file)
    })]
}

const AGENT: &str = "tenantry-agent";

/// The manifests of `deploy/agent`, with the agent in a namespace of this test's own.
fn manifests(agent: &str) -> anyhow::Result<Vec<Value>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/agent");
    let mut all = Vec::new();
    for file in ["namespace.yaml", "discovery-namespaced.yaml", "team.yaml"] {
        let text = std::fs::read_to_string(folder.join(file))?.replace(AGENT, agent);
        for document in text.split("\n---\n") {
            all.push(serde_saphyr::from_str::<Value>(document)?);
        }
    }
    Ok(all)
}

async fn apply(client: &Client, namespace: &str, manifest: Value) -> anyhow::Result<()> {
    let mut object: DynamicObject = serde_json::from_value(manifest)?;
    let types = object.types.clone().context("a manifest without a kind")?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
    let name = object.metadata.name.clone().context("a manifest without a name")?;
    let api: Api<DynamicObject> = if types.kind == "Namespace" {
        Api::all_with(client.clone(), &resource)
    } else {
        let own = object.metadata.namespace.get_or_insert_with(|| namespace.to_owned()).clone();
        Api::namespaced_with(client.clone(), &own, &resource)
    };
    api.patch(&name, &PatchParams::apply("test"), &Patch::Apply(&object)).await?;
    Ok(())
}

/// A kubeconfig with the agent's own token instead of the administrator's certificate.
async fn kubeconfig_of(
    client: &Client,
    agent: &str,
    admin: &PathBuf,
) -> anyhow::Result<tempfile::NamedTempFile> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), agent);
    let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": []}}))?;
    let issued = accounts.create_token_request("agent", &PostParams::default(), &request).await?;
    let token = issued.status.context("no token")?.token;
    let mut config: Value = serde_saphyr::from_str(&std::fs::read_to_string(admin)?)?;
    config["users"][0]["user"] = json!({"token": token});
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), config.to_string())?;
    Ok(file)
}

async fn least_privilege(bed: Bed, admin: PathBuf) -> anyhow::Result<()> {
    let agent = format!("{}-agent", bed.namespace);
    let client = bed.cluster.client();
    for manifest in manifests(&agent)? {
        apply(&client, bed.namespace.as_str(), manifest).await?;
    }
    let done = with_these_rights(&bed, &client, &agent, &admin).await;
    Api::<Namespace>::all(client).delete(&agent, &DeleteParams::default()).await?;
    done
}

async fn with_these_rights(bed: &Bed, client: &Client, agent: &str, admin: &PathBuf) -> anyhow::Result<()> {
    let file = kubeconfig_of(client, agent, admin).await?;
    let connection = Connection { kubeconfig: Some(file.path().to_owned()), context: None };
    let cluster = Cluster::connect(&connection, &settings()).await?;
    let limited = Bed {
        cluster: cluster.clone(),
        runner: Runner::new(cluster, settings()),
        namespace: bed.namespace.clone(),
    };

    bed.api::<Job>().create(&PostParams::default(), &Job::deserialize(bed.shell("exit 0"))?).await?;
    let scope = Scope::Namespaces(BTreeSet::from([bed.namespace.clone()]));
    let domains = AnnotationDomains::default();
    let mut events = discover(limited.cluster.clone(), &scope, domains, &settings());
    ensure!(events.next().await == Some(Discovered::Begin));
    ensure!(matches!(events.next().await, Some(Discovered::Present { .. })));

    let mut as_job = limited.shell("echo job; exit 3");
    as_job["metadata"]["annotations"]["tenantry.io/tenant.attempt-kind"] = json!("job");
    for template in [limited.shell("echo pod; exit 3"), as_job] {
        let (attempt, outcome) = limited.run(&template).await?;
        ensure!(outcome.exit_code == Some(3), "{outcome:?}");
        ensure!(attempt.seen.told().log.len() == 4);
        limited.runner.release(&attempt.known).await?;
    }
    let large = format!("padding: {}\n", "x".repeat(300 * 1024));
    let attempt = Bed::attempt_with(&limited.shell("exec sleep 600"), &large)?;
    limited.runner.start(&attempt.known, &attempt.objects, attempt.seen.clone()).await?;
    attempt.seen.running().await?;
    limited.runner.kill(&attempt.known, KillCause::Operator).await?;
    attempt.seen.outcome().await?;
    limited.runner.release(&attempt.known).await?;
    eventually("the end of everything", || async {
        Ok(bed.api::<Pod>().list(&ListParams::default()).await?.items.is_empty().then_some(()))
    })
    .await?;

    let refused =
        |answer: Result<(), kube::Error>| matches!(answer, Err(kube::Error::Api(s)) if s.code == 403);
    ensure!(refused(limited.api::<Secret>().list(&ListParams::default()).await.map(drop)), "reads no Secret");
    let elsewhere: Api<Pod> = Api::namespaced(limited.cluster.client(), "default");
    ensure!(refused(elsewhere.list(&ListParams::default()).await.map(drop)), "nothing in other namespaces");
    let accounts = limited.api::<ServiceAccount>();
    let new = json!({"metadata": {"name": "x"}});
    ensure!(refused(
        accounts.create(&PostParams::default(), &ServiceAccount::deserialize(new)?).await.map(drop)
    ));
    Ok(())
}
