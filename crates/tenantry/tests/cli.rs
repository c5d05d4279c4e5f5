//! What scripts rely on: exit codes, what goes to stdout, messages that say what to do. Needs no manager.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says where it broke")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn tenantry(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tenantry"))
        .args(args)
        .current_dir(repository())
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn write(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_wrong_word_is_a_usage_error_that_names_the_right_one() {
    let output = tenantry(&["env", "lst"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("'list'"), "{}", stderr(&output));
}

#[test]
fn a_manager_that_does_not_answer_is_unreachable() {
    // Port 9 (discard) on loopback: nothing listens there.
    let output = tenantry(&["env", "list", "--url", "http://127.0.0.1:9"]);
    assert_eq!(code(&output), 6, "{}", stderr(&output));
    assert!(stderr(&output).contains("http://127.0.0.1:9 cannot be reached"), "{}", stderr(&output));
}

#[test]
fn a_name_that_breaks_its_rule_is_refused_before_anything_is_sent() {
    let output = tenantry(&["tenant", "create", "Acme Ltd", "--url", "http://127.0.0.1:9"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("tenant name \"Acme Ltd\" is not valid"), "{}", stderr(&output));
}

#[test]
fn the_examples_lint_clean_and_say_nothing_on_stdout() {
    let output = tenantry(&["hook", "lint", "examples/saas", "examples/nightly-risk", "examples/gitops"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn a_bad_hook_is_reported_with_file_line_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(
        &folder,
        "bad.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: bad\n  namespace: crm\n  annotations:\n    \
         tenantry.io/tenant.lifecycle: lifecycle.upsert\n    tenantry.io/tenant.selector: 'tier in (gold'\nspec:\n  \
         suspend: true\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n        - name: hook\n          \
         image: busybox:1\n          command: [\"true\"]\n",
    );
    let output = tenantry(&["hook", "lint", &file]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), 1, "{stdout}");
    assert!(stdout.contains(&format!("{file}:8:")) && stdout.contains("selector"), "{stdout}");
    let json = tenantry(&["-o", "json", "hook", "lint", &file]);
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&json.stdout).unwrap();
    let errors: Vec<_> = findings.iter().filter(|finding| finding["severity"] == "error").collect();
    assert_eq!((errors.len(), &errors[0]["line"]), (1, &serde_json::json!(8)), "{findings:?}");
}

#[test]
fn a_hook_runs_alone_and_its_exit_code_decides() {
    let folder = tempfile::tempdir().unwrap();
    let environment =
        write(&folder, "environment.yaml", "tenant: acme\nname: prod\nsettings: {plan: gold}\n");
    let hook = |script: &str| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: one\n  namespace: crm\n  annotations:\n    \
             tenantry.io/tenant.lifecycle: lifecycle.upsert\nspec:\n  suspend: true\n  template:\n    spec:\n      \
             restartPolicy: Never\n      containers:\n        - name: hook\n          image: busybox:1\n          \
             command: [\"sh\", \"-c\", {}]\n",
            serde_json::to_string(script).unwrap()
        )
    };
    let run = |file: &str| {
        tenantry(&["hook", "run", file, "--environment", &environment, "--operation", "lifecycle.upsert"])
    };
    let good = write(&folder, "good.yaml", &hook("grep plan $LIFECYCLE_TENANT_ENV_FILE"));
    let output = run(&good);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("gold"));

    let folder = tempfile::tempdir().unwrap();
    let bad = write(&folder, "bad.yaml", &hook("echo no; exit 3"));
    let output = run(&bad);
    assert_eq!(code(&output), 1);
    assert_eq!(output.stdout, b"no\n");
    assert!(stderr(&output).contains("hook-failed (exit code 3)"), "{}", stderr(&output));
}

#[test]
fn a_secret_that_is_not_mapped_is_named_with_the_flag_that_maps_it() {
    let folder = tempfile::tempdir().unwrap();
    let environment = write(&folder, "environment.yaml", "tenant: acme\nname: prod\n");
    let file = write(
        &folder,
        "secret.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: one\n  namespace: crm\n  annotations:\n    \
         tenantry.io/tenant.lifecycle: lifecycle.upsert\nspec:\n  suspend: true\n  template:\n    spec:\n      \
         restartPolicy: Never\n      containers:\n        - name: hook\n          image: busybox:1\n          \
         command: [\"true\"]\n          env:\n            - name: PASSWORD\n              valueFrom: \
         {secretKeyRef: {name: db, key: password}}\n",
    );
    let run =
        ["hook", "run", file.as_str(), "--environment", &environment, "--operation", "lifecycle.upsert"];
    let output = tenantry(&run);
    assert_ne!(code(&output), 0);
    assert!(stderr(&output).contains("give --secret db=FOLDER"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("/root/secrets"), "a folder that is gone: {}", stderr(&output));

    let secret = folder.path().join("db");
    std::fs::create_dir(&secret).unwrap();
    std::fs::write(secret.join("password"), "correct-horse").unwrap();
    let mapped = format!("db={}", secret.display());
    let output = tenantry(&[&run[..], &["--secret", &mapped]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn a_command_that_is_only_in_the_image_is_refused_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let environment = write(&folder, "environment.yaml", "tenant: acme\nname: prod\n");
    let file = write(
        &folder,
        "image.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: image\n  namespace: crm\n  annotations:\n    \
         tenantry.io/tenant.lifecycle: lifecycle.upsert\nspec:\n  suspend: true\n  template:\n    spec:\n      \
         restartPolicy: Never\n      containers:\n        - name: hook\n          image: registry.example/tool:1\n",
    );
    let output =
        tenantry(&["hook", "run", &file, "--environment", &environment, "--operation", "lifecycle.upsert"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert!(stderr(&output).contains("image"), "{}", stderr(&output));
}

#[test]
fn an_unknown_key_in_the_configuration_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(&folder, "config.toml", "urll = \"http://127.0.0.1:9\"\n");
    let output = tenantry(&["env", "list", "--config", &file]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("`urll`"), "{}", stderr(&output));
}

/// Before anything is touched, and without what the document holds.
#[test]
fn a_document_of_sinks_that_cannot_be_used_is_a_usage_error_that_names_the_sink() {
    let folder = tempfile::tempdir().unwrap();
    let sinks = "sinks: [{name: crm, http: {url: 'http://h/part-of-secret', tokenFile: /nowhere/token}}]\n";
    let file = write(&folder, "event-sinks.yaml", sinks);
    let data = folder.path().join("data").display().to_string();
    let output = tenantry(&["manager", "--data", &data, "--listen", "127.0.0.1:0", "--event-sinks", &file]);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(said.contains("crm") && said.contains("/nowhere/token"), "{said}");
    assert!(!said.contains("part-of-secret"), "{said}");
    assert!(!folder.path().join("data").exists());
    let output = tenantry(&["manager", "--data", &data, "--listen", "127.0.0.1:0", "--event-source", "mine"]);
    assert_eq!((code(&output), stderr(&output).contains("event-source")), (2, true));
}

#[test]
fn an_inbox_that_cannot_be_used_and_events_older_than_what_is_remembered_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let manager = |flags: &[&str]| {
        let output = tenantry(&[&["manager", "--data", &data, "--listen", "127.0.0.1:0"], flags].concat());
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        assert!(!folder.path().join("data/tenantry.db").exists());
        stderr(&output)
    };
    let document = "{tokenFile: /nowhere/token, nats: {url: 'nats://127.0.0.1:9', stream: requests}}\n";
    let file = write(&folder, "event-inbox.yaml", document);
    let said = manager(&["--event-inbox", &file]);
    assert!(said.contains("event-inbox") && said.contains("/nowhere/token"), "{said}");
    let file =
        write(&folder, "event-inbox.yaml", "{tokenFile: /x, nats: {url: 'nats://h', streams: requests}}\n");
    let said = manager(&["--event-inbox", &file]);
    assert!(said.contains("streams"), "{said}");
    let data = folder.path().join("other").display().to_string();
    let flags = ["--keep-answers", "1h", "--event-max-age", "2h"];
    let output = tenantry(&[&["manager", "--data", &data, "--listen", "127.0.0.1:0"], &flags[..]].concat());
    assert_eq!((code(&output), stderr(&output).contains("event-max-age")), (2, true), "{}", stderr(&output));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(&folder, "config.toml", "url = \"http://127.0.0.1:11\"\n");
    let asked = |args: &[&str], env: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.args(["env", "list", "--config", &file]).args(args).env_remove("TENANTRY_URL");
        if let Some(url) = env {
            command.env("TENANTRY_URL", url);
        }
        stderr(&command.output().unwrap())
    };
    assert!(asked(&[], None).contains("127.0.0.1:11 "));
    assert!(asked(&[], Some("http://127.0.0.1:13")).contains("127.0.0.1:13 "));
    assert!(asked(&["--url", "http://127.0.0.1:9"], Some("http://127.0.0.1:13")).contains("127.0.0.1:9 "));
}

#[test]
fn a_line_is_tried_out_without_a_manager() {
    let preview = |cron: &str, zone: &str, after: &str| {
        tenantry(&[
            "schedule",
            "preview",
            "--cron",
            cron,
            "--time-zone",
            zone,
            "--after",
            after,
            "--count",
            "3",
        ])
    };
    let output = preview("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows: Vec<Vec<&str>> = shown.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows,
        [
            ["2026-03-28T02:30:00+01:00", "plain"],
            ["2026-03-29T03:00:00+02:00", "skipped"],
            ["2026-03-30T02:30:00+02:00", "plain"]
        ]
    );
    let output = preview("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("2026-10-25T02:30:00+02:00  repeated-first"), "{shown}");
    assert!(shown.contains("2026-10-25T02:30:00+01:00  repeated-second"), "{shown}");

    for (cron, zone, why) in [
        ("0 0 30 2 *", "UTC", "never fires"),
        ("* * * * * *", "UTC", "the shortest interval is one minute"),
        ("0 22 * * *", "Europe/Berln", "did you mean Europe/Berlin?"),
    ] {
        let output = preview(cron, zone, "2026-01-01T00:00:00Z");
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
    assert_eq!(code(&tenantry(&["schedule", "preview"])), 2);
}

#[test]
fn a_schedule_needs_to_know_when_and_for_whom() {
    let create = |more: &[&str]| {
        let base = ["schedule", "create", "nightly", "risk.nightly", "--url", "http://127.0.0.1:9"];
        tenantry(&[&base[..], more].concat())
    };
    let cases: [(&[&str], &str); 4] = [
        (&["--cron", "0 22 * * *", "--time-zone", "UTC"], "--environment or --selector"),
        (&["--selector", "", "--time-zone", "UTC"], "--cron"),
        (&["--selector", "", "--deadline", "soon"], "is no deadline"),
        (&["--selector", "", "--overlap", "pile-up"], "overlap policy"),
    ];
    for (more, why) in cases {
        let output = create(more);
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}

#[test]
fn a_folder_at_rest_is_looked_at_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (data, elsewhere) = (folder.path().join("data"), folder.path().join("elsewhere"));
    let check = |more: &[&str]| {
        let data = data.display().to_string();
        tenantry(&[&["check", "--data", &data], more].concat())
    };
    let nothing = check(&[]);
    assert_eq!(code(&nothing), 4, "{}", stderr(&nothing));
    assert!(stderr(&nothing).contains("holds no database"), "{}", stderr(&nothing));
    assert!(!data.exists());

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(tenantry_store_sqlite::SqliteStore::open(&data)).unwrap();
    let busy = check(&[]);
    assert_eq!(code(&busy), 5, "{}", stderr(&busy));
    assert!(stderr(&busy).contains("in use by process"), "{}", stderr(&busy));
    assert!(stderr(&busy).contains("leave out --data"), "{}", stderr(&busy));
    runtime.block_on(store.close());
    drop(store);

    let good = check(&["--deep"]);
    assert_eq!(code(&good), 0, "{}", stderr(&good));
    assert!(stderr(&good).contains("--logs FOLDER"), "{}", stderr(&good));
    assert!(!data.join("logs").exists(), "a look makes nothing");
    let place = elsewhere.display().to_string();
    assert_eq!(code(&check(&["--logs", &place])), 4);
    std::fs::create_dir(&elsewhere).unwrap();
    let good = check(&["--logs", &place]);
    assert_eq!(code(&good), 0, "{}", stderr(&good));
    assert!(!stderr(&good).contains("without logs"), "{}", stderr(&good));
    // Not 1, which says that something was found.
    std::fs::write(data.join("tenantry.db"), "this is no database").unwrap();
    let broken = check(&[]);
    assert_eq!(code(&broken), 3, "{}", stderr(&broken));
}

#[test]
fn a_time_to_keep_that_would_remove_everything_at_once_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    for (flag, said) in [("--keep-answers=0s", "keep-answers"), ("--keep-operations=-1h", "keep-operations")]
    {
        let refused = tenantry(&["manager", "--data", &data, "--listen", "127.0.0.1:0", flag]);
        assert_eq!(code(&refused), 2, "{}", stderr(&refused));
        assert!(stderr(&refused).contains(said), "{}", stderr(&refused));
    }
}

/// Settings that the agent knows, and probes of what it serves; nothing that the namespace's policy forbids.
#[test]
fn the_shipped_agent_is_started_with_settings_that_exist_and_probed_where_it_answers() {
    let text = std::fs::read_to_string(repository().join("deploy/agent/agent.yaml")).unwrap();
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
    let deployment = documents.iter().find(|document| document["kind"] == "Deployment").unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    let agent = &pod["containers"][0];
    let help = tenantry(&["agent", "--help"]);
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let mut listens = None;
    for variable in agent["env"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        assert!(help.contains(&format!("{name}=")) || help.contains(&format!("{name}]")), "{name}\n{help}");
        if name == "TENANTRY_STATUS_LISTEN" {
            listens = variable["value"].as_str().and_then(|address| address.rsplit(':').next()?.parse().ok());
        }
    }
    let port: u16 = listens.unwrap();
    assert_eq!(agent["ports"][0]["name"], "status");
    assert_eq!(agent["ports"][0]["containerPort"], port);
    for (probe, path) in
        [("readinessProbe", "/readyz"), ("livenessProbe", "/healthz"), ("startupProbe", "/healthz")]
    {
        assert_eq!(agent[probe]["httpGet"]["path"], path, "{probe}");
        assert_eq!(agent[probe]["httpGet"]["port"], "status", "{probe}");
    }
    // It comes without rights of its own: the role bindings of the other files name this account.
    assert_eq!(pod["serviceAccountName"], "agent");
    let kinds: Vec<&str> = documents.iter().map(|document| document["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["PersistentVolumeClaim", "Deployment"]);
}

#[test]
fn completions_know_every_command() {
    for (shell, begin) in
        [("bash", "_tenantry"), ("zsh", "#compdef tenantry"), ("fish", "complete -c tenantry")]
    {
        let output = tenantry(&["completions", shell]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(code(&output), 0);
        assert!(text.contains(begin) && text.contains("declare-lost"), "{shell}: {text}");
    }
    // What bash itself says of them.
    let script = "source <(\"$0\" completions bash) && complete -p tenantry";
    let checked = Command::new("bash").args(["-c", script, env!("CARGO_BIN_EXE_tenantry")]).output().unwrap();
    assert!(checked.status.success(), "{}", stderr(&checked));
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("man1");
    assert_eq!(code(&tenantry(&["man", path.to_str().unwrap()])), 0);
    let page = std::fs::read_to_string(path.join("tenantry-op-confirm.1")).unwrap();
    assert!(page.contains("\\-\\-reason") && page.contains("Says that a step was done by hand"), "{page}");
    assert!(!path.join("tenantry-shim.1").exists());
    let one = tenantry(&["man"]);
    assert!(String::from_utf8_lossy(&one.stdout).contains(".TH tenantry 1"));
}
