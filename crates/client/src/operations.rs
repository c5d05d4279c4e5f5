//! Operations, the verbs that steer them, and what waits for a person.

use crate::{Call, Client, Result};
use tenantry_api_types::v1::{
    Accepted, Approval, Attention, AttentionQuery, CancelOperation, ConfirmStep, ExpectedStep, HoldStep,
    IgnoreDependency, List, Operation, OperationsQuery, ReleaseStep, ReplayOperation, RerunStep,
    SteerOperation, SteerStep, VerbPreview,
};
use tenantry_model::{HookRef, OperationId};

/// A verb on a step with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepVerb {
    /// It will not start; successors wait.
    Hold(HoldStep),
    /// End the running attempt and hold the step.
    Stop(HoldStep),
    /// Lift a hold of the step.
    Release(ReleaseStep),
    /// Another attempt.
    Rerun(RerunStep),
    /// End the running attempt.
    Kill(SteerStep),
    /// Leave it out.
    Skip(SteerStep),
    /// It was done by hand.
    Confirm(ConfirmStep),
    /// Do not wait for a predecessor.
    IgnoreDependency(IgnoreDependency),
    /// The unknown attempt will never be heard of again.
    DeclareLost(SteerStep),
}

impl StepVerb {
    /// As in the API.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hold(_) => "hold",
            Self::Stop(_) => "stop",
            Self::Release(_) => "release",
            Self::Rerun(_) => "rerun",
            Self::Kill(_) => "kill",
            Self::Skip(_) => "skip",
            Self::Confirm(_) => "confirm",
            Self::IgnoreDependency(_) => "ignore-dependency",
            Self::DeclareLost(_) => "declare-lost",
        }
    }

    /// Another attempt of this step alone.
    #[must_use]
    pub fn rerun() -> Self {
        Self::Rerun(RerunStep::default())
    }

    /// Leaves the step out.
    #[must_use]
    pub fn skip() -> Self {
        Self::Skip(SteerStep::default())
    }

    /// The same with a reason and an expectation.
    #[must_use]
    pub fn with(mut self, why: Option<String>, seen: Option<ExpectedStep>) -> Self {
        let (reason, expected) = match &mut self {
            Self::Hold(body) | Self::Stop(body) => (&mut body.reason, &mut body.expected),
            Self::Release(body) => (&mut body.reason, &mut body.expected),
            Self::Rerun(body) => (&mut body.reason, &mut body.expected),
            Self::Kill(body) | Self::Skip(body) | Self::DeclareLost(body) => {
                (&mut body.reason, &mut body.expected)
            }
            Self::Confirm(body) => (&mut body.reason, &mut body.expected),
            Self::IgnoreDependency(body) => (&mut body.reason, &mut body.expected),
        };
        (*reason, *expected) = (why, seen);
        self
    }
}

/// A verb on an operation with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationVerb {
    /// No new steps start.
    Pause(SteerOperation),
    /// What is ready starts.
    Resume(SteerOperation),
    /// No new steps start, what runs is ended.
    Cancel(CancelOperation),
}

/// What became of a verb.
#[derive(Clone, Debug, PartialEq)]
pub enum Steered {
    /// Carried out: the operation with its steps.
    Done(Box<Operation>),
    /// With `validate_only`: what it would do.
    Preview(Box<VerbPreview>),
    /// It waits for a second person.
    Pending(Box<Approval>),
}

impl Steered {
    /// The operation after the verb; `None` when nothing was carried out.
    #[must_use]
    pub fn done(self) -> Option<Operation> {
        if let Self::Done(operation) = self { Some(*operation) } else { None }
    }
}

impl Client {
    /// One page of operations, newest first.
    pub async fn operations(&self, query: &OperationsQuery) -> Result<List<Operation>> {
        self.get("v1/operations", query).await
    }
    /// One operation with its steps and attempts.
    pub async fn operation(&self, id: OperationId) -> Result<Operation> {
        self.get(&format!("v1/operations/{id}"), &()).await
    }
    /// Steers an operation.
    pub async fn steer_operation(
        &self,
        id: OperationId,
        verb: &OperationVerb,
        call: &Call,
    ) -> Result<Steered> {
        let path = |verb: &str| format!("v1/operations/{id}:{verb}");
        match verb {
            OperationVerb::Pause(body) => self.verb(&path("pause"), body, call).await,
            OperationVerb::Resume(body) => self.verb(&path("resume"), body, call).await,
            OperationVerb::Cancel(body) => self.verb(&path("cancel"), body, call).await,
        }
    }
    /// Steers a step.
    pub async fn steer(
        &self,
        id: OperationId,
        step: &HookRef,
        verb: &StepVerb,
        call: &Call,
    ) -> Result<Steered> {
        let path = format!("v1/operations/{id}/steps/{}:{}", step.slug(), verb.name());
        match verb {
            StepVerb::Hold(body) | StepVerb::Stop(body) => self.verb(&path, body, call).await,
            StepVerb::Release(body) => self.verb(&path, body, call).await,
            StepVerb::Rerun(body) => self.verb(&path, body, call).await,
            StepVerb::Kill(body) | StepVerb::Skip(body) | StepVerb::DeclareLost(body) => {
                self.verb(&path, body, call).await
            }
            StepVerb::Confirm(body) => self.verb(&path, body, call).await,
            StepVerb::IgnoreDependency(body) => self.verb(&path, body, call).await,
        }
    }
    /// Repeats an operation that has ended as a new one.
    pub async fn replay(&self, id: OperationId, body: &ReplayOperation, call: &Call) -> Result<Accepted> {
        self.post(&format!("v1/operations/{id}:replay"), body, call).await
    }
    /// One page of what waits for a person, oldest first.
    pub async fn attention(&self, query: &AttentionQuery) -> Result<List<Attention>> {
        self.get("v1/attention", query).await
    }

    async fn verb(&self, path: &str, body: &impl serde::Serialize, call: &Call) -> Result<Steered> {
        let answer = self.send(&self.change(reqwest::Method::POST, path, Some(body), call)?).await?;
        if answer.status == reqwest::StatusCode::ACCEPTED {
            return Ok(Steered::Pending(Box::new(self.json(&answer)?)));
        }
        if call.validate_only {
            return Ok(Steered::Preview(Box::new(self.json(&answer)?)));
        }
        Ok(Steered::Done(Box::new(self.json(&answer)?)))
    }
}
