//! `/v1/check`: whether what is stored fits together; `/v1/regions/{region}/commands`: what is still to be done there.

use crate::{
    extract::{Query, Segments, answer},
    problem::Answer,
    routes::audit::JSON_LINES,
    state::ApiState,
};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use std::convert::Infallible;
use tenantry_api_types::v1::{CheckQuery, List, OpenCommand, OpenCommandKind};
use tenantry_manager::CheckOptions;
use tenantry_model::RegionName;
use tenantry_store::{Command, CommandKind};
use tokio::sync::mpsc;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Lines that wait for a slow reader; then the check waits too.
const WAITING: usize = 64;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(check)).routes(routes!(list_commands))
}

/// Checks everything that is stored, beside the work that goes on: one JSON document a line (progress, findings, and
/// at last how many). An answer without its last line broke off. Who stops reading stops the check.
#[utoipa::path(get, path = "/v1/check", tag = "check", params(CheckQuery), responses((status = OK, body = tenantry_api_types::v1::CheckLine, content_type = "application/jsonl")))]
async fn check(State(state): State<ApiState>, Query(query): Query<CheckQuery>) -> Answer<Response> {
    let (sender, lines) = mpsc::channel(WAITING);
    let manager = state.manager.clone();
    tokio::spawn(async move { manager.check(CheckOptions { deep: query.deep }, sender).await });
    let bytes = futures::stream::unfold(lines, |mut lines| async move {
        let line = lines.recv().await?;
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(text)), lines))
    });
    let bytes = futures::StreamExt::take_until(bytes, state.stopping.clone().cancelled_owned());
    let mut response = Response::new(Body::from_stream(bytes));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON_LINES));
    Ok(response)
}

/// Commands that the region's agent has not carried out yet, oldest first; at most 1,000.
#[utoipa::path(get, path = "/v1/regions/{region}/commands", tag = "regions", params(("region" = String, Path)), responses((status = OK, body = List<OpenCommand>)))]
async fn list_commands(State(state): State<ApiState>, segments: Segments) -> Answer<Response> {
    let region: RegionName = segments.get("region")?;
    let items = state.manager.open_commands(&region).await?.into_iter().map(open_command).collect();
    answer(StatusCode::OK, None, &List { items, next_page_token: None })
}

fn open_command(from: Command) -> OpenCommand {
    OpenCommand {
        id: from.id,
        kind: match from.kind {
            CommandKind::Start => OpenCommandKind::Start,
            CommandKind::Kill => OpenCommandKind::Kill,
            CommandKind::Release => OpenCommandKind::Release,
        },
        operation: from.attempt.operation,
        step: from.attempt.step,
        attempt: from.attempt.number,
        leased_by: from.lease.as_ref().map(|lease| lease.session),
        leased_until: from.lease.map(|lease| lease.until),
    }
}
