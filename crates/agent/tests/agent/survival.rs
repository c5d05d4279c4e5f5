//! What a kill -9 of agent and shim leaves behind, and what a cut connection does.

use crate::{
    manager::facts,
    site::{Site, executor, until},
};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::time::Duration;
use tenantry_agent::Standing;
use tenantry_api_types::agent::{OpenAttempt, Order};
use tenantry_model::{Fact, FailureReason, KillCause};

fn pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

/// Waits for the file that a hook writes, and reads it.
async fn written(path: &std::path::Path) -> String {
    until("the hook's file", || std::fs::read_to_string(path).ok().filter(|t| t.ends_with('\n'))).await
}

async fn gone(process: Pid) {
    until("the process to end", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
        stat.map_or(true, |stat| stat.contains(") Z ")).then_some(())
    })
    .await;
}

pub async fn an_agent_that_is_killed_finds_its_running_hook_and_its_exit_code() {
    let site = Site::new().await;
    let go = site.path("go");
    site.script(
        "slow",
        &format!("echo one; while [ ! -e {} ]; do sleep 0.02; done; echo two; exit 3", go.display()),
    );
    let first = site.agent_process();
    let attempt = site.start("slow").await;
    site.manager.wait_running(&attempt).await;
    site.manager.wait_log(&attempt, "one").await;
    first.kill();

    let second = site.agent_process();
    site.manager.wait("the second session", |rows| (rows.sessions == 2).then_some(())).await;
    std::fs::write(&go, "").unwrap();
    let (fact, log) = site.manager.wait_over(&attempt).await;
    let Fact::Ended { outcome, .. } = fact else { panic!("{fact:?}") };
    assert_eq!((outcome.reason, outcome.exit_code), (Some(FailureReason::HookFailed), Some(3)));
    assert_eq!(String::from_utf8(log.bytes).unwrap(), "one\ntwo\n");
    second.kill();
}

pub async fn a_hook_that_ends_while_no_agent_lives_is_reported_by_the_next_one() {
    let site = Site::new().await;
    let go = site.path("go");
    site.script("slow", &format!("while [ ! -e {} ]; do sleep 0.02; done; echo done; exit 7", go.display()));
    let first = site.agent_process();
    let attempt = site.start("slow").await;
    site.manager.wait_running(&attempt).await;
    first.kill();
    std::fs::write(&go, "").unwrap();
    until("the exit file", || site.attempt_folder(&attempt).join("exit.json").exists().then_some(())).await;

    let _second = site.agent_process();
    let (fact, log) = site.manager.wait_over(&attempt).await;
    let Fact::Ended { outcome, .. } = fact else { panic!("{fact:?}") };
    assert_eq!(outcome.exit_code, Some(7));
    assert_eq!(String::from_utf8(log.bytes).unwrap(), "done\n");
    let rows = site.manager.rows();
    let numbers: Vec<u64> = rows.observations.iter().map(|o| o.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "numbers grow over restarts");
}

pub async fn an_agent_that_lost_its_folder_finds_the_attempts_that_the_manager_names() {
    let site = Site::new().await;
    let go = site.path("go");
    site.script("slow", &format!("while [ ! -e {} ]; do sleep 0.02; done; exit 5", go.display()));
    let first = site.agent_process();
    let (attempt, order) = site.order_for(Site::request("slow", 1)).await;
    site.manager.order(&attempt, Order::Start(Box::new(order.clone())));
    site.manager.wait_running(&attempt).await;
    first.kill();
    std::fs::remove_dir_all(site.path("agent")).unwrap();
    site.manager.rows().open = vec![OpenAttempt {
        attempt: attempt.clone(),
        nonce: order.request.nonce,
        observed: 40,
        log_offset: 0,
        unknown: true,
    }];

    let _second = site.agent_process();
    std::fs::write(&go, "").unwrap();
    let fact = site.manager.wait_end(&attempt).await;
    assert!(matches!(fact, Fact::Ended { outcome, .. } if outcome.exit_code == Some(5)));
    let rows = site.manager.rows();
    assert!(rows.observations.last().unwrap().number > 40, "{:?}", rows.observations);
}

