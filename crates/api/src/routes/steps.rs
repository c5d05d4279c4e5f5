//! `/v1/operations/{operation}/steps/{step}:…`: verbs on a step.

use crate::{
    answers::answered,
    convert,
    extract::{Json, Query, Segments, answer},
    guard::Caller,
    problem::Answer,
    state::ApiState,
};
use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_api_types::v1::{
    Approval, ChangeQuery, ConfirmStep, ExpectedStep, HoldStep, IgnoreDependency, ReleaseStep, RerunStep,
    SteerStep, VerbAnswer,
};
use tenantry_engine::{Expected, StepVerb};
use tenantry_manager::{KeptAnswer, Manager, Principal, Steered, StepOptions};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(hold_step))
        .routes(routes!(stop_step))
        .routes(routes!(release_step))
        .routes(routes!(rerun_step))
        .routes(routes!(kill_step))
        .routes(routes!(skip_step))
        .routes(routes!(confirm_step))
        .routes(routes!(ignore_dependency))
        .routes(routes!(declare_step_lost))
}

/// Who asks for what.
struct Asked {
    state: ApiState,
    who: Principal,
    segments: Segments,
    query: ChangeQuery,
}

impl Asked {
    async fn steer(
        self,
        verb: StepVerb,
        reason: Option<String>,
        expected: Option<ExpectedStep>,
    ) -> Answer<Response> {
        let (operation, step) = (self.segments.get("operation")?, self.segments.hook("step")?);
        let expected = expected.map(|seen| Expected { state: seen.state, attempt: seen.attempt });
        let options = StepOptions { reason, expected, validate_only: self.query.validate_only };
        let manager = &self.state.manager;
        steered(manager, manager.steer_step(&self.who, operation, &step, verb, options).await?)
    }
}

/// The answer to a verb, of a step or of an operation.
pub(crate) fn steered(manager: &Manager, came_of_it: Steered) -> Answer<Response> {
    match came_of_it {
        Steered::Done(view) => answered(manager, KeptAnswer::Steered(view)),
        Steered::Preview(preview) => answer(StatusCode::OK, None, &convert::verb_preview(*preview)),
        Steered::Pending(approval) => answered(manager, KeptAnswer::Waits(approval)),
    }
}

macro_rules! verb {
    ($(#[$doc:meta])* $name:ident, $path:literal, $body:ty, $verb:expr) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "operations", params(("operation" = uuid::Uuid, Path), ("step" = String, Path), ChangeQuery), request_body = $body, responses((status = OK, body = VerbAnswer), (status = ACCEPTED, description = "it waits for a second person", body = Approval)))]
        async fn $name(
            State(state): State<ApiState>,
            Caller(who): Caller,
            segments: Segments,
            Query(query): Query<ChangeQuery>,
            Json(body): Json<$body>,
        ) -> Answer<Response> {
            let (reason, expected) = (body.reason.clone(), body.expected.clone());
            let verb: fn($body) -> StepVerb = $verb;
            Asked { state, who, segments, query }.steer(verb(body), reason, expected).await
        }
    };
}

verb!(
    /// The step will not start; a running one finishes and its successors wait.
    hold_step, "/v1/operations/{operation}/steps/{step}/~hold", HoldStep,
    |body| StepVerb::Hold { until: body.until }
);
verb!(
    /// Ends the running attempt and holds the step in one; it begins again when it is released.
    stop_step, "/v1/operations/{operation}/steps/{step}/~stop", HoldStep,
    |body| StepVerb::Stop { until: body.until }
);
verb!(
    /// Lifts a hold of this step.
    release_step, "/v1/operations/{operation}/steps/{step}/~release", ReleaseStep,
    |body| StepVerb::Release { hold: body.hold }
);
verb!(
    /// Another attempt.
    rerun_step, "/v1/operations/{operation}/steps/{step}/~rerun", RerunStep,
    |body| StepVerb::Rerun { with_successors: body.with_successors }
);
verb!(
    /// Ends the running attempt; never followed by an automatic retry.
    kill_step, "/v1/operations/{operation}/steps/{step}/~kill", SteerStep, |_| StepVerb::Kill
);
verb!(
    /// Leaves the step out; the applied generation does not advance.
    skip_step, "/v1/operations/{operation}/steps/{step}/~skip", SteerStep, |_| StepVerb::Skip
);
verb!(
    /// The step was done by hand; the applied generation advances.
    confirm_step, "/v1/operations/{operation}/steps/{step}/~confirm", ConfirmStep,
    |body| StepVerb::Confirm { outputs: body.outputs }
);
verb!(
    /// The step does not wait for a predecessor any more.
    ignore_dependency, "/v1/operations/{operation}/steps/{step}/~ignore-dependency", IgnoreDependency,
    |body| StepVerb::IgnoreDependency { on: body.on }
);
verb!(
    /// The unknown attempt will never be heard of again.
    declare_step_lost, "/v1/operations/{operation}/steps/{step}/~declare-lost", SteerStep,
    |_| StepVerb::DeclareLost
);
