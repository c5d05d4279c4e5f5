//! `examples/gitops` as it stands in the repository: a real Argo CD ships the templates, and replaces and removes them
//! while operations run.

use crate::argo_cd_place::{GitOps, TEAMS};
use crate::reasons::step;
use crate::rights::agent_kubeconfig;
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use tenantry_api_types::v1::{HookState, HooksQuery};
use tenantry_e2e::{AgentSettings, Cluster, Needs, Site, World, eventually, repository, trial};
use tenantry_model::{EnvironmentId, OperationId, OperationState, StepState};

pub fn trials() -> Vec<Trial> {
    vec![trial(Needs::OwnCluster(&[]), "argo_cd_ships_the_hooks_while_operations_run", shipped)]
}

const REGION: &str = "eu1";
/// Longer than Argo CD needs to bring a template back, also on a slow machine.
const GRACE: &str = "40s";

/// A region whose hooks come from Git.
struct Shipped<'a> {
    world: &'a World,
    git: GitOps<'a>,
    site: Site,
}

fn shipped(world: &World) -> Result<()> {
    let git = GitOps::install(world)?;
    git.add_gate()?;
    let leftover = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "leftover"}});
    std::fs::write(git.clone.join("crm/leftover.yaml"), leftover.to_string())?;
    let first = git.commit("the hooks of two teams")?;
    git.begin()?;
    health(world.cluster()?, &git, &first)?;

    let deploy = repository().join("deploy/agent");
    let files = ["namespace.yaml", "discovery-cluster.yaml", "nodes.yaml"].map(|file| deploy.join(file));
    world.cluster()?.apply_files(&files.each_ref().map(PathBuf::as_path))?;
    let mut site = Site::start(world, &["--absent-grace", GRACE])?;
    let agent = AgentSettings::kubernetes(&agent_kubeconfig(world)?, &[]);
    site.add_region(REGION, agent.flag("keep-succeeded", "1h"))?;
    site.wait_for_hooks(REGION, &["identity/realm", "crm/tenant", "crm/smoke-test", "crm/gate"])?;
    site.cli(&["tenant", "create", "acme"])?.expect(0)?;
    let shipped = Shipped { world, git, site };

    let (one, attempts) = shipped.changed_in_the_middle()?;
    shipped.removed_for_good()?;
    let left = shipped.attempts(one)?;
    ensure!(attempts.iter().all(|(name, uid)| left.get(name) == Some(uid)), "{attempts:?} became {left:?}");
    shipped.decommissioned()?;
    shipped.site.finish()
}

/// Without more an Application with hooks is never healthy. With the annotation of the guide on each hook it is, and with
/// the shipped script: whoever waits for it is answered, and all other Jobs are judged as before.
fn health(cluster: &Cluster, git: &GitOps<'_>, revision: &str) -> Result<()> {
    git.wait(revision, "Suspended")?;
    let annotate = |what: &str| {
        cluster.kubectl(&[
            "annotate",
            "job",
            "realm",
            "-n",
            "identity",
            &format!("argocd.argoproj.io/{what}"),
        ])
    };
    annotate("ignore-healthcheck=true")?;
    git.wait_for(&["identity"], revision, "Healthy")?;
    annotate("ignore-healthcheck-")?;
    git.wait(revision, "Suspended")?;
    git.set_health()?;
    git.wait(revision, "Healthy")?;
    for team in TEAMS {
        let name = format!("hooks-{team}");
        git.argocd(&["app", "wait", &name, "--sync", "--health", "--operation", "--timeout", "60"])?;
    }
    let job = |suspend: bool, hook: bool, conditions: &[(&str, &str)]| {
        let conditions: Vec<Value> =
            conditions.iter().map(|(kind, status)| json!({"type": kind, "status": status})).collect();
        let mut job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x", "namespace": "crm"},
            "spec": {"suspend": suspend}, "status": {"conditions": conditions}
        });
        if hook {
            job["metadata"]["annotations"] = json!({"tenantry.io/tenant.lifecycle": "lifecycle.upsert"});
        }
        job
    };
    for (case, expected) in [
        (job(true, true, &[]), "Healthy"),
        (job(true, true, &[("Suspended", "True")]), "Healthy"),
        (job(false, true, &[]), "Progressing"),
        (job(true, false, &[("Suspended", "True")]), "Suspended"),
        (job(false, false, &[]), "Progressing"),
        (job(false, false, &[("Suspended", "False"), ("Complete", "True")]), "Healthy"),
        (job(false, false, &[("FailureTarget", "True"), ("Failed", "True")]), "Degraded"),
    ] {
        let judged = git.judged(&case)?;
        ensure!(judged == expected, "{judged} instead of {expected}: {case}");
    }
    Ok(())
}

