//! `examples/saas` on a laptop: each step fails before its work, and after it, so that its work is repeated. What the hooks
//! leave is what an undisturbed run leaves.

use crate::saas::plain;
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tenantry_api_types::v1::RerunStep;
use tenantry_client::StepVerb;
use tenantry_e2e::{AgentSettings, Answer, Needs, Site, World, repository, trial, within};
use tenantry_model::{OperationId, OperationState};

pub fn trials() -> Vec<Trial> {
    vec![trial(Needs::Laptop, "each_step_of_the_saas_example_may_fail_and_be_repeated", failing_steps)]
}

const REGION: &str = "local";
const TEAMS: [&str; 4] = ["identity", "billing", "crm", "search"];
/// The life of one environment, without its end: that removes what is compared.
const LIFE: [&[&str]; 7] = [
    &["create", "-f", "environment.yaml"],
    &["update", "-f", "environment-update.yaml"],
    &["suspend", "--reason", "invoice overdue"],
    &["resume"],
    &["backup"],
    &["restore", "--reason", "drill"],
    &["reconcile"],
];

/// A step's first attempt in all operations of a name fails before its work or after it, if the environment is named so.
const WRAP: &str = r#"
marks=$1 name=$2; shift 2
planted() {
  mark=$marks/$LIFECYCLE_TENANT_ENV_ID-$LIFECYCLE_OPERATION_NAME
  grep -q "'$1-$name'" "$LIFECYCLE_TENANT_ENV_FILE" && [ ! -e "$mark" ] && touch "$mark"
}
if planted before; then echo "planted: nothing is done"; exit 7; fi
"$@" || exit $?
if planted after; then echo "planted: done, and failed"; exit 7; fi
"#;

/// The example's folder with each hook in [`WRAP`]; answers the hooks' names.
fn wrapped(folder: &Path, marks: &Path) -> Result<BTreeSet<String>> {
    let saas = repository().join("examples/saas");
    let mut names = BTreeSet::new();
    for team in TEAMS {
        std::fs::create_dir_all(folder.join(team))?;
        for file in ["namespace.yaml", "scripts.yaml"] {
            std::fs::copy(saas.join(team).join(file), folder.join(team).join(file))?;
        }
        let text = std::fs::read_to_string(saas.join(team).join("hooks.yaml"))?;
        let mut documents = Vec::new();
        for document in text.split("\n---\n") {
            let mut hook: Value = serde_saphyr::from_str(document)?;
            let name = format!("{team}-{}", hook["metadata"]["name"].as_str().context("a name")?);
            let command = &mut hook["spec"]["template"]["spec"]["containers"][0]["command"];
            let marks = marks.display().to_string();
            let mut words: Vec<String> = ["sh", "-c", WRAP, "wrap", &marks, &name].map(str::to_owned).into();
            words.extend(serde_json::from_value::<Vec<String>>(command.clone())?);
            *command = words.into();
            documents.push(hook.to_string());
            names.insert(name);
        }
        std::fs::write(folder.join(team).join("hooks.yaml"), documents.join("\n---\n"))?;
    }
    Ok(names)
}

fn site(world: &World, name: &str, templates: &Path) -> Result<Site> {
    let mut site = Site::start_in(world, name, &[])?;
    site.add_region(REGION, AgentSettings::process(templates))?;
    site.wait_for_hooks(REGION, &["identity/accounts", "crm/crm-tenant"])?;
    site.cli(&["tenant", "create", "acme"])?.expect(0)?;
    Ok(site)
}

/// One step of an environment's life as a command line.
fn command(site: &Site, step: &[&str], environment: &str) -> Command {
    let full = format!("acme/{environment}");
    let mut command = site.command(&["env", step[0], &full]);
    command.args(&step[1..]).current_dir(repository().join("examples/saas"));
    if step[0] == "create" {
        command.args(["--region", REGION]);
    }
    command
}

