//! The agent's life: open the folder, take up what an earlier life left, hold sessions with the manager until the end.
//!
//! Everything long-running is a task of one set, ended by one token. It must never end attempts because it ends.

use crate::{
    AgentConfig, AgentError, Standing,
    executors::{Executor, TemplateEvent},
    inventory::Inventory,
    orders::Orders,
    pace::Pace,
    recorder::Recorder,
    reports::{Finished, Uplink},
    spool::{Ledger, LogSpool},
};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};
use tenantry_api_types::agent::{
    LeaseRequest, LeasedCommand, MAX_BATCH, MAX_POLL_SECONDS, SessionAnswer, SessionRequest,
};
use tenantry_client::agent::AgentClient;
use tenantry_failpoints::Point;
use tenantry_model::{AgentSessionId, AttemptId, CommandId, with_causes};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often old entries are dropped.
const TIDY_EVERY: Duration = Duration::from_mins(1);
/// How long an agent that ends waits for the manager to take what is left.
const FAREWELL: Duration = Duration::from_secs(3);
/// So often in a row another agent may take the session away before this one gives way: once or twice it can be an
/// earlier life of this same agent whose last call came late.
const GIVE_WAY_AFTER: u32 = 3;
/// After so much silence a region counts as silent for a manager that does not say.
const SILENT_AFTER: Duration = Duration::from_secs(45);
/// First and longest pause before a template for which there was no room is stored after all.
const NO_ROOM: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How many attempts are looked for at the same time after a start.
const LOOK_FOR_AT_ONCE: usize = 16;

/// One region's agent.
pub struct Agent;

struct Parts {
    config: AgentConfig,
    executor: Arc<dyn Executor>,
    recorder: Arc<Recorder>,
    inventory: Arc<Inventory>,
    orders: Arc<Orders>,
    finished: Arc<Finished>,
    parallel: Arc<Semaphore>,
    /// Commands that are being carried out: a second delivery meanwhile is passed over.
    under_way: Mutex<HashSet<CommandId>>,
}

impl Agent {
    /// Runs until `shutdown` is cancelled (attempts go on running) or the agent cannot go on.
    pub async fn run(
        config: AgentConfig,
        executor: Arc<dyn Executor>,
        shutdown: CancellationToken,
    ) -> Result<(), AgentError> {
        std::fs::create_dir_all(&config.folder).map_err(AgentError::folder("create", &config.folder))?;
        let _lock = lock_folder(&config)?;
        let recorder = Arc::new(Recorder {
            ledger: Arc::new(Ledger::open(&config.folder)?),
            logs: Arc::new(LogSpool::open(&config.folder, config.log_limits)?),
        });
        let inventory =
            Arc::new(Inventory::open(&config.folder, config.domains.clone(), config.policy.clone())?);
        let orders = Arc::new(Orders::new(
            Arc::clone(&executor),
            Arc::clone(&recorder),
            Arc::clone(&inventory),
            shutdown.clone(),
        ));
        config.status.opened(&recorder);
        let parts = Arc::new(Parts {
            parallel: Arc::new(Semaphore::new(config.parallel_orders.max(1))),
            config,
            executor,
            recorder,
            inventory,
            orders,
            finished: Arc::default(),
            under_way: Mutex::default(),
        });
        // Whoever ends first ends all: a task that cannot go on must not leave the others running half an agent.
        let stop = shutdown.child_token();
        let mut tasks = JoinSet::new();
        tasks.spawn(discover(Arc::clone(&parts), stop.clone()));
        tasks.spawn(keep_deadlines(Arc::clone(&parts), stop.clone()));
        tasks.spawn(tidy(Arc::clone(&parts), stop.clone()));
        tasks.spawn(take_up(Arc::clone(&parts)));
        tasks.spawn(hold_sessions(Arc::clone(&parts), stop.clone()));
        let mut result = Ok(());
        while let Some(ended) = tasks.join_next().await {
            let ended = ended.unwrap_or_else(|e| Err(AgentError::Executor(format!("a task failed: {e}"))));
            if let Err(error) = ended {
                stop.cancel();
                if result.is_ok() {
                    result = Err(error);
                }
            }
        }
        if let Err(source) = parts.recorder.ledger.sync().await {
            let path = parts.config.folder.join("attempts.jsonl");
            return Err(AgentError::Folder { what: "write", path, source });
        }
        result
    }
}

