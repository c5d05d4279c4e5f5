//! Bridges of a region of Argo: known by the token of their service account, with real keys.

use crate::harness::{Bench, got, wish};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tenantry_api::{ApiConfig, Server, serve};
use tenantry_client::Call;
use tenantry_identity::Identities;
use tenantry_manager::ManagerConfig;
use uuid::Uuid;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// The key that a cluster's API server signs with.
struct Cluster {
    key: PathBuf,
}

fn openssl(args: &[&str], file: &Path, input: &[u8]) -> Vec<u8> {
    let (given, made) = (file.with_extension("in"), file.with_extension("out"));
    std::fs::write(&given, input).unwrap();
    let output = Command::new("openssl").args(args).arg("-out").arg(&made).arg(&given).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(made).unwrap()
}

impl Cluster {
    fn new(folder: &Path) -> Self {
        let key = folder.join("key.pem");
        let made = Command::new("openssl")
            .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"])
            .arg(&key)
            .output()
            .unwrap();
        assert!(made.status.success());
        Self { key }
    }

    /// As `kubectl get --raw /openid/v1/jwks` prints it.
    fn keys(&self) -> Value {
        let shown = Command::new("openssl")
            .args(["rsa", "-noout", "-modulus", "-in"])
            .arg(&self.key)
            .output()
            .unwrap();
        let text = String::from_utf8(shown.stdout).unwrap();
        let hex = text.trim().strip_prefix("Modulus=").unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let modulus: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let n = URL_SAFE_NO_PAD.encode(modulus);
        json!({"keys": [{"use": "sig", "kty": "RSA", "kid": "one", "alg": "RS256", "n": n, "e": "AQAB"}]})
    }

