//! `--runtime docker|podman`: the attempt as a container of its hook's image, through the engine's command line.
//!
//! The shim runs the engine's program in the place of the hook, so that log, kill, timeout and finding it again are those of
//! a process; the container's name is the attempt's. Values of variables travel in the program's environment: no command line
//! shows them.

use super::{
    config::ProcessConfig,
    folder::AttemptFolder,
    manifests::ConfigMaps,
    mounts::{Missing, Places},
    prepare::{look_up, object_store, refuse, write_files},
};
use crate::{
    executors::{StartError, StartRequest},
    orders::{in_words, outcome},
    shim::{
        container::{Container, LABEL},
        files::{self, MARK, ShimSpec},
    },
};
use serde_json::Value;
use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tenantry_hook::{ProcessPaths, attempt_name, process_spec};

const CONTAINER: &str = "/spec/template/spec/containers/0";
const POD: &str = "/spec/template/spec";
/// Where tenantry's own files are in the container.
const INSIDE: &str = "/tenantry";
/// What the engine's program needs for itself; a hook's variable of such a name is given on the command line.
const OF_ENGINE: [&str; 11] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_HOST",
    "DOCKER_CONFIG",
    "CONTAINER_HOST",
    "CONTAINERS_CONF",
    "CONTAINERS_STORAGE_CONF",
];

/// A container engine on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRuntime {
    engine: PathBuf,
    env: Vec<(String, String)>,
}

impl ContainerRuntime {
    /// Finds the engine's program (`docker`, `podman`) on the agent's PATH.
    #[must_use]
    pub fn find(program: &str) -> Option<Self> {
        let path = std::env::var_os("PATH")?;
        let engine =
            std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())?;
        let env = OF_ENGINE
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect();
        Some(Self { engine, env })
    }
}

/// Everything that the command line of `run` says.
#[derive(Debug)]
struct Run<'a> {
    name: &'a str,
    nonce: &'a str,
    image: &'a str,
    /// Where the engine's program writes the container's id.
    id_file: &'a str,
    /// `imagePullPolicy`.
    pull: &'a str,
    /// `runAsUser[:runAsGroup]`.
    user: Option<String>,
    working_dir: Option<&'a str>,
    command: &'a [String],
    env: &'a [(String, String)],
    /// Here, in the container, read-only.
    mounts: &'a [(String, String, bool)],
}

pub(super) fn prepare(
    runtime: &ContainerRuntime,
    config: &ProcessConfig,
    config_maps: &ConfigMaps,
    start: &StartRequest,
    folder: &AttemptFolder,
) -> Result<ShimSpec, StartError> {
    let store = object_store(config, start).map_err(refuse)?;
    let here = write_files(start, folder, store).map_err(|e| refuse(e.into()))?;
    // The image's user need not be the agent's.
    std::fs::set_permissions(folder.output_file(), Permissions::from_mode(0o666))
        .map_err(|e| refuse(e.into()))?;
    let inside = ProcessPaths {
        environment_file: format!("{INSIDE}/environment.yaml"),
        changeset_file: format!("{INSIDE}/changeset.yaml"),
        output_file: format!("{INSIDE}/outputs.json"),
        object_store: here.object_store.as_ref().map(|_| format!("{INSIDE}/store")),
    };
    let spec = process_spec(&start.template, &start.hook, &start.request, &inside).map_err(|refusal| {
        StartError::Refused(Box::new(outcome(refusal.reason, in_words(&refusal.problems))))
    })?;
    let mut places =
        Places { config, config_maps, namespace: &start.hook.path.namespace, secrets: Vec::new() };
    let map = places.mount(&spec.mounts, &folder.path.join("mounts")).map_err(refuse)?;
    let resolved = spec.resolve(&mut |variable| look_up(&mut places, variable)).map_err(refuse)?;
    let nonce = start.request.nonce.to_string();
    let mut env = resolved.env;
    env.push((MARK.to_owned(), nonce.clone()));

    let mut mounts = vec![
        (here.environment_file, inside.environment_file, true),
        (here.changeset_file, inside.changeset_file, true),
        (here.output_file, inside.output_file, false),
    ];
    mounts.extend(here.object_store.zip(inside.object_store).map(|(here, inside)| (here, inside, false)));
    for (path, local) in map.pairs() {
        let read_only =
            spec.mounts.iter().any(|mount| mount.path.trim_end_matches('/') == path && mount.read_only);
        mounts.push((local.to_owned(), path.to_owned(), read_only));
    }
    if let Some((here, inside, _)) =
        mounts.iter().find(|(here, inside, _)| here.contains(':') || inside.contains(':'))
    {
        let message =
            format!("{here} cannot be mounted at {inside}: a container engine takes no colon in a path");
        return Err(refuse(Missing::Refused(message)));
    }

    let name = attempt_name(&start.request.attempt);
    let text = |pointer: String| start.template.pointer(&pointer).and_then(Value::as_str);
    let image = text(format!("{CONTAINER}/image")).unwrap_or_default();
    let id_file = folder.path.join(files::CONTAINER_ID);
    let shown = id_file.display().to_string();
    let run = Run {
        name: &name,
        nonce: &nonce,
        image,
        id_file: &shown,
        pull: text(format!("{CONTAINER}/imagePullPolicy")).unwrap_or_default(),
        user: user(&start.template),
        working_dir: spec.working_dir.as_deref(),
        command: &resolved.argv,
        env: &env,
        mounts: &mounts,
    };
    let container = Container {
        engine: runtime.engine.clone(),
        name: name.clone(),
        nonce: nonce.clone(),
        id_file: Some(id_file),
        env: runtime.env.clone(),
    };
    // Found again when the shim was ended from outside.
    files::write(&folder.path, files::CONTAINER, &container, false).map_err(|e| refuse(e.into()))?;
    let argv = arguments(&runtime.engine, &run);
    let own = env.into_iter().filter(|(name, _)| !of_engine(name));
    Ok(ShimSpec {
        argv,
        env: runtime.env.iter().cloned().chain(own).collect(),
        working_dir: folder.path.clone(),
        mask: places.secrets,
        log_limit: config.log_limit,
        container: Some(container),
    })
}

