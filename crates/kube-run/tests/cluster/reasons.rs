//! Every reason that one node can produce, for Pods.

use crate::{
    bed::{Attempt, Bed, eventually, settings},
    trial,
};
use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::api::{DeleteParams, PostParams};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};
use tenantry_kube_run::{CreateError, Settings};
use tenantry_model::{Fact, FailureReason, KillCause, Outcome};

pub fn trials(kubeconfig: Option<&PathBuf>) -> Vec<Trial> {
    vec![
        trial(kubeconfig, "an_exit_code_is_the_hooks_own", exit_code),
        trial(kubeconfig, "outputs_that_are_no_object_of_strings_are_bad_output", bad_output),
        trial(kubeconfig, "a_container_over_its_memory_limit_is_out_of_memory", out_of_memory),
        trial(kubeconfig, "a_pod_over_its_local_storage_is_evicted", evicted),
        trial(kubeconfig, "an_attempt_past_its_timeout_is_a_deadline", deadline),
        trial(kubeconfig, "an_image_that_cannot_be_pulled_is_image_pull", image_pull),
        trial(kubeconfig, "an_image_that_must_never_be_pulled_is_image_pull", image_never),
        trial(kubeconfig, "an_invalid_image_name_is_image_pull_at_once", image_name),
        trial(kubeconfig, "a_pod_that_no_node_takes_is_unschedulable", unschedulable),
        trial(kubeconfig, "a_command_that_is_not_in_the_image_cannot_start", command_missing),
        trial(kubeconfig, "a_missing_secret_in_a_variable_cannot_start", secret_variable),
        trial(kubeconfig, "a_missing_secret_in_a_volume_cannot_start_and_is_named", secret_volume),
        trial(kubeconfig, "an_init_container_that_fails_gives_its_code_and_its_log", init_fails),
        trial(kubeconfig, "a_kill_ends_as_killed_whatever_the_hook_answers", killed),
        trial(kubeconfig, "a_kill_before_anything_runs_ends_as_killed", killed_early),
        trial(kubeconfig, "a_pod_deleted_by_hand_is_deleted_with_its_log", deleted),
        trial(kubeconfig, "a_pod_deleted_by_hand_after_its_end_keeps_its_own_end", deleted_late),
        trial(kubeconfig, "a_pod_forced_away_is_unknown_and_never_ended", forced),
        trial(kubeconfig, "a_sidecar_does_not_keep_a_finished_hook_running", sidecar),
        trial(kubeconfig, "an_object_of_that_name_made_by_somebody_else_is_a_collision", collision),
        trial(kubeconfig, "a_quota_that_refuses_is_rejected_in_its_own_words", quota),
        trial(kubeconfig, "a_missing_service_account_is_rejected", service_account),
    ]
}

async fn ends(bed: &Bed, template: Value, reason: FailureReason) -> anyhow::Result<(Attempt, Outcome)> {
    let (attempt, outcome) = bed.run(&template).await?;
    ensure!(outcome.reason == Some(reason), "{outcome:?}; told: {:?}", attempt.seen.told().facts);
    Ok((attempt, outcome))
}

fn container(bed: &Bed, change: &Value) -> Value {
    let mut template = bed.shell("exit 0");
    if let (Some(container), Some(change)) =
        (template["spec"]["template"]["spec"]["containers"][0].as_object_mut(), change.as_object())
    {
        container.extend(change.clone());
    }
    template
}

async fn exit_code(bed: Bed) -> anyhow::Result<()> {
    let (attempt, outcome) =
        ends(&bed, bed.shell("echo why >&2; exit 42"), FailureReason::HookFailed).await?;
    ensure!(outcome.exit_code == Some(42) && attempt.seen.told().log == b"why\n", "{outcome:?}");
    Ok(())
}

