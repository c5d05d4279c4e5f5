//! What happens when the cluster breaks: with a cluster of its own, made by the program that `TENANTRY_TESTBED` names.

use crate::bed::{Attempt, Bed, Told};
use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, api::ListParams};
use libtest_mimic::{Failed, Trial};
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use tenantry_model::Fact;

pub fn trials() -> Vec<Trial> {
    let testbed = std::env::var_os("TENANTRY_TESTBED").map(PathBuf::from);
    let ignored = testbed.is_none();
    let testbed = testbed.unwrap_or_default();
    let run = move || -> anyhow::Result<()> {
        let broken = Breakable::up(&testbed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            api_server_restarts(&broken).await.context("API server stopped and started")?;
            kubelet_comes_back_early(&broken).await.context("kubelet back before the eviction")?;
            kubelet_comes_back_late(&broken).await.context("kubelet back after the eviction")
        })
    };
    vec![
        Trial::test("a_cluster_that_breaks_and_heals_gives_unknown_and_then_the_truth", move || {
            run().map_err(|error| Failed::from(format!("{error:#}")))
        })
        .with_ignored_flag(ignored),
    ]
}

struct Breakable {
    testbed: PathBuf,
    name: String,
    kubeconfig: PathBuf,
}

impl Breakable {
    fn up(testbed: &Path) -> anyhow::Result<Self> {
        let name = format!("kr{}", std::process::id());
        let mut new = Self { testbed: testbed.to_owned(), name, kubeconfig: PathBuf::new() };
        // Two: on the only node of a cluster nothing is ever evicted.
        new.call(&["up", &new.name, "--nodes", "2"])?;
        new.kubeconfig = PathBuf::from(new.call(&["kubeconfig", &new.name])?.trim());
        Ok(new)
    }

    fn call(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(&self.testbed).args(arguments).output().context("run the test bed")?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn part(&self, verb: &str, part: &str) -> anyhow::Result<()> {
        self.call(&[verb, &self.name, part]).map(drop)
    }
}

impl Drop for Breakable {
    fn drop(&mut self) {
        if let Err(error) = self.call(&["down", &self.name]) {
            eprintln!("cluster {} is left: {error:#}", self.name);
        }
    }
}

/// The kubelet under the attempt.
async fn kubelet_of(bed: &Bed, attempt: &Attempt) -> anyhow::Result<&'static str> {
    let pod = bed.pod(attempt).await?.context("no Pod")?;
    let node = pod.spec.and_then(|spec| spec.node_name).context("on no node")?;
    Ok(if node.ends_with("-2") { "kubelet-2" } else { "kubelet" })
}

fn is_unknown(fact: &Fact) -> bool {
    matches!(fact, Fact::Unknown { .. })
}

async fn api_server_restarts(broken: &Breakable) -> anyhow::Result<()> {
    let bed = Bed::new(&broken.kubeconfig).await?;
    let (template, gate) = bed.gated("for i in $(seq 40); do echo $i; done; exit 6").await?;
    let attempt = bed.start(&template).await?;
    attempt.seen.wait("the first line", |told| told.log == b"up\n").await?;
    broken.part("stop", "apiserver")?;
    let second = Bed::attempt(&bed.shell("exit 0"))?;
    let starting = {
        let (runner, known, seen) = (bed.runner.clone(), second.known.clone(), second.seen.clone());
        let objects = second.objects.clone();
        tokio::spawn(async move { runner.start(&known, &objects, seen).await })
    };
    let silent = |told: &Told| told.facts.last().is_some_and(is_unknown);
    attempt.seen.wait("unknown while the API server is away", silent).await?;
    // What it says meanwhile must not be lost.
    gate.open()?;
    broken.part("start", "apiserver")?;
    attempt.seen.wait("a fact again when it is back", |told| !silent(told)).await?;
    let outcome = attempt.seen.outcome().await?;
    ensure!(outcome.exit_code == Some(6), "{outcome:?}");
    let mut whole = vec!["up".to_owned()];
    whole.extend((1..=40).map(|line| line.to_string()));
    ensure!(attempt.seen.told().log == (whole.join("\n") + "\n").as_bytes(), "the log is whole");
    starting.await??;
    let repeated = second.seen.outcome().await?;
    ensure!(
        repeated.is_success(),
        "the create is repeated until it is answered: {repeated:?}; {:?}",
        second.seen.told().facts
    );
    Ok(())
}

async fn kubelet_comes_back_early(broken: &Breakable) -> anyhow::Result<()> {
    let bed = Bed::new(&broken.kubeconfig).await?;
    let (template, gate) = bed.gated("echo done").await?;
    let attempt = bed.start(&template).await?;
    attempt.seen.wait("the first line", |told| told.log == b"up\n").await?;
    let kubelet = kubelet_of(&bed, &attempt).await?;
    broken.part("freeze", kubelet)?;
    let told = attempt.seen.wait("unknown", |told| told.facts.last().is_some_and(is_unknown)).await;
    broken.part("thaw", kubelet)?;
    told?;
    gate.open()?;
    let outcome = attempt.seen.outcome().await?;
    let facts = attempt.seen.told().facts;
    eprintln!("back early: {outcome:?}");
    ensure!(facts.iter().filter(|fact| matches!(fact, Fact::Ended { .. })).count() == 1, "{facts:?}");
    Ok(())
}

async fn kubelet_comes_back_late(broken: &Breakable) -> anyhow::Result<()> {
    let bed = Bed::new(&broken.kubeconfig).await?;
    let nodes: Api<Node> = Api::all(bed.cluster.client());
    crate::bed::eventually("a node without taints", || async {
        let nodes = nodes.list(&ListParams::default()).await?.items;
        let tainted = |node: &Node| node.spec.as_ref().is_some_and(|spec| spec.taints.is_some());
        Ok((!nodes.iter().any(tainted)).then_some(()))
    })
    .await?;
    let attempt = bed.start(&bed.shell("echo up; exec sleep 600")).await?;
    attempt.seen.wait("the first line", |told| told.log == b"up\n").await?;
    let kubelet = kubelet_of(&bed, &attempt).await?;
    broken.part("freeze", kubelet)?;
    // Evicted by the node controller, which asks no kubelet: still nothing is proven.
    let evicted = crate::bed::eventually("the eviction", || async {
        Ok(bed.pod(&attempt).await?.filter(|pod| pod.metadata.deletion_timestamp.is_some()))
    })
    .await;
    let told = attempt.seen.told();
    broken.part("thaw", kubelet)?;
    evicted?;
    ensure!(told.facts.iter().any(is_unknown), "{:?}", told.facts);
    ensure!(!told.facts.iter().any(|fact| matches!(fact, Fact::Ended { .. })), "{:?}", told.facts);
    let outcome = attempt.seen.outcome().await?;
    ensure!(outcome.reason == Some(tenantry_model::FailureReason::Evicted), "{outcome:?}");
    Ok(())
}
