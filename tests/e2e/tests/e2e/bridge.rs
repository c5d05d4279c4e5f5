//! `tenantry-bridge` without a manager: what it finds, what it runs, and what a bridge that is started again goes on with.

use crate::bridge_place::Place;
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;
use tenantry_e2e::{Hook, Needs, Program, Team, World, eventually, trial};

const PLATFORM: i32 = 125;
const DETACHED: i32 = 122;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::Cluster, "bridge_discovery_finds_what_runs_and_in_which_order", discovery),
        trial(Needs::Cluster, "bridge_discovery_names_what_stands_against_it", refusals),
        trial(Needs::Cluster, "bridges_run_hooks_with_their_logs_and_exit_codes", hooks),
        trial(
            Needs::Cluster,
            "a_bridge_repeats_as_its_hook_asks_and_again_when_it_is_started_again",
            retries,
        ),
        trial(Needs::Cluster, "a_bridge_that_ends_early_leaves_its_attempt_to_the_next", adopts),
        trial(
            Needs::Cluster,
            "a_template_that_is_gone_ends_what_no_bridge_has_begun_and_nothing_else",
            template_gone,
        ),
        trial(Needs::Cluster, "a_right_that_a_bridge_lacks_is_named_with_the_command_that_grants_it", rights),
        trial(Needs::OwnCluster(&[]), "an_attempt_ends_with_its_workflow_and_not_with_its_bridge", workflow),
    ]
}

fn apply(world: &World, hooks: &[Hook]) -> Result<()> {
    world.cluster()?.apply(&hooks.iter().map(Hook::manifest).collect::<Vec<_>>())
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|item| item["name"].as_str()).collect()
}

fn discovery(world: &World) -> Result<()> {
    let place = Place::new(world)?;
    let (crm, billing) = (place.team("crm")?, place.team("billing")?);
    let accounts = billing.hook("accounts").domain("collibra.com");
    let tenant = crm.hook("tenant").domain("collibra.com").after(&format!("{},schema?", accounts.path()));
    let tenant = tenant.tenant("selector", "tier in (gold,silver)");
    let gold = crm.hook("gold").domain("collibra.com").tenant("selector", "tier=gold").after("tenant");
    let last =
        billing.hook("last").domain("collibra.com").after(&format!("{},{}", gold.path(), tenant.path()));
    // Unsound, but for another operation; and one that is no hook under this domain.
    let other =
        crm.hook("other").domain("collibra.com").tenant("lifecycle", "crm.reindex").tenant("retries", "99");
    let foreign = crm.hook("foreign");
    apply(world, &[accounts, tenant, gold, last, other, foreign])?;

    let both = format!("{},{}", crm.namespace, billing.namespace);
    let flags = ["--namespace", &both, "--domain", "collibra.com"];
    let find = |more: &[&str]| -> Result<Value> {
        let answer = place.discovery(&[&flags[..], more].concat())?.expect(0)?;
        ensure!(answer.err.is_empty(), "{}", answer.err);
        Ok(serde_json::from_str(&answer.out)?)
    };
    let all = find(&["--expect", &format!("{}/tenant", crm.namespace)])?;
    ensure!(names(&all) == ["accounts", "last", "gold", "tenant"], "by namespace and name: {all}");
    ensure!(all[0] == json!({"name": "accounts", "namespace": billing.namespace}), "{all}");
    let levels = |list: &Value| -> Vec<Vec<String>> {
        let levels = list.as_array().into_iter().flatten();
        levels.map(|level| names(level).iter().map(ToString::to_string).collect()).collect()
    };
    let found = find(&["--levels", "--page", "1"])?;
    ensure!(levels(&found) == [["accounts"], ["tenant"], ["gold"], ["last"]], "{found}");
    place.labels(&[("tier", "silver")])?;
    let found = find(&["--levels"])?;
    ensure!(levels(&found) == [["accounts"], ["tenant"], ["last"]], "{found}");
    place.labels(&[])?;
    let found = find(&["--levels"])?;
    ensure!(levels(&found) == [["accounts", "last"]], "who waits for what is left out need not: {found}");

    let file = world.folder().join("list.json");
    let to_file = [&flags[..], &["--output", file.to_str().context("a path")?]].concat();
    ensure!(place.discovery(&to_file)?.expect(0)?.out.is_empty());
    ensure!(names(&serde_json::from_str(&std::fs::read_to_string(&file)?)?) == ["accounts", "last"]);

    place.labels(&[("tier", "gold")])?;
    let dag = find(&["--as-dag", "--operation-id", &place.operation])?;
    let tasks = dag["spec"]["templates"][0]["dag"]["tasks"].as_array().context("tasks")?;
    let task = |name: &str| tasks.iter().find(|task| task["arguments"]["parameters"][0]["value"] == name);
    let last = task(&format!("{}/last", billing.namespace)).context("the last")?;
    ensure!(
        last["dependencies"]
            == json!([format!("{}-gold", crm.namespace), format!("{}-tenant", crm.namespace)]),
        "{last}"
    );
    ensure!(dag["metadata"]["name"] == format!("tenantry-{}", place.operation), "{}", dag["metadata"]);
    Ok(())
}

