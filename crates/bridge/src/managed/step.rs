//! One step with a manager: leases its commands until the manager says that it is settled.

use super::{
    Manager, ManagerError, leave,
    orders::{Orders, Work},
    outbox,
    told::Told,
};
use crate::{
    BridgeError,
    cli::Bridge,
    region,
    run::{self, End, Owner, Stdout},
};
use std::{collections::HashSet, pin::pin, sync::Mutex, sync::PoisonError, time::Duration};
use tenantry_api_types::{
    agent::LeasedCommand,
    bridge::{StepEnd, StepLeaseAnswer, StepLeaseRequest, StepRef},
};
use tenantry_kube_run::{Cluster, Runner};
use tenantry_model::{AgentSessionId, CommandId, HookRef};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

/// How long the manager may think about one poll; a poll is also what says that the bridge lives.
const POLL_SECONDS: u32 = 20;
/// The least time between two polls that brought nothing.
const AT_LEAST: Duration = Duration::from_secs(1);
/// What is left to be told when the program was asked to leave.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs the step as the manager says; `None`: no manager is named.
pub(crate) async fn step(arguments: &Bridge) -> Result<Option<End>, BridgeError> {
    // Before the manager is told anything: this Workflow is none of its own.
    region::check(&arguments.managed, None)?;
    let workflow = arguments.workflow.as_ref().map(ToString::to_string);
    let Some(manager) = Manager::new(&arguments.managed, Some(arguments.operation_id), workflow)? else {
        return Ok(None);
    };
    let ended = Box::pin(settle(arguments, &manager)).await;
    if let Err(error) = &ended {
        leave::give_up(&manager, error).await;
    }
    ended.map(Some)
}

async fn settle(arguments: &Bridge, manager: &Manager) -> Result<End, BridgeError> {
    let mut terms = leave::terms()?;
    let hook = HookRef::new(manager.region().clone(), arguments.job.clone());
    let settings = run::settings(arguments, &hook);
    let cluster = Cluster::connect(&arguments.region.connection(), &settings).await?;
    let owner = Owner::new(&cluster, arguments.workflow.clone());
    if let Some(end) = owner.ended().await? {
        leave::tell(manager, end).await;
        return Err(BridgeError::WorkflowOver(owner.to_string()));
    }
    let (outbox, mut carrier) = outbox::new();
    let told = Told::new(outbox, manager.contact(), Stdout::default());
    let orders = Orders {
        arguments,
        runner: Runner::new(cluster.clone(), settings),
        cluster,
        domains: arguments.region.domains()?,
        policy: arguments.region.policy(),
        told: told.clone(),
    };
    let step = StepRef {
        workflow: manager.workflow.clone(),
        hook: arguments.job.clone(),
        session: AgentSessionId(Uuid::now_v7()),
    };
    let lease = Lease { manager, step: &step, hook, under_way: Mutex::default() };
    let (sender, leased) = mpsc::unbounded_channel();
    let mut carry = pin!(carrier.carry(manager, &step));
    let ended = tokio::select! {
        end = lease.until_settled(sender) => end.map(Why::Settled),
        error = orders.work(leased, |command| lease.is_done(command)) => Err(error),
        error = &mut carry => Err(error.into()),
        error = orders.runner.forbidden(&arguments.job.namespace) => Err(error.into()),
        () = told.catch_up(&orders.runner) => return Ok(End::Detached),
        end = leave::asked(&mut terms, &owner) => Ok(Why::Asked(end)),
    };
    match ended {
        Ok(Why::Settled(end)) => {
            // Nothing of the step is left to be done, and so nothing new comes in.
            tokio::select! {
                () = told.outbox.emptied() => {}
                error = &mut carry => return Err(error.into()),
                // The next life sees again what is not told.
                _ = terms.recv() => return Ok(End::Detached),
            }
            if end.done && !arguments.keep_succeeded {
                orders.tidy().await;
            }
            Ok(End::Settled(end))
        }
        Ok(Why::Asked(end)) => {
            if let Some(end) = end {
                eprintln!(
                    "tenantry-bridge: the Workflow {owner} is over; the manager decides about the step"
                );
                leave::tell(manager, end).await;
            }
            let last_words = async {
                tokio::select! {
                    () = told.outbox.emptied() => {}
                    _ = &mut carry => {}
                }
            };
            // What is not told by then the next life sees again.
            let _ = timeout(LAST_WORDS, last_words).await;
            Ok(End::Detached)
        }
        // What runs goes on, and a bridge that the manager takes again finds it, or how it ended.
        Err(error @ BridgeError::Manager(ManagerError::Refused { .. }))
            if told.any_open() || !told.outbox.is_empty() =>
        {
            crate::tell(&error);
            Ok(End::Detached)
        }
        Err(error) => Err(error),
    }
}

/// Why the loop ended.
enum Why {
    Settled(StepEnd),
    Asked(Option<tenantry_api_types::bridge::WorkflowEnd>),
}

/// Asks for what is to be done.
struct Lease<'a> {
    manager: &'a Manager,
    step: &'a StepRef,
    hook: HookRef,
    /// Delivered and not yet carried out: a second delivery of these changes nothing.
    under_way: Mutex<HashSet<CommandId>>,
}

impl Lease<'_> {
    async fn until_settled(&self, work: mpsc::UnboundedSender<Work>) -> Result<StepEnd, BridgeError> {
        let mut said = String::new();
        let mut first = true;
        loop {
            let asked = Instant::now();
            let wait = Duration::from_secs(POLL_SECONDS.into());
            let request = |unanswered| StepLeaseRequest {
                step: self.step.clone(),
                wait_seconds: POLL_SECONDS,
                first,
                unanswered,
            };
            let answer: StepLeaseAnswer = self.manager.ask("commands:lease", wait, request).await?;
            let StepLeaseAnswer { commands, mut open, note, end } = answer;
            if let Some(end) = end.filter(|_| commands.is_empty()) {
                return Ok(end);
            }
            say_note(&mut said, &note);
            let none = commands.is_empty();
            let commands: Vec<LeasedCommand> =
                commands.into_iter().filter(|command| self.is_new(command)).collect();
            open.retain(|open| open.attempt.step == self.hook);
            if !commands.is_empty() || !open.is_empty() {
                // The worker lives as long as this loop.
                let _ = work.send(Work { open, commands, first });
            }
            first = false;
            if none {
                not_at_once(asked).await;
            }
        }
    }

    fn is_new(&self, command: &LeasedCommand) -> bool {
        if command.attempt.step != self.hook || command.attempt.operation != self.step.workflow.operation {
            eprintln!("tenantry-bridge: {} is not of this step and passed over", command.attempt);
            return false;
        }
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(command.id)
    }

    fn is_done(&self, command: CommandId) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&command);
    }
}

/// What is waited for, when that is something else than before.
pub(super) fn say_note(said: &mut String, note: &str) {
    if said != note && !note.is_empty() {
        eprintln!("tenantry-bridge: {note}");
    }
    note.clone_into(said);
}

/// A manager that has nothing to say and does not wait is not asked without a pause.
pub(super) async fn not_at_once(asked: Instant) {
    sleep(AT_LEAST.saturating_sub(asked.elapsed())).await;
}
