//! One step: its attempts, one after another, from what the cluster shows of earlier ones to the exit code.
//!
//! Whatever a crash leaves undone, the next life finds on the objects: an attempt that is not released is gone on with,
//! one that is released was told, and another one is a new attempt (docs/bridge.md, "What a restart does").

mod decide;
mod follow;
mod last_words;
pub(crate) mod told;
mod workflow;

pub use decide::{Next, next};
pub(crate) use follow::Stdout;
pub(crate) use last_words::{KILLED, MARK};
pub(crate) use workflow::Owner;

use crate::{
    BridgeError, EnvironmentFile,
    cli::{self, Bridge, Tolerances},
    managed, region, tell,
};
use decide::Tally;
use follow::Follow;
use futures::future::{Either, select};
use jiff::SignedDuration;
use last_words::LastWords;
use std::{pin::pin, time::Duration};
use tenantry_api_types::bridge::StepEnd;
use tenantry_hook::{
    AnnotationDomains, AttemptRequest, Hook, LABEL_OPERATION, LABEL_STEP, ObjectStoreUse, RegionPolicy,
    attempt_nonce, build, step_label,
};
use tenantry_kube_run::{Cluster, CreateError, Known, Runner, SeenAttempt, Settings, Settled};
use tenantry_model::{AttemptId, FailureReason, HookRef, KillCause, OperationId, Outcome, with_causes};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A failed attempt stays: its number must not be used again. It goes when a later one succeeds.
const FOR_GOOD: Duration = Duration::from_hours(24 * 365 * 10);
/// Between two tries of a create that nobody answered.
const CREATE_AGAIN: Duration = Duration::from_secs(2);

/// How the program ends.
pub(crate) enum End {
    /// The last attempt is over.
    Over(Outcome),
    /// The manager says so.
    Settled(StepEnd),
    /// Asked to end; the attempt goes on.
    Detached,
}