fn refusals(world: &World) -> Result<()> {
    let place = Place::new(world)?;
    let (team, closed) = (place.team("team")?, world.team("closed")?);
    let flags = ["--namespace", &team.namespace];
    let refused = |more: &[&str], code: i32, said: &[&str]| -> Result<()> {
        let answer = place.discovery(&[&flags[..], more].concat())?.expect(code)?;
        ensure!(answer.out.is_empty(), "something was printed: {}", answer.out);
        for words in said {
            ensure!(answer.err.contains(words), "{words:?} is not in:\n{}", answer.err);
        }
        Ok(())
    };
    refused(&[], 1, &["no hook is registered", "--allow-empty"])?;
    ensure!(place.discovery(&[&flags[..], &["--allow-empty"]].concat())?.expect(0)?.out == "[]\n");
    apply(world, &[team.hook("good")])?;
    let gone = format!("{}/gone", team.namespace);
    refused(&["--expect", &gone], 1, &["expected hooks are not there", &gone])?;
    refused(&["--namespace", &closed.namespace], 3, &["may not list jobs.batch", "kubectl -n closed-"])?;
    apply(world, &[team.hook("broken").tenant("retries", "many")])?;
    refused(&[], 1, &[&format!("{}/broken", team.namespace), "retries-invalid"])?;
    apply(world, &[team.hook("broken").after("also-broken"), team.hook("also-broken").after("broken")])?;
    world.cluster()?.kubectl(&[
        "annotate",
        "job",
        "-n",
        &team.namespace,
        "broken",
        "tenantry.io/tenant.retries-",
    ])?;
    refused(&[], 1, &["after-cycle", "also-broken"])?;
    let everywhere = place.discovery(&["--all-namespaces"])?.expect(3)?;
    ensure!(everywhere.err.contains("in the whole cluster"), "{}", everywhere.err);
    // Of no namespace at all.
    place.discovery(&[])?.expect(2)?;
    Ok(())
}

fn hooks(world: &World) -> Result<()> {
    let place = Place::new(world)?;
    let team = place.team("team")?;
    let says = "echo to stdout; echo to stderr >&2; cat $LIFECYCLE_TENANT_ENV_FILE; head -c 300000 /dev/zero | tr '\\0' x; \
                printf '{\"url\": \"https://a\"}' > $LIFECYCLE_OUTPUT_FILE";
    apply(
        world,
        &[
            team.hook("good").shell(says),
            team.hook("bad").shell("echo first; echo last; exit 3"),
            team.hook("as-job").tenant("attempt-kind", "job").shell("echo from a job; exit 4"),
            team.hook("no-account").pod("serviceAccountName", json!("nobody")),
            team.hook("bad-output").shell("printf nonsense > $LIFECYCLE_OUTPUT_FILE"),
        ],
    )?;
    let job = |name: &str| format!("{}/{name}", team.namespace);

    let good = place.run(&job("good"), &[])?.expect(0)?;
    ensure!(good.out.contains("to stdout\n") && good.out.contains("to stderr\n"), "{}", good.out);
    ensure!(good.out.contains("locale: 'no'") && good.out.contains(&place.operation), "{}", good.out);
    ensure!(good.out.matches('x').count() >= 300_000, "the log was cut: {}", good.out.len());
    ensure!(place.reason(&job("good"))?.is_empty());
    ensure!(place.outputs(&job("good"))? == json!({"url": "https://a"}));
    nothing_left(&place, &team)?;

    let bad = place.run(&job("bad"), &[])?.expect(3)?;
    ensure!(bad.out == "first\nlast\n", "{}", bad.out);
    ensure!(place.reason(&job("bad"))? == "hook-failed");
    let as_job = place.run(&job("as-job"), &[])?.expect(4)?;
    ensure!(as_job.out == "from a job\n", "{}", as_job.out);
    let kept = place.attempts(&team)?;
    ensure!(kept.len() == 3, "a Pod, a Job and its Pod: {kept:?}");
    for object in &kept {
        let finalizers = object["metadata"]["finalizers"].to_string();
        ensure!(!finalizers.contains("tenantry.io"), "it cannot be deleted: {object}");
    }

    let refused = place.run(&job("no-account"), &[])?.expect(PLATFORM)?;
    ensure!(
        place.reason(&job("no-account"))? == "rejected" && refused.err.contains("nobody"),
        "{}",
        refused.err
    );
    place.run(&job("bad-output"), &[])?.expect(PLATFORM)?;
    ensure!(place.reason(&job("bad-output"))? == "bad-output");
    // Not for this operation.
    apply(world, &[team.hook("other").tenant("lifecycle", "crm.reindex")])?;
    let other = place.run(&job("other"), &[])?.expect(PLATFORM)?;
    ensure!(other.err.contains("is not registered for lifecycle.upsert"), "{}", other.err);
    Ok(())
}

