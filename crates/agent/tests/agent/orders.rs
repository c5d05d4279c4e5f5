//! Orders: delivered twice, late, before their time, refused.
//!
//! In scripts `$$$$` is the shell's `$$`: as in a cluster, `$$` in a command is a literal `$`.

use crate::{
    manager::facts,
    site::{Site, until},
};
use serde_json::json;
use tenantry_api_types::agent::{LeasedCommand, Order};
use tenantry_hook::ObjectStoreUse;
use tenantry_model::{CommandId, Fact, FailureReason, KillCause, OperationId, Outcome};
use uuid::Uuid;

/// Orders a start of the hook and gives back why it was refused.
async fn refused(site: &Site, hook: &str) -> Outcome {
    let attempt = site.start(hook).await;
    let (fact, log) = site.manager.wait_over(&attempt).await;
    assert!(log.bytes.is_empty() && log.ended, "whoever reads its log must not wait for ever");
    match fact {
        Fact::NotStarted { outcome } => outcome,
        other => panic!("{other:?}"),
    }
}

pub async fn an_order_that_is_delivered_twice_runs_the_hook_once() {
    let site = Site::new().await;
    let runs = site.path("runs");
    site.script("once", &format!("echo run >> {}", runs.display()));
    let agent = site.agent();
    let (attempt, order) = site.order_for(Site::request("once", 1)).await;
    let start = Order::Start(Box::new(order));
    let command =
        LeasedCommand { id: CommandId(Uuid::now_v7()), attempt: attempt.clone(), order: start.clone() };
    site.manager.deliver(command.clone());
    site.manager.deliver(command.clone());
    site.manager.order(&attempt, start.clone());
    site.manager.wait_over(&attempt).await;
    // Again after its end, and after its release.
    let again = site.manager.order(&attempt, start.clone());
    site.manager.wait_finished(again).await;
    let release = site.manager.order(&attempt, Order::Release);
    site.manager.wait_finished(release).await;
    for order in [start, Order::Release, Order::Kill { cause: KillCause::Operator }] {
        let again = site.manager.order(&attempt, order);
        site.manager.wait_finished(again).await;
    }
    agent.stop().await;
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "run\n");
    let rows = site.manager.rows();
    assert_eq!(facts(&rows, &attempt).filter(|f| matches!(f, Fact::Ended { .. })).count(), 1);
}

pub async fn a_kill_before_the_start_means_never_start_also_for_the_next_agent() {
    let site = Site::new().await;
    let runs = site.path("runs");
    site.script("never", &format!("echo run >> {}", runs.display()));
    let first = site.agent_process();
    let (attempt, order) = site.order_for(Site::request("never", 1)).await;
    let kill = site.manager.order(&attempt, Order::Kill { cause: KillCause::Cancel });
    site.manager.wait_finished(kill).await;
    let fact = site.manager.wait_end(&attempt).await;
    assert!(
        matches!(&fact, Fact::NotStarted { outcome } if outcome.reason == Some(FailureReason::Killed)),
        "{fact:?}"
    );
    first.kill();
    let _second = site.agent_process();
    let start = site.manager.order(&attempt, Order::Start(Box::new(order)));
    site.manager.wait_finished(start).await;
    assert!(!runs.exists());
    assert!(!site.attempt_folder(&attempt).exists());
}

pub async fn a_kill_reaches_the_whole_group_and_what_left_it() {
    let site = Site::new().await;
    let pids = site.path("pids");
    site.script(
        "family",
        &format!(
            "trap '' TERM; (trap '' TERM; sleep 60; sleep 60) & setsid sh -c 'echo $$$$ >> {0}; sleep 60' & echo $! >> {0}; sleep 60; sleep 60",
            pids.display()
        ),
    );
    let agent = site.agent();
    let attempt = site.start("family").await;
    site.manager.wait_running(&attempt).await;
    until("two pids", || std::fs::read_to_string(&pids).ok().filter(|text| text.lines().count() == 2)).await;
    site.manager.order(&attempt, Order::Kill { cause: KillCause::Operator });
    let fact = site.manager.wait_end(&attempt).await;
    let Fact::Ended { outcome, .. } = &fact else { panic!("{fact:?}") };
    assert_eq!((outcome.reason, outcome.exit_code), (Some(FailureReason::Killed), Some(137)));
    // Told as over: then nothing of it lives.
    for pid in std::fs::read_to_string(&pids).unwrap().lines() {
        assert!(pid.parse::<u32>().is_ok(), "{pid}");
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        assert!(stat.is_err() || stat.unwrap().contains(") Z "), "{pid} lives");
    }
    agent.stop().await;
}

