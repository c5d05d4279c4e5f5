//! An agent that runs nothing: it takes commands over the real protocol on loopback and answers at once.
//!
//! What is left of a step is what manager, store and protocol cost.

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use tenantry_api_types::agent::{
    FinishRequest, HookReport, InventoryRequest, JoinRequest, LeaseRequest, LeasedCommand, MAX_BATCH,
    ObservationsRequest, Order, SessionRequest,
};
use tenantry_client::NewCredential;
use tenantry_client::agent::{AgentClient, AgentClientError};
use tenantry_hook::{AnnotationDomains, RegionPolicy, parse};
use tenantry_model::{AgentSessionId, AttemptId, CommandId, Executor, Fact, Observation, Outcome};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What it does with a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It ran and succeeded.
    Succeeds,
    /// It runs, for ever.
    Runs,
}

/// A running one; ends with [`InstantAgent::stop`].
pub struct InstantAgent {
    stop: CancellationToken,
    thread: JoinHandle<Result<()>>,
    /// Starts that were answered.
    pub started: Arc<AtomicU64>,
}

/// No call takes longer.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(2);

/// So often a call is repeated.
const TRIES: u32 = 10;

/// Calls that take a while are made by so many at a time, as an agent with many attempts makes them.
const REPORTERS: usize = 2;

impl InstantAgent {
    /// Joins, reports these templates, and answers from now on.
    pub fn start(url: &str, join_token: String, templates: &[Value], answer: Answer) -> Result<Self> {
        let (domains, policy) = (AnnotationDomains::default(), RegionPolicy::default());
        let hooks = templates
            .iter()
            .map(|template| match parse(template, &domains, &policy) {
                Ok(hook) => {
                    Ok(HookReport { path: hook.path.clone(), hook: Some(hook), problems: Vec::new() })
                }
                Err(problems) => bail!("a template of the benchmark: {problems:?}"),
            })
            .collect::<Result<Vec<_>>>()?;
        let (stop, started) = (CancellationToken::new(), Arc::<AtomicU64>::default());
        let life = Life { url: url.to_owned(), answer, stop: stop.clone(), started: Arc::clone(&started) };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(life.live(join_token, hooks))
        });
        Ok(Self { stop, thread, started })
    }

    /// Whether it has ended by itself: then [`InstantAgent::stop`] says why.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it; an error if it broke off before.
    pub fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.thread.join().map_err(|_| anyhow::anyhow!("the instant agent panicked"))?
    }
}

/// A manager that says "later" is asked again, as an agent does.
async fn again<A, F>(call: impl Fn() -> F) -> Result<A, AgentClientError>
where
    F: Future<Output = Result<A, AgentClientError>>,
{
    let mut tries = 0;
    loop {
        match call().await {
            Err(error) if error.is_unreachable() && tries < TRIES => tries += 1,
            answer => return answer,
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

struct Life {
    url: String,
    answer: Answer,
    stop: CancellationToken,
    started: Arc<AtomicU64>,
}

impl Life {
    async fn live(self, join_token: String, hooks: Vec<HookReport>) -> Result<()> {
        let host = "bench".to_owned();
        let joining = AgentClient::new(&self.url, join_token.into(), &[])?;
        let own = NewCredential::generate().context("a credential")?;
        let (credential, secret_sha256) = (own.id, own.secret_sha256());
        joining.join(&JoinRequest { host, credential, secret_sha256 }).await?;
        // A page of hooks or facts may take a slow machine a while.
        let client = AgentClient::new(&self.url, own.bearer(), &[])?.within(PATIENCE);
        let session = AgentSessionId(Uuid::now_v7());
        let version = "bench".to_owned();
        client.session(&SessionRequest { session, executor: Executor::Process, version }).await?;
        let pages = hooks.len().div_ceil(MAX_BATCH);
        for (number, page) in hooks.chunks(MAX_BATCH).enumerate() {
            let (begin, end) = (number == 0, number + 1 == pages);
            let (present, absent) = (page.to_vec(), Vec::new());
            let page = InventoryRequest { session, begin, end, present, absent };
            again(|| client.inventory(&page)).await.context("inventory")?;
        }

        let (batches, queue) = mpsc::channel(64);
        let queue = tokio::sync::Mutex::new(queue);
        let lease = async {
            let request = LeaseRequest { session, limit: 500, wait_seconds: 20, unanswered: false };
            loop {
                let leased = tokio::select! {
                    () = self.stop.cancelled() => return anyhow::Ok(()),
                    leased = client.lease(&request) => leased.context("lease")?,
                };
                if !leased.commands.is_empty() && batches.send(leased.commands).await.is_err() {
                    return Ok(());
                }
            }
        };
        let reporters = (0..REPORTERS).map(|_| async {
            loop {
                let batch = tokio::select! {
                    () = self.stop.cancelled() => return anyhow::Ok(()),
                    batch = async { queue.lock().await.recv().await } => batch,
                };
                let Some(commands) = batch else { return Ok(()) };
                self.report(&client, session, commands).await?;
            }
        });
        let ((), _) = tokio::try_join!(lease, futures::future::try_join_all(reporters))?;
        Ok(())
    }

    async fn report(
        &self,
        client: &AgentClient,
        session: AgentSessionId,
        commands: Vec<LeasedCommand>,
    ) -> Result<()> {
        let done: Vec<CommandId> = commands.iter().map(|command| command.id).collect();
        let started: Vec<AttemptId> = commands
            .into_iter()
            .filter(|command| matches!(command.order, Order::Start(_)))
            .map(|command| command.attempt)
            .collect();
        let count = u64::try_from(started.len()).unwrap_or_default();
        let facts: Vec<Observation> = started.iter().flat_map(|id| self.facts(id)).collect();
        for part in facts.chunks(MAX_BATCH) {
            let observations = part.to_vec();
            let report = ObservationsRequest { session, observations };
            again(|| client.observations(&report)).await.context("report")?;
        }
        self.started.fetch_add(count, Ordering::SeqCst);
        let done = FinishRequest { session, commands: done };
        again(|| client.finish(&done)).await.context("finish")?;
        Ok(())
    }

    fn facts(&self, attempt: &AttemptId) -> Vec<Observation> {
        let now = Timestamp::now();
        let running = Fact::Running {
            object: "nothing".to_owned(),
            started_at: now,
            node: Some("bench".to_owned()),
            images: BTreeMap::new(),
        };
        let outcome = Outcome { exit_code: Some(0), ..Outcome::default() };
        let ended = Fact::Ended { started_at: Some(now), ended_at: now, outcome, images: BTreeMap::new() };
        let facts = match self.answer {
            Answer::Succeeds => vec![running, ended],
            Answer::Runs => vec![running],
        };
        let numbered = (1..).zip(facts);
        numbered
            .map(|(number, fact)| Observation { attempt: attempt.clone(), number, at: now, fact })
            .collect()
    }
}