/// The kubelet takes its time with a Pod that is deleted.
fn nothing_left(place: &Place<'_>, team: &Team) -> Result<()> {
    eventually("the end of a success's objects", || Ok(place.attempts(team)?.is_empty().then_some(())))
}

fn retries(world: &World) -> Result<()> {
    let place = Place::new(world)?;
    let team = place.team("team")?;
    let flaky = team.hook("flaky").tenant("retries", "1").witness(0, "first:7");
    let failing = team.hook("failing").witness(0, "9");
    apply(world, &[flaky.clone(), failing.clone()])?;

    let answer = place.run(&flaky.path(), &[])?.expect(0)?;
    ensure!(answer.err.contains("another attempt in 5 s"), "{}", answer.err);
    // Those of the attempts before it too.
    nothing_left(&place, &team)?;
    world.witness().check(&place.operation, &[("flaky", &[])])?;
    ensure!(world.witness().starts(&place.operation, "flaky")? == 2);

    // As `argo retry` does: the failure was told, so it is another attempt, with the next number.
    for _ in 0..2 {
        place.run(&failing.path(), &[])?.expect(9)?;
    }
    let runs = world.witness().runs(&place.operation)?;
    let numbers: Vec<&str> =
        runs.iter().filter(|run| run.start.name == "failing").map(|run| run.start.attempt.as_str()).collect();
    ensure!(numbers == ["1", "2"], "{numbers:?}");
    Ok(())
}

fn adopts(world: &World) -> Result<()> {
    let place = Place::new(world)?;
    let team = place.team("team")?;
    let hook = team.hook("slow").gated_witness("5");
    apply(world, std::slice::from_ref(&hook))?;
    let started = || -> Result<Option<()>> {
        Ok((world.witness().starts(&place.operation, "slow")? > 0).then_some(()))
    };
    let finds = |bridge: &mut Program| {
        eventually("the next bridge to find the attempt", || {
            bridge.check_alive()?;
            let log = bridge.log_text()?;
            Ok((log.contains("found the attempt") && log.contains("runs on")).then_some(()))
        })
    };

    let mut evicted = place.start("evicted", &hook.path(), &[])?;
    eventually("the hook to begin", started)?;
    let status = evicted.terminate()?;
    ensure!(status.code() == Some(DETACHED), "{status}: {}", evicted.tail());
    ensure!(place.reason(&hook.path())? == "detached");

    let mut killed = place.start("killed", &hook.path(), &[])?;
    finds(&mut killed)?;
    killed.kill()?;

    // A template that has changed meanwhile does not make the attempt somebody else's.
    apply(world, &[hook.clone().tenant("timeout", "6h")])?;
    let mut last = place.start("last", &hook.path(), &[])?;
    finds(&mut last)?;
    world.open(&["slow"])?;
    let status = last.wait(Duration::from_mins(5))?;
    ensure!(status.code() == Some(5), "{status}: {}", last.tail());
    ensure!(place.reason(&hook.path())? == "hook-failed");
    world.witness().check(&place.operation, &[("slow", &[])])?;
    ensure!(world.witness().starts(&place.operation, "slow")? == 1, "one run, three bridges");
    Ok(())
}

fn template_gone(world: &World) -> Result<()> {
    let place = Place::new(world)?;
    let team = place.team("team")?;
    let (early, running) = (team.hook("early"), team.hook("running").gated_witness("0"));
    apply(world, &[early.clone(), running.clone()])?;
    let found = place.discovery(&["--namespace", &team.namespace])?.expect(0)?;
    ensure!(names(&serde_json::from_str(&found.out)?) == ["early", "running"], "{}", found.out);

    let mut bridge = place.start("running", &running.path(), &[])?;
    eventually("the hook to begin", || {
        bridge.check_alive()?;
        Ok((world.witness().starts(&place.operation, "running")? > 0).then_some(()))
    })?;
    let ns = ["-n", &team.namespace];
    world.cluster()?.kubectl(&[&["delete", "job", "early", "running"][..], &ns].concat())?;
    let early_answer = place.run(&early.path(), &[])?.expect(PLATFORM)?;
    ensure!(place.reason(&early.path())? == "template-gone", "{}", early_answer.err);
    // The attempt needs no template, nor does the bridge that finds it.
    bridge.kill()?;
    let mut next = place.start("next", &running.path(), &[])?;
    eventually("the next bridge to find the attempt", || {
        next.check_alive()?;
        Ok(next.log_text()?.contains("found the attempt").then_some(()))
    })?;
    world.open(&["running"])?;
    let status = next.wait(Duration::from_mins(5))?;
    ensure!(status.code() == Some(0), "{status}: {}", next.tail());
    world.witness().check(&place.operation, &[("running", &[])])
}

