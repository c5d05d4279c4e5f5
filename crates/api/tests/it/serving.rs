//! Addresses, TLS, numbers.

use crate::changes;
use crate::harness::{Bench, DEADLINE};
use std::{collections::BTreeSet, net::SocketAddr, path::Path, process::Command, time::Duration};
use tenantry_api::{ApiConfig, ServeError, TlsFiles, serve};
use tenantry_client::{Client, ClientConfig, ClientError};

#[tokio::test]
async fn plain_http_is_for_loopback_only() {
    let bench = Bench::new().await;
    let open: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let refused = serve(ApiConfig::new(open), bench.manager.clone()).await.unwrap_err();
    assert!(matches!(refused, ServeError::PlainNotLoopback(_)));
    assert!(refused.to_string().contains("certificate"));
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let bench = Bench::new().await;
    let taken = bench.server().address();
    let refused = serve(ApiConfig::new(taken), bench.manager.clone()).await.unwrap_err();
    assert!(matches!(refused, ServeError::InUse(address) if address == taken), "{refused:?}");
    assert!(refused.to_string().contains(&taken.to_string()));
}

/// A certificate for localhost that is its own authority.
fn certificate(folder: &Path, serial: u32) -> TlsFiles {
    let files = TlsFiles { certificate: folder.join("tls.crt"), key: folder.join("tls.key") };
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-set_serial"])
        .arg(serial.to_string())
        .arg("-keyout")
        .arg(&files.key)
        .arg("-out")
        .arg(&files.certificate)
        .output()
        .expect("openssl is one of the things that the tests need");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    files
}

#[tokio::test]
async fn tls_is_served_from_files_and_a_new_certificate_comes_into_force() {
    let bench = Bench::new().await;
    let folder = tempfile::tempdir().unwrap();
    let files = certificate(folder.path(), 1);
    let old_ca = folder.path().join("old.crt");
    std::fs::copy(&files.certificate, &old_ca).unwrap();
    let mut config = ApiConfig::new("127.0.0.1:0".parse().unwrap());
    config.tls = Some(files.clone());
    config.tls_check_interval = Duration::from_millis(50);
    let server = serve(config, bench.manager.clone()).await.unwrap();
    let client = |ca: &Path| {
        let mut config = ClientConfig::new(format!("https://localhost:{}", server.address().port()))
            .with_token(bench.admin.clone());
        config.ca_file = Some(ca.to_owned());
        config.retry_for = Duration::ZERO;
        Client::new(&config).unwrap()
    };
    client(&old_ca).whoami().await.unwrap();

    // A broken pair leaves the good one in force.
    std::fs::write(&files.key, "nonsense").unwrap();
    let checked = tokio::time::Instant::now() + Duration::from_millis(200);
    while tokio::time::Instant::now() < checked {
        client(&old_ca).whoami().await.unwrap();
    }
    certificate(folder.path(), 2);
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while client(&files.certificate).whoami().await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the new certificate never came into force");
    }
    assert!(matches!(client(&old_ca).whoami().await, Err(ClientError::Unreachable { .. })));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable_and_says_where() {
    let bench = Bench::new().await;
    let url = bench.server().url();
    bench.stop(Duration::ZERO).await;
    let mut config = ClientConfig::new(url.clone());
    config.retry_for = Duration::from_millis(300);
    let refused = Client::new(&config).unwrap().whoami().await.unwrap_err();
    assert!(matches!(refused, ClientError::Unreachable { unsent: true, .. }), "{refused:?}");
    assert!(refused.to_string().contains(&url));
}

#[tokio::test]
async fn numbers_are_shown_with_the_names_of_open_telemetry() {
    let bench = Bench::new().await;
    bench.basics().await;
    bench.environment("prod").await;
    let text = bench.get(&bench.admin, "/metrics").await.body.as_str().unwrap().to_owned();
    assert!(text.contains("cicd_pipeline_run_active{cicd_pipeline_name=\"lifecycle.upsert\""), "{text}");
    assert!(text.contains("http_route=\"/v1/environments\""), "{text}");
    assert!(text.contains("tenantry_region_alive{region=\"eu1\"} 0"), "{text}");
    assert!(!text.contains(&bench.admin));
}

/// The page for those who make dashboards names what is shown, and nothing else.
#[tokio::test]
async fn sinks_and_refused_messages_have_numbers_and_the_page_names_each_number() {
    let site = changes::place().await;
    let bench = &site.bench;
    bench.environment("prod").await;
    site.sink("portal").await;
    site.refused("none").await;
    let text = bench.get(&bench.admin, "/metrics").await.body.as_str().unwrap().to_owned();
    assert!(text.contains("tenantry_event_sink_dead_letters{sink=\"portal\"} 1\n"), "{text}");
    assert!(text.contains("tenantry_event_sink_behind{sink=\"portal\"} "), "{text}");
    assert!(text.contains("tenantry_refused_messages 1\n"), "{text}");

    let shown: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let page = include_str!("../../../../docs/operations/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let named: BTreeSet<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    assert_eq!(named, shown);
}
