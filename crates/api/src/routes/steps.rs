//! `/v1/operations/{operation}/steps/{step}:…`: verbs on a step.

use crate::{
    convert,
    extract::{Json, Segments},
    guard::Caller,
    problem::Answer,
    routes::operations::show,
    state::ApiState,
};
use axum::{extract::State, response::Response};
use tenantry_api_types::v1::{ConfirmStep, ExpectedStep, Operation, SteerStep};
use tenantry_engine::{Expected, StepVerb};
use tenantry_manager::Principal;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(rerun_step))
        .routes(routes!(kill_step))
        .routes(routes!(skip_step))
        .routes(routes!(confirm_step))
        .routes(routes!(declare_step_lost))
}

async fn steer(
    state: &ApiState,
    who: &Principal,
    segments: &Segments,
    verb: StepVerb,
    reason: Option<String>,
    expected: Option<ExpectedStep>,
) -> Answer<Response> {
    let (operation, step) = (segments.get("operation")?, segments.hook("step")?);
    let expected = expected.map(|seen| Expected { state: seen.state, attempt: seen.attempt });
    let view = state.manager.steer_step(who, operation, &step, verb, reason, expected).await?;
    show(&convert::operation(view))
}

macro_rules! verb {
    ($(#[$doc:meta])* $name:ident, $path:literal, $verb:expr) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "operations", params(("operation" = uuid::Uuid, Path), ("step" = String, Path)), request_body = SteerStep, responses((status = OK, body = Operation)))]
        async fn $name(
            State(state): State<ApiState>,
            Caller(who): Caller,
            segments: Segments,
            Json(body): Json<SteerStep>,
        ) -> Answer<Response> {
            steer(&state, &who, &segments, $verb, body.reason, body.expected).await
        }
    };
}

verb!(
    /// Another attempt.
    rerun_step, "/v1/operations/{operation}/steps/{step}/~rerun", StepVerb::Rerun { with_successors: false }
);
verb!(
    /// Ends the running attempt; never followed by an automatic retry.
    kill_step, "/v1/operations/{operation}/steps/{step}/~kill", StepVerb::Kill
);
verb!(
    /// Leaves the step out; the applied generation does not advance.
    skip_step, "/v1/operations/{operation}/steps/{step}/~skip", StepVerb::Skip
);
verb!(
    /// The unknown attempt will never be heard of again.
    declare_step_lost, "/v1/operations/{operation}/steps/{step}/~declare-lost", StepVerb::DeclareLost
);

/// The step was done by hand; the applied generation advances.
#[utoipa::path(post, path = "/v1/operations/{operation}/steps/{step}/~confirm", tag = "operations", params(("operation" = uuid::Uuid, Path), ("step" = String, Path)), request_body = ConfirmStep, responses((status = OK, body = Operation)))]
async fn confirm_step(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Json(body): Json<ConfirmStep>,
) -> Answer<Response> {
    let verb = StepVerb::Confirm { outputs: body.outputs };
    steer(&state, &who, &segments, verb, body.reason, body.expected).await
}
