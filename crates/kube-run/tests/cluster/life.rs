//! An attempt from create to release.

use crate::{
    bed::{Bed, Recorder, eventually, has_finalizer},
    trial,
};
use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use libtest_mimic::Trial;
use std::path::PathBuf;
use tenantry_kube_run::{Created, Known, Settled};
use tenantry_model::{Fact, KillCause};

pub fn trials(kubeconfig: Option<&PathBuf>) -> Vec<Trial> {
    let second = kubeconfig.cloned().unwrap_or_default();
    let third = second.clone();
    vec![
        trial(kubeconfig, "a_hook_runs_is_logged_and_is_released", a_hook_runs),
        trial(kubeconfig, "a_start_that_is_repeated_finds_its_own_object", repeated_start),
        trial(kubeconfig, "another_life_finds_the_attempt_and_its_whole_log", |bed| {
            another_life(bed, second)
        }),
        trial(kubeconfig, "an_end_that_nobody_watched_is_told_later", |bed| told_later(bed, third)),
        trial(kubeconfig, "a_large_environment_travels_in_a_config_map_that_is_swept", large_environment),
        trial(kubeconfig, "lines_arrive_while_the_hook_runs", lines_arrive),
        trial(kubeconfig, "binary_and_very_long_lines_survive", binary_log),
        trial(kubeconfig, "an_attempt_that_was_never_started_is_absent", never_started),
        trial(kubeconfig, "thirty_parallel_hooks_cost_few_requests", parallel),
    ]
}

async fn a_hook_runs(bed: Bed) -> anyhow::Result<()> {
    let template = bed.shell(
        r#"echo "for $LIFECYCLE_OPERATION_NAME"; cat "$LIFECYCLE_TENANT_ENV_FILE"; printf '{"url":"db"}' > "$LIFECYCLE_OUTPUT_FILE""#,
    );
    let (attempt, outcome) = bed.run(&template).await?;
    ensure!(outcome.is_success(), "{outcome:?}");
    ensure!(outcome.outputs.get("url").is_some_and(|url| url == "db"), "{outcome:?}");
    let told = attempt.seen.told();
    let log = String::from_utf8(told.log.clone())?;
    ensure!(log == "for lifecycle.upsert\nkind: TenantEnvironment\n", "{log:?}");
    ensure!(told.log_end == Some(log.len() as u64) && !told.gap, "{told:?}");
    ensure!(told.facts_at_log_end < told.facts.len(), "the log's end comes before the end: {told:?}");
    let Some(Fact::Ended { images, started_at, .. }) = told.facts.last() else { anyhow::bail!("{told:?}") };
    ensure!(images["hook"].contains("sha256:") && started_at.is_some(), "{images:?}");

    let pod = bed.pod(&attempt).await?.context("the Pod stays until its outcome is committed")?;
    ensure!(has_finalizer(&pod));
    bed.runner.release(&attempt.known).await?;
    gone(&bed, &attempt).await?;
    bed.runner.release(&attempt.known).await.context("a second release changes nothing")?;
    Ok(())
}

async fn gone(bed: &Bed, attempt: &crate::bed::Attempt) -> anyhow::Result<()> {
    eventually("the end of the Pod", || async { Ok(bed.pod(attempt).await?.is_none().then_some(())) }).await
}

async fn repeated_start(bed: Bed) -> anyhow::Result<()> {
    let attempt = Bed::attempt(&bed.shell("exit 0"))?;
    let first = bed.runner.start(&attempt.known, &attempt.objects, attempt.seen.clone()).await?;
    let second = bed.runner.start(&attempt.known, &attempt.objects, attempt.seen.clone()).await?;
    ensure!((first, second) == (Created::New, Created::Found), "{first:?} {second:?}");
    ensure!(attempt.seen.outcome().await?.is_success());
    let ends = attempt.seen.told().facts.iter().filter(|fact| matches!(fact, Fact::Ended { .. })).count();
    ensure!(ends == 1, "{ends}");
    Ok(())
}

async fn another_life(bed: Bed, kubeconfig: PathBuf) -> anyhow::Result<()> {
    let (template, gate) = bed.gated("echo line 1; echo line 2; exit 7").await?;
    let attempt = bed.start(&template).await?;
    let told = attempt.seen.wait("the first line", |told| told.log == b"up\n").await?;
    let runner = bed.another_life(&kubeconfig).await?;
    let seen = Recorder::new();
    let known = Known { log_from: 2, start_tried: true, ..attempt.known.clone() };
    ensure!(runner.find(&known, seen.clone()).await? == Settled::Here);
    seen.running().await?;
    gate.open()?;
    let outcome = seen.outcome().await?;
    ensure!(outcome.exit_code == Some(7), "{outcome:?} after {told:?}");
    let log = String::from_utf8(seen.told().log)?;
    ensure!(log == "\nline 1\nline 2\n", "{log:?}");
    Ok(())
}