/// The whole command line. Not `--rm`: the engine's record of how it ended must outlive its program.
fn arguments(engine: &Path, run: &Run<'_>) -> Vec<String> {
    let pull = match run.pull {
        "Always" => "always",
        "Never" => "never",
        _ => "missing",
    };
    let mut argv = vec![engine.display().to_string(), "run".to_owned()];
    let mut say = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
    say(&["--name", run.name, "--label", &format!("{LABEL}={}", run.nonce), "--cidfile", run.id_file]);
    // As a process of this machine would have it: the services of a laptop are on its loopback address.
    say(&["--network", "host", "--pull", pull]);
    if let Some(user) = &run.user {
        say(&["--user", user]);
    }
    if let Some(folder) = run.working_dir {
        say(&["--workdir", folder]);
    }
    for (here, inside, read_only) in run.mounts {
        say(&["--volume", &format!("{here}:{inside}{}", if *read_only { ":ro" } else { "" })]);
    }
    for (name, value) in run.env {
        if of_engine(name) {
            say(&["--env", &format!("{name}={value}")]);
        } else {
            say(&["--env", name]);
        }
    }
    // As in a cluster, `command` replaces the image's entry point.
    if let Some((program, args)) = run.command.split_first() {
        say(&["--entrypoint", program, run.image]);
        argv.extend(args.iter().cloned());
    }
    argv
}

fn of_engine(name: &str) -> bool {
    OF_ENGINE.contains(&name)
}

/// The container's own security context wins over the Pod's.
fn user(template: &Value) -> Option<String> {
    let number = |key: &str| {
        [CONTAINER, POD]
            .iter()
            .find_map(|at| template.pointer(&format!("{at}/securityContext/{key}"))?.as_u64())
    };
    match (number("runAsUser"), number("runAsGroup")) {
        (Some(user), Some(group)) => Some(format!("{user}:{group}")),
        (Some(user), None) => Some(user.to_string()),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn the_command_line_says_everything_but_the_values_of_variables() {
        let run = Run {
            name: "crm-tenant-018f-1-abc",
            nonce: "n1",
            image: "local/python:1",
            id_file: "/var/a/container-id",
            pull: "Never",
            user: Some("10001:10001".to_owned()),
            working_dir: Some("/srv"),
            command: &["python3".to_owned(), "-B".to_owned(), "/hooks/a b.py".to_owned()],
            env: &[
                pair("LIFECYCLE_STEP", "eu1/crm/crm-tenant"),
                pair("TOKEN", "secret"),
                pair("HOME", "/srv"),
            ],
            mounts: &[
                ("/var/a/environment.yaml".to_owned(), "/tenantry/environment.yaml".to_owned(), true),
                ("/var/root/volumes/crm/data".to_owned(), "/data".to_owned(), false),
            ],
        };
        let argv = arguments(Path::new("/usr/bin/podman"), &run);
        assert_eq!(
            argv,
            [
                "/usr/bin/podman",
                "run",
                "--name",
                "crm-tenant-018f-1-abc",
                "--label",
                "tenantry.io/attempt-nonce=n1",
                "--cidfile",
                "/var/a/container-id",
                "--network",
                "host",
                "--pull",
                "never",
                "--user",
                "10001:10001",
                "--workdir",
                "/srv",
                "--volume",
                "/var/a/environment.yaml:/tenantry/environment.yaml:ro",
                "--volume",
                "/var/root/volumes/crm/data:/data",
                "--env",
                "LIFECYCLE_STEP",
                "--env",
                "TOKEN",
                "--env",
                "HOME=/srv",
                "--entrypoint",
                "python3",
                "local/python:1",
                "-B",
                "/hooks/a b.py",
            ]
        );
        assert!(!argv.iter().any(|word| word.contains("secret")));
    }

    #[test]
    fn an_image_is_pulled_when_it_is_missing_unless_the_template_says_otherwise() {
        for (policy, flag) in
            [("", "missing"), ("IfNotPresent", "missing"), ("Always", "always"), ("Never", "never")]
        {
            let run = Run {
                name: "a",
                nonce: "n",
                image: "i",
                id_file: "id",
                pull: policy,
                user: None,
                working_dir: None,
                command: &["true".to_owned()],
                env: &[],
                mounts: &[],
            };
            let argv = arguments(Path::new("docker"), &run);
            let at = argv.iter().position(|word| word == "--pull");
            assert_eq!(at.and_then(|at| argv.get(at + 1)).map(String::as_str), Some(flag));
        }
    }

    #[test]
    fn the_containers_user_wins_over_the_pods() {
        let template = |pod: Value, container: Value| json!({"spec": {"template": {"spec": {"securityContext": pod, "containers": [{"securityContext": container}]}}}});
        for (template, wanted) in [
            (template(json!({"runAsUser": 1, "runAsGroup": 2}), json!({})), Some("1:2")),
            (template(json!({"runAsUser": 1}), json!({"runAsUser": 3})), Some("3")),
            (template(json!({}), json!({})), None),
        ] {
            assert_eq!(user(&template).as_deref(), wanted);
        }
    }
}
