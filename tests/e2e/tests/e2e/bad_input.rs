//! Bad input that only whole programs can meet: clear message, nothing lost, nothing half done.

use crate::place::{Place, REGION, Setup, on_each};
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;
use tenantry_e2e::{AgentSettings, Answer, Hook, Needs, Program, Site, World, binary, trial};

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial(Needs::Laptop, "a_port_in_use_is_named_and_nothing_starts", port_in_use),
        trial(
            Needs::Laptop,
            "a_second_manager_on_a_data_folder_is_refused_and_the_first_goes_on",
            second_manager,
        ),
        trial(Needs::Laptop, "an_agent_with_a_foreign_credential_is_turned_away", foreign_credential),
        trial(Needs::Laptop, "a_log_line_of_10_megabytes_survives_on_a_laptop", long_line),
        trial(Needs::Laptop, "every_documented_exit_code_is_given_for_its_reason", exit_codes),
    ];
    trials.extend(on_each("a_log_line_of_10_megabytes_survives_in_a_cluster", long_line_in_a_cluster));
    // A bind mount that cannot be written is the only thing that stops root.
    let root = rustix::process::geteuid().is_root();
    trials.push(
        trial(Needs::Laptop, "a_read_only_data_folder_is_refused_with_its_name", read_only)
            .with_ignored_flag(!root),
    );
    trials
}

fn read_only(world: &World) -> Result<()> {
    let data = world.folder().join("data");
    std::fs::create_dir_all(&data)?;
    // A mount namespace of its own: nothing is left mounted.
    let script = r#"mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" manager --data "$1" --listen 127.0.0.1:0"#;
    let mut command = Command::new("timeout");
    command.args(["300", "unshare", "--mount", "sh", "-c", script, "sh"]).arg(&data).arg(binary());
    let answer = Answer::of(&mut command)?.expect(3)?;
    ensure!(answer.err.contains(&data.display().to_string()), "the folder is not named: {}", answer.err);
    ensure!(answer.err.to_lowercase().contains("read-only"), "{}", answer.err);
    ensure!(answer.out.is_empty() && std::fs::read_dir(&data)?.next().is_none(), "{}", answer.out);
    Ok(())
}

fn port_in_use(world: &World) -> Result<()> {
    let taken = TcpListener::bind(("127.0.0.1", 0))?;
    let address = taken.local_addr()?.to_string();
    let mut command = tenantry_e2e::tenantry();
    command.arg("manager").arg("--data").arg(world.folder().join("data")).args(["--listen", &address]);
    let mut program = Program::start("manager", world.folder(), &mut command)?;
    let status = program.wait(Duration::from_mins(5))?;
    ensure!(status.code() == Some(3), "{status}");
    let log = program.log_text()?;
    ensure!(log.contains(&address) && log.contains("in use"), "{log}");
    ensure!(program.out_text()?.is_empty(), "a token that nobody can use was printed");
    // The same folder starts elsewhere, and now prints the token of its first start.
    drop(taken);
    let mut second = Program::start("second", world.folder(), &mut command)?;
    tenantry_e2e::eventually("the token", || Ok(second.out_text()?.lines().next().map(str::to_owned)))?;
    ensure!(second.terminate()?.success());
    Ok(())
}

fn second_manager(world: &World) -> Result<()> {
    let site = Site::start(world, &[])?;
    let data = world.folder().join("site/data").display().to_string();
    let mut again = tenantry_e2e::tenantry();
    again.args(["manager", "--data", &data, "--listen", "127.0.0.1:0"]);
    let answer = Answer::of(&mut again)?.expect(3)?;
    ensure!(answer.err.contains(&data), "the folder is not named: {}", answer.err);
    ensure!(answer.out.is_empty(), "{}", answer.out);
    site.cli(&["tenant", "create", "acme"])?.expect(0)?;
    site.finish()
}

fn foreign_credential(world: &World) -> Result<()> {
    let templates = world.folder().join("templates");
    std::fs::create_dir_all(&templates)?;
    let hook = Hook::new("team", "tenant").local_witness(&world.folder().join("witness"), 1, "0");
    std::fs::write(templates.join("hook.yaml"), hook.manifest().to_string())?;
    let mut site = Site::start(world, &[])?;
    site.add_region("eu1", AgentSettings::process(&templates))?;
    site.add_region("us1", AgentSettings::process(&templates))?;
    site.wait_for_hooks("eu1", &["team/tenant"])?;

    // Somebody gives the agent of us1 a credential that no region has, then one that is no agent's.
    let credential = site.agent_folder("us1").join("credential");
    let own = std::fs::read_to_string(&credential)?;
    for (name, wrong) in [("unknown", "tenantry_nonsense".to_owned()), ("no-agents", site.token.clone())] {
        std::fs::write(&credential, &wrong)?;
        site.kill_agent("us1")?;
        let mut command = tenantry_e2e::tenantry();
        command
            .arg("agent")
            .arg("--folder")
            .arg(site.agent_folder("us1"))
            .args(["--manager-url", &site.url()]);
        command.arg("--templates").arg(&templates);
        let mut agent = Program::start(name, world.folder(), &mut command)?;
        // It goes on asking: its region's hooks may be at work, and a credential can be mended.
        let log = tenantry_e2e::eventually("the refusal in its log", || {
            agent.check_alive()?;
            let log = agent.log_text()?;
            Ok((log.contains("refuses") && (log.contains("401") || log.contains("403"))).then_some(log))
        })?;
        ensure!(!log.contains(&wrong), "the credential is in the log");
        ensure!(agent.terminate()?.success());
        std::fs::write(&credential, &own)?;
        site.start_agent("us1")?;
    }
    let id = site.provision("prod", "eu1")?;
    site.wait_succeeded(id)?;
    site.finish()
}