async fn bad_output(bed: Bed) -> anyhow::Result<()> {
    let script = r#"printf '{"n":1}' > "$LIFECYCLE_OUTPUT_FILE""#;
    let (_, outcome) = ends(&bed, bed.shell(script), FailureReason::BadOutput).await?;
    ensure!(outcome.exit_code == Some(0), "{outcome:?}");
    Ok(())
}

async fn out_of_memory(bed: Bed) -> anyhow::Result<()> {
    let template = container(
        &bed,
        &json!({
            "command": ["sh", "-c", "exec tail -c 200000000 /dev/zero"],
            "resources": {"limits": {"memory": "24Mi"}}
        }),
    );
    ends(&bed, template, FailureReason::OutOfMemory).await?;
    Ok(())
}

async fn evicted(bed: Bed) -> anyhow::Result<()> {
    let template = container(
        &bed,
        &json!({
            "command": ["sh", "-c", "head -c 40000000 /dev/zero > /tmp/fill || head -c 40000000 /dev/zero > /fill; sleep 600"],
            "resources": {"limits": {"ephemeral-storage": "4Mi"}}
        }),
    );
    ends(&bed, template, FailureReason::Evicted).await?;
    Ok(())
}

async fn deadline(bed: Bed) -> anyhow::Result<()> {
    let mut template = bed.shell("sleep 600");
    template["metadata"]["annotations"]["tenantry.io/tenant.timeout"] = json!("3s");
    ends(&bed, template, FailureReason::Deadline).await?;
    Ok(())
}

async fn image_pull(bed: Bed) -> anyhow::Result<()> {
    let bed = bed.with(Settings { image_pull_tolerance: Duration::ZERO, ..settings() });
    let template = container(&bed, &json!({"image": "127.0.0.1:9/nothing:1", "imagePullPolicy": "Always"}));
    let (attempt, outcome) = ends(&bed, template, FailureReason::ImagePull).await?;
    ensure!(outcome.message.contains("127.0.0.1:9/nothing:1"), "{outcome:?}");
    let told = attempt.seen.told();
    let waited = told.facts.iter().any(|fact| {
        matches!(fact, Fact::Starting { waiting_for: Some(why), .. } if why.contains("image pull hook"))
    });
    ensure!(waited, "{:?}", told.facts);
    Ok(())
}

async fn image_never(bed: Bed) -> anyhow::Result<()> {
    let bed = bed.with(Settings { image_pull_tolerance: Duration::ZERO, ..settings() });
    ends(&bed, container(&bed, &json!({"image": "local/nowhere:1"})), FailureReason::ImagePull).await?;
    Ok(())
}

async fn image_name(bed: Bed) -> anyhow::Result<()> {
    ends(&bed, container(&bed, &json!({"image": "local/UPPER//:1"})), FailureReason::ImagePull).await?;
    Ok(())
}

async fn unschedulable(bed: Bed) -> anyhow::Result<()> {
    let bed = bed.with(Settings { unschedulable_tolerance: Duration::ZERO, ..settings() });
    let template = container(&bed, &json!({"resources": {"requests": {"cpu": "999"}}}));
    let (attempt, outcome) = ends(&bed, template, FailureReason::Unschedulable).await?;
    ensure!(outcome.message.to_lowercase().contains("cpu"), "{outcome:?}");
    ensure!(attempt.seen.told().log_end == Some(0));
    Ok(())
}

async fn command_missing(bed: Bed) -> anyhow::Result<()> {
    let bed = bed.with(Settings { cannot_start_tolerance: Duration::ZERO, ..settings() });
    let template = container(&bed, &json!({"command": ["/not/there"]}));
    let (_, outcome) = ends(&bed, template, FailureReason::CannotStart).await?;
    ensure!(outcome.message.contains("/not/there"), "{outcome:?}");
    Ok(())
}

