//! One registry of settings: flag > environment variable > configuration file > default. The command line and the
//! reference page (`tenantry reference`) are both made from it, so that neither can leave one out.

mod registry;

pub use registry::{ALL, Group, Setting};

use anyhow::{Context, Result};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use std::{collections::BTreeMap, marker::PhantomData, path::PathBuf};

/// The settings of one group, as flags; a marker type names the group.
#[derive(Clone, Debug)]
pub struct Settings<G> {
    values: BTreeMap<&'static str, String>,
    group: PhantomData<G>,
}

/// A type that stands for a group of settings.
pub trait OfGroup {
    /// Which groups it holds.
    const GROUPS: &'static [Group];
}

/// Settings of commands that speak to a manager.
#[derive(Clone, Debug)]
pub struct Client;
/// Settings of `tenantry manager`.
#[derive(Clone, Debug)]
pub struct Manager;
/// Settings of `tenantry store`.
#[derive(Clone, Debug)]
pub struct Store;
/// Settings of `tenantry agent`.
#[derive(Clone, Debug)]
pub struct Agent;
/// Settings of `tenantry up`: manager and agent in one process.
#[derive(Clone, Debug)]
pub struct Up;

impl OfGroup for Client {
    const GROUPS: &'static [Group] = &[Group::Common, Group::Client];
}
impl OfGroup for Store {
    const GROUPS: &'static [Group] = &[Group::Common, Group::Store];
}
impl OfGroup for Manager {
    const GROUPS: &'static [Group] = &[Group::Common, Group::Log, Group::Store, Group::Manager];
}
impl OfGroup for Agent {
    const GROUPS: &'static [Group] = &[Group::Common, Group::Log, Group::Agent, Group::Executor];
}
impl OfGroup for Up {
    const GROUPS: &'static [Group] =
        &[Group::Common, Group::Log, Group::Store, Group::Manager, Group::Executor];
}

fn of_groups(groups: &'static [Group]) -> impl Iterator<Item = &'static Setting> {
    ALL.iter().filter(move |setting| groups.contains(&setting.group))
}

impl<G: OfGroup> Args for Settings<G> {
    fn augment_args(command: Command) -> Command {
        of_groups(G::GROUPS).fold(command, |command, setting| {
            let mut help = format!("{} [env: {}]", setting.help, setting.env());
            if let Some(default) = setting.default {
                help.push_str(&format!(" [default: {default}]"));
            }
            command.arg(
                Arg::new(setting.key)
                    .long(setting.key)
                    .value_name(setting.value)
                    .help(help)
                    .help_heading(setting.group.heading())
                    .global(setting.group == Group::Client || setting.group == Group::Common),
            )
        })
    }
    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<G: OfGroup> FromArgMatches for Settings<G> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut values = BTreeMap::new();
        for setting in of_groups(G::GROUPS) {
            if let Ok(Some(value)) = matches.try_get_one::<String>(setting.key) {
                values.insert(setting.key, value.clone());
            }
        }
        Ok(Self { values, group: PhantomData })
    }
    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<G: OfGroup> Settings<G> {
    /// Fills in what the flags leave open from the environment and the configuration file.
    pub fn resolve(mut self) -> Result<Self> {
        let variable =
            |setting: &Setting| std::env::var(setting.env()).ok().filter(|value| !value.is_empty());
        for setting in of_groups(G::GROUPS) {
            if let (false, Some(value)) = (self.values.contains_key(setting.key), variable(setting)) {
                self.values.insert(setting.key, value);
            }
        }
        for (key, value) in self.read_file()? {
            let Some(setting) = ALL.iter().find(|setting| setting.key == key) else {
                anyhow::bail!(
                    "the configuration file has an unknown setting `{key}`; `tenantry reference` lists all of them"
                );
            };
            if G::GROUPS.contains(&setting.group) {
                self.values.entry(setting.key).or_insert(value);
            }
        }
        for setting in of_groups(G::GROUPS) {
            if let Some(default) = setting.default {
                self.values.entry(setting.key).or_insert_with(|| default.to_owned());
            }
        }
        Ok(self)
    }

    fn read_file(&self) -> Result<BTreeMap<String, String>> {
        let Some((path, asked_for)) = self.file() else { return Ok(BTreeMap::new()) };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !asked_for => {
                return Ok(BTreeMap::new());
            }
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot read the configuration file {}", path.display()));
            }
        };
        let table: toml::Table = text
            .parse()
            .with_context(|| format!("the configuration file {} is not valid TOML", path.display()))?;
        table
            .into_iter()
            .map(|(key, value)| match value {
                toml::Value::String(text) => Ok((key, text)),
                toml::Value::Integer(number) => Ok((key, number.to_string())),
                toml::Value::Boolean(flag) => Ok((key, flag.to_string())),
                toml::Value::Array(items) => {
                    let items: Option<Vec<_>> =
                        items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
                    let items =
                        items.with_context(|| format!("setting `{key}`: a list may hold only text"))?;
                    Ok((key, items.join(",")))
                }
                _ => anyhow::bail!("setting `{key}` must be text, a number, true, false or a list of texts"),
            })
            .collect()
    }

    /// The configuration file, and whether somebody named it.
    fn file(&self) -> Option<(PathBuf, bool)> {
        if let Some(path) = self.values.get("config") {
            return Some((PathBuf::from(path), true));
        }
        let home = std::env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")))?;
        Some((home.join("tenantry/config.toml"), false))
    }

    /// The value of a setting that may be left out.
    pub fn get(&self, key: &'static str) -> Option<&str> {
        debug_assert!(of_groups(G::GROUPS).any(|setting| setting.key == key), "{key} is not in the registry");
        self.values.get(key).map(String::as_str)
    }

    /// The value of a setting that must be given or has a default.
    pub fn need(&self, key: &'static str) -> Result<&str> {
        self.get(key).with_context(|| {
            let setting = ALL.iter().find(|setting| setting.key == key);
            let env = setting.map(Setting::env).unwrap_or_default();
            format!(
                "setting `{key}` is missing: give --{key}, {env}, or `{key} = …` in the configuration file"
            )
        })
    }

    /// The value, parsed.
    pub fn parse<T>(&self, key: &'static str) -> Result<Option<T>>
    where
        T: std::str::FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        self.get(key)
            .map(|text| text.parse().with_context(|| format!("setting `{key}` has the value {text:?}")))
            .transpose()
    }

    /// A list, given as text with commas.
    pub fn list(&self, key: &'static str) -> Vec<String> {
        self.get(key)
            .map(|text| {
                text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
            })
            .unwrap_or_default()
    }
}
