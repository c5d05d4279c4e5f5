//! `/bridge/v1`: the bridge protocol over HTTP (docs/decisions/0043-a-bridge-leases-its-step.md). Which region speaks comes
//! from the token that the guard has checked, never from a body.

use super::agent::{bounded, command, open_attempt, pieces, reported};
use crate::{
    extract::{Json, answer},
    guard::BridgeCaller,
    problem::{Answer, Problem},
    state::ApiState,
};
use axum::{extract::State, http::StatusCode, response::Response};
use std::time::Duration;
use tenantry_api_types::agent::{FinishAnswer, LogsAnswer, MAX_POLL_SECONDS, ObservationsAnswer};
use tenantry_api_types::bridge::{
    HooksAnswer, HooksRequest, OrderAnswer, OrderRequest, StepFinishRequest, StepLeaseAnswer,
    StepLeaseRequest, StepLogsRequest, StepObservationsRequest, WorkflowEndAnswer, WorkflowEndRequest,
    WorkflowRef,
};
use tenantry_manager::{StepLease, StepPoll};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(report_hooks))
        .routes(routes!(wait_for_order))
        .routes(routes!(lease_step))
        .routes(routes!(finish_step))
        .routes(routes!(report_step))
        .routes(routes!(report_step_logs))
        .routes(routes!(end_workflow))
}

/// A bridge speaks for Workflows of its own region alone.
fn own(caller: &BridgeCaller, workflow: &WorkflowRef) -> Answer<()> {
    if caller.region == workflow.region {
        return Ok(());
    }
    let detail =
        format!("the caller is of region {}, its Workflow of region {}", caller.region, workflow.region);
    Err(Problem::new("wrong-region", detail))
}

fn waits(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds.min(MAX_POLL_SECONDS)))
}

/// The hooks that a Workflow's discovery has found.
#[utoipa::path(post, path = "/bridge/v1/hooks", tag = "bridge", request_body = HooksRequest, responses((status = OK, body = HooksAnswer)))]
async fn report_hooks(
    State(state): State<ApiState>,
    caller: BridgeCaller,
    Json(body): Json<HooksRequest>,
) -> Answer<Response> {
    own(&caller, &body.workflow)?;
    bounded("present", body.present.len())?;
    let present: Vec<_> = body.present.into_iter().map(reported).collect();
    state.manager.bridge_hooks(&body.workflow, body.session, (body.begin, body.end), &present).await?;
    answer(StatusCode::OK, None, &HooksAnswer {})
}

/// The steps that a Workflow is to run, as a long poll. When the server stops, the poll answers that it waits.
#[utoipa::path(post, path = "/bridge/v1/order/~wait", tag = "bridge", request_body = OrderRequest, responses((status = OK, body = OrderAnswer)))]
async fn wait_for_order(
    State(state): State<ApiState>,
    caller: BridgeCaller,
    Json(body): Json<OrderRequest>,
) -> Answer<Response> {
    own(&caller, &body.workflow)?;
    let order = state.manager.bridge_order(&body.workflow, waits(body.wait_seconds));
    let order = match state.stopping.run_until_cancelled(order).await {
        Some(order) => order?,
        None => OrderAnswer::Waiting { note: "the manager stops".to_owned(), list_again: false },
    };
    answer(StatusCode::OK, None, &order)
}

/// A step's commands or its end, as a long poll; also the bridge's heartbeat.
#[utoipa::path(post, path = "/bridge/v1/commands/~lease", tag = "bridge", request_body = StepLeaseRequest, responses((status = OK, body = StepLeaseAnswer)))]
async fn lease_step(
    State(state): State<ApiState>,
    caller: BridgeCaller,
    Json(body): Json<StepLeaseRequest>,
) -> Answer<Response> {
    own(&caller, &body.step.workflow)?;
    let poll = StepPoll { first: body.first, unanswered: body.unanswered };
    let lease = state.manager.bridge_lease(&body.step, waits(body.wait_seconds), poll);
    let StepLease { commands, open, note, end } = match state.stopping.run_until_cancelled(lease).await {
        Some(lease) => lease?,
        None => StepLease::default(),
    };
    let commands = commands.into_iter().map(command).collect::<Answer<Vec<_>>>()?;
    let open = open.into_iter().map(open_attempt).collect();
    answer(StatusCode::OK, None, &StepLeaseAnswer { commands, open, note, end })
}

/// These commands of a step are carried out.
#[utoipa::path(post, path = "/bridge/v1/commands/~finish", tag = "bridge", request_body = StepFinishRequest, responses((status = OK, body = FinishAnswer)))]
async fn finish_step(
    State(state): State<ApiState>,
    caller: BridgeCaller,
    Json(body): Json<StepFinishRequest>,
) -> Answer<Response> {
    own(&caller, &body.step.workflow)?;
    bounded("commands", body.commands.len())?;
    state.manager.bridge_finish(&body.step, &body.commands).await?;
    answer(StatusCode::OK, None, &FinishAnswer {})
}

/// Facts about a step's attempts; about others they are dropped and named.
#[utoipa::path(post, path = "/bridge/v1/observations", tag = "bridge", request_body = StepObservationsRequest, responses((status = OK, body = ObservationsAnswer)))]
async fn report_step(
    State(state): State<ApiState>,
    caller: BridgeCaller,
    Json(body): Json<StepObservationsRequest>,
) -> Answer<Response> {
    own(&caller, &body.step.workflow)?;
    bounded("observations", body.observations.len())?;
    let unknown = state.manager.bridge_observe(&body.step, body.observations).await?;
    answer(StatusCode::OK, None, &ObservationsAnswer { unknown })
}

/// Log text of a step's attempts, by offset; of others it is dropped and named.
#[utoipa::path(post, path = "/bridge/v1/logs", tag = "bridge", request_body = StepLogsRequest, responses((status = OK, body = LogsAnswer)))]
async fn report_step_logs(
    State(state): State<ApiState>,
    caller: BridgeCaller,
    Json(body): Json<StepLogsRequest>,
) -> Answer<Response> {
    own(&caller, &body.step.workflow)?;
    let unknown = state.manager.bridge_logs(&body.step, pieces(body.chunks)?).await?;
    answer(StatusCode::OK, None, &LogsAnswer { unknown })
}

/// Somebody has ended a Workflow before its operation.
#[utoipa::path(post, path = "/bridge/v1/workflows/~end", tag = "bridge", request_body = WorkflowEndRequest, responses((status = OK, body = WorkflowEndAnswer)))]
async fn end_workflow(
    State(state): State<ApiState>,
    caller: BridgeCaller,
    Json(body): Json<WorkflowEndRequest>,
) -> Answer<Response> {
    own(&caller, &body.workflow)?;
    state.manager.bridge_workflow_ended(&body.workflow, body.end, &body.why).await?;
    answer(StatusCode::OK, None, &WorkflowEndAnswer {})
}
