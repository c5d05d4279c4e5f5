//! A manager that speaks the protocol over real HTTP and keeps its rows in memory.

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tenantry_api_types::agent::{
    FinishAnswer, FinishRequest, HookReport, InventoryAnswer, InventoryRequest, LeaseAnswer, LeaseRequest,
    LeasedCommand, LogsAnswer, LogsRequest, MAX_BATCH, ObservationsAnswer, ObservationsRequest, OpenAttempt,
    Order, SessionAnswer, SessionRequest,
};
use tenantry_model::{AgentSessionId, AttemptId, CommandId, Fact, HookPath, Observation, TemplateHash};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};
use uuid::Uuid;

/// Every wait of a test ends by then.
pub const PATIENCE: Duration = Duration::from_mins(2);

#[derive(Default)]
pub struct Rows {
    pub session: Option<AgentSessionId>,
    pub sessions: usize,
    pub open: Vec<OpenAttempt>,
    /// Not finished yet; `true`: leased in this session.
    commands: Vec<(LeasedCommand, bool)>,
    pub finished: BTreeSet<CommandId>,
    pub observations: Vec<Observation>,
    pub logs: BTreeMap<AttemptId, Log>,
    pub hooks: BTreeMap<HookPath, HookReport>,
    pages: BTreeSet<HookPath>,
    pub inventories: usize,
    pub inventory_complete: bool,
    pub keep: Vec<TemplateHash>,
    /// Answers 503 to everything.
    pub down: bool,
    /// Takes reports in, but the answer gets lost.
    pub mute: bool,
    /// The answers to so many more leases that gave commands out get lost.
    pub lost_leases: usize,
    /// Answers 401 to everything, and counts.
    pub revoked: Option<Refusals>,
}

/// Calls that were answered with 401.
#[derive(Clone, Copy, Default)]
pub struct Refusals {
    pub sessions: usize,
    /// Those of sessions too.
    pub calls: usize,
}

#[derive(Default, Clone)]
pub struct Log {
    pub bytes: Vec<u8>,
    pub ended: bool,
    pub gaps: usize,
}

pub struct Manager {
    rows: Mutex<Rows>,
    changed: Notify,
    pub address: SocketAddr,
}

type Shared = State<Arc<Manager>>;

