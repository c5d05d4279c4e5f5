//! `examples/vm-ansible`, as it stands in the repository: real Ansible over real ssh, against a VM stand-in.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use tenantry_api_types::v1::{DecommissionEnvironment, StartOperation};
use tenantry_client::{Call, StepVerb};
use tenantry_e2e::{
    AgentSettings, Answer, Cluster, Needs, Site, World, repository, tenantry, testbed, trial,
};
use tenantry_model::OperationId;

const HOOK: &str = "vms/vm-tenant";
/// What Ansible would run, if a tenant's settings were templates to it.
const EVIL: &str = "{{ lookup('ansible.builtin.pipe', 'echo it ran') }}";

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::GivenNames, "ansible_converges_a_vm_and_a_second_run_changes_nothing", converge),
        trial(Needs::GivenNames, "ansible_may_fail_before_and_after_its_work_and_be_repeated", repeated),
        trial(Needs::Laptop, "without_ansible_hook_run_says_what_is_missing", without_ansible),
    ]
}

/// The first attempt in each operation for an environment that is named so fails before its work, or after it.
const PLANTED: &str = r#"
import os, subprocess, sys
def planted(when):
    with open(os.environ["LIFECYCLE_TENANT_ENV_FILE"]) as file:
        return os.environ["LIFECYCLE_ATTEMPT"] == "1" and when in file.read()
if planted("before-work"):
    sys.exit(7)
code = subprocess.call(sys.argv[1:])
sys.exit(7 if code == 0 and planted("after-work") else code)
"#;

/// The VM of a test; it ends with the test.
struct Vm<'a> {
    cluster: &'a Cluster,
    facts: Facts,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    name: String,
    address: String,
    port: u16,
    user: String,
    root: PathBuf,
    key_folder: PathBuf,
    known_hosts: PathBuf,
}

impl<'a> Vm<'a> {
    fn up(cluster: &'a Cluster, name: &str) -> Result<Self> {
        let facts = serde_json::from_str(&cluster.testbed(&["vm", "up"], &[name])?)?;
        Ok(Self { cluster, facts })
    }
}

impl Drop for Vm<'_> {
    fn drop(&mut self) {
        // If it fails, the VM goes with its cluster.
        drop(self.cluster.testbed(&["vm", "down"], &[&self.facts.name]));
    }
}

fn example() -> PathBuf {
    repository().join("examples/vm-ansible")
}

/// The `ConfigMap` that the example's README tells to make.
fn config_map(address: &str, port: u16, user: &str, known_hosts: &Path) -> Result<String> {
    let mut command = Command::new(example().join("configmap.sh"));
    command.args([address, &port.to_string(), user]).arg(known_hosts);
    Ok(Answer::of(&mut command)?.expect(0)?.out)
}

/// The example in a cluster, its hook's command as it is or in another one, and its VM.
fn open<'a>(world: &'a World, wrap: &[&str]) -> Result<(Site, Vm<'a>)> {
    let cluster = world.cluster()?;
    let mut build = Command::new(testbed().context("no test bed")?);
    Answer::of(build.arg("build-images").arg(world.folder()).arg("ansible"))?.expect(0)?;
    cluster.testbed(&["load-image"], &[&world.folder().join("ansible.tar").display().to_string()])?;
    let vm = Vm::up(cluster, &world.tag)?;

    world.owns("vms");
    let files = ["namespace.yaml", "playbook.yaml"].map(|file| example().join(file));
    cluster.apply_files(&files.each_ref().map(PathBuf::as_path))?;
    let mut hook: Value = serde_saphyr::from_str(&std::fs::read_to_string(example().join("hook.yaml"))?)?;
    let command = &mut hook["spec"]["template"]["spec"]["containers"][0]["command"];
    let words: Vec<Value> = serde_json::from_value(command.clone())?;
    *command = wrap.iter().map(|word| json!(word)).chain(words).collect();
    cluster.kubectl_with(&["apply", "-f", "-"], &hook.to_string())?;
    let key = format!("--from-file={}", vm.facts.key_folder.display());
    cluster.kubectl(&["create", "secret", "generic", "ssh", "-n", "vms", &key])?;
    let map = config_map(&vm.facts.address, vm.facts.port, &vm.facts.user, &vm.facts.known_hosts)?;
    cluster.kubectl_with(&["apply", "-f", "-"], &map)?;

    let mut site = Site::start(world, &[])?;
    site.add_region("eu1", AgentSettings::kubernetes(&cluster.kubeconfig, &["vms"]))?;
    site.wait_for_hooks("eu1", &[HOOK])?;
    Ok((site, vm))
}

