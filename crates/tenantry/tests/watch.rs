//! `tenantry op watch` as a person uses it: the real binary in a pseudo terminal of 80×24, beside a running
//! `tenantry up`. What the person sees is read by a terminal emulator.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says where it broke")]

use std::io::{Read, Write};
use std::num::NonZero;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_mins(1);

fn nonzero(number: u16) -> NonZero<u16> {
    NonZero::new(number).unwrap()
}

/// Looks until it is there; the message says what was there instead.
fn within<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) if Instant::now() > deadline => {
                panic!("{what} did not come within {PATIENCE:?}:\n{instead}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Two hooks: the first fails until the file `repaired` is there, the second does not end until `opened` is.
fn hooks(folder: &Path) {
    let hook = |name: &str, after: &str, script: String| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  namespace: bank\n  annotations:\n    \
             tenantry.io/tenant.lifecycle: lifecycle.upsert\n    tenantry.io/tenant.after: '{after}'\nspec:\n  \
             suspend: true\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n        - name: hook\n          \
             image: busybox:1\n          command: [\"sh\", \"-c\", {}]\n---\n",
            serde_json::to_string(&script).unwrap()
        )
    };
    let repaired = folder.join("repaired");
    let load = format!(
        "echo reading the quotes; test -e {} || {{ echo bad quote EURJPY; exit 1; }}",
        repaired.display()
    );
    let opened = folder.join("opened");
    let report = format!("until test -e {}; do sleep 0.05; done; echo done", opened.display());
    let text = hook("load", "", load) + &hook("report", "load", report);
    std::fs::create_dir_all(folder.join("hooks")).unwrap();
    std::fs::write(folder.join("hooks/hooks.yaml"), text).unwrap();
}

/// A tenantry whose data stays when it is killed.
struct Up {
    child: Child,
}

impl Up {
    fn start(folder: &Path, listen: &str) -> Self {
        let _ = std::fs::remove_file(folder.join("env"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.args(["up", "--log", "error", "--listen", listen]);
        for (flag, name) in [("--templates", "hooks"), ("--data", "data"), ("--env-file", "env")] {
            command.arg(flag).arg(folder.join(name));
        }
        let child = command.current_dir(folder).stdout(Stdio::null()).spawn().unwrap();
        within("tenantry up", || std::fs::metadata(folder.join("env")).map_err(|error| error.to_string()));
        Self { child }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A person in front of a terminal.
struct Person {
    child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Person {
    /// `script` gives the command a pseudo terminal and copies what goes in and out.
    fn sits_down(arguments: &str, environment: &[(String, String)]) -> Self {
        let program = env!("CARGO_BIN_EXE_tenantry");
        let mut child = Command::new("script")
            .args([
                "-q",
                "-e",
                "-c",
                &format!("stty cols 80 rows 24; exec {program} {arguments}"),
                "/dev/null",
            ])
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(nonzero(24), nonzero(80), 0)));
        let (mut output, shown) = (child.stdout.take().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = output.read(&mut buffer)
                && count > 0
            {
                shown.lock().unwrap().process(&buffer[..count]);
            }
        });
        Self { keys: child.stdin.take().unwrap(), child, screen }
    }

    fn sees(&self, text: &str) {
        within(&format!("{text:?} on the screen"), || {
            let shown = self.screen.lock().unwrap().screen().contents();
            if shown.contains(text) { Ok(()) } else { Err(shown) }
        });
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn leaves(mut self) -> ExitStatus {
        self.types("q");
        within("the end of the view", || {
            self.child.try_wait().unwrap().ok_or_else(|| "it goes on".to_owned())
        })
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn environment(folder: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder.join("env")).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn tenantry(environment: &[(String, String)], args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.args(args).envs(environment.iter().map(|(key, value)| (key, value)));
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_person_repairs_a_night_from_the_live_view() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    hooks(folder);
    // A port of our own that stays when the manager comes back.
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let up = Up::start(folder, &listen);
    let client = environment(folder);
    tenantry(&client, &["tenant", "create", "acme"]);
    std::fs::write(folder.join("prod.yaml"), "tenant: acme\nname: prod\n").unwrap();
    let file = folder.join("prod.yaml").display().to_string();
    let (code, _) = tenantry(&client, &["env", "create", "-f", &file, "--region", "local", "--wait"]);
    assert_eq!(code, Some(7), "a step waits for a decision");
    let (_, list) = tenantry(&client, &["op", "list", "-o", "json"]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let id = list[0]["id"].as_str().unwrap();

    // Without a terminal: its events, one a line, until a step waits.
    let (code, lines) = tenantry(&client, &["op", "watch", id]);
    assert_eq!(code, Some(7), "{lines}");
    assert!(lines.contains("bank/load attempt 1 failed  hook-failed (exit code 1)"), "{lines}");
    let (_, json) = tenantry(&client, &["op", "watch", id, "-o", "json"]);
    let events: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().any(|event| event["data"]["waiting"] == true), "{json}");

    let mut person = Person::sits_down(&format!("op watch {id}"), &client);
    person.sees("lifecycle.upsert acme/prod  running");
    person.sees("!  bank/load     failed     1");
    person.sees("decide, hook-failed (1)");
    person.types("l");
    person.sees("bad quote EURJPY");
    person.types("q");
    person.sees("h hold u release");

    // The manager is killed and comes back: the view says so, and goes on by itself.
    drop(up);
    person.sees("connecting again");
    let _up = Up::start(folder, &listen);
    person.sees("1 to decide");

    std::fs::write(folder.join("repaired"), "").unwrap();
    person.types("r");
    person.sees("reason (may be empty)");
    person.types("quote repaired\r");
    person.sees("this would happen");
    person.types("y");
    person.sees("bank/report running");

    // Its successor hangs: it is ended and held, and goes on when it is released.
    person.types("\x1b[B");
    person.types("t");
    person.sees("stop bank/report");
    person.types("it hangs\r");
    person.sees("killed    bank/report attempt 1");
    person.types("y");
    person.sees("held by admin: it hangs");
    person.sees("bank/report ready");
    std::fs::write(folder.join("opened"), "").unwrap();
    person.types("u\r");
    person.sees("released  bank/report");
    person.types("y");
    person.sees("2/2 done");
    person.sees("the operation has ended: q leaves");
    person.sees("rerun by admin: quote rep");

    // Again, from the selected step on: the view goes over to the new operation.
    person.types("A");
    person.sees("replay --from bank/report");
    person.types("once more\r");
    person.sees("kept      bank/load");
    person.sees("runs      bank/report");
    person.types("y");
    person.sees(&format!("replay of {id}"));
    person.sees("2/2 done");
    person.sees("the operation has ended");
    let (_, list) = tenantry(&client, &["op", "list", "-o", "json"]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!((list[0]["replay"]["of"].as_str(), list[0]["state"].as_str()), (Some(id), Some("succeeded")));
    assert!(person.leaves().success());
}