/// Held by the open file until the process ends, however it ends.
fn lock_folder(config: &AgentConfig) -> Result<File, AgentError> {
    let path = config.folder.join("agent.lock");
    let file = File::create(&path).map_err(AgentError::folder("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(AgentError::FolderInUse(config.folder.clone())),
        Err(error) => Err(AgentError::folder("lock", path)(error.into())),
    }
}

async fn discover(parts: Arc<Parts>, stop: CancellationToken) -> Result<(), AgentError> {
    let mut events = parts.executor.watch_templates();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            event = events.next() => match event {
                Some(event) => take(&parts, &event, &stop).await?,
                None => return Err(AgentError::Executor("discovery has ended".to_owned())),
            },
        }
    }
}

/// Takes in one thing that discovery saw. While there is no room for it, discovery waits: hooks that are known run on, and the
/// manager is told of the newer version when it is stored.
async fn take(parts: &Parts, event: &TemplateEvent, stop: &CancellationToken) -> Result<(), AgentError> {
    let mut pause = NO_ROOM.0;
    loop {
        match parts.inventory.take(event) {
            Err(error) if error.is_no_room() => {
                tracing::warn!(error = %with_causes(&error), "a template waits for room on the disk");
            }
            done => return done,
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(NO_ROOM.1),
        }
    }
}

async fn keep_deadlines(parts: Arc<Parts>, stop: CancellationToken) -> Result<(), AgentError> {
    let ledger = &parts.recorder.ledger;
    loop {
        let next = ledger.next_deadline();
        let wait = next.as_ref().map_or(Duration::from_hours(1), |(at, _)| {
            at.saturating_duration_since(std::time::Instant::now())
        });
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = ledger.deadlines.notified() => {}
            () = tokio::time::sleep(wait) => if let Some((at, attempt)) = next && at <= std::time::Instant::now() {
                tracing::info!(%attempt, "the attempt's timeout is over");
                // Known at once, so that this deadline is not met again; carried out beside the loop.
                ledger.change(&attempt, |record| {
                    record.kill.get_or_insert(tenantry_model::KillCause::Timeout);
                });
                let orders = Arc::clone(&parts.orders);
                tokio::spawn(async move { orders.enforce_deadline(&attempt).await });
            },
        }
    }
}

async fn tidy(parts: Arc<Parts>, stop: CancellationToken) -> Result<(), AgentError> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(TIDY_EVERY) => parts.recorder.ledger.tidy(Timestamp::now()),
        }
    }
}

/// Attempts of an earlier life are followed again before (and without) any word of the manager.
async fn take_up(parts: Arc<Parts>) -> Result<(), AgentError> {
    let orders = &parts.orders;
    stream::iter(parts.recorder.ledger.open_attempts())
        .for_each_concurrent(LOOK_FOR_AT_ONCE, |(attempt, _)| async move {
            orders.look_for(&attempt, None).await;
        })
        .await;
    Ok(())
}