fn failing_steps(world: &World) -> Result<()> {
    let templates = world.folder().join("templates");
    let marks = world.folder().join("planted");
    std::fs::create_dir_all(&marks)?;
    let hooks = wrapped(&templates, &marks)?;
    let site = site(world, "site", &templates)?;
    let mut environments = vec!["calm".to_owned()];
    for hook in &hooks {
        environments.extend([format!("before-{hook}"), format!("after-{hook}")]);
    }
    let mut failures = 0;
    for step in LIFE {
        // All environments at once: their operations know nothing of each other.
        let begin = |environment: &str| -> Result<OperationId> {
            let answer = Answer::of(command(&site, step, environment).args(["-o", "json"]))?.expect(0)?;
            let answer: Value = serde_json::from_str(&answer.out)?;
            Ok(answer["operation"]["id"].as_str().context("an id")?.parse()?)
        };
        let mut open = BTreeMap::new();
        for environment in &environments {
            open.insert(environment.clone(), begin(environment)?);
        }
        within(Duration::from_mins(10), format!("the end of {}", step[0]), || {
            let mut again = BTreeMap::new();
            for (environment, id) in &open {
                let operation = site.operation(*id)?;
                for step in operation.steps.iter().flatten().filter(|step| step.waiting) {
                    site.steer(
                        *id,
                        &step.hook.path().to_string(),
                        StepVerb::Rerun(RerunStep::default()),
                        "mended",
                    )?;
                    failures += 1;
                }
                match operation.state {
                    OperationState::Succeeded => {}
                    // A step with `on-failure: fail`: the whole operation is asked for again.
                    OperationState::Failed => {
                        failures += 1;
                        again.insert(environment.clone(), begin(environment)?);
                    }
                    _ => drop(again.insert(environment.clone(), *id)),
                }
            }
            open = again;
            Ok(open.is_empty().then_some(()))
        })?;
    }
    // Each hook that takes part failed once before and once after its work in at least one operation.
    ensure!(failures >= 2 * hooks.len() - 2, "{failures} planted failures of {hooks:?}");
    let left = left_by(&site, &environments)?;
    let calm = left.get("calm").context("calm")?;
    for (environment, files) in &left {
        ensure!(files == calm, "{environment} left\n{files:#?}\nand an undisturbed run\n{calm:#?}");
    }
    eprintln!("matrix: {} environments, {failures} planted failures", environments.len());
    site.finish()
}

/// What the hooks left of each environment, file by file, without ids.
fn left_by(site: &Site, environments: &[String]) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
    let mut ids = BTreeMap::new();
    for environment in environments {
        let answer = site.cli(&["env", "get", &format!("acme/{environment}"), "-o", "json"])?.expect(0)?;
        let value: Value = serde_json::from_str(&answer.out)?;
        ids.insert(value["id"].as_str().context("an id")?.to_owned(), environment.clone());
    }
    let mut left: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for root in ["root/volumes", "objects"] {
        let root = site.agent_folder(REGION).join(root);
        for file in files(&root)? {
            let name = file.strip_prefix(&root)?.display().to_string();
            let Some((id, environment)) = ids.iter().find(|(id, _)| name.contains(*id)) else { continue };
            let text = plain(&content(&file)?.replace(id, "ID").replace(environment, "NAME"));
            left.entry(environment.clone()).or_default().insert(plain(&name), text);
        }
    }
    Ok(left)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() { all.extend(files(&path)?) } else { all.push(path) }
    }
    Ok(all)
}

fn content(file: &Path) -> Result<String> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("db") => {
            let dump = "import sqlite3, sys; print('\\n'.join(sqlite3.connect(sys.argv[1]).iterdump()))";
            let dump = Answer::of(Command::new("python3").args(["-c", dump]).arg(file))?.expect(0)?.out;
            // The number of the attempt that wrote last: it must differ where there were more of them.
            let is_fence = |line: &&str| line.starts_with("INSERT INTO \"fence\"");
            Ok(dump
                .lines()
                .map(|line| if is_fence(&line) { "a fence" } else { line })
                .collect::<Vec<_>>()
                .join("\n"))
        }
        // Its manifest says what is in it; the bytes depend on times.
        Some("gz") => Ok(String::new()),
        _ => Ok(std::fs::read_to_string(file)?),
    }
}