pub async fn an_attempt_that_the_manager_lost_sight_of_is_told_again_when_it_is_found() {
    let site = Site::new().await;
    let go = site.path("go");
    site.script("slow", &format!("while [ ! -e {} ]; do sleep 0.02; done", go.display()));
    let first = site.agent_process();
    let (attempt, order) = site.order_for(Site::request("slow", 1)).await;
    let nonce = order.request.nonce;
    site.manager.order(&attempt, Order::Start(Box::new(order)));
    site.manager.wait_running(&attempt).await;
    let newest = |rows: &crate::manager::Rows| rows.observations.last().map_or(0, |newest| newest.number);
    let lose_sight = |sessions: usize| {
        let mut rows = site.manager.rows();
        let observed = newest(&rows);
        let attempt = attempt.clone();
        rows.open = vec![OpenAttempt { attempt, nonce, observed, log_offset: 0, unknown: true }];
        rows.session = None;
        assert_eq!(rows.sessions, sessions);
        observed
    };
    let told_again = async |after: u64| {
        let again =
            |rows: &crate::manager::Rows| (newest(rows) > after).then(|| rows.observations.last().cloned());
        let again = site.manager.wait("the attempt told again", again).await.unwrap();
        assert!(matches!(again.fact, Fact::Running { .. }), "{again:?}");
    };
    // The agent has stood still for too long, and follows what it followed.
    let known = lose_sight(1);
    told_again(known).await;
    // Another one finds what the first had started.
    first.kill();
    let known = lose_sight(2);
    let _second = site.agent_process();
    told_again(known).await;
    std::fs::write(&go, "").unwrap();
    let fact = site.manager.wait_end(&attempt).await;
    assert!(matches!(fact, Fact::Ended { outcome, .. } if outcome.exit_code == Some(0)));
}

pub async fn an_agent_that_lost_its_folder_takes_no_template_for_gone_before_it_has_looked() {
    let site = Site::new().await;
    site.script("quick", "echo done");
    let first = site.agent();
    let (attempt, order) = site.order_for(Site::request("quick", 1)).await;
    first.stop().await;
    std::fs::remove_dir_all(site.path("agent")).unwrap();
    // The order is there at once; the folder of templates cannot be looked at yet.
    let executor = executor(site.root.path());
    let (manifests, away) = (site.path("manifests"), site.path("away"));
    std::fs::rename(&manifests, &away).unwrap();
    site.manager.order(&attempt, Order::Start(Box::new(order)));
    let second = site.agent_with(executor);
    site.manager.wait_leased().await;
    std::fs::rename(&away, &manifests).unwrap();
    let (fact, log) = site.manager.wait_over(&attempt).await;
    assert!(matches!(&fact, Fact::Ended { outcome, .. } if outcome.is_success()), "{fact:?}");
    assert_eq!(log.bytes, b"done\n");
    second.stop().await;
}

pub async fn an_attempt_that_vanished_is_told_as_unknown_never_as_over() {
    let site = Site::new().await;
    site.script("slow", "sleep 60");
    let first = site.agent_process();
    let (attempt, order) = site.order_for(Site::request("slow", 1)).await;
    let nonce = order.request.nonce;
    site.manager.order(&attempt, Order::Start(Box::new(order)));
    site.manager.wait_running(&attempt).await;
    first.kill();
    let folder = site.attempt_folder(&attempt);
    let shim: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("shim.json")).unwrap()).unwrap();
    std::fs::rename(&folder, site.path("elsewhere")).unwrap();
    site.manager.rows().open =
        vec![OpenAttempt { attempt: attempt.clone(), nonce, observed: 1, log_offset: 0, unknown: false }];

    let _second = site.agent_process();
    let unknown = |rows: &crate::manager::Rows| {
        facts(rows, &attempt).any(|f| matches!(f, Fact::Unknown { .. })).then_some(())
    };
    site.manager.wait("unknown", unknown).await;
    assert!(!facts(&site.manager.rows(), &attempt).any(|f| matches!(f, Fact::Ended { .. })));
    let shim = pid(&shim["pid"].to_string());
    for child in std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", shim.as_raw_nonzero()))
        .unwrap()
        .split_whitespace()
    {
        kill_process(pid(child), Signal::KILL).unwrap();
    }
    gone(shim).await;
}

