//! What a life leaves: the hooks' files and databases, and the rows that clients see.

use super::{Example, REGION};
use crate::saas::plain;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use tenantry_api_types::v1::OperationsQuery;
use tenantry_e2e::{Answer, Site};
use tenantry_model::EnvironmentId;

/// Of an environment: each file's text, without ids.
pub type Left = BTreeMap<String, String>;

fn environment(site: &Site, full: &str) -> Result<Value> {
    let answer = site.cli(&["env", "get", full, "-o", "json"])?.expect(0)?;
    Ok(serde_json::from_str(&answer.out)?)
}

/// What the hooks left of each environment.
pub fn left_by(site: &Site, example: &Example, environments: &[String]) -> Result<BTreeMap<String, Left>> {
    let mut ids = BTreeMap::new();
    let mut left: BTreeMap<String, Left> = BTreeMap::new();
    for name in environments {
        let value = environment(site, &example.full(name))?;
        ids.insert(value["id"].as_str().context("an id")?.to_owned(), name.clone());
        left.insert(name.clone(), Left::new());
    }
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

/// What a client sees of an environment (`TENANT/NAME`) and of its operations, oldest first, without ids and times. The
/// number of attempts is part of it, and each one's log.
pub fn rows_of(site: &Site, full: &str, region: &str) -> Result<Vec<String>> {
    let value = environment(site, full)?;
    let id: EnvironmentId = value["id"].as_str().context("an id")?.parse()?;
    let mut rows = Vec::new();
    // Hooks tell where they have put something.
    let folder = site.agent_folder(region).display().to_string();
    let plain = |text: &str| plain(&text.replace(&folder, "AGENT"));
    for key in ["state", "generation", "labels", "region", "spec"] {
        rows.push(format!("{key}: {}", value[key]));
    }
    let query = OperationsQuery { environment: Some(id), ..OperationsQuery::default() };
    let mut operations = site.call(site.client().operations(&query))?.items;
    operations.sort_by_key(|operation| operation.id);
    for operation in operations {
        let operation = site.operation(operation.id)?;
        rows.push(format!(
            "{} {:?} generation {} {:?}",
            operation.name,
            operation.state,
            operation.generation,
            plain(&format!("{:?}", operation.parameters))
        ));
        for step in operation.steps.iter().flatten() {
            rows.push(format!("  {} {:?} {}", step.hook, step.state, plain(&format!("{:?}", step.outputs))));
            for attempt in &step.attempts {
                let log = site.log_text(operation.id, &step.hook.path().to_string(), attempt.number)?;
                let ended = attempt.outcome.as_ref().map(|outcome| (outcome.reason, outcome.exit_code));
                rows.push(format!("    {} {:?} {ended:?} {}", attempt.number, attempt.state, plain(&log)));
            }
        }
    }
    Ok(rows)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    if !folder.exists() {
        return Ok(all);
    }
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