/// A hook that writes one line of ten megabytes.
fn talks(namespace: &str) -> Hook {
    let script = "echo before; head -c 10000000 /dev/zero | tr '\\0' x; echo; echo after";
    Hook::new(namespace, "talks").shell(script)
}

fn long_line(world: &World) -> Result<()> {
    let hook = talks("team");
    let mut site = Site::start(world, &[])?;
    let templates = world.folder().join("templates");
    std::fs::create_dir_all(&templates)?;
    std::fs::write(templates.join("hook.yaml"), hook.manifest().to_string())?;
    site.add_region(REGION, AgentSettings::process(&templates))?;
    bounded(site, &hook)
}

fn long_line_in_a_cluster(world: &World, place: Place) -> Result<()> {
    let team = world.team("team")?;
    let hook = talks(&team.namespace);
    world.cluster()?.apply(&[hook.manifest()])?;
    bounded(Setup::new(place, &[&team.namespace]).start(world)?, &hook)
}

/// Head and tail of its log are kept, and that there was more is said.
fn bounded(site: Site, hook: &Hook) -> Result<()> {
    const LINE: usize = 10_000_000;
    site.wait_for_hooks("eu1", &[&hook.path()])?;
    let id = site.provision("prod", "eu1")?;
    site.wait_succeeded(id)?;
    let log = site.log(id, "talks", 1)?;
    ensure!(log.starts_with(b"before\nxxxx"), "the head is lost");
    ensure!(
        log.ends_with(b"xxxx\nafter\n"),
        "the tail is lost: {:?}",
        String::from_utf8_lossy(&log[log.len().saturating_sub(200)..])
    );
    // Head, tail, and what a segment holds beyond the tail.
    ensure!(log.len() < LINE - 1_000_000, "{} bytes: not bounded", log.len());
    let text = String::from_utf8_lossy(&log);
    let said = text.find(|c: char| !"xbeforat\n".contains(c)).context("the cut is not said")?;
    ensure!(text[said.saturating_sub(100)..].len() > 100);
    site.finish()
}

fn exit_codes(world: &World) -> Result<()> {
    let templates = world.folder().join("templates");
    std::fs::create_dir_all(&templates)?;
    let witness = world.folder().join("witness");
    for hook in [
        Hook::new("team", "good").local_witness(&witness, 0, "0"),
        Hook::new("team", "bad")
            .tenant("lifecycle", "team.fails")
            .tenant("on-failure", "fail")
            .local_witness(&witness, 0, "5"),
        Hook::new("team", "asks").tenant("lifecycle", "team.asks").local_witness(&witness, 0, "5"),
    ] {
        std::fs::write(
            templates.join(format!("{}.yaml", hook.path().replace('/', "-"))),
            hook.manifest().to_string(),
        )?;
    }
    let mut site = Site::start(world, &[])?;
    site.add_region("eu1", AgentSettings::process(&templates))?;
    site.wait_for_hooks("eu1", &["team/good", "team/bad", "team/asks"])?;
    site.cli(&["tenant", "create", "acme"])?.expect(0)?;
    site.cli(&["env", "create", "acme/prod", "--region", "eu1", "--wait"])?.expect(0)?;
    // Failed.
    let failed = site.cli(&["op", "run", "team.fails", "acme/prod", "--wait"])?.expect(1)?;
    ensure!(failed.err.contains("tenantry op logs"), "{}", failed.err);
    // Usage.
    site.cli(&["op", "frobnicate"])?.expect(2)?;
    site.cli(&["env", "create", "not a name", "--region", "eu1"])?.expect(2)?;
    // Refused: no right, and a wrong token.
    let viewer = site.cli(&["token", "create", "reader", "--role", "viewer"])?.expect(0)?;
    let mut command = site.command(&["env", "suspend", "acme/prod", "--reason", "x"]);
    Answer::of(command.env("TENANTRY_TOKEN", viewer.out.split_whitespace().next().unwrap_or_default()))?
        .expect(3)?;
    let mut command = site.command(&["env", "list"]);
    let answer = Answer::of(command.env("TENANTRY_TOKEN", "tenantry_nonsense"))?.expect(3)?;
    ensure!(answer.err.contains("TENANTRY_TOKEN"), "it does not say what to do: {}", answer.err);
    // Not found.
    site.cli(&["env", "get", "acme/nothing"])?.expect(4)?;
    site.cli(&["op", "get", "01a1fdea-2de7-7671-9c9b-f8b20e19180f"])?.expect(4)?;
    // Conflict: a taken name, a stale ETag.
    site.cli(&["tenant", "create", "acme"])?.expect(5)?;
    site.cli(&["env", "update", "acme/prod", "--label", "a=b", "--if-match", "\"stale\""])?.expect(5)?;
    // Unreachable.
    let free = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let mut command = site.command(&["env", "list", "--url", &format!("http://{free}")]);
    Answer::of(&mut command)?.expect(6)?;
    // A step waits for a person.
    let asks = site.cli(&["op", "run", "team.asks", "acme/prod", "--wait", "-o", "json"])?.expect(7)?;
    let asks: serde_json::Value = serde_json::from_str(&asks.out)?;
    let id = asks["operation"]["id"].as_str().context("an id")?;
    site.cli(&["op", "skip", id, "team/asks", "--reason", "not needed", "--wait"])?.expect(0)?;
    ensure!(asks["operation"]["steps"] != json!(null), "{asks}");
    site.finish()
}
