//! The container's mounts on a machine that cannot mount: local folders, and paths rewritten to them.
//!
//! A path in command, arguments, working folder or a literal variable that lies below a mount path is rewritten to the
//! folder that stands for the mount. Texts of `ConfigMaps` and scripts are never changed: there, use a variable.

use super::{
    config::{ProcessConfig, SecretsBy},
    manifests::ConfigMaps,
};
use std::{
    collections::BTreeMap,
    io,
    path::{Component, Path, PathBuf},
};
use tenantry_hook::{MountSource, ProcessMount};
use tenantry_model::Namespace;

/// Values of mounted Secrets are masked in the log up to this size each.
const MASKED_UP_TO: usize = 64 * 1024;

/// Why something that the template asks for cannot be had here.
#[derive(Debug)]
pub(super) enum Missing {
    /// In words, with what to do.
    Refused(String),
    /// The file system.
    Io(io::Error),
}

impl From<io::Error> for Missing {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Which local path stands for which mount path; longest first.
#[derive(Debug, Default)]
pub(super) struct PathMap(Vec<(String, String)>);

/// Finds what Secrets, `ConfigMaps` and claims are on this machine.
pub(super) struct Places<'a> {
    pub config: &'a ProcessConfig,
    pub config_maps: &'a ConfigMaps,
    pub namespace: &'a Namespace,
    /// Values that may not show in the log.
    pub secrets: Vec<String>,
}

impl Places<'_> {
    /// Makes the folders of all mounts; `folder` is the attempt's own for them.
    pub fn mount(&mut self, mounts: &[ProcessMount], folder: &Path) -> Result<PathMap, Missing> {
        let mut map = Vec::new();
        for mount in mounts {
            let whole = self.volume(mount, &folder.join(&mount.volume))?;
            let local = match &mount.sub_path {
                Some(sub) => below(&whole, sub)?,
                None => whole,
            };
            if let MountSource::EmptyDir | MountSource::Claim { .. } = mount.source
                && !local.exists()
            {
                std::fs::create_dir_all(&local)?;
            }
            map.push((mount.path.trim_end_matches('/').to_owned(), text_of(&local)?));
        }
        map.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Ok(PathMap(map))
    }

    fn volume(&mut self, mount: &ProcessMount, own: &Path) -> Result<PathBuf, Missing> {
        match &mount.source {
            MountSource::EmptyDir => {
                std::fs::create_dir_all(own)?;
                Ok(own.to_owned())
            }
            MountSource::Claim { name } => {
                let folder =
                    self.config.root.join("volumes").join(self.namespace.to_string()).join(component(name)?);
                std::fs::create_dir_all(&folder)?;
                Ok(folder)
            }
            MountSource::ConfigMap { name, items, optional } => {
                let data = match self.config_maps.get(&self.namespace.to_string(), name)? {
                    Some(data) => data,
                    None if *optional => BTreeMap::new(),
                    None => return Err(self.no_config_map(name, &mount.path)),
                };
                project(own, &data, items, &format!("the ConfigMap {name}"))?;
                Ok(own.to_owned())
            }
            MountSource::Secret { name, items, optional } => {
                let data = match self.secret(name)? {
                    Some(data) => data,
                    None if *optional => BTreeMap::new(),
                    None => return Err(self.no_secret(name, &mount.path)?),
                };
                for value in data.values().filter(|value| value.len() <= MASKED_UP_TO) {
                    self.secrets.extend(std::str::from_utf8(value).ok().map(str::to_owned));
                }
                if items.is_empty() {
                    return self.secret_folder(name);
                }
                project(own, &data, items, &format!("the Secret {name}"))?;
                Ok(own.to_owned())
            }
        }
    }

    fn secret_folder(&self, name: &str) -> Result<PathBuf, Missing> {
        Ok(self.config.root.join("secrets").join(self.namespace.to_string()).join(component(name)?))
    }

    fn no_secret(&self, name: &str, wanted_for: &str) -> Result<Missing, Missing> {
        let folder = self.secret_folder(name)?;
        let remedy = match self.config.secrets_by {
            SecretsBy::Folder => format!("put one file per key into {}", folder.display()),
            SecretsBy::Flag => format!("give --secret {name}=FOLDER, a folder with one file per key"),
        };
        Ok(Missing::Refused(format!(
            "the Secret {}/{name} (for {wanted_for}) is not mapped on this machine: {remedy}",
            self.namespace
        )))
    }

    fn no_config_map(&self, name: &str, wanted_for: &str) -> Missing {
        Missing::Refused(format!(
            "the ConfigMap {}/{name} (for {wanted_for}) is in none of the manifests: put its YAML into the folder of the hook",
            self.namespace
        ))
    }

    /// The Secret's keys and values; `None` if it is not mapped.
    fn secret(&self, name: &str) -> Result<Option<BTreeMap<String, Vec<u8>>>, Missing> {
        let folder = self.secret_folder(name)?;
        if !folder.is_dir() {
            return Ok(None);
        }
        let mut data = BTreeMap::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if let (Some(key), true) = (entry.file_name().to_str(), entry.path().is_file()) {
                data.insert(key.to_owned(), std::fs::read(entry.path())?);
            }
        }
        Ok(Some(data))
    }

    /// Values of a Secret for variables: `key`, or all.
    pub fn secret_values(
        &mut self,
        name: &str,
        key: Option<&str>,
        optional: bool,
    ) -> Result<Vec<(String, String)>, Missing> {
        let Some(data) = self.secret(name)? else {
            return if optional { Ok(Vec::new()) } else { Err(self.no_secret(name, "a variable")?) };
        };
        let values = pick(data, key, optional, &format!("the Secret {}/{name}", self.namespace))?;
        self.secrets.extend(values.iter().map(|(_, value)| value.clone()));
        Ok(values)
    }

    /// Values of a `ConfigMap` for variables: `key`, or all.
    pub fn config_map_values(
        &self,
        name: &str,
        key: Option<&str>,
        optional: bool,
    ) -> Result<Vec<(String, String)>, Missing> {
        match self.config_maps.get(&self.namespace.to_string(), name)? {
            Some(data) => pick(data, key, optional, &format!("the ConfigMap {}/{name}", self.namespace)),
            None if optional => Ok(Vec::new()),
            None => Err(self.no_config_map(name, "a variable")),
        }
    }
}