async fn hold_sessions(parts: Arc<Parts>, stop: CancellationToken) -> Result<(), AgentError> {
    let mut pace = Pace::new();
    let pause = parts.config.refused_pause;
    let mut refused = Pace::of(pause, pause * 5);
    let mut replaced = 0;
    let mut session = AgentSessionId(Uuid::now_v7());
    while !stop.is_cancelled() {
        let request = SessionRequest {
            session,
            executor: parts.executor.kind(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let begun = Instant::now();
        let client = parts.config.client.within(pace.patience());
        let Some(answer) = stop.run_until_cancelled(client.session(&request)).await else { return Ok(()) };
        match answer {
            Ok(answer) => {
                Point::SessionBegun.reached();
                tracing::info!(%session, open = answer.open_attempts.len(), "session begun");
                pace.answered(begun.elapsed());
                refused.reset();
                parts.config.status.connected();
                let superseded = hold(&parts, session, answer, &stop).await?;
                // Unless it is known that the credential is refused: then that stands.
                if matches!(parts.config.status.standing(), Standing::Connected { .. }) {
                    parts.config.status.away();
                }
                replaced = if superseded { replaced + 1 } else { 0 };
                if replaced >= GIVE_WAY_AFTER {
                    return Err(AgentError::Replaced);
                }
                // Only now: an unanswered opening is repeated as it was, so that a late first one breaks nothing.
                session = AgentSessionId(Uuid::now_v7());
            }
            Err(error @ tenantry_client::agent::AgentClientError::Configuration { .. }) => {
                return Err(AgentError::Manager(Box::new(error)));
            }
            // Never the agent's end: attempts that run must be watched, and somebody will let it join again.
            Err(error) if error.is_unauthorized() => {
                parts.config.status.refused(&error, &parts.config.rejoin);
                if !refused.pause(&stop).await {
                    return Ok(());
                }
            }
            Err(error) => {
                if error.is_timeout() {
                    pace.in_vain();
                }
                parts.config.status.away();
                tracing::warn!(error = %with_causes(&error), "no session yet");
                if !pace.pause(&stop).await {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// One session, until it is over or the agent ends; tells whether another agent took it away.
async fn hold(
    parts: &Arc<Parts>,
    session: AgentSessionId,
    answer: SessionAnswer,
    stop: &CancellationToken,
) -> Result<bool, AgentError> {
    let over = stop.child_token();
    let uplink = Uplink {
        client: parts.config.client.clone(),
        session,
        over: over.clone(),
        superseded: Arc::default(),
        status: parts.config.status.clone(),
        rejoin: parts.config.rejoin.as_str().into(),
        back: Arc::default(),
    };
    let silent_after = answer.silent_after_seconds.map_or(SILENT_AFTER, |s| Duration::from_secs(s.into()));
    let open = answer.open_attempts;
    parts.inventory.begin_session();
    let reconcile = {
        let parts = Arc::clone(parts);
        async move {
            let orders = &parts.orders;
            stream::iter(open)
                .for_each_concurrent(LOOK_FOR_AT_ONCE, |open| async move {
                    orders.look_for(&open.attempt, Some(&open)).await;
                })
                .await;
        }
    };
    let looking = tokio::spawn(reconcile);
    let facts = async {
        uplink.facts(&parts.recorder).await;
        // What was seen up to the end is still worth a try.
        if stop.is_cancelled() {
            let farewell = Uplink { over: CancellationToken::new(), ..uplink.clone() };
            let _ = tokio::time::timeout(FAREWELL, farewell.rest(&parts.recorder)).await;
        }
    };
    let ((), (), (), (), inventory) = tokio::join!(
        lease(parts, &uplink, silent_after),
        facts,
        uplink.logs(&parts.recorder),
        uplink.finished(&parts.recorder, &parts.finished),
        async {
            let result = uplink.inventory(&parts.inventory, &parts.recorder).await;
            if result.is_err() {
                over.cancel();
            }
            result
        },
    );
    looking.abort();
    inventory.map(|()| uplink.superseded.load(Ordering::SeqCst))
}

/// The heartbeat: asks for commands and carries them out beside the loop. A poll that nobody answers is repeated before the
/// region counts as silent.
async fn lease(parts: &Arc<Parts>, uplink: &Uplink, silent_after: Duration) {
    let mut pace = Pace::within(silent_after);
    let quarter = u32::try_from(silent_after.as_secs() / 4).unwrap_or(u32::MAX).max(1);
    let mut request = LeaseRequest {
        session: uplink.session,
        limit: u32::try_from(MAX_BATCH).unwrap_or(u32::MAX),
        wait_seconds: parts.config.poll_seconds.min(MAX_POLL_SECONDS).min(quarter),
        unanswered: false,
    };
    let wait = Duration::from_secs(request.wait_seconds.into());
    loop {
        let sent = &request;
        let call = |client: AgentClient| async move { client.lease(sent).await };
        let Some(answer) = uplink.ask(&mut pace, wait, call).await else { return };
        request.unanswered = answer.is_err();
        match answer {
            Ok(answer) => {
                if !answer.commands.is_empty() {
                    Point::CommandsLeased.reached();
                }
                dispatch(parts, answer.commands);
            }
            Err(error) => {
                uplink.judge(&error);
                if !uplink.pause(&mut pace).await {
                    return;
                }
            }
        }
    }
}

/// One task per attempt, its commands in order; bounded in number.
fn dispatch(parts: &Arc<Parts>, commands: Vec<LeasedCommand>) {
    let mut by_attempt: BTreeMap<AttemptId, Vec<LeasedCommand>> = BTreeMap::new();
    {
        let mut under_way = parts.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        for command in commands {
            if under_way.insert(command.id) {
                by_attempt.entry(command.attempt.clone()).or_default().push(command);
            }
        }
    }
    for (attempt, commands) in by_attempt {
        let parts = Arc::clone(parts);
        tokio::spawn(async move {
            let Ok(_permit) = Arc::clone(&parts.parallel).acquire_owned().await else { return };
            let mut in_order = true;
            for command in commands {
                // One that did not get through keeps the later ones of its attempt back.
                in_order = in_order && parts.orders.carry_out(&attempt, &command.order).await;
                if in_order {
                    Point::OrderDone.reached();
                    parts.finished.add(command.id);
                }
                parts.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&command.id);
            }
        });
    }
}