fn rights(world: &World) -> Result<()> {
    let place = Place::new(world)?;
    let team = world.team("team")?;
    let hook = team.hook("hook").witness(0, "0");
    apply(world, std::slice::from_ref(&hook))?;
    // Whoever follows the words grants one right after another, and is there in the end.
    let mut granted: Vec<String> = Vec::new();
    eventually("a bridge that lacks nothing", || {
        let answer = place.run(&hook.path(), &[])?;
        let forbidden = place.reason(&hook.path())? == "forbidden";
        let command = answer.err.lines().find_map(|line| line.strip_prefix("grant it: ")).map(str::to_owned);
        // Once it has run, its code counts; what may not be tidied up is only told.
        answer.expect(if forbidden { PLATFORM } else { 0 })?;
        let Some(command) = command else { return Ok(Some(())) };
        // The API server needs a moment to know of a new right.
        if granted.contains(&command) {
            return Ok(None);
        }
        for command in command.split(" && ") {
            let words: Vec<&str> = command.split_whitespace().collect();
            ensure!(words[0] == "kubectl", "{command}");
            world.cluster()?.kubectl(&words[1..])?;
        }
        granted.push(command);
        Ok(None)
    })?;
    ensure!(granted.iter().any(|command| command.contains("--verb=list --resource=pods ")), "{granted:?}");
    ensure!(granted.iter().any(|command| command.contains("--verb=create --resource=pods ")), "{granted:?}");
    world.witness().check(&place.operation, &[("hook", &[])])?;
    place.consent(&team)?;
    let place = place.again();
    place.run(&hook.path(), &[])?.expect(0)?;
    world.witness().check(&place.operation, &[("hook", &[])])
}

/// The test bed of this test has no Argo: of a Workflow the bridge looks at these fields only.
fn workflow(world: &World) -> Result<()> {
    let cluster = world.cluster()?;
    cluster.apply(&[json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "workflows.argoproj.io"},
        "spec": {
            "group": "argoproj.io", "scope": "Namespaced",
            "names": {"kind": "Workflow", "plural": "workflows", "singular": "workflow"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true
            }}}]
        }
    })])?;
    cluster.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd/workflows.argoproj.io",
        "--timeout=60s",
    ])?;
    let place = Place::new(world)?;
    let team = place.team("team")?;
    let hook = team.hook("slow").gated_witness("0");
    apply(world, std::slice::from_ref(&hook))?;
    cluster.apply(&[json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
        "metadata": {"name": "run", "namespace": place.argo}, "spec": {"entrypoint": "hooks"}
    })])?;
    let named = format!("{}/run", place.argo);
    let flags = ["--workflow", &named];

    let mut evicted = place.start("evicted", &hook.path(), &flags)?;
    eventually("the hook to begin", || {
        evicted.check_alive()?;
        Ok((world.witness().starts(&place.operation, "slow")? > 0).then_some(()))
    })?;
    ensure!(evicted.terminate()?.code() == Some(DETACHED), "{}", evicted.tail());
    ensure!(place.attempts(&team)?.iter().all(|pod| pod["metadata"]["deletionTimestamp"].is_null()));

    let mut ended = place.start("ended", &hook.path(), &flags)?;
    eventually("the next bridge to find the attempt", || {
        ended.check_alive()?;
        Ok(ended.log_text()?.contains("found the attempt").then_some(()))
    })?;
    let stop = r#"{"spec": {"shutdown": "Terminate"}}"#;
    cluster.kubectl(&["patch", "workflow", "run", "-n", &place.argo, "--type=merge", "-p", stop])?;
    ended.signal(Signal::TERM)?;
    let status = ended.wait(Duration::from_mins(2))?;
    ensure!(status.code().is_some_and(|code| code != 0 && code != DETACHED), "{status}: {}", ended.tail());
    ensure!(place.reason(&hook.path())? == "killed", "{}", ended.tail());
    eventually("the end of the attempt's Pod", || {
        let left = place.attempts(&team)?;
        Ok(left.iter().all(|pod| pod["status"]["phase"] != "Running").then_some(()))
    })?;
    ensure!(world.witness().starts(&place.operation, "slow")? == 1);

    cluster.kubectl(&["delete", "workflow", "run", "-n", &place.argo])?;
    let place = place.again();
    let late = place.run(&hook.path(), &flags)?.expect(PLATFORM)?;
    ensure!(place.reason(&hook.path())? == "workflow-over", "{}", late.err);
    ensure!(place.attempts(&team)?.is_empty());
    Ok(())
}