pub async fn a_hook_that_ends_nicely_when_asked_has_its_own_exit_code() {
    let site = Site::new().await;
    site.script("nice", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done");
    let agent = site.agent();
    let attempt = site.start("nice").await;
    site.manager.wait_log(&attempt, "ready").await;
    site.manager.order(&attempt, Order::Kill { cause: KillCause::Operator });
    let (fact, log) = site.manager.wait_over(&attempt).await;
    assert!(matches!(&fact, Fact::Ended { outcome, .. } if outcome.is_success()), "{fact:?}");
    assert!(String::from_utf8(log.bytes).unwrap().ends_with("bye\n"));
    agent.stop().await;
}

pub async fn what_a_hook_leaves_in_the_background_ends_with_it_as_in_a_container() {
    let site = Site::new().await;
    let pid = site.path("pid");
    site.script(
        "leaves",
        &format!(
            "setsid sh -c 'echo $$$$ > {0}; exec sleep 60' & while [ ! -s {0} ]; do sleep 0.01; done",
            pid.display()
        ),
    );
    let agent = site.agent();
    let attempt = site.start("leaves").await;
    let fact = site.manager.wait_end(&attempt).await;
    assert!(matches!(&fact, Fact::Ended { outcome, .. } if outcome.is_success()), "{fact:?}");
    let pid = std::fs::read_to_string(&pid).unwrap();
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists());
    agent.stop().await;
}

pub async fn templates_that_a_process_cannot_run_are_refused_with_the_reason() {
    let site = Site::new().await;
    let run = json!({ "command": ["true"] });
    site.hook("init", &run, &json!({ "initContainers": [{ "name": "first", "image": "x" }] }));
    site.hook("image-only", &json!({}), &json!({}));
    site.hook("elsewhere", &json!({ "command": ["/app/only-in-the-image"] }), &json!({}));
    site.hook("far", &json!({ "command": ["true"], "workingDir": "/app/only-in-the-image" }), &json!({}));
    site.hook(
        "unmapped",
        &json!({ "command": ["true"], "volumeMounts": [{ "name": "s", "mountPath": "/secret" }] }),
        &json!({ "volumes": [{ "name": "s", "secret": { "secretName": "db" } }] }),
    );
    let mut sidecar = json!({ "containers": [{ "name": "main", "image": "x", "command": ["true"] }, { "name": "side", "image": "x" }] });
    site.hook("sidecar", &json!({}), &sidecar.take());
    site.manifest(
        "completions.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: many, namespace: crm, annotations: {tenantry.io/tenant.lifecycle: lifecycle.upsert}}\nspec: {suspend: true, completions: 3, template: {spec: {restartPolicy: Never, containers: [{name: a, image: x, command: ['true']}]}}}\n",
    );
    let agent = site.agent();
    for (hook, word) in [
        ("init", "init containers"),
        ("image-only", "no command"),
        ("elsewhere", "/app/only-in-the-image"),
        ("far", "workingDir"),
        ("unmapped", "secrets/crm/db"),
        ("sidecar", "2 containers"),
        ("many", "completions"),
    ] {
        let outcome = refused(&site, hook).await;
        assert_eq!(outcome.reason, Some(FailureReason::CannotStart), "{hook}: {outcome:?}");
        assert!(outcome.message.contains(word), "{hook}: {}", outcome.message);
    }
    agent.stop().await;
}

pub async fn a_version_that_the_region_does_not_have_is_told_as_gone() {
    let site = Site::new().await;
    site.script("a", "true");
    let agent = site.agent();
    for strange in ["0".repeat(64), "../../agent.lock".to_owned()] {
        let (attempt, mut order) = site.order_for(Site::request("a", 1)).await;
        order.hash = tenantry_model::TemplateHash(strange);
        site.manager.order(&attempt, Order::Start(Box::new(order)));
        let fact = site.manager.wait_end(&attempt).await;
        assert!(
            matches!(&fact, Fact::NotStarted { outcome } if outcome.reason == Some(FailureReason::TemplateGone)),
            "{fact:?}"
        );
    }
    agent.stop().await;
}