    fn token(&self, audience: &str, account: &str) -> String {
        let now = Timestamp::now().as_second();
        let claims = json!({
            "iss": ISSUER, "aud": [audience], "sub": format!("system:serviceaccount:{account}"),
            "iat": now, "nbf": now, "exp": now + 3600,
            "kubernetes.io": {"namespace": "tenantry-argo", "pod": {"name": "bridge", "uid": "1"}}
        });
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(json!({"alg": "RS256", "kid": "one"})), part(claims));
        let key = self.key.display().to_string();
        let signature = openssl(&["dgst", "-sha256", "-sign", &key], &self.key, text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

struct Site {
    bench: Bench,
    server: Server,
    cluster: Cluster,
    _folder: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster::new(folder.path());
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let region = json!({
            "events": {"url": "http://127.0.0.1:9/operations", "tokenFile": write("token", "t".to_owned())},
            "identity": {"issuer": ISSUER, "keysFile": write("keys.json", cluster.keys().to_string())}
        });
        let document = write("argo.json", json!({"regions": {"eu1": region}}).to_string());
        let argo_regions = BTreeSet::from(["eu1".parse().unwrap()]);
        let bench = Bench::with(ManagerConfig { argo_regions, ..ManagerConfig::default() }).await;
        bench.manager.declare_argo_regions().await.unwrap();
        bench.tenant("acme").await;
        let identities = Some(Arc::new(Identities::from_file(&document).unwrap()));
        let config = ApiConfig { identities, ..ApiConfig::new("127.0.0.1:0".parse().unwrap()) };
        let server = serve(config, bench.manager.clone()).await.unwrap();
        Self { bench, server, cluster, _folder: folder }
    }

    fn good(&self) -> String {
        self.cluster.token("tenantry", "tenantry-argo:tenantry-bridge")
    }

    /// A call as a bridge makes it; an empty version or region leaves the header out.
    async fn call(
        &self,
        path: &str,
        token: &str,
        (version, region): (&str, &str),
        body: &Value,
    ) -> crate::harness::Got {
        let url = format!("{}/bridge/v1/{path}", self.server.url());
        let mut request = self.bench.http.post(url).bearer_auth(token).json(body);
        for (header, value) in [("tenantry-bridge-protocol", version), ("tenantry-agent-region", region)] {
            if !value.is_empty() {
                request = request.header(header, value);
            }
        }
        got(request).await
    }
}

const AS_EU1: (&str, &str) = ("1", "eu1");

fn workflow(region: &str, operation: Uuid) -> Value {
    json!({"region": region, "operation": operation, "round": 1, "name": "tenantry-argo/tenantry-1"})
}

#[tokio::test]
async fn a_bridge_is_known_by_its_service_accounts_token_and_refused_with_the_reason() {
    let site = Site::new().await;
    let body = json!({"workflow": workflow("eu1", Uuid::now_v7()), "waitSeconds": 0});
    let good = site.good();
    site.call("order:wait", &good, AS_EU1, &body).await.is_problem(404, "not-found");

    let other = Cluster::new(tempfile::tempdir().unwrap().keep().as_path());
    let stranger = other.token("tenantry", "tenantry-argo:tenantry-bridge");
    for (token, headers, words) in [
        (
            site.cluster.token("https://kubernetes.default.svc", "tenantry-argo:tenantry-bridge"),
            AS_EU1,
            "audience",
        ),
        (site.cluster.token("tenantry", "crm:default"), AS_EU1, "system:serviceaccount:crm:default"),
        (stranger, AS_EU1, "signature"),
        (good.clone(), ("1", "us1"), "us1 is no region of Argo"),
        (good.clone(), ("1", ""), "does not name a region"),
        (site.bench.admin.clone(), AS_EU1, "cannot be read"),
        ("nonsense".to_owned(), AS_EU1, "cannot be read"),
    ] {
        let refused = site.call("order:wait", &token, headers, &body).await;
        let detail = refused.body["detail"].as_str().unwrap_or_default().to_owned();
        refused.is_problem(401, "unauthenticated");
        assert!(detail.contains(words), "{words} is not in {detail}");
        assert!(!detail.contains(&token), "a token in a message");
    }
    site.call("order:wait", &good, ("2", "eu1"), &body).await.is_problem(426, "protocol-version");
    let foreign = json!({"workflow": workflow("us1", Uuid::now_v7()), "waitSeconds": 0});
    site.call("order:wait", &good, AS_EU1, &foreign).await.is_problem(403, "wrong-region");
    // It opens nothing else, and a manager without such regions knows no bridge.
    let url = format!("{}/v1/environments", site.server.url());
    got(site.bench.http.get(url).bearer_auth(&good)).await.is_problem(401, "unauthenticated");
    let plain = site
        .bench
        .ask(&good, reqwest::Method::POST, "/bridge/v1/order:wait")
        .header("tenantry-agent-region", "eu1");
    got(plain.json(&body)).await.is_problem(401, "unauthenticated");
}

#[tokio::test]
async fn discovery_and_a_bridge_speak_over_http() {
    let site = Site::new().await;
    let made =
        site.bench.admin().create_environment(&wish("acme", "prod", "eu1"), &Call::default()).await.unwrap();
    let operation = made.operation.unwrap().id;
    let (workflow, token) = (workflow("eu1", operation.0), site.good());
    let report = json!({
        "path": "crm/tenant",
        "hook": null,
        "problems": [{"code": "x", "pointer": "/", "message": "cannot be read", "remedy": "mend it"}]
    });
    let hooks = json!({"workflow": workflow, "session": Uuid::now_v7(), "begin": true, "end": true, "present": [report]});
    let told = site.call("hooks", &token, AS_EU1, &hooks).await;
    assert_eq!(told.status, 200, "{told:?}");
    let wait = json!({"workflow": workflow, "waitSeconds": 10});
    let order = site.call("order:wait", &token, AS_EU1, &wait).await;
    assert_eq!((order.status.as_u16(), &order.body["state"]), (200, &json!("over")), "{order:?}");
    let step = json!({"workflow": workflow, "hook": "crm/tenant", "session": Uuid::now_v7()});
    let lease = json!({"step": step, "waitSeconds": 0});
    site.call("commands:lease", &token, AS_EU1, &lease).await.is_problem(404, "not-found");
    let unknown = json!({"step": step, "waitSeconds": 0, "more": 1});
    site.call("commands:lease", &token, AS_EU1, &unknown).await.is_problem(400, "invalid-body");
}
