//! `/agent/v1`: the agent protocol over HTTP (docs/decisions/0003-agent-protocol.md). Which region speaks comes from
//! the credential, never from a body.

use crate::{
    extract::{Json, answer},
    guard::Region,
    problem::{Answer, Problem},
    state::ApiState,
};
use axum::{extract::State, http::StatusCode, response::Response};
use base64::Engine as _;
use serde::Deserialize;
use std::time::Duration;
use tenantry_api_types::agent::{
    FinishAnswer, FinishRequest, HookReport, InventoryAnswer, InventoryRequest, JoinAnswer, JoinRequest,
    LeaseAnswer, LeaseRequest, LeasedCommand, LogChunk, LogsAnswer, LogsRequest, MAX_BATCH, MAX_LOG_BYTES,
    MAX_POLL_SECONDS, ObservationsAnswer, ObservationsRequest, OpenAttempt, Order, SessionAnswer,
    SessionRequest,
};
use tenantry_manager::{InventoryPart, LogPiece, OwnCredential, ReportedHook};
use tenantry_model::{KillCause, with_causes};
use tenantry_store::{Command, CommandKind};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(join))
        .routes(routes!(open_session))
        .routes(routes!(report_inventory))
        .routes(routes!(lease_commands))
        .routes(routes!(finish_commands))
        .routes(routes!(report_observations))
        .routes(routes!(report_logs))
}

pub(super) fn bounded(what: &str, count: usize) -> Answer<()> {
    if count <= MAX_BATCH {
        return Ok(());
    }
    let detail = format!("{count} {what} in one call; at most {MAX_BATCH} are allowed");
    Err(Problem::new("invalid-request", detail.clone()).at(format!("/{what}"), detail))
}

/// Makes a credential that the agent has made the region's, by a join token; may be repeated.
#[utoipa::path(post, path = "/agent/v1/join", tag = "agent", request_body = JoinRequest, responses((status = OK, body = JoinAnswer)))]
async fn join(
    State(state): State<ApiState>,
    region: Region,
    Json(body): Json<JoinRequest>,
) -> Answer<Response> {
    let own = OwnCredential { id: body.credential, secret_sha256: body.secret_sha256 };
    state.manager.agent_join(region.token, &body.host, &own, region.origin).await?;
    answer(StatusCode::OK, None, &JoinAnswer { region: region.name })
}

/// A new life of the agent: breaks the leases of earlier ones.
#[utoipa::path(post, path = "/agent/v1/sessions", tag = "agent", request_body = SessionRequest, responses((status = OK, body = SessionAnswer)))]
async fn open_session(
    State(state): State<ApiState>,
    region: Region,
    Json(body): Json<SessionRequest>,
) -> Answer<Response> {
    let open = state.manager.agent_session(&region.name, body.session, body.executor, &body.version).await?;
    let open_attempts = open.into_iter().map(open_attempt).collect();
    let silent_after_seconds = Some(state.manager.silent_after_seconds());
    answer(StatusCode::OK, None, &SessionAnswer { open_attempts, silent_after_seconds })
}

pub(super) fn open_attempt(from: tenantry_manager::OpenAttempt) -> OpenAttempt {
    OpenAttempt {
        attempt: from.attempt,
        nonce: from.nonce,
        observed: from.observed,
        log_offset: from.log_offset,
        unknown: from.unknown,
    }
}

pub(super) fn reported(from: HookReport) -> ReportedHook {
    ReportedHook { path: from.path, hook: from.hook, problems: from.problems }
}

/// Hooks of the region, whole or changed.
#[utoipa::path(post, path = "/agent/v1/inventory", tag = "agent", request_body = InventoryRequest, responses((status = OK, body = InventoryAnswer)))]
async fn report_inventory(
    State(state): State<ApiState>,
    region: Region,
    Json(body): Json<InventoryRequest>,
) -> Answer<Response> {
    bounded("present", body.present.len())?;
    bounded("absent", body.absent.len())?;
    let part = InventoryPart {
        begin: body.begin,
        end: body.end,
        present: body.present.into_iter().map(reported).collect(),
        absent: body.absent,
    };
    let keep = state.manager.agent_inventory(&region.name, body.session, part).await?;
    answer(StatusCode::OK, None, &InventoryAnswer { keep })
}