impl Shipped<'_> {
    /// Git changes while an operation runs, Argo CD is late with what it replaces, and another operation comes just then.
    /// Answers the first operation and its attempts.
    fn changed_in_the_middle(&self) -> Result<(OperationId, BTreeMap<String, String>)> {
        let Self { world, git, site } = self;
        let hold =
            ["hold", "create", "--hook", "crm/tenant", "--reason", "a new form is shipped", "-o", "json"];
        let hold: Value = serde_json::from_str(&site.cli(&hold)?.expect(0)?.out)?;
        let one = self.create("first")?;
        eventually("the gate at work", || Ok((git.witness().starts(one, "gate")? > 0).then_some(())))?;
        let planned = site.wait_for(one, "the tenant to be held", |operation| {
            let realm = step(operation, "realm").ok()?.state == StepState::Succeeded;
            let tenant = step(operation, "tenant").ok().filter(|step| step.held && realm)?;
            Some(tenant.template_hash.clone())
        })?;
        let (before, attempts) = (self.templates()?, self.attempts(one)?);
        ensure!(attempts.len() == 3, "a Pod of the realm, a Job of the gate and its Pod: {attempts:?}");

        git.edit("crm/tenant.yaml", "FORMAT = \"1\"", "FORMAT = \"2\"")?;
        std::fs::remove_file(git.clone.join("crm/leftover.yaml"))?;
        let second = git.commit("the second form")?;
        git.wait(&second, "Healthy")?;
        // That sync has pruned, and replaced one template: no other one, and nothing that tenantry made.
        let leftover = world.cluster()?.kubectl(&["get", "configmaps", "-n", "crm", "-o", "name"])?;
        ensure!(!leftover.contains("leftover"), "{leftover}");
        let after = self.templates()?;
        let changed: Vec<&String> = after.keys().filter(|name| after[*name] != before[*name]).collect();
        ensure!(changed == ["crm/tenant"], "replaced: {changed:?}");
        ensure!(self.attempts(one)? == attempts, "{attempts:?} became {:?}", self.attempts(one)?);
        self.only_what_git_says(one)?;
        eventually("the discovery of the second form", || {
            let hooks = site.call(site.client().hooks(&HooksQuery::default()))?.items;
            let tenant = hooks.into_iter().find(|hook| hook.hook.path().to_string() == "crm/tenant");
            Ok(tenant.and_then(|hook| hook.current).filter(|version| version.hash != planned))
        })?;

        // The moment between deleting and creating, as long as the test wants it.
        world.cluster()?.steer("freeze", "argocd-application-controller")?;
        let absent = ["tenant", "gate"];
        world.cluster()?.kubectl(&[&["delete", "job", "-n", "crm"], &absent[..]].concat())?;
        for name in absent {
            self.wait_for_state(name, HookState::Absent)?;
        }
        let two = self.create("second")?;
        site.wait_for(two, "the plan to wait", |operation| {
            let waits = operation.note.as_ref().is_some_and(|note| note.contains("crm/tenant"));
            (waits && operation.state == OperationState::Planning).then_some(())
        })?;
        let hold = hold["id"].as_str().context("the hold's id")?;
        site.cli(&["hold", "lift", hold, "--reason", "it is shipped"])?.expect(0)?;
        let operation = site.wait_for(one, "the step that was planned", |operation| {
            (step(operation, "smoke-test").ok()?.state == StepState::Succeeded).then(|| operation.clone())
        })?;
        ensure!(step(&operation, "tenant")?.template_hash == planned, "another version ran");
        ensure!(self.configuration(operation.environment)?["format"] == "1");
        world.cluster()?.steer("thaw", "argocd-application-controller")?;
        git.open()?;
        site.wait_succeeded(one)?;

        let operation = site.wait_succeeded(two)?;
        ensure!(self.configuration(operation.environment)?["format"] == "2");
        git.wait(&second, "Healthy")?;
        let back = self.templates()?;
        ensure!(
            after["crm/tenant"] != back["crm/tenant"] && after["crm/gate"] != back["crm/gate"],
            "{back:?}"
        );
        for operation in [one, two] {
            git.witness().check(operation, &[("gate", &[])])?;
            ensure!(git.witness().starts(operation, "gate")? == 1, "it ran twice");
        }
        let attempts = self.attempts(one)?;
        ensure!(attempts.len() == 5, "two more Pods: {attempts:?}");
        Ok((one, attempts))
    }

    /// What is gone in Git is named, and nothing runs without it, until somebody says that it is meant.
    fn removed_for_good(&self) -> Result<()> {
        let (git, site) = (&self.git, &self.site);
        std::fs::remove_file(git.clone.join("crm/smoke-test.yaml"))?;
        let revision = git.commit("no smoke test any more")?;
        git.wait(&revision, "Healthy")?;
        self.wait_for_state("smoke-test", HookState::Absent)?;
        let reconcile = ["env", "reconcile", "acme/first", "--wait", "-o", "json"];
        let refused: Value = serde_json::from_str(&site.cli(&reconcile)?.expect(1)?.out)?;
        let operation = &refused["operation"];
        ensure!(operation["problem"] == "plan-hook-absent", "{operation}");
        ensure!(operation["note"].to_string().contains("crm/smoke-test"), "{operation}");
        let why = ["hook", "explain", "crm/smoke-test", "--environment", "acme/first"];
        let why = site.cli(&[&why[..], &["--operation", "lifecycle.upsert"]].concat())?.expect(0)?.out;
        ensure!(why.contains("absent since") && why.contains("tenantry hook retire"), "{why}");

        let retire = ["hook", "retire", "eu1/crm/smoke-test", "--reason", "nobody looks at it"];
        site.cli(&retire)?.expect(0)?;
        let passed: Value = serde_json::from_str(&site.cli(&reconcile)?.expect(0)?.out)?;
        let id: OperationId = passed["operation"]["id"].as_str().context("an id")?.parse()?;
        let operation = site.operation(id)?;
        let ran: BTreeSet<String> =
            operation.steps.iter().flatten().map(|step| step.hook.path().to_string()).collect();
        ensure!(ran.iter().eq(["crm/gate", "crm/tenant", "identity/realm"]), "{ran:?}");
        ensure!(self.configuration(operation.environment)?["format"] == "2");
        self.only_what_git_says(id)
    }

    fn decommissioned(&self) -> Result<()> {
        let end = ["env", "decommission", "acme/second", "--retention", "0s", "--reason", "over", "--wait"];
        self.site.cli(&end)?.expect(0)?;
        for (team, left) in [("crm", "configmap/tenant-"), ("identity", "configmap/realm-")] {
            let all = self.world.cluster()?.kubectl(&["get", "configmaps", "-n", team, "-o", "name"])?;
            ensure!(all.lines().filter(|name| name.starts_with(left)).count() == 1, "{team}: {all}");
        }
        Ok(())
    }

    /// The Applications hold the templates, all in sync and suspended, and neither list nor miss what tenantry made.
    fn only_what_git_says(&self, operation: OperationId) -> Result<()> {
        let made = self.attempts(operation)?;
        ensure!(!made.is_empty());
        let mut listed = BTreeSet::new();
        for team in TEAMS {
            let status = self.git.application(team)?["status"].take();
            ensure!(status["conditions"].as_array().is_none_or(Vec::is_empty), "{}", status["conditions"]);
            for resource in status["resources"].as_array().context("resources")? {
                ensure!(
                    resource["status"] == "Synced" && resource["requiresPruning"].is_null(),
                    "{resource}"
                );
                ensure!(resource["kind"] != "Pod", "{resource}");
                if resource["kind"] == "Job" {
                    listed.insert(format!("{team}/{}", resource["name"].as_str().unwrap_or_default()));
                }
            }
            let tree = self.git.argocd(&["app", "resources", &format!("hooks-{team}")])?;
            let shown =
                made.keys().filter_map(|name| name.rsplit('/').next()).find(|name| tree.contains(name));
            ensure!(shown.is_none(), "{shown:?} in {tree}");
        }
        let templates = self.templates()?;
        ensure!(listed.iter().eq(templates.keys()), "{listed:?} and {templates:?}");
        Ok(())
    }

    /// The templates (`namespace/name`) with their uids; all of them suspended.
    fn templates(&self) -> Result<BTreeMap<String, String>> {
        let jobs = self.world.cluster()?.get(&["jobs", "-A", "-l", "!tenantry.io/operation"])?;
        let mut found = BTreeMap::new();
        for job in jobs["items"].as_array().context("a list")? {
            ensure!(job["spec"]["suspend"] == true && job["status"]["startTime"].is_null(), "{job}");
            let text = |field: &str| job["metadata"][field].as_str().unwrap_or_default().to_owned();
            found.insert(format!("{}/{}", text("namespace"), text("name")), text("uid"));
        }
        Ok(found)
    }

    /// What tenantry made for the operation (`kind/namespace/name`), with uids.
    fn attempts(&self, operation: OperationId) -> Result<BTreeMap<String, String>> {
        let selector = format!("tenantry.io/operation={operation}");
        let made = self.world.cluster()?.get(&["pods,jobs", "-A", "-l", &selector])?;
        let object = |object: &Value| {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            let kind = object["kind"].as_str().unwrap_or_default();
            (format!("{kind}/{}/{}", text("namespace"), text("name")), text("uid"))
        };
        Ok(made["items"].as_array().context("a list")?.iter().map(object).collect())
    }

    /// What the hook `crm/tenant` has written.
    fn configuration(&self, environment: EnvironmentId) -> Result<Value> {
        let name = format!("tenant-{environment}");
        Ok(self.world.cluster()?.get(&["configmap", "-n", "crm", &name])?["data"].take())
    }

    fn create(&self, name: &str) -> Result<OperationId> {
        let file = repository().join("examples/gitops/environment.yaml").display().to_string();
        let environment = format!("acme/{name}");
        let create = ["env", "create", &environment, "-f", &file, "--region", REGION, "-o", "json"];
        let made: Value = serde_json::from_str(&self.site.cli(&create)?.expect(0)?.out)?;
        Ok(made["operation"]["id"].as_str().with_context(|| format!("an operation in {made}"))?.parse()?)
    }

    fn wait_for_state(&self, name: &str, state: HookState) -> Result<()> {
        eventually(format!("crm/{name} to be {state:?}"), || {
            let hooks = self.site.call(self.site.client().hooks(&HooksQuery::default()))?.items;
            let is = |hook: &tenantry_api_types::v1::Hook| {
                hook.hook.path().to_string() == format!("crm/{name}") && hook.state == state
            };
            Ok(hooks.iter().any(is).then_some(()))
        })
    }
}
