//! Attempts that are Jobs.

use crate::{
    bed::{Bed, eventually, settings},
    trial,
};
use anyhow::ensure;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::api::{DeleteParams, ListParams};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};
use tenantry_kube_run::Settings;
use tenantry_model::{Fact, FailureReason, KillCause, Outcome};

pub fn trials(kubeconfig: Option<&PathBuf>) -> Vec<Trial> {
    let second = kubeconfig.cloned().unwrap_or_default();
    vec![
        trial(kubeconfig, "job_runs_and_is_released_with_its_pods", runs),
        trial(kubeconfig, "job_indexed_gives_every_log_and_the_outputs_of_index_0", indexed),
        trial(kubeconfig, "job_fails_with_the_code_of_the_pod_that_failed", fails),
        trial(kubeconfig, "job_past_its_timeout_is_a_deadline", deadline),
        trial(kubeconfig, "job_out_of_memory_says_so", out_of_memory),
        trial(kubeconfig, "job_killed_is_killed_and_runs_nothing_any_more", killed),
        trial(kubeconfig, "job_deleted_by_hand_takes_its_pods_with_it", deleted),
        trial(kubeconfig, "job_whose_pod_is_deleted_by_hand_is_deleted", pod_deleted),
        trial(kubeconfig, "job_without_an_image_is_image_pull", image_pull),
        trial(kubeconfig, "job_without_a_service_account_is_rejected_in_the_controllers_words", no_account),
        trial(kubeconfig, "job_without_a_node_is_unschedulable", unschedulable),
        trial(kubeconfig, "job_is_found_by_another_life", |bed| another_life(bed, second)),
    ]
}

fn job(bed: &Bed, script: &str) -> Value {
    let mut template = bed.shell(script);
    as_job(&mut template);
    template
}

fn as_job(template: &mut Value) {
    template["metadata"]["annotations"]["tenantry.io/tenant.attempt-kind"] = json!("job");
}

async fn ends(bed: &Bed, template: Value, reason: FailureReason) -> anyhow::Result<Outcome> {
    let (attempt, outcome) = bed.run(&template).await?;
    ensure!(outcome.reason == Some(reason), "{outcome:?}; told: {:?}", attempt.seen.told().facts);
    nothing_left(bed, &attempt.known).await?;
    Ok(outcome)
}

/// After its release neither Job nor Pods are there.
async fn nothing_left(bed: &Bed, known: &tenantry_kube_run::Known) -> anyhow::Result<()> {
    bed.runner.release(known).await?;
    eventually("the end of Job and Pods", || async {
        let pods = bed.api::<Pod>().list(&ListParams::default()).await?.items.len();
        let jobs = bed.api::<Job>().list(&ListParams::default()).await?.items.len();
        Ok((pods + jobs == 0).then_some(()))
    })
    .await
}