/// Runs the step; answers the exit code.
pub(crate) async fn main(arguments: &Bridge) -> u8 {
    // Nothing of an earlier life in the same Pod may be taken for this one's.
    let ended = match last_words::begin(arguments) {
        Ok(()) => match Box::pin(managed::step(arguments)).await {
            Ok(None) => step(arguments).await,
            Ok(Some(end)) => Ok(end),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    let last = match ended {
        Ok(End::Over(outcome)) => {
            let code = exit_code(&outcome);
            let reason = outcome.reason.map(told::word).unwrap_or_default();
            LastWords { reason, message: outcome.message, outputs: outcome.outputs, code }
        }
        Ok(End::Settled(end)) => settled(end),
        Ok(End::Detached) => {
            LastWords { reason: "detached".to_owned(), code: cli::DETACHED, ..Default::default() }
        }
        Err(error) => {
            tell(&error);
            let code = if error.may_pass() { cli::DETACHED } else { cli::PLATFORM };
            let message = with_causes(&error);
            LastWords { reason: error.reason().to_owned(), message, code, ..Default::default() }
        }
    };
    last.write(arguments)
}

/// The hook's own code. A failure without one has the platform's, never an invented one of the hook.
fn exit_code(outcome: &Outcome) -> u8 {
    match (outcome.is_success(), outcome.exit_code) {
        (true, _) => 0,
        (false, Some(code)) if code != 0 => u8::try_from(code & 0xff).unwrap_or(cli::PLATFORM).max(1),
        (false, _) => cli::PLATFORM,
    }
}

/// The end of a step that the manager calls settled. One that is not done never ends with 0: what comes after it would begin.
fn settled(end: StepEnd) -> LastWords {
    let StepEnd { done, state, outcome } = end;
    let outcome = outcome.unwrap_or_default();
    if done {
        return LastWords { outputs: outcome.outputs, ..Default::default() };
    }
    let code = if outcome.is_success() { cli::PLATFORM } else { exit_code(&outcome) };
    let reason = outcome.reason.map_or(state, told::word);
    LastWords { reason, message: outcome.message, outputs: outcome.outputs, code }
}

/// Attempts of this step alone, and how long they stay.
pub(crate) fn settings(arguments: &Bridge, hook: &HookRef) -> Settings {
    let mut settings = Settings {
        attempts: format!("{LABEL_OPERATION}={},{LABEL_STEP}={}", arguments.operation_id, step_label(hook)),
        keep_succeeded: if arguments.keep_succeeded { FOR_GOOD } else { Duration::ZERO },
        keep_failed: FOR_GOOD,
        ..Settings::default()
    };
    let Tolerances {
        image_pull_tolerance: image_pull,
        unschedulable_tolerance: unschedulable,
        cannot_start_tolerance: cannot_start,
        preparing_tolerance: preparing,
    } = arguments.tolerances;
    for (given, into) in [
        (image_pull, &mut settings.image_pull_tolerance),
        (unschedulable, &mut settings.unschedulable_tolerance),
        (cannot_start, &mut settings.cannot_start_tolerance),
        (preparing, &mut settings.preparing_tolerance),
    ] {
        *into = given.unwrap_or(*into);
    }
    settings
}

/// Everything that stays the same from attempt to attempt.
struct Step<'a> {
    arguments: &'a Bridge,
    domains: AnnotationDomains,
    policy: RegionPolicy,
    environment: EnvironmentFile,
    environment_yaml: String,
    changeset_yaml: String,
    hook: HookRef,
    cluster: Cluster,
    runner: Runner,
    owner: Owner,
    /// Read when the first attempt of this life is made; retries run the same version.
    template: Option<(serde_json::Value, Hook)>,
}

async fn step(arguments: &Bridge) -> Result<End, BridgeError> {
    // First: a SIGTERM before this line ends the program, and nothing has begun.
    let mut terms = signal(SignalKind::terminate()).map_err(|source| BridgeError::File {
        verb: "listen to",
        path: "SIGTERM".into(),
        source,
    })?;
    let Some(file) = &arguments.environment_file else {
        return Err(BridgeError::Usage("give --environment-file or --manager".to_owned()));
    };
    let environment = EnvironmentFile::read(file, arguments.encoding())?;
    environment.check_operation(Some(arguments.operation_id), &arguments.operation)?;
    region::check(&arguments.managed, Some(&environment))?;
    let hook = HookRef::new(environment.region().clone(), arguments.job.clone());
    let settings = settings(arguments, &hook);
    let cluster = Cluster::connect(&arguments.region.connection(), &settings).await?;
    let owner = Owner::new(&cluster, arguments.workflow.clone());
    if owner.ended().await?.is_some() {
        return Err(BridgeError::WorkflowOver(owner.to_string()));
    }
    let mut step = Step {
        arguments,
        domains: arguments.region.domains()?,
        policy: arguments.region.policy(),
        environment_yaml: environment.environment_yaml(arguments.operation_id, &arguments.operation)?,
        changeset_yaml: environment
            .changeset_yaml(arguments.changeset_file.as_deref(), arguments.encoding())?,
        environment,
        hook,
        runner: Runner::new(cluster.clone(), settings),
        cluster,
        owner,
        template: None,
    };
    step.run(&mut terms).await
}

/// The attempt's id and nonce: the same in every life, so that a later one finds what an earlier one made.
fn identity(operation: OperationId, hook: &HookRef, number: u32) -> (AttemptId, uuid::Uuid) {
    let attempt = AttemptId { operation, step: hook.clone(), number };
    let nonce = attempt_nonce(operation.0, &attempt);
    (attempt, nonce)
}

impl Step<'_> {
    async fn run(&mut self, terms: &mut Signal) -> Result<End, BridgeError> {
        let earlier = self.earlier().await?;
        let mut tally = Tally::of(&earlier);
        let mut next = next(&earlier);
        loop {
            let number = match next {
                Next::Done(outcome) => return Ok(End::Over(outcome)),
                Next::Adopt(number) | Next::Start(number) => number,
            };
            let (attempt, nonce) = identity(self.arguments.operation_id, &self.hook, number);
            let known = Known { attempt, nonce, log_from: 0, start_tried: true };
            let follow = match next {
                Next::Adopt(_) => self.adopt(&known).await?,
                _ => match self.start(&known, terms).await? {
                    Started::Follow(follow) => follow,
                    Started::Refused(outcome) => return Ok(End::Over(outcome)),
                    Started::Asked => return self.asked_between().await,
                },
            };
            let Some(outcome) = self.until_over(&known, follow, terms).await? else {
                return Ok(End::Detached);
            };
            told::outcome(&known.attempt, &outcome);
            self.settle(&known, &outcome, &earlier, number).await;
            let retries = self.retries().await;
            let Some(pause) = tally.after(&outcome, retries) else { return Ok(End::Over(outcome)) };
            told::retry(&known.attempt, pause);
            if self.pause(pause, terms).await {
                return self.asked_between().await;
            }
            next = Next::Start(number + 1);
        }
    }

    /// The attempts that are there, ours alone.
    async fn earlier(&self) -> Result<Vec<SeenAttempt>, BridgeError> {
        let mut seen = self.runner.seen(&self.arguments.job.namespace).await?;
        seen.retain(|seen| {
            let (attempt, nonce) =
                identity(self.arguments.operation_id, &self.hook, seen.identity.attempt.number);
            seen.identity.attempt == attempt && seen.identity.nonce == nonce
        });
        Ok(seen)
    }

    async fn adopt(&self, known: &Known) -> Result<Follow, BridgeError> {
        let (follow, observer) = Follow::new();
        told::adopted(&known.attempt);
        match self.runner.find(known, observer).await? {
            Settled::Here => Ok(follow),
            // It was there a moment ago, unreleased: only a person takes the finalizer off.
            Settled::Absent => Ok(Follow::ended(Outcome {
                reason: Some(FailureReason::Deleted),
                message: "the attempt was there a moment ago, and its object is gone".to_owned(),
                ..Outcome::default()
            })),
        }
    }

    async fn start(&mut self, known: &Known, terms: &mut Signal) -> Result<Started, BridgeError> {
        if self.template.is_none() {
            self.template = self.arguments.template(&self.cluster, &self.domains, &self.policy).await?;
        }
        let Some((template, hook)) = &self.template else {
            return Ok(Started::refused(
                known,
                FailureReason::TemplateGone,
                format!("the template {} is not there", self.arguments.job),
            ));
        };
        let objects = match build(template, hook, &self.request(known), &self.policy) {
            Ok(objects) => objects,
            Err(refusal) => return Ok(Started::refused(known, refusal.reason, refusal.to_string())),
        };
        let (follow, observer) = Follow::new();
        loop {
            match self.runner.start(known, &objects, observer.clone()).await {
                Ok(_) => return Ok(Started::Follow(follow)),
                Err(CreateError::Refused(outcome)) => {
                    if let Some(missing) = crate::Missing::read(&outcome.message) {
                        return Err(BridgeError::Forbidden(missing));
                    }
                    told::outcome(&known.attempt, &outcome);
                    return Ok(Started::Refused(*outcome));
                }
                // A right does not come by waiting. What an earlier life may have made is found by the next one.
                Err(CreateError::Unanswered(error)) if error.code() == Some(403) => return Err(error.into()),
                Err(CreateError::Unanswered(error)) => {
                    told::unanswered(&known.attempt, &error);
                    if self.pause(CREATE_AGAIN, terms).await {
                        return Ok(Started::Asked);
                    }
                }
            }
        }
    }

    fn request(&self, known: &Known) -> AttemptRequest {
        let environment = &self.environment;
        AttemptRequest {
            attempt: known.attempt.clone(),
            nonce: known.nonce,
            environment: environment.id(),
            operation_name: self.arguments.operation.clone(),
            batch: environment.batch(),
            scheduled_time: environment.scheduled_time(),
            traceparent: std::env::var("TRACEPARENT").ok(),
            environment_file: self.environment_yaml.clone(),
            changeset_file: self.changeset_yaml.clone(),
            object_store: ObjectStoreUse::of(
                self.arguments.operation_id,
                &self.arguments.operation,
                environment.parameters(),
            ),
        }
    }

    /// Waits for the end of the attempt. `None`: asked to leave, and the attempt goes on.
    async fn until_over(
        &self,
        known: &Known,
        mut follow: Follow,
        terms: &mut Signal,
    ) -> Result<Option<Outcome>, BridgeError> {
        let asked = {
            let asked = pin!(async {
                tokio::select! {
                    _ = terms.recv() => Ok(self.owner.is_shutting_down().await.is_some()),
                    _ = self.owner.until_over() => Ok(true),
                    error = self.runner.forbidden(&self.arguments.job.namespace) => Err(error),
                }
            });
            match select(pin!(follow.outcome()), asked).await {
                Either::Left((outcome, _)) => return Ok(Some(outcome)),
                Either::Right((over, _)) => over?,
            }
        };
        if !asked {
            return Ok(None);
        }
        told::ending(&known.attempt, &self.owner);
        Ok(Some(self.end(known, follow).await))
    }

    /// The Workflow is over: the attempt is ended, and let go of when it does not end in time, since nobody will come
    /// back to look.
    async fn end(&self, known: &Known, mut follow: Follow) -> Outcome {
        let ended = async {
            while let Err(error) = self.runner.kill(known, KillCause::Cancel).await {
                told::cannot("end", &known.attempt, error);
                tokio::time::sleep(CREATE_AGAIN).await;
            }
            follow.outcome().await
        };
        if let Ok(outcome) = tokio::time::timeout(self.arguments.grace, ended).await {
            return outcome;
        }
        if let Err(error) = self.runner.remove(known).await {
            told::cannot("let go of", &known.attempt, error);
        }
        Outcome {
            reason: Some(FailureReason::Killed),
            message: "its end was not waited for: it takes longer than --grace".to_owned(),
            ..Outcome::default()
        }
    }

    /// The outcome was told: the object is let go of. After a success, also those of the attempts before.
    async fn settle(&self, known: &Known, outcome: &Outcome, earlier: &[SeenAttempt], number: u32) {
        if let Err(error) = self.runner.release(known).await {
            // The exit code is the hook's all the same: it has run.
            told::cannot("release", &known.attempt, error);
        }
        if !outcome.is_success() || self.arguments.keep_succeeded {
            return;
        }
        let first = earlier.first().map_or(1, |seen| seen.identity.attempt.number);
        for number in first..number {
            let (attempt, nonce) = identity(self.arguments.operation_id, &self.hook, number);
            let known = Known { attempt, nonce, log_from: 0, start_tried: true };
            if let Err(error) = self.runner.remove(&known).await {
                told::cannot("remove", &known.attempt, error);
            }
        }
    }

    /// `tenant.retries` of the version that runs; an attempt of an earlier life is judged by the template that is there.
    async fn retries(&mut self) -> u32 {
        if self.template.is_none() {
            match self.arguments.template(&self.cluster, &self.domains, &self.policy).await {
                Ok(template) => self.template = template,
                Err(error) => tell(&error),
            }
        }
        self.template.as_ref().map_or(0, |(_, hook)| hook.policy.retries)
    }

    /// `true`: asked to end meanwhile.
    async fn pause(&self, pause: Duration, terms: &mut Signal) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => false,
            _ = terms.recv() => true,
            _ = self.owner.until_over() => true,
        }
    }

    /// Asked to end while no attempt runs.
    async fn asked_between(&self) -> Result<End, BridgeError> {
        if self.owner.is_shutting_down().await.is_some() {
            return Err(BridgeError::WorkflowOver(self.owner.to_string()));
        }
        Ok(End::Detached)
    }
}

enum Started {
    Follow(Follow),
    /// Nothing runs and never will.
    Refused(Outcome),
    /// Asked to end before the create was answered.
    Asked,
}

impl Started {
    fn refused(known: &Known, reason: FailureReason, message: String) -> Self {
        let outcome = Outcome { reason: Some(reason), message, ..Outcome::default() };
        told::outcome(&known.attempt, &outcome);
        Self::Refused(outcome)
    }
}

pub(crate) fn unsigned(pause: SignedDuration) -> Duration {
    Duration::try_from(pause).unwrap_or_default()
}