fn pick(
    data: BTreeMap<String, Vec<u8>>,
    key: Option<&str>,
    optional: bool,
    whose: &str,
) -> Result<Vec<(String, String)>, Missing> {
    let wanted: Vec<_> = data.into_iter().filter(|(name, _)| key.is_none_or(|key| key == name)).collect();
    if let (true, false, Some(key)) = (wanted.is_empty(), optional, key) {
        return Err(Missing::Refused(format!("{whose} has no key {key}: add it")));
    }
    wanted
        .into_iter()
        .map(|(name, value)| match String::from_utf8(value) {
            Ok(value) if !value.contains('\0') => Ok((name, value)),
            _ => Err(Missing::Refused(format!(
                "the key {name} of {whose} is no text and cannot be a variable: mount it as a file"
            ))),
        })
        .collect()
}

/// Writes the keys (all, or `items` as key → path) as files.
fn project(
    folder: &Path,
    data: &BTreeMap<String, Vec<u8>>,
    items: &[(String, String)],
    whose: &str,
) -> Result<(), Missing> {
    std::fs::create_dir_all(folder)?;
    let all: Vec<(String, String)> = data.keys().map(|key| (key.clone(), key.clone())).collect();
    for (key, path) in if items.is_empty() { &all } else { items } {
        let Some(value) = data.get(key) else {
            return Err(Missing::Refused(format!("{whose} has no key {key}: add it")));
        };
        let file = below(folder, path)?;
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(file, value)?;
    }
    Ok(())
}

/// A path inside of `folder`; one that leads out of it is refused.
fn below(folder: &Path, path: &str) -> Result<PathBuf, Missing> {
    let inside = Path::new(path).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if inside {
        Ok(folder.join(path))
    } else {
        Err(Missing::Refused(format!(
            "the path {path:?} leads out of its volume: write it relative and without .."
        )))
    }
}

/// A name from a template that becomes one component of a path.
fn component(name: &str) -> Result<&str, Missing> {
    if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(Missing::Refused(format!("{name:?} is no name of an object")));
    }
    Ok(name)
}

fn text_of(path: &Path) -> Result<String, Missing> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| {
        Missing::Refused(format!("the path {} is not UTF-8: choose another root", path.display()))
    })
}

impl PathMap {
    /// Mount path and local path of each mount.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, local)| (path.as_str(), local.as_str()))
    }

    /// Rewrites each mount path in `text` that stands as a path of its own or as the beginning of one.
    pub fn rewrite(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = None::<char>;
        while let Some(next) = rest.chars().next() {
            // `/data` in `/my/data` or in `x/data` is another path.
            let begins = next == '/' && !before.is_some_and(is_path_char);
            let hit = self.0.iter().find(|(path, _)| {
                begins
                    && !path.is_empty()
                    && rest.strip_prefix(path.as_str()).is_some_and(|after| {
                        let follows = after.chars().next();
                        follows == Some('/') || !follows.is_some_and(is_path_char)
                    })
            });
            if let Some((path, local)) = hit {
                out.push_str(local);
                rest = &rest[path.len()..];
                before = local.chars().next_back();
            } else {
                out.push(next);
                rest = &rest[next.len_utf8()..];
                before = Some(next);
            }
        }
        out
    }
}

fn is_path_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '~')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    #[test]
    fn only_whole_paths_below_a_mount_are_rewritten() {
        let map = PathMap(vec![
            ("/scripts/lib".to_owned(), "/tmp/lib".to_owned()),
            ("/scripts".to_owned(), "/tmp/s".to_owned()),
        ]);
        for (given, wanted) in [
            ("/scripts/run.py", "/tmp/s/run.py"),
            ("/scripts", "/tmp/s"),
            ("/scripts/lib/a", "/tmp/lib/a"),
            (". /scripts/a.sh && cat \"/scripts/b\"", ". /tmp/s/a.sh && cat \"/tmp/s/b\""),
            ("--config=/scripts/c:/scripts/d", "--config=/tmp/s/c:/tmp/s/d"),
            ("/scripts2/x /opt/scripts/x ./scripts/x", "/scripts2/x /opt/scripts/x ./scripts/x"),
            ("ünï /scripts/ä", "ünï /tmp/s/ä"),
        ] {
            assert_eq!(map.rewrite(given), wanted);
        }
    }

    #[test]
    fn a_sub_path_that_leads_out_of_its_volume_is_refused() {
        for bad in ["../x", "/etc", "a/../../b"] {
            assert!(matches!(below(Path::new("/v"), bad), Err(Missing::Refused(_))), "{bad}");
        }
        assert_eq!(below(Path::new("/v"), "a/b").unwrap(), Path::new("/v/a/b"));
    }
}
