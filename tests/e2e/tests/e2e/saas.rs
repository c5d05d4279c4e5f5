//! `examples/saas`, as it stands in the repository, on a laptop and on a cluster: the results are the same.

use crate::argo_many::LARGE;
use crate::place::{OVER_ARGO, Place, REGION, Setup};
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::process::Command;
use tenantry_api_types::v1::{HooksQuery, OperationsQuery};
use tenantry_e2e::{AgentSettings, Answer, Needs, Site, World, binary, repository, trial};

const TEAMS: [&str; 4] = ["identity", "billing", "crm", "search"];

const SAME_RESULTS: &str = "the_saas_demo_on_a_cluster_has_the_laptops_results";

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::Minutes, "the_saas_demo_runs_unchanged_on_a_laptop", demo),
        trial(Needs::GivenNames, SAME_RESULTS, |world| same_results(world, Place::Agent)),
        // Ten operations, one after the other, each with Workflows.
        trial(Needs::ArgoGivenNames, format!("{SAME_RESULTS}{OVER_ARGO}"), |world| {
            same_results(world, Place::Argo)
        })
        .with_ignored_flag(std::env::var_os(LARGE).is_none()),
    ]
}

fn demo(_: &World) -> Result<()> {
    let script = repository().join("examples/saas/demo.sh");
    let answer = Answer::of(Command::new(script).arg(binary()))?.expect(0)?;
    let states: Vec<&str> = answer.out.lines().filter(|line| line.contains("lifecycle.")).collect();
    ensure!(states.len() == 27, "7 operations and 20 more environments: {}", answer.out);
    ensure!(states.iter().all(|line| line.contains("succeeded")), "{}", answer.out);
    Ok(())
}

/// What somebody sees of one operation, without what must differ: ids and times.
#[derive(Debug, PartialEq)]
struct Seen {
    name: String,
    state: String,
    steps: BTreeMap<String, SeenStep>,
}

#[derive(Debug, PartialEq)]
struct SeenStep {
    state: String,
    attempts: usize,
    after: Vec<String>,
    outputs: BTreeMap<String, String>,
    log: String,
}

fn same_results(world: &World, place: Place) -> Result<()> {
    let saas = repository().join("examples/saas");
    let cluster = world.cluster()?;
    for team in TEAMS {
        world.owns(team);
        world.volume(team, "data", "saas-example")?;
    }
    world.volume("crm", "tenantry-objects", "saas-example")?;
    // Namespaces first: kubectl applies a folder's files by name.
    for file in ["namespace.yaml", "scripts.yaml", "hooks.yaml"] {
        let files: Vec<_> = TEAMS.iter().map(|team| saas.join(team).join(file)).collect();
        cluster.apply_files(&files.iter().map(std::path::PathBuf::as_path).collect::<Vec<_>>())?;
    }
    let mut site = Site::start_in(world, "laptop", &[])?;
    site.add_region("local", AgentSettings::process(&saas))?;
    site.wait_for_hooks("local", &["identity/accounts", "crm/crm-tenant"])?;
    demo_in(&site, "local")?;
    let laptop = seen(&site)?;
    let of_laptop = hooks(&site)?;
    site.finish()?;
    // The same names again: the demo makes its tenants itself.
    let second = Setup::new(place, &TEAMS).object_store("tenantry-objects").start(world)?;
    second.wait_for_hooks(REGION, &["identity/accounts", "crm/crm-tenant"])?;
    demo_in(&second, REGION)?;
    let real = seen(&second)?;
    ensure!(of_laptop == hooks(&second)?, "{of_laptop:?} and {:?}", hooks(&second)?);

    ensure!(laptop.len() == real.len(), "{} and {} operations", laptop.len(), real.len());
    for (laptop, real) in laptop.iter().zip(&real) {
        ensure!(laptop == real, "a laptop gives\n{laptop:#?}\nand a cluster\n{real:#?}");
    }
    second.finish()
}

/// The hooks of its one region.
fn hooks(site: &Site) -> Result<Vec<String>> {
    let items = site.call(site.client().hooks(&HooksQuery::default()))?.items;
    Ok(items.iter().map(|hook| hook.hook.path().to_string()).collect())
}

fn demo_in(site: &Site, region: &str) -> Result<()> {
    let mut command = Command::new(repository().join("examples/saas/demo.sh"));
    command.arg(binary()).env("TENANTRY_URL", site.url()).env("TENANTRY_TOKEN", &site.token);
    command.env("REGION", region).env("MORE", "2");
    if let Some(authority) = site.authority() {
        command.env("TENANTRY_CA_FILE", authority);
    }
    Answer::of(&mut command)?.expect(0).with_context(|| format!("the demo in {region}")).map(drop)
}

fn seen(site: &Site) -> Result<Vec<Seen>> {
    let mut all = Vec::new();
    for operation in site.call(site.client().operations(&OperationsQuery::default()))?.items {
        let operation = site.operation(operation.id)?;
        let mut steps = BTreeMap::new();
        for step in operation.steps.iter().flatten() {
            let name = step.hook.path().to_string();
            let log = match step.attempt {
                0 => String::new(),
                number => site.log_text(operation.id, &name, number)?,
            };
            steps.insert(
                name,
                SeenStep {
                    state: format!("{:?}", step.state),
                    attempts: step.attempts.len(),
                    after: step.after.iter().map(|hook| hook.path().to_string()).collect(),
                    outputs: step.outputs.iter().map(|(k, v)| (k.clone(), plain(v))).collect(),
                    log: plain(&log),
                },
            );
        }
        all.push(Seen { name: operation.name.to_string(), state: format!("{:?}", operation.state), steps });
    }
    // Environments that are made side by side come in any order.
    all.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| format!("{a:?}").cmp(&format!("{b:?}"))));
    Ok(all)
}

/// A text without ids, hashes and numbers of bytes, which depend on them.
pub fn plain(text: &str) -> String {
    let is_id = |word: &str| {
        let hex = word.chars().filter(char::is_ascii_hexdigit).count();
        // A UUID, a checksum, or the first twelve digits of one.
        word.len() >= 12 && hex * 10 >= word.len() * 8
    };
    text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .map(|word| {
            let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            if is_id(bare) { word.replace(bare, "ID") } else { word.to_owned() }
        })
        .collect::<String>()
        .lines()
        .map(|line| match line.split_once(" bytes") {
            // Of an archive: how well ids and times can be packed.
            Some((before, after)) => {
                format!(
                    "{} N bytes{after}\n",
                    before.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end()
                )
            }
            None => format!("{line}\n"),
        })
        .collect()
}