pub async fn a_killed_shim_is_unknown_while_a_process_of_the_hook_lives_and_lost_after_that() {
    let site = Site::new().await;
    let (own, far) = (site.path("own"), site.path("far"));
    // One process in the shim's session, one that began a session of its own.
    site.script(
        "stays",
        &format!(
            "setsid sh -c 'echo $$$$ > {}; exec sleep 60' & echo $$$$ > {}; exec sleep 60",
            far.display(),
            own.display()
        ),
    );
    let agent = site.agent();
    let attempt = site.start("stays").await;
    let (own, far) = (pid(&written(&own).await), pid(&written(&far).await));
    site.manager.wait_running(&attempt).await;
    let shim: serde_json::Value =
        serde_json::from_slice(&std::fs::read(site.attempt_folder(&attempt).join("shim.json")).unwrap())
            .unwrap();
    kill_process(pid(&shim["pid"].to_string()), Signal::KILL).unwrap();

    let count = |rows: &crate::manager::Rows| {
        facts(rows, &attempt).find_map(|f| match f {
            Fact::Unknown { why } => Some(why.clone()),
            _ => None,
        })
    };
    let why = site.manager.wait("unknown", count).await;
    assert!(why.contains("2 of the hook's processes"), "{why}");
    kill_process(own, Signal::KILL).unwrap();
    gone(own).await;
    assert!(test_kill_process(far).is_ok());
    assert!(!facts(&site.manager.rows(), &attempt).any(|f| matches!(f, Fact::Ended { .. })));

    // A kill still reaches what is left.
    site.manager.order(&attempt, Order::Kill { cause: KillCause::Operator });
    let fact = site.manager.wait_end(&attempt).await;
    assert!(
        matches!(&fact, Fact::Ended { outcome, .. } if outcome.reason == Some(FailureReason::Killed) && outcome.exit_code.is_none()),
        "{fact:?}"
    );
    gone(far).await;
    agent.stop().await;
}

pub async fn a_site_that_is_cut_off_finishes_what_it_started_and_reports_later() {
    let site = Site::new().await;
    let go = site.path("go");
    site.script("slow", &format!("while [ ! -e {} ]; do sleep 0.02; done; echo late; exit 0", go.display()));
    let first = site.agent_process();
    let attempt = site.start("slow").await;
    site.manager.wait_running(&attempt).await;
    site.manager.set_down(true);
    std::fs::write(&go, "").unwrap();
    until("the spooled end", || {
        let ledger = std::fs::read_to_string(site.path("agent").join("attempts.jsonl")).ok()?;
        ledger.contains("\"ended\"").then_some(())
    })
    .await;
    // The agent dies too before anybody was told, and its successor meets the same silence.
    first.kill();
    let _second = site.agent_process();
    site.manager.set_down(false);
    let (fact, log) = site.manager.wait_over(&attempt).await;
    assert!(matches!(fact, Fact::Ended { outcome, .. } if outcome.is_success()));
    assert_eq!(String::from_utf8(log.bytes).unwrap(), "late\n");
}

pub async fn an_agent_that_gets_sigterm_leaves_its_hooks_running() {
    let site = Site::new().await;
    let go = site.path("go");
    site.script("slow", &format!("while [ ! -e {} ]; do sleep 0.02; done; exit 4", go.display()));
    let mut agent = site.agent_process();
    let attempt = site.start("slow").await;
    site.manager.wait_running(&attempt).await;
    kill_process(pid(&agent.id().to_string()), Signal::TERM).unwrap();
    agent.wait();
    assert!(!facts(&site.manager.rows(), &attempt).any(|f| matches!(f, Fact::Ended { .. })));
    let _second = site.agent_process();
    std::fs::write(&go, "").unwrap();
    let fact = site.manager.wait_end(&attempt).await;
    assert!(matches!(fact, Fact::Ended { outcome, .. } if outcome.exit_code == Some(4)));
}

pub async fn the_timeout_is_kept_also_while_the_manager_is_out_of_reach() {
    let site = Site::new().await;
    site.script("endless", "sleep 60 & sleep 60");
    let agent = site.agent();
    let (attempt, mut order) = site.order_for(Site::request("endless", 1)).await;
    order.timeout = Some(jiff::SignedDuration::from_millis(300));
    site.manager.order(&attempt, Order::Start(Box::new(order)));
    site.manager.wait_running(&attempt).await;
    site.manager.set_down(true);
    until("the end", || site.attempt_folder(&attempt).join("exit.json").exists().then_some(())).await;
    site.manager.set_down(false);
    let fact = site.manager.wait_end(&attempt).await;
    assert!(
        matches!(&fact, Fact::Ended { outcome, .. } if outcome.reason == Some(FailureReason::Deadline)),
        "{fact:?}"
    );
    agent.stop().await;
}