fn converge(world: &World) -> Result<()> {
    let (site, vm) = open(world, &[])?;
    let settings = json!({"settings": {"plan": EVIL, "features": ["notes", "export"]}});
    let created = site.create_environment_with("prod", "eu1", json!({}), settings)?;
    let environment = created.environment.id;
    let first = created.operation.context("no operation")?.id;
    ensure!(recap(&site, first)? == ("3".to_owned(), "4".to_owned()), "{:?}", recap(&site, first)?);
    let folder = vm.facts.root.join("srv/tenants").join(environment.to_string());
    let (configuration, marker) = (folder.join("app.conf"), folder.join(".converged"));
    let text = std::fs::read_to_string(&configuration)?;
    ensure!(text.contains("\ntenant = \"acme\"\nenvironment = \"prod\"\n"), "{text}");
    ensure!(text.contains(&format!("\nplan = \"{EVIL}\"\n")), "settings are not data to Ansible: {text}");
    ensure!(text.ends_with("\nfeatures = [\"export\", \"notes\"]\n"), "{text}");
    ensure!(std::fs::read_to_string(&marker)? == "generation 1\n");
    let log = site.log_text(first, HOOK, 1)?;
    ensure!(log.contains("PLAY RECAP") && log.contains("changed=3"), "{log}");
    let written = std::fs::metadata(&configuration)?.modified()?;

    let reconcile = || -> Result<OperationId> {
        let body = StartOperation::default();
        let accepted = site.call(site.client().reconcile(environment, &body, &Call::default()))?;
        Ok(accepted.operation.context("no operation")?.id)
    };
    let second = reconcile()?;
    ensure!(recap(&site, second)? == ("0".to_owned(), "4".to_owned()), "{:?}", recap(&site, second)?);
    ensure!(std::fs::metadata(&configuration)?.modified()? == written, "the second run wrote again");
    // It is no accident that nothing changed: what somebody changed by hand is put right.
    std::fs::write(&configuration, "by hand\n")?;
    ensure!(recap(&site, reconcile()?)?.0 == "1");
    ensure!(std::fs::read_to_string(&configuration)? == text);

    let body = DecommissionEnvironment { reason: Some("contract ended".to_owned()), ..Default::default() };
    let gone = site.call(site.client().decommission(environment, &body, &Call::default()))?;
    ensure!(recap(&site, gone.operation.context("no operation")?.id)?.0 == "1");
    ensure!(!folder.exists(), "{} is still there", folder.display());
    site.finish()
}

