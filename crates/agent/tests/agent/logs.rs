//! What becomes of the output of a hook, and of what tenantry gave it.

use crate::site::Site;
use serde_json::json;
use tenantry_model::Fact;

pub async fn a_line_of_ten_megabytes_survives() {
    let site = Site::new().await;
    site.script("long", "head -c 10485760 /dev/zero | tr '\\0' x; echo; echo end");
    let agent = site.agent();
    let attempt = site.start("long").await;
    let (_, log) = site.manager.wait_over(&attempt).await;
    assert_eq!(log.bytes.len(), 10 * 1024 * 1024 + 5);
    assert!(log.bytes.ends_with(b"x\nend\n") && log.gaps == 0);
    agent.stop().await;
}

pub async fn a_runaway_hook_fills_no_disk_and_its_log_says_what_is_left_out() {
    let site = Site::new().await;
    std::fs::write(site.path("hook-log-limit"), "65536").unwrap();
    site.script("runaway", "echo first; head -c 30000000 /dev/zero; echo; echo last");
    let agent = site.agent();
    let attempt = site.start("runaway").await;
    let (fact, log) = site.manager.wait_over(&attempt).await;
    assert!(matches!(&fact, Fact::Ended { outcome, .. } if outcome.is_success()), "{fact:?}");
    assert!(log.bytes.len() < 65_536 + 200, "{}", log.bytes.len());
    let text = String::from_utf8(log.bytes).unwrap();
    assert!(text.starts_with("first\n") && text.ends_with("\nlast\n"));
    assert!(text.contains("[tenantry: 29934476 bytes are left out here"), "{}", text.replace('\0', ""));
    agent.stop().await;
}

pub async fn binary_output_survives_byte_for_byte() {
    let site = Site::new().await;
    let file = site.path("binary");
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    std::fs::write(&file, &bytes).unwrap();
    site.script("binary", &format!("cat {}", file.display()));
    let agent = site.agent();
    let attempt = site.start("binary").await;
    let (_, log) = site.manager.wait_over(&attempt).await;
    assert_eq!(log.bytes, bytes);
    agent.stop().await;
}

pub async fn secrets_are_masked_in_the_log_and_on_no_disk() {
    let site = Site::new().await;
    let secret = site.path("local/secrets/crm/db");
    std::fs::create_dir_all(&secret).unwrap();
    std::fs::write(secret.join("password"), "correct-horse\n").unwrap();
    std::fs::write(secret.join("key.pem"), "-----BEGIN-----\nAAAABBBBCCCCDDDD\n").unwrap();
    site.hook(
        "uses",
        &json!({
            // Written in two halves with a pause: the masking sees them in two reads.
            "command": ["sh", "-c", "printf 'pw=correct-'; sleep 0.1; echo horse; cat /etc/db/key.pem; echo done"],
            "env": [{ "name": "PASSWORD", "valueFrom": { "secretKeyRef": { "name": "db", "key": "password" } } }],
            "volumeMounts": [{ "name": "db", "mountPath": "/etc/db" }],
        }),
        &json!({ "volumes": [{ "name": "db", "secret": { "secretName": "db" } }] }),
    );
    let agent = site.agent();
    let attempt = site.start("uses").await;
    let (fact, log) = site.manager.wait_over(&attempt).await;
    assert!(matches!(&fact, Fact::Ended { outcome, .. } if outcome.is_success()), "{fact:?}");
    assert_eq!(String::from_utf8(log.bytes).unwrap(), "pw=***\n***\ndone\n");
    agent.stop().await;
    for folder in ["agent", "attempts"] {
        nowhere(&site.path(folder), b"correct-horse");
    }
}

fn nowhere(folder: &std::path::Path, secret: &[u8]) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            nowhere(&path, secret);
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", path.display());
        }
    }
}

pub async fn config_maps_claims_and_scratch_folders_stand_for_the_clusters() {
    let site = Site::new().await;
    site.manifest(
        "scripts.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: scripts, namespace: crm}\ndata:\n  run.sh: |\n    echo \"$GREETING\" > \"$SCRATCH/x\"; cat \"$SCRATCH/x\" >> \"$1\"; cat \"$1\"\n  greeting: hello\n",
    );
    site.hook(
        "mounts",
        &json!({
            "command": ["sh", "/scripts/run.sh", "/data/file"],
            "workingDir": "/data",
            "env": [
                { "name": "GREETING", "valueFrom": { "configMapKeyRef": { "name": "scripts", "key": "greeting" } } },
                { "name": "SCRATCH", "value": "/scratch/" },
            ],
            "volumeMounts": [
                { "name": "scripts", "mountPath": "/scripts" },
                { "name": "data", "mountPath": "/data" },
                { "name": "scratch", "mountPath": "/scratch" },
            ],
        }),
        &json!({ "volumes": [
            { "name": "scripts", "configMap": { "name": "scripts" } },
            { "name": "data", "persistentVolumeClaim": { "claimName": "crm-data" } },
            { "name": "scratch", "emptyDir": {} },
        ]}),
    );
    let agent = site.agent();
    for expected in ["hello\n", "hello\nhello\n"] {
        let attempt = site.start("mounts").await;
        let (fact, log) = site.manager.wait_over(&attempt).await;
        assert!(
            matches!(&fact, Fact::Ended { outcome, .. } if outcome.is_success()),
            "{fact:?} {log:?}",
            log = String::from_utf8_lossy(&log.bytes)
        );
        assert_eq!(String::from_utf8(log.bytes).unwrap(), expected);
    }
    assert!(site.path("local/volumes/crm/crm-data/file").exists());
    agent.stop().await;
}

pub async fn a_bad_output_file_is_a_failure_that_says_what_to_do() {
    let site = Site::new().await;
    site.script("bad", r#"printf '{"n": 1}' > "$LIFECYCLE_OUTPUT_FILE""#);
    let agent = site.agent();
    let attempt = site.start("bad").await;
    let fact = site.manager.wait_end(&attempt).await;
    let Fact::Ended { outcome, .. } = fact else { panic!("{fact:?}") };
    assert_eq!(outcome.reason, Some(tenantry_model::FailureReason::BadOutput));
    assert_eq!(outcome.exit_code, Some(0));
    assert!(outcome.message.contains("strings"), "{}", outcome.message);
    agent.stop().await;
}

pub async fn a_thousand_short_hooks_all_end_and_leave_no_folder_behind() {
    let site = Site::new().await;
    site.script("noop", "exit 0");
    let agent = site.agent();
    let (_, order) = site.order_for(Site::request("noop", 1)).await;
    let mut attempts = Vec::new();
    for number in 1..=1000 {
        let mut order = order.clone();
        order.request = Site::request("noop", number);
        let attempt = order.request.attempt.clone();
        site.manager.order(&attempt, tenantry_api_types::agent::Order::Start(Box::new(order)));
        attempts.push(attempt);
    }
    let all = |rows: &crate::manager::Rows| {
        let ended = rows
            .observations
            .iter()
            .filter(|o| matches!(&o.fact, Fact::Ended { outcome, .. } if outcome.is_success()));
        (ended.count() == 1000).then_some(())
    };
    site.manager.wait("a thousand ends", all).await;
    for attempt in &attempts {
        site.manager.order(attempt, tenantry_api_types::agent::Order::Release);
    }
    let attempts = site.path("attempts");
    crate::site::until("the folders to go", || {
        (std::fs::read_dir(&attempts).unwrap().count() == 0).then_some(())
    })
    .await;
    agent.stop().await;
}