pub async fn a_template_that_changed_after_the_plan_is_run_as_it_was_planned() {
    let site = Site::new().await;
    site.script("a", "echo old");
    let agent = site.agent();
    let (attempt, order) = site.order_for(Site::request("a", 1)).await;
    let path = order.hook.clone();
    site.script("a", "echo new version");
    site.manager
        .wait("the new version", |rows| {
            rows.hooks.get(&path)?.hook.as_ref().filter(|hook| hook.hash != order.hash).map(|_| ())
        })
        .await;
    std::fs::remove_file(site.path("manifests").join("a.json")).unwrap();
    site.manager.wait("the hook to go", |rows| rows.hooks.is_empty().then_some(())).await;
    site.manager.order(&attempt, Order::Start(Box::new(order)));
    let (_, log) = site.manager.wait_over(&attempt).await;
    assert_eq!(log.bytes, b"old\n");
    agent.stop().await;
}

pub async fn the_object_store_is_a_folder_and_a_restore_reads_what_the_backup_wrote() {
    let site = Site::new().await;
    site.script("backup", r#"printf archive > "${LIFECYCLE_OBJECT_STORE_URL#file://}/a.tar"; echo "$LIFECYCLE_OBJECT_STORE_URL""#);
    site.script("restore", r#"cat "${LIFECYCLE_OBJECT_STORE_URL#file://}/a.tar""#);
    let agent = site.agent();
    let mut backup = Site::request("backup", 1);
    let operation = backup.attempt.operation;
    backup.object_store = Some(ObjectStoreUse { operation, read_only: false });
    let environment = backup.environment;
    let (attempt, order) = site.order_for(backup).await;
    site.manager.order(&attempt, Order::Start(Box::new(order)));
    let (fact, _) = site.manager.wait_over(&attempt).await;
    assert!(matches!(&fact, Fact::Ended { outcome, .. } if outcome.is_success()), "{fact:?}");

    for (operation, there) in [(operation, true), (OperationId(Uuid::now_v7()), false)] {
        let mut restore = Site::request("restore", 1);
        restore.environment = environment;
        restore.object_store = Some(ObjectStoreUse { operation, read_only: true });
        let (attempt, order) = site.order_for(restore).await;
        site.manager.order(&attempt, Order::Start(Box::new(order)));
        let (fact, log) = site.manager.wait_over(&attempt).await;
        match fact {
            Fact::Ended { outcome, .. } if there => {
                assert!(outcome.is_success(), "{outcome:?}");
                assert_eq!(log.bytes, b"archive");
            }
            Fact::NotStarted { outcome } if !there => {
                assert!(outcome.message.contains("no backup"), "{outcome:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    agent.stop().await;
}

pub async fn reports_whose_answer_got_lost_change_nothing_when_they_come_again() {
    let site = Site::new().await;
    site.script("a", "echo text");
    let agent = site.agent();
    site.manager.rows().mute = true;
    let attempt = site.start("a").await;
    let (_, log) = site.manager.wait_over(&attempt).await;
    assert_eq!(log.bytes, b"text\n");
    site.manager.rows().mute = false;
    agent.stop().await;
    let rows = site.manager.rows();
    assert_eq!(facts(&rows, &attempt).count(), 2, "{:?}", rows.observations);
}

pub async fn commands_whose_answer_got_lost_are_asked_for_again_and_carried_out_once() {
    let site = Site::new().await;
    site.script("a", "echo text");
    let agent = site.agent();
    site.manager.wait_for_hook("crm/a").await;
    site.manager.rows().lost_leases = 2;
    let attempt = site.start("a").await;
    let (_, log) = site.manager.wait_over(&attempt).await;
    assert_eq!((log.bytes.as_slice(), site.manager.rows().lost_leases), (b"text\n".as_slice(), 0));
    agent.stop().await;
}

pub async fn the_inventory_is_whole_at_the_beginning_of_a_session_and_says_what_cannot_be_read() {
    let site = Site::new().await;
    site.script("good", "true");
    site.manifest(
        "bad.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: bad, namespace: crm, annotations: {tenantry.io/tenant.lifecycle: Nonsense}}\nspec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: a, image: x, command: ['true']}]}}}\n",
    );
    let agent = site.agent();
    let bad = site.manager.wait_for_hook("crm/bad").await;
    assert!(bad.hook.is_none() && !bad.problems.is_empty());
    assert!(site.manager.wait_for_hook("crm/good").await.hook.is_some());
    // The manager lost its rows and the session with them.
    {
        let mut rows = site.manager.rows();
        rows.session = None;
        rows.hooks.clear();
        rows.inventory_complete = false;
    }
    site.manager.set_down(false);
    site.manager.wait("a new session", |rows| (rows.sessions == 2).then_some(())).await;
    assert!(site.manager.wait_for_hook("crm/good").await.hook.is_some());
    agent.stop().await;
}