/// As the examples on a laptop (`matrix.rs`): the step fails once before and once after its work, and is repeated.
fn repeated(world: &World) -> Result<()> {
    let (site, vm) = open(world, &["python3", "-c", PLANTED])?;
    let folder = |id: &str| vm.facts.root.join("srv/tenants").join(id);
    let mut left = Vec::new();
    let mut made = Vec::new();
    for name in ["calm", "before-work", "after-work"] {
        let settings = json!({"settings": {"plan": "gold", "features": ["notes"]}});
        let created = site.create_environment_with(name, "eu1", json!({}), settings)?;
        let (id, attempts) = mend(&site, created.operation.context("no operation")?.id)?;
        ensure!(attempts == if name == "calm" { 1 } else { 2 }, "{name}: {attempts} attempts");
        let environment = created.environment.id.to_string();
        // What the second attempt found to do: nothing, where the first one had done it.
        let changed = outputs(&site, id)?.get("changed").cloned();
        ensure!(
            changed.as_deref() == Some(if name == "after-work" { "0" } else { "3" }),
            "{name}: {changed:?}"
        );
        let mut files = Vec::new();
        for file in ["app.conf", ".converged"] {
            let text = std::fs::read_to_string(folder(&environment).join(file))?;
            files.push(text.replace(name, "NAME").replace(&environment, "ID"));
        }
        left.push((name, files));
        made.push((name, created.environment.id));
    }
    ensure!(left.iter().all(|(_, files)| *files == left[0].1), "{left:#?}");
    for (name, environment) in made {
        let body =
            DecommissionEnvironment { reason: Some("contract ended".to_owned()), ..Default::default() };
        let gone = site.call(site.client().decommission(environment, &body, &Call::default()))?;
        let (_, attempts) = mend(&site, gone.operation.context("no operation")?.id)?;
        ensure!(attempts == if name == "calm" { 1 } else { 2 }, "{name}: {attempts} attempts");
        ensure!(!folder(&environment.to_string()).exists(), "{name} is still there");
    }
    site.finish()
}

/// Runs a step that failed again, until its operation has succeeded; how many attempts that took.
fn mend(site: &Site, id: OperationId) -> Result<(OperationId, usize)> {
    site.wait_for(id, "a failure or the end", |operation| {
        let step = operation.steps.iter().flatten().next()?;
        (step.waiting || operation.done).then_some(())
    })?;
    if site.operation(id)?.steps.iter().flatten().any(|step| step.waiting) {
        site.steer(id, HOOK, StepVerb::rerun(), "mended")?;
    }
    let done = site.wait_succeeded(id)?;
    Ok((id, done.steps.iter().flatten().map(|step| step.attempts.len()).sum()))
}

fn outputs(site: &Site, id: OperationId) -> Result<BTreeMap<String, String>> {
    let operation = site.operation(id)?;
    Ok(operation.steps.iter().flatten().next().context("no step")?.outputs.clone())
}

/// What the step of an operation that succeeded says it changed, and how many tasks were ok.
fn recap(site: &Site, id: OperationId) -> Result<(String, String)> {
    let operation = site.wait_succeeded(id)?;
    let step = operation.steps.iter().flatten().next().context("no step")?;
    ensure!(step.attempts.len() == 1, "{:?}", step.attempts);
    let output = |name: &str| step.outputs.get(name).cloned().with_context(|| format!("no output {name}"));
    Ok((output("changed")?, output("ok")?))
}

fn without_ansible(world: &World) -> Result<()> {
    let folder = world.folder().join("example");
    std::fs::create_dir_all(folder.join("key"))?;
    for file in ["hook.yaml", "playbook.yaml", "environment.yaml"] {
        std::fs::copy(example().join(file), folder.join(file))?;
    }
    let known_hosts = folder.join("known_hosts");
    std::fs::write(&known_hosts, "vm1.example.com ssh-ed25519 AAAA\n")?;
    std::fs::write(folder.join("vm.yaml"), config_map("vm1.example.com", 22, "deploy", &known_hosts)?)?;
    let mut command = tenantry();
    command.args(["hook", "run"]).arg(folder.join("hook.yaml"));
    command.arg("--environment").arg(folder.join("environment.yaml"));
    command.args(["--operation", "lifecycle.upsert", "--secret"]);
    command.arg(format!("ssh={}", folder.join("key").display()));
    let answer = Answer::of(command.env("PATH", world.folder()))?.expect(3)?;
    ensure!(answer.err.contains("\"ansible-playbook\" is not on this machine"), "{}", answer.err);
    Ok(())
}
