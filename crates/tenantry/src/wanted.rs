//! What a person wants an environment to be: a file, and flags that win over it.

use crate::cli::Wanted;
use crate::exit::{Exit, Failure};
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::{io::Read, path::Path};
use tenantry_model::{Alias, EnvironmentId, EnvironmentName, EnvironmentSpec, RegionName, TenantName};

/// The file of `env create -f` and `hook run --environment`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct EnvironmentFile {
    /// The environment's id; without it a new one is made.
    pub id: Option<EnvironmentId>,
    /// Its owner.
    pub tenant: Option<TenantName>,
    /// Its name.
    pub name: Option<EnvironmentName>,
    /// Where its hooks run.
    pub region: Option<RegionName>,
    /// What selectors match.
    pub labels: Option<BTreeMap<String, String>>,
    /// Further names.
    pub aliases: Option<BTreeSet<Alias>>,
    /// Apps with their settings.
    pub apps: Option<Map<String, Value>>,
    /// Settings.
    pub settings: Option<Map<String, Value>>,
}

impl EnvironmentFile {
    /// Reads a file, or stdin for `-`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read stdin")?;
            text
        } else {
            std::fs::read_to_string(path).map_err(|error| {
                Failure::new(Exit::Usage, format!("cannot read {}: {error}", path.display()))
            })?
        };
        parse(&text).map_err(|error| Failure::new(Exit::Usage, format!("{}: {error}", path.display())).into())
    }
}

/// YAML 1.2: `no` and `y` are words. A country code or a list of features must not turn into truth values.
fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true })
}

/// A file with the flags applied, on top of what the environment is now (for an update).
pub fn read(wanted: &Wanted, now: Option<&EnvironmentSpec>) -> Result<EnvironmentFile> {
    let mut file = match &wanted.file {
        Some(path) => EnvironmentFile::read(path)?,
        None => EnvironmentFile::default(),
    };
    if !wanted.set.is_empty() {
        let base = || now.map(|spec| spec.settings.clone()).unwrap_or_default();
        let settings = file.settings.get_or_insert_with(base);
        for entry in &wanted.set {
            set(settings, entry)?;
        }
    }
    if !wanted.aliases.is_empty() {
        let aliases: Result<BTreeSet<Alias>, _> = wanted.aliases.iter().map(|alias| alias.parse()).collect();
        file.aliases = Some(aliases.map_err(|error| Failure::new(Exit::Usage, error.to_string()))?);
    }
    Ok(file)
}

/// Applies `--label` flags to labels.
pub fn label(labels: &mut BTreeMap<String, String>, flags: &[String]) -> Result<()> {
    for flag in flags {
        if let Some((key, value)) = flag.split_once('=') {
            labels.insert(key.to_owned(), value.to_owned());
        } else if let Some(key) = flag.strip_suffix('-') {
            labels.remove(key);
        } else {
            return Err(Failure::new(
                Exit::Usage,
                format!("--label {flag}: write KEY=VALUE, or KEY- to remove it"),
            )
            .into());
        }
    }
    Ok(())
}

/// `KEY=VALUE` flags whose values are YAML.
pub fn pairs(flags: &[String], flag: &str) -> Result<Map<String, Value>> {
    flags
        .iter()
        .map(|entry| {
            let (key, value) = entry
                .split_once('=')
                .ok_or_else(|| Failure::new(Exit::Usage, format!("--{flag} {entry}: write KEY=VALUE")))?;
            Ok((key.to_owned(), yaml(value, flag)?))
        })
        .collect()
}

fn yaml(text: &str, flag: &str) -> Result<Value> {
    parse(text)
        .map_err(|error| Failure::new(Exit::Usage, format!("--{flag}: {text:?} is not YAML: {error}")).into())
}

fn set(settings: &mut Map<String, Value>, entry: &str) -> Result<()> {
    let (path, value) = match entry.split_once('=') {
        Some((path, value)) => (path, Some(yaml(value, "set")?)),
        None => match entry.strip_suffix('-') {
            Some(path) => (path, None),
            None => {
                let message = format!("--set {entry}: write PATH=VALUE, or PATH- to remove it");
                return Err(Failure::new(Exit::Usage, message).into());
            }
        },
    };
    let mut at = settings;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            match value {
                Some(value) => at.insert(part.to_owned(), value),
                None => at.remove(part),
            };
            return Ok(());
        }
        let next = at.entry(part).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(members) = next else {
            return Err(Failure::new(
                Exit::Usage,
                format!("--set {entry}: {part:?} holds a value, not members"),
            )
            .into());
        };
        at = members;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn set_reaches_into_members_and_reads_yaml() {
        let mut settings = json!({"plan": "gold", "mail": {"from": "a"}});
        let members = settings.as_object_mut().unwrap();
        for entry in ["plan=silver", "mail.to=[x, y]", "country=no", "limits.users=5", "mail.from-"] {
            set(members, entry).unwrap();
        }
        assert_eq!(
            settings,
            json!({"plan": "silver", "mail": {"to": ["x", "y"]}, "limits": {"users": 5}, "country": "no"})
        );
    }

    #[test]
    fn set_says_what_is_wrong_with_an_entry() {
        let mut settings = Map::new();
        settings.insert("plan".to_owned(), json!("gold"));
        assert!(set(&mut settings, "plan").unwrap_err().to_string().contains("PATH=VALUE"));
        assert!(set(&mut settings, "plan.x=1").unwrap_err().to_string().contains("not members"));
    }
}