impl Manager {
    pub async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let manager = Arc::new(Self { rows: Mutex::default(), changed: Notify::new(), address });
        let app = Router::new()
            .route("/agent/v1/sessions", post(session))
            .route("/agent/v1/inventory", post(inventory))
            .route("/agent/v1/commands:lease", post(lease))
            .route("/agent/v1/commands:finish", post(finish))
            .route("/agent/v1/observations", post(observations))
            .route("/agent/v1/logs", post(logs))
            .layer(axum::extract::DefaultBodyLimit::max(16 * 1024 * 1024))
            .with_state(Arc::clone(&manager));
        tokio::spawn(async move { axum::serve(listener, app).await });
        manager
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap()
    }

    fn touch(&self) {
        self.changed.notify_waiters();
    }

    pub fn order(&self, attempt: &AttemptId, order: Order) -> CommandId {
        let id = CommandId(Uuid::now_v7());
        self.deliver(LeasedCommand { id, attempt: attempt.clone(), order });
        id
    }

    /// Puts a command (also one that was finished before) on the way.
    pub fn deliver(&self, command: LeasedCommand) {
        self.rows().commands.push((command, false));
        self.touch();
    }

    pub fn set_revoked(&self, revoked: bool) {
        self.rows().revoked = revoked.then(Refusals::default);
        self.touch();
    }

    pub fn set_down(&self, down: bool) {
        self.rows().down = down;
        self.touch();
    }

    /// Waits until `look` finds something.
    pub async fn wait<T>(&self, what: &str, mut look: impl FnMut(&Rows) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = look(&self.rows()) {
                return found;
            }
            if timeout_at(deadline, changed).await.is_err() {
                let rows = self.rows();
                panic!("waited in vain for {what}; observations: {:#?}", rows.observations);
            }
        }
    }

    pub async fn wait_for_hook(&self, path: &str) -> HookReport {
        let path: HookPath = path.parse().unwrap();
        self.wait("the hook", |rows| rows.hooks.get(&path).filter(|_| rows.inventory_complete).cloned()).await
    }

    /// Waits until everything that is to be done has been given out.
    pub async fn wait_leased(&self) {
        self.wait("the leases", |rows| rows.commands.iter().all(|(_, leased)| *leased).then_some(())).await;
    }

    pub async fn wait_finished(&self, command: CommandId) {
        self.wait("the command", |rows| rows.finished.contains(&command).then_some(())).await;
    }

    pub async fn wait_running(&self, attempt: &AttemptId) {
        self.wait("running", |rows| {
            facts(rows, attempt).any(|f| matches!(f, Fact::Running { .. })).then_some(())
        })
        .await;
    }

    /// How the attempt ended; its whole log.
    pub async fn wait_over(&self, attempt: &AttemptId) -> (Fact, Log) {
        let fact = self.wait_end(attempt).await;
        let log = self
            .wait("the end of the log", |rows| rows.logs.get(attempt).filter(|log| log.ended).cloned())
            .await;
        (fact, log)
    }

    pub async fn wait_end(&self, attempt: &AttemptId) -> Fact {
        self.wait("the end", |rows| {
            facts(rows, attempt).find(|f| matches!(f, Fact::Ended { .. } | Fact::NotStarted { .. })).cloned()
        })
        .await
    }

    pub async fn wait_log(&self, attempt: &AttemptId, text: &str) {
        self.wait(text, |rows| {
            rows.logs.get(attempt).filter(|l| String::from_utf8_lossy(&l.bytes).contains(text)).map(|_| ())
        })
        .await;
    }
}

pub fn facts<'r>(rows: &'r Rows, attempt: &'r AttemptId) -> impl Iterator<Item = &'r Fact> {
    rows.observations.iter().filter(move |o| o.attempt == *attempt).map(|o| &o.fact)
}

