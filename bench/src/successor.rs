//! From the end of one step's work to the begin of the next one's, as the two see it themselves: both write the time of
//! their machine to their log. In hundredths of a second since the machine's start, which all containers of it share.

use crate::cluster::{InCluster, OURS, PEERS};
use crate::latency::at;
use crate::table::Table;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use tenantry_e2e::{Hook, testbed};

const OPERATION: &str = "bench.successor";
/// Its first line is the begin of the work, its last line the end.
const CLOCK: [&str; 3] = ["sh", "-c", "read up rest </proc/uptime; echo $up"];

impl InCluster {
    /// A chain of `count` steps against a shell loop of Pods.
    pub fn successor(&mut self, count: usize, table: &mut Table) -> Result<()> {
        let name = |n: usize| format!("t{n:03}");
        let hook = |n: usize| {
            let hook = Hook::new(OURS, &name(n)).tenant("lifecycle", OPERATION).command(&CLOCK);
            if n == 0 { hook } else { hook.after(&name(n - 1)) }
        };
        self.add((0..count).map(hook))?;
        let peer = self.loop_of_pods(count)?;
        self.clear_peers()?;
        let id = self.place.begin(OPERATION)?;
        self.place.site.wait_succeeded(id)?;
        let ours: Result<Vec<String>> =
            (0..count).map(|n| self.place.site.log_text(id, &name(n), 1)).collect();
        let (ours, peer) = (gaps(&ours?)?, gaps(&peer)?);
        let figure =
            format!("a step's end to its successor's begin ({count} Pods) : create + wait in a loop");
        table.ratio(&format!("{figure}, median"), at(&ours, 50), at(&peer, 50), "s", None);
        table.ratio("… p99", at(&ours, 99), at(&peer, 99), "s", None);
        Ok(())
    }

    /// What somebody would write without tenantry; answers the Pods' logs.
    fn loop_of_pods(&self, count: usize) -> Result<Vec<String>> {
        let mut spec: Value = Hook::new(PEERS, "peer").command(&CLOCK).manifest();
        let spec = spec.pointer_mut("/spec/template/spec").context("a template without a pod")?.take();
        let metadata = json!({"name": "NAME", "namespace": PEERS});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
        let file = self.folder.join("clock.json");
        std::fs::write(&file, pod.to_string())?;
        let kubectl =
            format!("{} kubectl", testbed().context("TENANTRY_TESTBED")?.with_file_name("kube").display());
        let script = format!(
            "set -e; n=0; while [ $n -lt {count} ]; do sed s/NAME/clock-$n/ {file} | {kubectl} create -f - >/dev/null; \
             {kubectl} wait -n {PEERS} --for=jsonpath='{{.status.phase}}'=Succeeded --timeout=300s pod/clock-$n >/dev/null; \
             n=$((n+1)); done",
            file = file.display()
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).stdin(Stdio::null());
        self.settings_of(&mut shell);
        ensure!(shell.status()?.success(), "the shell loop failed");
        (0..count).map(|n| self.cluster.kubectl(&["logs", "-n", PEERS, &format!("clock-{n}")])).collect()
    }
}

/// Seconds between the last line of one and the first line of the next, sorted.
fn gaps(logs: &[String]) -> Result<Vec<f64>> {
    let time = |line: Option<&str>| -> Result<f64> { Ok(line.context("an empty log")?.trim().parse()?) };
    let mut all = logs
        .windows(2)
        .map(|pair| Ok(time(pair[1].lines().next())? - time(pair[0].lines().last())?))
        .collect::<Result<Vec<f64>>>()?;
    all.sort_by(f64::total_cmp);
    Ok(all)
}