async fn told_later(bed: Bed, kubeconfig: PathBuf) -> anyhow::Result<()> {
    let (attempt, _) = bed.run(&bed.shell("echo once; exit 3")).await?;
    let runner = bed.another_life(&kubeconfig).await?;
    let seen = Recorder::new();
    ensure!(runner.find(&attempt.known, seen.clone()).await? == Settled::Here);
    ensure!(seen.outcome().await?.exit_code == Some(3));
    ensure!(seen.told().log == b"once\n");
    Ok(())
}

async fn large_environment(bed: Bed) -> anyhow::Result<()> {
    let text = format!("kind: TenantEnvironment\npadding: {}\n", "x".repeat(300 * 1024));
    let attempt = Bed::attempt_with(&bed.shell(r#"wc -c < "$LIFECYCLE_TENANT_ENV_FILE""#), &text)?;
    bed.runner.start(&attempt.known, &attempt.objects, attempt.seen.clone()).await?;
    ensure!(attempt.seen.outcome().await?.is_success());
    let log = String::from_utf8(attempt.seen.told().log)?;
    ensure!(log.trim() == text.len().to_string(), "{log:?}");
    bed.runner.release(&attempt.known).await?;
    gone(&bed, &attempt).await?;
    let left = bed.api::<ConfigMap>().get_opt(&attempt.name()).await?;
    ensure!(left.is_none(), "the ConfigMap is swept");
    Ok(())
}

async fn lines_arrive(bed: Bed) -> anyhow::Result<()> {
    let attempt = bed.start(&bed.shell("echo early; sleep 600")).await?;
    attempt.seen.wait("the first line", |told| told.log == b"early\n").await?;
    ensure!(attempt.seen.told().log_end.is_none());
    bed.runner.kill(&attempt.known, KillCause::Operator).await?;
    attempt.seen.outcome().await?;
    ensure!(attempt.seen.told().log_end == Some(6));
    Ok(())
}

async fn binary_log(bed: Bed) -> anyhow::Result<()> {
    // 300 kB in one line, then bytes that are no text.
    let template = bed
        .shell(r"head -c 300000 /dev/zero | tr '\0' x; echo; printf '\377\376\001 \n'; sleep 2; echo done");
    let (attempt, outcome) = bed.run(&template).await?;
    ensure!(outcome.is_success(), "{outcome:?}");
    let told = attempt.seen.told();
    let mut want = vec![b'x'; 300_000];
    want.extend_from_slice(b"\n\xff\xfe\x01 \ndone\n");
    ensure!(told.log == want && !told.gap, "{} bytes", told.log.len());
    Ok(())
}

async fn never_started(bed: Bed) -> anyhow::Result<()> {
    let attempt = Bed::attempt(&bed.shell("exit 0"))?;
    ensure!(bed.runner.find(&attempt.known, attempt.seen.clone()).await? == Settled::Absent);
    ensure!(bed.runner.kill(&attempt.known, KillCause::Cancel).await? == Settled::Absent);
    bed.runner.release(&attempt.known).await?;
    let tried = Known { start_tried: true, ..attempt.known.clone() };
    eventually("certainty that no create is under way", || async {
        match bed.runner.kill(&tried, KillCause::Cancel).await {
            Ok(settled) => Ok((settled == Settled::Absent).then_some(())),
            Err(tenantry_kube_run::RunError::NotSettled { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

async fn parallel(bed: Bed) -> anyhow::Result<()> {
    const MANY: u32 = 30;
    let before = bed.cluster.requests().so_far();
    let mut attempts = Vec::new();
    for _ in 0..MANY {
        attempts.push(bed.start(&bed.shell("exit 0")).await?);
    }
    for attempt in &attempts {
        let outcome = attempt.seen.outcome().await?;
        ensure!(outcome.is_success(), "{outcome:?}; told: {:?}", attempt.seen.told().facts);
    }
    for attempt in &attempts {
        bed.runner.release(&attempt.known).await?;
    }
    let after = bed.cluster.requests().so_far();
    let each = f64::from(u32::try_from(after.others - before.others)?) / f64::from(MANY);
    eprintln!("requests per attempt: {each:.2}; watches opened: {}", after.watches - before.watches);
    // create, two reads of the log (more on a busy machine), finalizer, delete; a listing of Pods and Jobs for all together.
    ensure!(each <= 6.0, "{each} requests per attempt");
    ensure!(after.watches - before.watches <= 2, "one watch of Pods, one of Jobs");
    Ok(())
}