async fn secret_variable(bed: Bed) -> anyhow::Result<()> {
    let bed = bed.with(Settings { cannot_start_tolerance: Duration::ZERO, ..settings() });
    let from = json!({"secretKeyRef": {"name": "missing", "key": "k"}});
    let template = container(&bed, &json!({"env": [{"name": "X", "valueFrom": from}]}));
    let (_, outcome) = ends(&bed, template, FailureReason::CannotStart).await?;
    ensure!(outcome.message.contains("missing"), "{outcome:?}");
    Ok(())
}

async fn secret_volume(bed: Bed) -> anyhow::Result<()> {
    // Nothing is tolerated, and still it is not ended before an event says why.
    let bed = bed.with(Settings { preparing_tolerance: Duration::ZERO, ..settings() });
    let mut template = container(&bed, &json!({"volumeMounts": [{"name": "s", "mountPath": "/s"}]}));
    template["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "s", "secret": {"secretName": "missing"}}]);
    let (_, outcome) = ends(&bed, template, FailureReason::CannotStart).await?;
    ensure!(outcome.message.contains("\"missing\" not found"), "{outcome:?}");
    Ok(())
}

async fn init_fails(bed: Bed) -> anyhow::Result<()> {
    let mut template = bed.shell("echo never");
    template["spec"]["template"]["spec"]["initContainers"] = json!([{
        "name": "prepare", "image": "local/tools:1", "imagePullPolicy": "Never",
        "command": ["sh", "-c", "echo not ready; exit 9"]
    }]);
    let (attempt, outcome) = ends(&bed, template, FailureReason::HookFailed).await?;
    ensure!(outcome.exit_code == Some(9) && outcome.message.contains("prepare"), "{outcome:?}");
    ensure!(attempt.seen.told().log == b"not ready\n");
    Ok(())
}

async fn killed(bed: Bed) -> anyhow::Result<()> {
    let mut template = bed.shell("trap 'echo stopping; exit 0' TERM; echo up; sleep 600 & wait");
    template["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(120);
    let attempt = bed.start(&template).await?;
    attempt.seen.wait("the hook's first line", |told| told.log == b"up\n").await?;
    bed.runner.kill(&attempt.known, KillCause::Operator).await?;
    bed.runner.kill(&attempt.known, KillCause::Timeout).await?;
    let outcome = attempt.seen.outcome().await?;
    ensure!(outcome.reason == Some(FailureReason::Killed), "the first reason stays: {outcome:?}");
    ensure!(attempt.seen.told().log == b"up\nstopping\n");
    Ok(())
}

async fn killed_early(bed: Bed) -> anyhow::Result<()> {
    let attempt = bed.start(&container(&bed, &json!({"resources": {"requests": {"cpu": "999"}}}))).await?;
    bed.runner.kill(&attempt.known, KillCause::Timeout).await?;
    let outcome = attempt.seen.outcome().await?;
    ensure!(outcome.reason == Some(FailureReason::Deadline), "{outcome:?}");
    Ok(())
}

async fn deleted(bed: Bed) -> anyhow::Result<()> {
    let attempt = bed.start(&bed.shell("echo up; exec sleep 600")).await?;
    attempt.seen.wait("the hook's first line", |told| told.log == b"up\n").await?;
    bed.api::<Pod>().delete(&attempt.name(), &DeleteParams::default()).await?;
    let outcome = attempt.seen.outcome().await?;
    ensure!(outcome.reason == Some(FailureReason::Deleted), "{outcome:?}");
    ensure!(bed.pod(&attempt).await?.is_some(), "readable until it is released");
    bed.runner.release(&attempt.known).await?;
    eventually("its end", || async { Ok(bed.pod(&attempt).await?.is_none().then_some(())) }).await
}

async fn deleted_late(bed: Bed) -> anyhow::Result<()> {
    let (attempt, _) = bed.run(&bed.shell("exit 5")).await?;
    // Whole seconds: within the second of its end nobody could tell who was first.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    bed.api::<Pod>().delete(&attempt.name(), &DeleteParams::default()).await?;
    let again = crate::bed::Recorder::new();
    bed.runner.find(&attempt.known, again.clone()).await?;
    let outcome = again.outcome().await?;
    ensure!(outcome.reason == Some(FailureReason::HookFailed) && outcome.exit_code == Some(5), "{outcome:?}");
    Ok(())
}

async fn forced(bed: Bed) -> anyhow::Result<()> {
    let attempt = bed.start(&bed.shell("exec sleep 600")).await?;
    attempt.seen.running().await?;
    // Finalizer torn off, deleted by force: nobody waits for the kubelet any more.
    bed.clean_up_pods().await?;
    let told = attempt
        .seen
        .wait("that nobody can tell", |told| matches!(told.facts.last(), Some(Fact::Unknown { .. })))
        .await?;
    ensure!(!told.facts.iter().any(|fact| matches!(fact, Fact::Ended { .. })), "{:?}", told.facts);
    Ok(())
}

async fn sidecar(bed: Bed) -> anyhow::Result<()> {
    let image = |name: &str, script: &str| json!({"name": name, "image": "local/tools:1", "imagePullPolicy": "Never", "command": ["sh", "-c", script]});
    let template = bed.hook(&json!([image("hook", "echo done"), image("proxy", "exec sleep 600")]));
    let (attempt, outcome) = bed.run(&template).await?;
    ensure!(outcome.is_success(), "{outcome:?}");
    ensure!(attempt.seen.told().log == b"done\n");
    Ok(())
}

async fn collision(bed: Bed) -> anyhow::Result<()> {
    let attempt = Bed::attempt(&bed.shell("exit 0"))?;
    let squatter: Pod = serde_json::from_value(json!({
        "metadata": {"name": attempt.name()},
        "spec": {"containers": [{"name": "x", "image": "local/tools:1", "imagePullPolicy": "Never", "command": ["sleep", "60"]}]}
    }))?;
    bed.api::<Pod>().create(&PostParams::default(), &squatter).await?;
    let refused = bed.runner.start(&attempt.known, &attempt.objects, attempt.seen.clone()).await;
    let Err(CreateError::Refused(outcome)) = refused else { anyhow::bail!("{refused:?}") };
    ensure!(outcome.reason == Some(FailureReason::NameCollision), "{outcome:?}");
    bed.runner.kill(&attempt.known, KillCause::Operator).await?;
    bed.runner.release(&attempt.known).await?;
    let left = bed.pod(&attempt).await?.context("somebody else's Pod is left alone")?;
    ensure!(left.metadata.deletion_timestamp.is_none());
    Ok(())
}

async fn quota(bed: Bed) -> anyhow::Result<()> {
    let quota: ResourceQuota =
        serde_json::from_value(json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}))?;
    bed.api::<ResourceQuota>().create(&PostParams::default(), &quota).await?;
    eventually("the quota to be counted", || async {
        let quota = bed.api::<ResourceQuota>().get("none").await?;
        Ok(quota.status.and_then(|status| status.used).map(drop))
    })
    .await?;
    let refused = bed.start(&bed.shell("exit 0")).await.err().context("not refused")?;
    ensure!(format!("{refused:#}").contains("exceeded quota"), "{refused:#}");
    Ok(())
}

async fn service_account(bed: Bed) -> anyhow::Result<()> {
    let mut template = bed.shell("exit 0");
    template["spec"]["template"]["spec"]["serviceAccountName"] = json!("nobody");
    let attempt = Bed::attempt(&template)?;
    let refused = bed.runner.start(&attempt.known, &attempt.objects, attempt.seen.clone()).await;
    let Err(CreateError::Refused(outcome)) = refused else { anyhow::bail!("{refused:?}") };
    ensure!(outcome.reason == Some(FailureReason::Rejected), "{outcome:?}");
    ensure!(outcome.message.contains("nobody"), "{outcome:?}");
    Ok(())
}
