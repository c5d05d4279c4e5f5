//! The lives of the examples: what is done to one environment from its creation to its end, and what must be left of it.

mod left;
mod wrap;

pub use left::{Left, left_by, rows_of};
pub use wrap::{copied, wrapped};

use anyhow::{Context, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use tenantry_e2e::{AgentSettings, Answer, Site, repository};
use tenantry_model::OperationId;

pub const REGION: &str = "local";

/// A command line; `ENV` stands for the environment.
pub type Act = &'static [&'static str];

/// One of the examples that are lived through.
pub struct Example {
    /// Below `examples/`.
    folder: &'static str,
    hooks: &'static [&'static str],
    others: &'static [&'static str],
    ready: &'static [&'static str],
    tenant: &'static str,
    prepare: &'static [Act],
    /// All that changes what its hooks leave.
    pub life: &'static [Act],
    /// More of the same, for who has the time.
    pub more: &'static [Act],
    /// Removes what is compared.
    pub end: Act,
}

pub const SAAS: Example = Example {
    folder: "saas",
    hooks: &["identity/hooks.yaml", "billing/hooks.yaml", "crm/hooks.yaml", "search/hooks.yaml"],
    others: &["identity/scripts.yaml", "billing/scripts.yaml", "crm/scripts.yaml", "search/scripts.yaml"],
    ready: &["identity/accounts", "billing/accounts", "crm/crm-tenant", "search/search-index"],
    tenant: "acme",
    prepare: &[&["tenant", "create", "acme"]],
    life: &[
        &["env", "create", "ENV", "-f", "environment.yaml", "--region", REGION],
        &["env", "update", "ENV", "-f", "environment-update.yaml"],
        &["env", "suspend", "ENV", "--reason", "invoice overdue"],
        &["env", "resume", "ENV"],
        &["env", "backup", "ENV"],
        &["env", "restore", "ENV", "--reason", "drill"],
        &["op", "run", "crm.reindex", "ENV"],
        &["env", "reconcile", "ENV"],
    ],
    more: &[],
    end: &["env", "decommission", "ENV", "--reason", "contract ended"],
};

pub const RISK: Example = Example {
    folder: "nightly-risk",
    hooks: &["hooks.yaml", "scenarios.yaml"],
    others: &["scripts.yaml"],
    ready: &["northbank-risk/load-positions", "northbank-risk/scenario-base", "northbank-risk/report"],
    tenant: "northbank",
    prepare: &[&["definition", "apply", "-f", "definition.yaml"], &["tenant", "create", "northbank"]],
    life: &[
        // A fortieth of the paths: what counts here is that it is calculated, and how often.
        &["env", "create", "ENV", "-f", "environment.yaml", "--region", REGION, "--set", "paths=500"],
        &["op", "run", "risk.nightly", "ENV", "--parameter", "businessDate=2026-03-03"],
    ],
    more: &[&["op", "run", "risk.nightly", "ENV", "--parameter", "businessDate=2026-03-04"]],
    end: &["env", "decommission", "ENV", "--reason", "contract ended"],
};

impl Example {
    pub fn templates(&self) -> PathBuf {
        repository().join("examples").join(self.folder)
    }

    /// A site whose region runs these templates; ready for the first environment.
    pub fn site(&self, folder: &Path, templates: &Path, variables: &[(&str, &str)]) -> Result<Site> {
        let mut site = Site::start_at(folder, &[], variables)?;
        let mut settings = AgentSettings::process(templates);
        for (name, value) in variables {
            settings = settings.env(name, value);
        }
        site.add_region(REGION, settings)?;
        site.wait_for_hooks(REGION, self.ready)?;
        for act in self.prepare {
            Answer::of(&mut self.command(&site, act, ""))?.expect(0)?;
        }
        Ok(site)
    }

    /// As clients name an environment.
    pub fn full(&self, environment: &str) -> String {
        format!("{}/{environment}", self.tenant)
    }

    /// An act as a command line.
    pub fn command(&self, site: &Site, act: Act, environment: &str) -> Command {
        let full = self.full(environment);
        let words: Vec<&str> =
            act.iter().map(|word| if *word == "ENV" { full.as_str() } else { word }).collect();
        let mut command = site.command(&words);
        command.current_dir(self.templates());
        command
    }

    /// Asks for it, and does not wait.
    pub fn begin(&self, site: &Site, act: Act, environment: &str) -> Result<OperationId> {
        let answer = Answer::of(self.command(site, act, environment).args(["-o", "json"]))?.expect(0)?;
        let answer: Value = serde_json::from_str(&answer.out)?;
        let operation = if answer["operation"].is_object() { &answer["operation"] } else { &answer };
        Ok(operation["id"].as_str().with_context(|| format!("no id: {answer}"))?.parse()?)
    }
}
