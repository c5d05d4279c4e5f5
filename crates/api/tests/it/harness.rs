//! A server of one's own, and what every test needs from it.

use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tenantry_api::{ApiConfig, Server, serve};
use tenantry_api_types::{agent, v1::*};
use tenantry_client::{Call, Client, ClientConfig, NewCredential};
use tenantry_logs::LogStore;
use tenantry_manager::{Clock, Manager, ManagerConfig};
use tenantry_model::{AgentSessionId, EnvironmentSpec, Role, Scope};
use tenantry_store::Store;
use tenantry_store_sqlite::SqliteStore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Nothing in these tests may take longer.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub struct Bench {
    server: Option<Server>,
    pub store: Arc<SqliteStore>,
    pub manager: Manager,
    pub admin: String,
    pub http: reqwest::Client,
    running: CancellationToken,
    loops: Option<JoinHandle<()>>,
    settings: ManagerConfig,
    /// Milliseconds by which the manager's clock is ahead of the machine's.
    ahead: Arc<AtomicI64>,
    folder: TempDir,
}

fn clock(ahead: &Arc<AtomicI64>) -> Clock {
    let ahead = Arc::clone(ahead);
    Arc::new(move || Timestamp::now() + SignedDuration::from_millis(ahead.load(Ordering::SeqCst)))
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.running.cancel();
    }
}

/// What an answer was.
#[derive(Debug)]
pub struct Got {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Bench {
    pub async fn new() -> Self {
        Self::with(ManagerConfig::default()).await
    }

    pub async fn with(settings: ManagerConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::within(folder, settings).await
    }

    /// With a folder that the settings may name files in.
    pub async fn within(folder: TempDir, settings: ManagerConfig) -> Self {
        let store = Arc::new(SqliteStore::open(folder.path()).await.unwrap());
        let logs = LogStore::open(&folder.path().join("logs")).unwrap();
        let ahead = Arc::new(AtomicI64::new(0));
        let clock = clock(&ahead);
        let manager = Manager::with_clock(store.clone(), logs, settings.clone(), clock);
        let admin = manager.ensure_admin_token().await.unwrap().unwrap().secret.expose_secret().to_owned();
        let running = CancellationToken::new();
        let loops = tokio::spawn({
            let (manager, running) = (manager.clone(), running.clone());
            async move { manager.run(running).await }
        });
        let config = ApiConfig::new("127.0.0.1:0".parse().unwrap());
        let server = serve(config, manager.clone()).await.unwrap();
        Self {
            server: Some(server),
            store,
            manager,
            admin,
            // Over plain HTTP: reading the machine's authorities would be a tenth of the tests' work.
            http: reqwest::Client::builder().tls_certs_only([]).build().unwrap(),
            running,
            loops: Some(loops),
            settings,
            ahead,
            folder,
        }
    }

    /// Puts the manager's clock forward.
    pub fn pass(&self, time: SignedDuration) {
        self.ahead.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Ends the loops: from now on nothing changes by itself.
    pub async fn still(&mut self) {
        self.running.cancel();
        tokio::time::timeout(DEADLINE, self.loops.take().unwrap()).await.unwrap().unwrap();
    }

    /// Another manager over these rows, which remembers nothing, behind its own port.
    pub async fn beside(&self, store: Arc<dyn Store>) -> Server {
        let logs = LogStore::open(&self.folder.path().join("logs")).unwrap();
        let manager = Manager::with_clock(store, logs, self.settings.clone(), clock(&self.ahead));
        serve(ApiConfig::new("127.0.0.1:0".parse().unwrap()), manager).await.unwrap()
    }

    /// Every file that the manager writes, byte for byte.
    pub fn files(&self) -> Vec<u8> {
        fn all(folder: &Path, bytes: &mut Vec<u8>) {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    all(&entry.path(), bytes);
                } else {
                    bytes.extend(std::fs::read(entry.path()).unwrap());
                }
            }
        }
        let mut bytes = Vec::new();
        all(self.folder.path(), &mut bytes);
        bytes
    }

