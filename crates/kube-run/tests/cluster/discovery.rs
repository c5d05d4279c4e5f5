//! Templates found, changed, replaced, gone.

use crate::{bed::Bed, trial};
use anyhow::{Context, bail, ensure};
use futures::{Stream, StreamExt};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use libtest_mimic::Trial;
use serde_json::json;
use std::{collections::BTreeSet, path::PathBuf, time::Duration};
use tenantry_hook::{AnnotationDomains, RegionPolicy, parse};
use tenantry_kube_run::{Discovered, Scope, discover};

pub fn trials(kubeconfig: Option<&PathBuf>) -> Vec<Trial> {
    vec![
        trial(kubeconfig, "a_template_is_found_changed_replaced_and_gone", life_of_a_template),
        trial(kubeconfig, "the_whole_cluster_is_searched_but_attempts_are_no_templates", whole_cluster),
    ]
}

async fn next(events: &mut (impl Stream<Item = Discovered> + Unpin)) -> anyhow::Result<Discovered> {
    tokio::time::timeout(Duration::from_mins(3), events.next())
        .await
        .context("discovery said nothing")?
        .context("discovery ended")
}

async fn life_of_a_template(bed: Bed) -> anyhow::Result<()> {
    let jobs = bed.api::<Job>();
    let template: Job = serde_json::from_value(bed.shell("exit 0"))?;
    jobs.create(&PostParams::default(), &template).await?;
    let scope = Scope::Namespaces(BTreeSet::from([bed.namespace.clone()]));
    let settings = crate::bed::settings();
    let mut events = discover(bed.cluster.clone(), &scope, AnnotationDomains::default(), &settings);

    ensure!(next(&mut events).await? == Discovered::Begin);
    let Discovered::Present { path, manifest } = next(&mut events).await? else { bail!("not found") };
    ensure!(path.to_string() == format!("{}/tenant", bed.namespace));
    let read = |manifest| parse(manifest, &AnnotationDomains::default(), &RegionPolicy::default());
    let first = read(&manifest).map_err(|p| anyhow::anyhow!("{p:?}"))?;
    ensure!(next(&mut events).await? == Discovered::Complete);

    // What is no part of the contract is not worth a read.
    let foreign = json!({"metadata": {"annotations": {"example.com/note": "x"}}});
    jobs.patch("tenant", &PatchParams::default(), &Patch::Merge(&foreign)).await?;
    let order = json!({"metadata": {"annotations": {"tenantry.io/tenant.after": "billing/accounts?"}}});
    jobs.patch("tenant", &PatchParams::default(), &Patch::Merge(&order)).await?;
    let Discovered::Present { manifest, .. } = next(&mut events).await? else { bail!("no change") };
    let second = read(&manifest).map_err(|p| anyhow::anyhow!("{p:?}"))?;
    ensure!(second.after.len() == 1 && second.hash != first.hash);

    // Argo CD replaces by deleting: another uid, the same content, the same hash as at first.
    jobs.delete("tenant", &DeleteParams::background()).await?;
    ensure!(matches!(next(&mut events).await?, Discovered::Absent { .. }));
    jobs.create(&PostParams::default(), &template).await?;
    let Discovered::Present { manifest, .. } = next(&mut events).await? else { bail!("not found again") };
    let third = read(&manifest).map_err(|p| anyhow::anyhow!("{p:?}"))?;
    ensure!(third.hash == first.hash);

    // Without the annotation it is a hook no more.
    let none = json!({"metadata": {"annotations": {"tenantry.io/tenant.lifecycle": null}}});
    jobs.patch("tenant", &PatchParams::default(), &Patch::Merge(&none)).await?;
    ensure!(matches!(next(&mut events).await?, Discovered::Absent { .. }));
    Ok(())
}

async fn whole_cluster(bed: Bed) -> anyhow::Result<()> {
    let mut template = bed.shell("sleep 600");
    template["metadata"]["annotations"]["tenantry.io/tenant.attempt-kind"] = json!("job");
    let attempt = bed.start(&template).await?;
    attempt.seen.running().await?;
    bed.api::<Job>().create(&PostParams::default(), &serde_json::from_value(bed.shell("exit 0"))?).await?;
    let settings = crate::bed::settings();
    let mut events = discover(bed.cluster.clone(), &Scope::Cluster, AnnotationDomains::default(), &settings);
    let mut found = Vec::new();
    loop {
        match next(&mut events).await? {
            Discovered::Complete => break,
            Discovered::Present { path, .. } if path.namespace == bed.namespace => {
                found.push(path.name.to_string());
            }
            _ => {}
        }
    }
    ensure!(found == ["tenant"], "{found:?}");
    Ok(())
}