/// Commands, as a long poll; also the heartbeat. When the server stops, the poll answers with none.
#[utoipa::path(post, path = "/agent/v1/commands/~lease", tag = "agent", request_body = LeaseRequest, responses((status = OK, body = LeaseAnswer)))]
async fn lease_commands(
    State(state): State<ApiState>,
    region: Region,
    Json(body): Json<LeaseRequest>,
) -> Answer<Response> {
    let wait = Duration::from_secs(u64::from(body.wait_seconds.min(MAX_POLL_SECONDS)));
    let limit = body.limit.clamp(1, u32::try_from(MAX_BATCH).unwrap_or(u32::MAX));
    if body.unanswered {
        state.manager.agent_unanswered(&region.name, body.session).await?;
    }
    let lease = state.manager.agent_lease(&region.name, body.session, limit, wait);
    let leased = match state.stopping.run_until_cancelled(lease).await {
        Some(leased) => leased?,
        None => Vec::new(),
    };
    let commands = leased.into_iter().map(command).collect::<Answer<Vec<_>>>()?;
    answer(StatusCode::OK, None, &LeaseAnswer { commands })
}

#[derive(Deserialize)]
struct KillBody {
    cause: KillCause,
}

pub(super) fn command(from: Command) -> Answer<LeasedCommand> {
    let id = from.id;
    let damaged = |why: serde_json::Error| {
        tracing::error!(error = %with_causes(&why), command = %id, "a stored command cannot be read");
        Problem::new("internal", format!("command {id} cannot be read"))
    };
    let order = match from.kind {
        CommandKind::Start => Order::Start(serde_json::from_value(from.body).map_err(damaged)?),
        CommandKind::Kill => {
            Order::Kill { cause: serde_json::from_value::<KillBody>(from.body).map_err(damaged)?.cause }
        }
        CommandKind::Release => Order::Release,
    };
    Ok(LeasedCommand { id, attempt: from.attempt, order })
}

/// These commands are carried out.
#[utoipa::path(post, path = "/agent/v1/commands/~finish", tag = "agent", request_body = FinishRequest, responses((status = OK, body = FinishAnswer)))]
async fn finish_commands(
    State(state): State<ApiState>,
    region: Region,
    Json(body): Json<FinishRequest>,
) -> Answer<Response> {
    bounded("commands", body.commands.len())?;
    state.manager.agent_finish(&region.name, body.session, &body.commands).await?;
    answer(StatusCode::OK, None, &FinishAnswer {})
}

/// Facts about attempts, in any order; about attempts of other regions they are dropped and named.
#[utoipa::path(post, path = "/agent/v1/observations", tag = "agent", request_body = ObservationsRequest, responses((status = OK, body = ObservationsAnswer)))]
async fn report_observations(
    State(state): State<ApiState>,
    region: Region,
    Json(body): Json<ObservationsRequest>,
) -> Answer<Response> {
    bounded("observations", body.observations.len())?;
    let unknown = state.manager.agent_observe(&region.name, body.observations).await?;
    answer(StatusCode::OK, None, &ObservationsAnswer { unknown })
}

/// Log text by offset; of attempts of other regions it is dropped and named.
#[utoipa::path(post, path = "/agent/v1/logs", tag = "agent", request_body = LogsRequest, responses((status = OK, body = LogsAnswer)))]
async fn report_logs(
    State(state): State<ApiState>,
    region: Region,
    Json(body): Json<LogsRequest>,
) -> Answer<Response> {
    let unknown = state.manager.agent_logs(&region.name, pieces(body.chunks)?).await?;
    answer(StatusCode::OK, None, &LogsAnswer { unknown })
}

/// Chunks within the limits of one call.
pub(super) fn pieces(chunks: Vec<LogChunk>) -> Answer<Vec<LogPiece>> {
    bounded("chunks", chunks.len())?;
    let pieces = chunks.into_iter().enumerate().map(piece).collect::<Answer<Vec<_>>>()?;
    let size: usize = pieces.iter().map(|piece| piece.data.len()).sum();
    if size > MAX_LOG_BYTES {
        let detail = format!("{size} bytes of log in one call; at most {MAX_LOG_BYTES} are allowed");
        return Err(Problem::new("invalid-request", detail.clone()).at("/chunks", detail));
    }
    Ok(pieces)
}

fn piece((at, chunk): (usize, LogChunk)) -> Answer<LogPiece> {
    let data = base64::engine::general_purpose::STANDARD.decode(&chunk.data).map_err(|why| {
        Problem::new("invalid-request", format!("chunk {at} is no base64: {why}"))
            .at(format!("/chunks/{at}/data"), why.to_string())
    })?;
    Ok(LogPiece { attempt: chunk.attempt, offset: chunk.offset, data, last: chunk.last })
}