async fn runs(bed: Bed) -> anyhow::Result<()> {
    let template = job(&bed, r#"echo hello; printf '{"a":"b"}' > "$LIFECYCLE_OUTPUT_FILE""#);
    let (attempt, outcome) = bed.run(&template).await?;
    ensure!(outcome.is_success() && outcome.outputs["a"] == "b", "{outcome:?}");
    let told = attempt.seen.told();
    ensure!(told.log == b"hello\n" && told.log_end == Some(6), "{told:?}");
    ensure!(
        told.facts.iter().any(|f| matches!(f, Fact::Running { object, .. } if object.starts_with("job ")))
    );
    nothing_left(&bed, &attempt.known).await
}

async fn indexed(bed: Bed) -> anyhow::Result<()> {
    let script = r#"echo part $JOB_COMPLETION_INDEX; printf '{"i":"%s"}' $JOB_COMPLETION_INDEX > "$LIFECYCLE_OUTPUT_FILE""#;
    let mut template = bed.shell(script);
    template["spec"]["completions"] = json!(3);
    template["spec"]["parallelism"] = json!(2);
    template["spec"]["completionMode"] = json!("Indexed");
    let (attempt, outcome) = bed.run(&template).await?;
    ensure!(outcome.is_success() && outcome.outputs["i"] == "0", "{outcome:?}");
    let log = String::from_utf8(attempt.seen.told().log)?;
    let mut lines: Vec<_> = log.lines().collect();
    lines.sort_unstable();
    ensure!(lines == ["[0] part 0", "[1] part 1", "[2] part 2"], "{log:?}");
    nothing_left(&bed, &attempt.known).await
}

async fn fails(bed: Bed) -> anyhow::Result<()> {
    let outcome = ends(&bed, job(&bed, "exit 17"), FailureReason::HookFailed).await?;
    ensure!(outcome.exit_code == Some(17), "{outcome:?}");
    Ok(())
}

async fn deadline(bed: Bed) -> anyhow::Result<()> {
    let mut template = job(&bed, "exec sleep 600");
    template["metadata"]["annotations"]["tenantry.io/tenant.timeout"] = json!("3s");
    ends(&bed, template, FailureReason::Deadline).await?;
    Ok(())
}

async fn out_of_memory(bed: Bed) -> anyhow::Result<()> {
    let mut template = job(&bed, "exec tail -c 200000000 /dev/zero");
    template["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({"limits": {"memory": "24Mi"}});
    ends(&bed, template, FailureReason::OutOfMemory).await?;
    Ok(())
}

async fn killed(bed: Bed) -> anyhow::Result<()> {
    let attempt = bed.start(&job(&bed, "trap 'exit 0' TERM; echo up; sleep 600 & wait")).await?;
    attempt.seen.wait("the hook's first line", |told| told.log == b"up\n").await?;
    bed.runner.kill(&attempt.known, KillCause::Cancel).await?;
    let outcome = attempt.seen.outcome().await?;
    ensure!(outcome.reason == Some(FailureReason::Killed), "{outcome:?}");
    nothing_left(&bed, &attempt.known).await
}

async fn deleted(bed: Bed) -> anyhow::Result<()> {
    let attempt = bed.start(&job(&bed, "echo up; exec sleep 600")).await?;
    attempt.seen.wait("the hook's first line", |told| told.log == b"up\n").await?;
    bed.api::<Job>().delete(&attempt.name(), &DeleteParams::background()).await?;
    let outcome = attempt.seen.outcome().await?;
    ensure!(outcome.reason == Some(FailureReason::Deleted), "{outcome:?}");
    nothing_left(&bed, &attempt.known).await
}

async fn pod_deleted(bed: Bed) -> anyhow::Result<()> {
    let attempt = bed.start(&job(&bed, "echo up; exec sleep 600")).await?;
    attempt.seen.wait("the hook's first line", |told| told.log == b"up\n").await?;
    for pod in bed.api::<Pod>().list(&ListParams::default()).await?.items {
        bed.api::<Pod>().delete(&pod.metadata.name.unwrap_or_default(), &DeleteParams::default()).await?;
    }
    let outcome = attempt.seen.outcome().await?;
    ensure!(outcome.reason == Some(FailureReason::Deleted), "{outcome:?}");
    nothing_left(&bed, &attempt.known).await
}

async fn image_pull(bed: Bed) -> anyhow::Result<()> {
    let bed = bed.with(Settings { image_pull_tolerance: Duration::ZERO, ..settings() });
    let mut template = job(&bed, "exit 0");
    template["spec"]["template"]["spec"]["containers"][0]["image"] = json!("local/nowhere:1");
    ends(&bed, template, FailureReason::ImagePull).await?;
    Ok(())
}

async fn no_account(bed: Bed) -> anyhow::Result<()> {
    let bed = bed.with(Settings { preparing_tolerance: Duration::ZERO, ..settings() });
    let mut template = job(&bed, "exit 0");
    template["spec"]["template"]["spec"]["serviceAccountName"] = json!("nobody");
    let outcome = ends(&bed, template, FailureReason::Rejected).await?;
    ensure!(outcome.message.contains("nobody"), "{outcome:?}");
    Ok(())
}

async fn unschedulable(bed: Bed) -> anyhow::Result<()> {
    let bed = bed.with(Settings { unschedulable_tolerance: Duration::ZERO, ..settings() });
    let mut template = job(&bed, "exit 0");
    template["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "999"}});
    ends(&bed, template, FailureReason::Unschedulable).await?;
    Ok(())
}

async fn another_life(bed: Bed, kubeconfig: PathBuf) -> anyhow::Result<()> {
    let (mut template, gate) = bed.gated("echo late; exit 4").await?;
    as_job(&mut template);
    let attempt = bed.start(&template).await?;
    attempt.seen.wait("the hook's first line", |told| told.log == b"up\n").await?;
    let runner = bed.another_life(&kubeconfig).await?;
    let seen = crate::bed::Recorder::new();
    runner.find(&attempt.known, seen.clone()).await?;
    seen.running().await?;
    gate.open()?;
    let outcome = seen.outcome().await?;
    ensure!(outcome.exit_code == Some(4) && seen.told().log == b"up\nlate\n", "{outcome:?}");
    ensure!(settings().keep_failed.is_zero());
    Ok(())
}
