//! From a line that a hook writes to the line that a follower reads. The line is the time at which it was written.

use crate::Place;
use crate::cluster::{InCluster, OURS};
use crate::laptop::templates;
use crate::table::Table;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tenantry_api_types::v1::Attempt;
use tenantry_e2e::{AgentSettings, Hook, World, within};
use tenantry_model::OperationId;

const OPERATION: &str = "bench.clock";

/// A hook that writes the time twenty times a second.
fn clock(namespace: &str, lines: usize) -> Hook {
    let script = format!(
        "import time\nfor _ in range({lines}):\n    print(time.time(), flush=True)\n    time.sleep(0.05)"
    );
    Hook::new(namespace, "clock")
        .tenant("lifecycle", OPERATION)
        .container("image", json!("local/python:1"))
        .command(&["python3", "-c", &script])
}

/// As a process, against a pipe.
pub fn process(world: &World, lines: usize, table: &mut Table) -> Result<()> {
    let hook = clock("bench", lines);
    let manifest = hook.manifest();
    let argv = manifest.pointer("/spec/template/spec/containers/0/command").and_then(|argv| argv.as_array());
    let argv: Vec<_> = argv.into_iter().flatten().filter_map(|word| word.as_str()).collect();
    let mut pipe = Command::new(argv.first().context("no command")?);
    pipe.args(&argv[1..]);
    let peer = read(pipe)?;

    let place =
        Place::start(world, AgentSettings::process(&templates(world, std::slice::from_ref(&manifest))?), 1)?;
    let id = place.begin(OPERATION)?;
    started(&place, id, &hook)?;
    let ours = read(place.site.command(&["op", "logs", &id.to_string(), &hook.path(), "--follow"]))?;
    place.site.wait_succeeded(id)?;
    rows("a hook's line (process) to `op logs --follow` : to a pipe", lines, ours, peer, table)
}

/// As a Pod, against `kubectl logs --follow` of the same Pod at the same time.
pub fn pod(place: &InCluster, lines: usize, table: &mut Table) -> Result<()> {
    let hook = clock(OURS, lines);
    place.cluster.apply(&[hook.manifest()])?;
    place.place.site.wait_for_hooks(crate::place::REGION, &[&hook.path()])?;
    let id = place.place.begin(OPERATION)?;
    let object = started(&place.place, id, &hook)?.object.context("no object")?;
    let name = object.rsplit('/').next().unwrap_or_default().to_owned();
    let mut kubectl = place.kubectl()?;
    kubectl.args(["logs", "--follow", "-n", OURS, &name]);
    let ours = read(place.place.site.command(&["op", "logs", &id.to_string(), &hook.path(), "--follow"]))?;
    let peer = read(kubectl)?;
    place.place.site.wait_succeeded(id)?;
    rows("a hook's line (Pod) to `op logs --follow` : to `kubectl logs --follow`", lines, ours, peer, table)
}

/// Waits until the attempt runs.
fn started(place: &Place, id: OperationId, hook: &Hook) -> Result<Attempt> {
    within(Duration::from_mins(1), "the start of the clock", || {
        let operation = place.site.operation(id)?;
        let step =
            operation.steps.into_iter().flatten().find(|step| step.hook.path().to_string() == hook.path());
        Ok(step.and_then(|step| step.attempts.into_iter().find(|attempt| attempt.started_at.is_some())))
    })
}

type Reader = JoinHandle<Result<Vec<f64>>>;

/// Reads a program's lines; answers how long each was under way, in milliseconds. Lines that were there before the
/// first one was read are left out: they waited for the reader.
fn read(mut command: Command) -> Result<Reader> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take().context("a pipe")?;
    Ok(std::thread::spawn(move || {
        let mut first = None;
        let mut all = Vec::new();
        for line in BufReader::new(out).lines() {
            let line = line?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
            let written: f64 = line.trim().parse().with_context(|| format!("not a time: {line}"))?;
            if written > *first.get_or_insert(now) {
                all.push((now - written) * 1000.0);
            }
        }
        ensure!(child.wait()?.success(), "a reader of lines failed");
        all.sort_by(f64::total_cmp);
        Ok(all)
    }))
}

fn rows(figure: &str, lines: usize, ours: Reader, peer: Reader, table: &mut Table) -> Result<()> {
    let (ours, peer) = (joined(ours, lines)?, joined(peer, lines)?);
    table.ratio(&format!("{figure}, median"), at(&ours, 50), at(&peer, 50), "ms", None);
    table.ratio("… p99", at(&ours, 99), at(&peer, 99), "ms", None);
    Ok(())
}

fn joined(reader: Reader, lines: usize) -> Result<Vec<f64>> {
    let all = reader.join().map_err(|_| anyhow::anyhow!("a reader panicked"))??;
    ensure!(all.len() * 2 >= lines, "only {} of {lines} lines came as they were written", all.len());
    Ok(all)
}

/// The value at a percentile of sorted ones.
pub fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}