pub async fn log_text_over_the_limit_is_cut_oldest_first_and_facts_never() {
    let site = Site::new().await;
    std::fs::write(site.path("log-limit"), "262144").unwrap();
    let go = site.path("go");
    site.script(
        "chatty",
        &format!(
            "while [ ! -e {} ]; do sleep 0.02; done; seq -f 'line %010.0f of a log that nobody can take' 1 40000; exit 6",
            go.display()
        ),
    );
    let agent = site.agent();
    let attempt = site.start("chatty").await;
    site.manager.wait_running(&attempt).await;
    site.manager.set_down(true);
    std::fs::write(&go, "").unwrap();
    until("the spooled end", || {
        let ledger = std::fs::read_to_string(site.path("agent").join("attempts.jsonl")).ok()?;
        ledger.contains("\"ended\"").then_some(())
    })
    .await;
    let spooled: u64 = std::fs::read_dir(site.path("agent").join("logs"))
        .unwrap()
        .map(|e| e.unwrap().metadata().unwrap().len())
        .sum();
    assert!(spooled <= 2 * 262_144 + 65_536, "{spooled}");
    site.manager.set_down(false);
    let (fact, log) = site.manager.wait_over(&attempt).await;
    assert!(matches!(fact, Fact::Ended { outcome, .. } if outcome.exit_code == Some(6)));
    let text = String::from_utf8_lossy(&log.bytes);
    assert!(text.ends_with("line 0000040000 of a log that nobody can take\n"));
    assert!(log.gaps >= 1 && !text.contains("line 0000000500"), "the oldest text is cut");
    agent.stop().await;
}

pub async fn a_second_agent_in_the_same_folder_is_refused() {
    let site = Site::new().await;
    let agent = site.agent();
    site.manager.wait("a session", |rows| (rows.sessions == 1).then_some(())).await;
    let second = tenantry_agent::Agent::run(
        crate::site::config(site.root.path(), &site.manager.url()),
        std::sync::Arc::new(crate::site::executor(site.root.path())),
        tokio_util::sync::CancellationToken::new(),
    );
    let refused = tokio::time::timeout(Duration::from_secs(10), second).await.unwrap();
    assert!(matches!(refused, Err(tenantry_agent::AgentError::FolderInUse(_))), "{refused:?}");
    agent.stop().await;
}

pub async fn two_agents_of_one_region_do_not_fight_for_ever() {
    let site = Site::new().await;
    let first = site.agent();
    site.manager.wait("a session", |rows| (rows.sessions == 1).then_some(())).await;
    // As an agent of another machine does, again and again.
    for taken in 1..=3 {
        site.manager.wait("a session of ours", |rows| (rows.sessions == taken).then_some(())).await;
        site.manager.rows().session = Some(tenantry_model::AgentSessionId(uuid::Uuid::now_v7()));
        site.manager.set_down(false);
    }
    let ended = tokio::time::timeout(crate::manager::PATIENCE, first.ended()).await.unwrap();
    assert!(matches!(ended, Err(tenantry_agent::AgentError::Replaced)), "{ended:?}");
    assert_eq!(site.manager.rows().sessions, 3);
}

pub async fn an_agent_whose_credential_is_revoked_watches_on_and_goes_on_when_it_is_good_again() {
    let site = Site::new().await;
    let go = site.path("go");
    site.script("slow", &format!("while [ ! -e {} ]; do sleep 0.02; done; exit 4", go.display()));
    let agent = site.agent();
    let attempt = site.start("slow").await;
    site.manager.wait_running(&attempt).await;
    assert!(matches!(agent.status.standing(), Standing::Connected { .. }));

    site.manager.set_revoked(true);
    let why = until("the refusal", || match agent.status.standing() {
        Standing::Refused { why, .. } => Some(why),
        _ => None,
    })
    .await;
    assert!(why.contains("the credential was revoked"), "{why}");
    assert_eq!(agent.status.backlog().open_attempts, 1, "what runs is still watched");
    std::fs::write(&go, "").unwrap();
    until("the spooled end", || (agent.status.backlog().facts > 0).then_some(())).await;
    // From now on it only asks for a session, slowly; no loop goes on at a pace of its own.
    let tries = |count: usize| {
        let manager = &site.manager;
        until("further tries", move || manager.rows().revoked.filter(|refusals| refusals.sessions >= count))
    };
    let (before, after) = (tries(2).await, tries(5).await);
    assert_eq!(
        before.calls - before.sessions,
        after.calls - after.sessions,
        "other calls than for a session"
    );
    assert!(!agent.has_ended(), "it never gives up");

    site.manager.set_revoked(false);
    let fact = site.manager.wait_end(&attempt).await;
    assert!(matches!(fact, Fact::Ended { outcome, .. } if outcome.exit_code == Some(4)));
    assert!(matches!(agent.status.standing(), Standing::Connected { .. }));
    agent.stop().await;
}