fn unavailable() -> Response {
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

/// Trouble that has nothing to do with sessions.
fn refuse(rows: &mut Rows) -> Option<Response> {
    if let Some(refusals) = &mut rows.revoked {
        refusals.calls += 1;
        let problem =
            serde_json::json!({ "code": "unauthenticated", "detail": "the credential was revoked" });
        return Some((StatusCode::UNAUTHORIZED, Json(problem)).into_response());
    }
    rows.down.then(unavailable)
}

fn judge(rows: &mut Rows, session: AgentSessionId) -> Option<Response> {
    if let Some(no) = refuse(rows) {
        return Some(no);
    }
    let code = if rows.session.is_some() { "session-superseded" } else { "session-expired" };
    let problem = serde_json::json!({ "code": code, "detail": "open a new one" });
    (rows.session != Some(session)).then(|| (StatusCode::CONFLICT, Json(problem)).into_response())
}

async fn session(State(manager): Shared, Json(request): Json<SessionRequest>) -> Response {
    let mut rows = manager.rows();
    if let Some(refusals) = &mut rows.revoked {
        refusals.sessions += 1;
    }
    if let Some(no) = refuse(&mut rows) {
        return no;
    }
    rows.session = Some(request.session);
    rows.sessions += 1;
    rows.inventory_complete = false;
    for (_, leased) in &mut rows.commands {
        *leased = false;
    }
    let open_attempts = rows.open.clone();
    drop(rows);
    manager.touch();
    Json(SessionAnswer { open_attempts, silent_after_seconds: None }).into_response()
}

async fn inventory(State(manager): Shared, Json(request): Json<InventoryRequest>) -> Response {
    let mut rows = manager.rows();
    if let Some(no) = judge(&mut rows, request.session) {
        return no;
    }
    assert!(request.present.len() + request.absent.len() <= MAX_BATCH);
    rows.inventories += 1;
    if request.begin {
        rows.pages.clear();
    }
    for hook in request.present {
        rows.pages.insert(hook.path.clone());
        rows.hooks.insert(hook.path.clone(), hook);
    }
    for path in request.absent {
        rows.hooks.remove(&path);
    }
    if request.end {
        let named = std::mem::take(&mut rows.pages);
        rows.hooks.retain(|path, _| named.contains(path));
        rows.inventory_complete = true;
    }
    let keep = rows.keep.clone();
    drop(rows);
    manager.touch();
    Json(InventoryAnswer { keep }).into_response()
}

async fn lease(State(manager): Shared, Json(mut request): Json<LeaseRequest>) -> Response {
    let deadline = Instant::now() + Duration::from_secs(u64::from(request.wait_seconds));
    loop {
        let changed = manager.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        {
            let mut rows = manager.rows();
            if let Some(no) = judge(&mut rows, request.session) {
                return no;
            }
            if std::mem::take(&mut request.unanswered) {
                rows.commands.iter_mut().for_each(|(_, leased)| *leased = false);
            }
            let free = rows.commands.iter_mut().filter(|(_, leased)| !leased);
            let mut commands = Vec::new();
            for (command, leased) in free.take(request.limit as usize) {
                *leased = true;
                commands.push(command.clone());
            }
            if !commands.is_empty() {
                manager.touch();
                if let Some(left) = rows.lost_leases.checked_sub(1) {
                    rows.lost_leases = left;
                    return unavailable();
                }
                return Json(LeaseAnswer { commands }).into_response();
            }
        }
        if timeout_at(deadline, changed).await.is_err() {
            return Json(LeaseAnswer { commands: Vec::new() }).into_response();
        }
    }
}

async fn finish(State(manager): Shared, Json(request): Json<FinishRequest>) -> Response {
    let mut rows = manager.rows();
    if let Some(no) = judge(&mut rows, request.session) {
        return no;
    }
    rows.commands.retain(|(command, _)| !request.commands.contains(&command.id));
    rows.finished.extend(request.commands);
    drop(rows);
    manager.touch();
    Json(FinishAnswer {}).into_response()
}

async fn observations(State(manager): Shared, Json(request): Json<ObservationsRequest>) -> Response {
    let mut rows = manager.rows();
    if let Some(no) = refuse(&mut rows) {
        return no;
    }
    assert!(request.observations.len() <= MAX_BATCH);
    for observation in request.observations {
        let newest = (rows.observations.iter())
            .filter(|o| o.attempt == observation.attempt)
            .map(|o| o.number)
            .max()
            .unwrap_or(0);
        if observation.number > newest {
            rows.observations.push(observation);
        }
    }
    let mute = rows.mute;
    drop(rows);
    manager.touch();
    if mute { unavailable() } else { Json(ObservationsAnswer { unknown: Vec::new() }).into_response() }
}

async fn logs(State(manager): Shared, Json(request): Json<LogsRequest>) -> Response {
    let mut rows = manager.rows();
    if let Some(no) = refuse(&mut rows) {
        return no;
    }
    for chunk in request.chunks {
        let data = STANDARD.decode(chunk.data).unwrap();
        let log = rows.logs.entry(chunk.attempt).or_default();
        let offset = usize::try_from(chunk.offset).unwrap();
        if offset > log.bytes.len() {
            log.gaps += 1;
            log.bytes.resize(offset, 0);
        }
        let known = log.bytes.len() - offset;
        log.bytes.extend_from_slice(data.get(known..).unwrap_or_default());
        log.ended |= chunk.last;
    }
    let mute = rows.mute;
    drop(rows);
    manager.touch();
    if mute { unavailable() } else { Json(LogsAnswer { unknown: Vec::new() }).into_response() }
}