    /// Everything that is stored, as an archive has it: all but kept answers, leases and the like.
    pub async fn dump(&self) -> String {
        let mut whole = self.store.whole().await.unwrap();
        let at = "2026-11-21T10:00:00Z".parse().unwrap();
        let (bytes, _) = tenantry_store::archive::export(&mut *whole, Vec::new(), "test", at).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Stops the server; what is open must let go by itself.
    pub async fn stop(mut self, grace: Duration) {
        self.server.take().unwrap().stop(grace).await.unwrap();
    }

    pub fn client(&self, token: &str) -> Client {
        let config = ClientConfig::new(self.server().url()).with_token(token);
        Client::new(&config).unwrap()
    }

    pub fn admin(&self) -> Client {
        self.client(&self.admin)
    }

    /// A request with the token, and an Idempotency-Key where one is needed.
    pub fn ask(&self, token: &str, method: Method, path: &str) -> RequestBuilder {
        let post = method == Method::POST;
        let mut request =
            self.http.request(method, format!("{}{path}", self.server().url())).timeout(DEADLINE);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if post && path.starts_with("/v1/") {
            request = request.header("idempotency-key", Uuid::now_v7().to_string());
        }
        if path.starts_with("/agent/") {
            request = request.header(agent::VERSION_HEADER, agent::VERSION.to_string());
        }
        request
    }

    pub async fn get(&self, token: &str, path: &str) -> Got {
        got(self.ask(token, Method::GET, path)).await
    }

    pub async fn post(&self, token: &str, path: &str, body: &Value) -> Got {
        got(self.ask(token, Method::POST, path).json(body)).await
    }

    /// A tenant `acme` and a region `eu1`.
    pub async fn basics(&self) {
        let admin = self.admin();
        let tenant = CreateTenant { name: "acme".parse().unwrap(), display_name: None };
        admin.create_tenant(&tenant, &Call::default()).await.unwrap();
        self.region("eu1").await;
    }

    pub async fn region(&self, name: &str) {
        let region = CreateRegion { name: name.parse().unwrap() };
        self.admin().create_region(&region, &Call::default()).await.unwrap();
    }

    pub async fn tenant(&self, name: &str) {
        let tenant = CreateTenant { name: name.parse().unwrap(), display_name: None };
        self.admin().create_tenant(&tenant, &Call::default()).await.unwrap();
    }

    pub async fn environment(&self, name: &str) -> Accepted {
        self.admin().create_environment(&wish("acme", name, "eu1"), &Call::default()).await.unwrap()
    }

    pub async fn token(&self, role: Role, scopes: Vec<Scope>) -> String {
        let body = CreateToken { name: format!("{role:?}"), role, scopes, expires_in: None };
        self.admin().create_token(&body, &Call::default()).await.unwrap().secret
    }

    /// Joins as the region's agent; answers its credential.
    pub async fn join(&self, region: &str) -> String {
        let token = self.admin().create_join_token(&region.parse().unwrap(), &Call::default()).await.unwrap();
        let own = NewCredential::generate().unwrap();
        let joined = self.post(&token.token, "/agent/v1/join", &joining(&own)).await;
        assert_eq!(joined.status, 200, "{joined:?}");
        own.bearer().expose_secret().to_owned()
    }

    /// An agent with a session and an inventory of these hooks.
    pub async fn agent(&self, region: &str, hooks: Value) -> (String, AgentSessionId) {
        let credential = self.join(region).await;
        let session = AgentSessionId(Uuid::now_v7());
        let body = json!({ "session": session, "executor": "process", "version": "test" });
        assert_eq!(self.post(&credential, "/agent/v1/sessions", &body).await.status, 200);
        let body = json!({ "session": session, "begin": true, "end": true, "present": hooks, "absent": [] });
        let reported = self.post(&credential, "/agent/v1/inventory", &body).await;
        assert_eq!(reported.status, 200, "{reported:?}");
        (credential, session)
    }
}

pub async fn got(request: RequestBuilder) -> Got {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.unwrap();
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    Got { status, headers, body }
}

impl Got {
    /// It is a problem document with this status and code, and whole.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str) -> ProblemDocument {
        assert_eq!(self.headers["content-type"], PROBLEM_MEDIA_TYPE, "{self:?}");
        let problem: ProblemDocument = serde_json::from_value(self.body.clone()).unwrap();
        assert_eq!((self.status.as_u16(), problem.code.as_str()), (status, code), "{problem:?}");
        assert_eq!(problem.status, status);
        assert_eq!(problem.kind, format!("/errors/{code}"));
        assert_eq!(self.headers[REQUEST_ID], problem.instance);
        assert!(!problem.detail.is_empty() && !problem.title.is_empty());
        problem
    }
}

pub fn wish(tenant: &str, name: &str, region: &str) -> CreateEnvironment {
    CreateEnvironment {
        id: None,
        tenant: tenant.parse().unwrap(),
        name: name.parse().unwrap(),
        aliases: BTreeSet::default(),
        labels: BTreeMap::default(),
        region: region.parse().unwrap(),
        spec: EnvironmentSpec::default(),
        reason: None,
    }
}

/// A hook `namespace/name` for `lifecycle.upsert`, as an agent reports it.
pub fn hook(path: &str) -> Value {
    json!({
        "path": path,
        "problems": [],
        "hook": {
            "path": path,
            "hash": "aa".repeat(32),
            "operations": ["lifecycle.upsert"],
            "after": [],
            "afterFor": {},
            "selector": "",
            "policy": { "onFailure": "wait", "onLost": "wait", "retries": 0, "timeout": null },
            "kind": "pod",
            "container": "main"
        }
    })
}

/// The body with which an agent joins.
pub fn joining(own: &NewCredential) -> Value {
    json!({ "host": "here", "credential": own.id, "secretSha256": own.secret_sha256() })
}
