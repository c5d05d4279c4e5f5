//! Start request → what the shim runs: the attempt's files, mounts, variables, and the checks that give a clear refusal
//! before anything runs.

use super::{
    config::ProcessConfig,
    containers,
    folder::AttemptFolder,
    manifests::ConfigMaps,
    mounts::{Missing, PathMap, Places},
};
use crate::{
    executors::{ExecutorError, StartError, StartRequest},
    orders::{in_words, outcome},
    shim::files::{MARK, ShimSpec},
};
use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tenantry_hook::{EnvValue, ProcessEnv, ProcessPaths, ProcessSpec, ResolvedProcess, process_spec};
use tenantry_model::FailureReason;

pub(super) fn prepare(
    config: &ProcessConfig,
    config_maps: &ConfigMaps,
    start: &StartRequest,
    folder: &AttemptFolder,
) -> Result<ShimSpec, StartError> {
    if let Some(runtime) = &config.runtime {
        return containers::prepare(runtime, config, config_maps, start, folder);
    }
    let object_store = object_store(config, start).map_err(refuse)?;
    let paths = write_files(start, folder, object_store).map_err(|e| refuse(e.into()))?;
    let mut spec = process_spec(&start.template, &start.hook, &start.request, &paths).map_err(|refusal| {
        StartError::Refused(Box::new(outcome(refusal.reason, in_words(&refusal.problems))))
    })?;
    let mut places =
        Places { config, config_maps, namespace: &start.hook.path.namespace, secrets: Vec::new() };
    let map = places.mount(&spec.mounts, &folder.path.join("mounts")).map_err(refuse)?;
    rewrite(&mut spec, &map);
    let mut resolved = spec.resolve(&mut |variable| look_up(&mut places, variable)).map_err(refuse)?;
    inherit(config, &mut resolved);
    resolved.env.push((MARK.to_owned(), start.request.nonce.to_string()));
    let working_dir = working_dir(&spec, folder).map_err(refuse)?;
    check_program(&resolved, &working_dir).map_err(refuse)?;
    Ok(ShimSpec {
        argv: resolved.argv,
        env: resolved.env,
        working_dir,
        mask: places.secrets,
        log_limit: config.log_limit,
        container: None,
    })
}

pub(super) fn refuse(missing: Missing) -> StartError {
    match missing {
        Missing::Refused(message) => {
            StartError::Refused(Box::new(outcome(FailureReason::CannotStart, message)))
        }
        Missing::Io(error) => {
            StartError::Unanswered(ExecutorError::platform("prepare the attempt's folder", error))
        }
    }
}

/// The operation's folder below the namespace's: `<namespace>/<environment>/<operation>`.
pub(super) fn object_store(config: &ProcessConfig, start: &StartRequest) -> Result<Option<PathBuf>, Missing> {
    let Some(store) = &start.request.object_store else { return Ok(None) };
    let Some(root) = &config.object_store else {
        let message = "the operation needs an object store, and this region has none: configure its folder";
        return Err(Missing::Refused(message.to_owned()));
    };
    let namespace = start.hook.path.namespace.to_string();
    let folder = root.join(namespace).join(store.prefix(start.request.environment));
    if store.read_only {
        // What was never written cannot be read back; an empty folder would look like an empty backup.
        if !folder.is_dir() {
            return Err(Missing::Refused(format!("there is no backup at {}", folder.display())));
        }
    } else {
        std::fs::create_dir_all(&folder)?;
    }
    Ok(Some(std::path::absolute(folder)?))
}

pub(super) fn write_files(
    start: &StartRequest,
    folder: &AttemptFolder,
    object_store: Option<PathBuf>,
) -> io::Result<ProcessPaths> {
    let text = |path: PathBuf| {
        path.into_os_string()
            .into_string()
            .map_err(|_| io::Error::other("the executor's folder is not UTF-8"))
    };
    let (environment, changeset) = (folder.path.join("environment.yaml"), folder.path.join("changeset.yaml"));
    std::fs::write(&environment, &start.request.environment_file)?;
    std::fs::write(&changeset, &start.request.changeset_file)?;
    std::fs::write(folder.output_file(), b"")?;
    std::fs::create_dir_all(folder.path.join("work"))?;
    Ok(ProcessPaths {
        environment_file: text(environment)?,
        changeset_file: text(changeset)?,
        output_file: text(folder.output_file())?,
        object_store: object_store.map(text).transpose()?,
    })
}

fn rewrite(spec: &mut ProcessSpec, map: &PathMap) {
    for word in &mut spec.command {
        *word = map.rewrite(word);
    }
    for variable in &mut spec.env {
        if let EnvValue::Literal(text) = &mut variable.value {
            *text = map.rewrite(text);
        }
    }
    spec.working_dir = spec.working_dir.take().map(|path| map.rewrite(&path));
}

pub(super) fn look_up(
    places: &mut Places<'_>,
    variable: &ProcessEnv,
) -> Result<Vec<(String, String)>, Missing> {
    match &variable.value {
        EnvValue::Secret { name, key, optional } => places.secret_values(name, Some(key), *optional),
        EnvValue::AllOfSecret { name, optional } => places.secret_values(name, None, *optional),
        EnvValue::ConfigMap { name, key, optional } => places.config_map_values(name, Some(key), *optional),
        EnvValue::AllOfConfigMap { name, optional } => places.config_map_values(name, None, *optional),
        EnvValue::Literal(_) | EnvValue::Injected(_) => Ok(Vec::new()),
    }
}

/// The template's own variables count first.
fn inherit(config: &ProcessConfig, resolved: &mut ResolvedProcess) {
    for name in &config.inherit {
        if let (Ok(value), false) = (std::env::var(name), resolved.env.iter().any(|(known, _)| known == name))
        {
            resolved.env.push((name.clone(), value));
        }
    }
}

fn working_dir(spec: &ProcessSpec, folder: &AttemptFolder) -> Result<PathBuf, Missing> {
    match &spec.working_dir {
        None => Ok(folder.path.join("work")),
        Some(path) if Path::new(path).is_dir() => Ok(PathBuf::from(path)),
        Some(path) => Err(Missing::Refused(format!(
            "the workingDir {path} is not on this machine (only in the image): mount it, or run the hook in a cluster"
        ))),
    }
}

fn check_program(resolved: &ResolvedProcess, working_dir: &Path) -> Result<(), Missing> {
    let program = resolved.argv.first().map_or("", String::as_str);
    let is_program = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        if is_program(&working_dir.join(program)) {
            return Ok(());
        }
    } else {
        let path = resolved.env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
        if std::env::split_paths(path).any(|folder| is_program(&folder.join(program))) {
            return Ok(());
        }
    }
    Err(Missing::Refused(format!(
        "the command {program:?} is not on this machine (only in the image): install it, mount a script from a ConfigMap, or run the hook in a cluster"
    )))
}
