//! The contract's complete Job, as printed, with exactly the rights that are shipped.

use crate::place::{OVER_ARGO, Place, REGION, Setup};
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;
use std::path::PathBuf;
use tenantry_e2e::{Needs, World, repository, trial};

pub fn trials() -> Vec<Trial> {
    let name = "the_complete_job_runs_as_printed_with_exactly_the_shipped_rights";
    vec![
        trial(Needs::GivenNames, name, |world| complete_job(world, Place::Agent)),
        trial(Needs::ArgoGivenNames, format!("{name}{OVER_ARGO}"), |world| complete_job(world, Place::Argo)),
    ]
}

const INSIDE: &str = r#"
env | grep -E '^(LIFECYCLE_|TRACEPARENT)' | sort
echo "user $(id -u)"
cat "$LIFECYCLE_TENANT_ENV_FILE" "$LIFECYCLE_CHANGESET_FILE"
( echo changed >> "$LIFECYCLE_TENANT_ENV_FILE" ) 2>/dev/null && echo "the file can be changed"
tb output account=4711
"#;

fn complete_job(world: &World, place: Place) -> Result<()> {
    let cluster = world.cluster()?;
    let (billing, _crm) = (world.team_named("billing")?, world.team_named("crm")?);
    cluster.tag_image("local/tools:1", "registry.example.com/crm/tenant:1.4.2")?;
    cluster.apply(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount",
               "metadata": {"name": "crm-tenant", "namespace": "crm"}, "automountServiceAccountToken": false}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "crm-admin", "namespace": "crm"},
               "stringData": {"token": "only-crm-knows"}}),
        billing.hook("accounts").domain("collibra.com").shell(INSIDE).manifest(),
    ])?;
    cluster.apply_files(&[&repository().join("examples/hook-complete.yaml")])?;
    let namespaces = ["billing", "crm"];
    let mut setup = Setup::new(place, &namespaces).domain("collibra.com").keep_succeeded();
    // Over Argo the chart and the teams' consent bring theirs.
    if place == Place::Agent {
        setup = setup.rights(shipped_rights(world, &namespaces)?);
    }
    let site = setup.start(world)?;
    site.wait_for_hooks(REGION, &["billing/accounts", "crm/crm-tenant"])?;
    let spec = json!({"settings": {"locale": "no", "seats": 250}});
    let labels = json!({"tier": "gold", "app": "crm"});
    let accepted = site.create_environment_with("prod", REGION, labels, spec)?;
    let id = accepted.operation.context("no operation")?.id;
    let environment = accepted.environment.id;
    let done = site.wait_succeeded(id)?;

    let inside = site.log_text(id, "accounts", 1)?;
    for line in [
        format!("LIFECYCLE_TENANT_ENV_ID={environment}"),
        format!("LIFECYCLE_BATCH_OPERATION_ID={id}"),
        format!("LIFECYCLE_OPERATION_ID={id}"),
        "LIFECYCLE_OPERATION_NAME=lifecycle.upsert".to_owned(),
        "LIFECYCLE_STEP=eu1/billing/accounts".to_owned(),
        "LIFECYCLE_ATTEMPT=1".to_owned(),
    ] {
        ensure!(inside.lines().any(|seen| seen == line), "{line} is missing in\n{inside}");
    }
    for start in [
        "LIFECYCLE_TENANT_ENV_FILE=/",
        "LIFECYCLE_CHANGESET_FILE=/",
        "LIFECYCLE_OUTPUT_FILE=/",
        "TRACEPARENT=00-",
    ] {
        ensure!(inside.lines().any(|seen| seen.starts_with(start)), "{start} is missing in\n{inside}");
    }
    ensure!(!inside.contains("can be changed"), "{inside}");

    let printed = site.log_text(id, "crm-tenant", 1)?;
    let first = format!("lifecycle.upsert for {environment}, attempt 1\n");
    ensure!(printed.starts_with(&first), "{printed}");
    for text in [
        "kind: 'TenantEnvironment'",
        "kind: 'TenantChangeset'",
        "locale: 'no'",
        "seats: 250",
        "account: '4711'",
        "from: 'none'",
    ] {
        ensure!(printed.contains(text), "{text} is missing in\n{printed}");
    }
    ensure!(!printed.contains("only-crm-knows"));
    let step =
        done.steps.iter().flatten().find(|step| step.hook.name.as_str() == "crm-tenant").context("step")?;
    ensure!(step.outputs["url"] == format!("https://{environment}.crm.example.com"), "{step:?}");

    let object =
        step.attempts[0].object.as_deref().context("an object")?.rsplit('/').next().unwrap_or_default();
    let pod = cluster.get(&["pod", "-n", "crm", object])?;
    ensure!(pod["spec"]["serviceAccountName"] == "crm-tenant", "{pod}");
    ensure!(pod["spec"]["securityContext"]["runAsUser"] == 10001, "{pod}");
    ensure!(pod["metadata"]["finalizers"].is_null(), "a finalizer is left: {}", pod["metadata"]);
    ensure!(!pod["metadata"].to_string().contains("collibra.com/tenant"), "{}", pod["metadata"]);
    for (namespace, name) in [("crm", "crm-tenant"), ("billing", "accounts")] {
        let template = cluster.get(&["job", "-n", namespace, name])?;
        ensure!(template["spec"]["suspend"] == true, "{template}");
        ensure!(
            template["status"]["active"].is_null() && template["status"]["startTime"].is_null(),
            "{template}"
        );
    }
    site.finish()
}

/// The shipped manifests for these namespaces and no more; answers a kubeconfig of the agent's service account.
fn shipped_rights(world: &World, namespaces: &[&str]) -> Result<PathBuf> {
    world.owns("tenantry-agent");
    let (cluster, deploy) = (world.cluster()?, repository().join("deploy/agent"));
    cluster.apply_files(&[&deploy.join("namespace.yaml")])?;
    for namespace in namespaces {
        for file in ["discovery-namespaced.yaml", "team.yaml"] {
            let path = deploy.join(file).display().to_string();
            cluster.kubectl(&["apply", "-n", namespace, "-f", &path])?;
        }
    }
    crate::rights::agent_kubeconfig(world)
}
