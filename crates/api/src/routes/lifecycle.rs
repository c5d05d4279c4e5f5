//! `/v1/environments/{environment}:…`: the custom methods that start an operation.

use crate::{
    convert,
    extract::{Json, Query, Segments, revision, stated_etag},
    guard::Caller,
    problem::{Answer, Problem},
    routes::environments::accepted,
    state::ApiState,
};
use axum::{extract::State, http::HeaderMap, response::Response};
use serde_json::json;
use tenantry_api_types::v1::{
    Accepted, ChangeQuery, DecommissionEnvironment, RestoreEnvironment, RunOperation, StartOperation,
};
use tenantry_manager::{
    EnvironmentKey, Lifecycle, LifecycleOptions, ManagerError, NewOperation, OperationAnswer, Principal,
};
use tenantry_model::{ConflictPolicy, EnvironmentId, EnvironmentState};
use utoipa_axum::{router::OpenApiRouter, routes};

/// How often a caller's expectation is compared again when the environment changes under it.
const EXPECTATION_TRIES: usize = 5;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(reconcile_environment))
        .routes(routes!(suspend_environment))
        .routes(routes!(resume_environment))
        .routes(routes!(backup_environment))
        .routes(routes!(restore_environment))
        .routes(routes!(decommission_environment))
        .routes(routes!(undelete_environment))
        .routes(routes!(run_operation))
}

/// What every custom method reads besides its own body.
struct Asked {
    state: ApiState,
    who: Principal,
    id: EnvironmentId,
    validate_only: bool,
    stated: Option<u64>,
    expected: Option<EnvironmentState>,
}

impl Asked {
    fn new(
        state: ApiState,
        who: Principal,
        segments: &Segments,
        query: ChangeQuery,
        headers: &HeaderMap,
        expected: Option<EnvironmentState>,
    ) -> Answer<Self> {
        let id = segments.get("environment")?;
        let stated = stated_etag(headers)?.as_deref().map(revision).transpose()?;
        Ok(Self { state, who, id, validate_only: query.validate_only, stated, expected })
    }

    /// Calls the service. The revision at which the expected state was seen goes with the call, so that the state
    /// cannot change between the comparison and the change.
    async fn carry_out<F>(self, call: impl Fn(Parts, Option<u64>) -> F) -> Answer<Response>
    where
        F: Future<Output = tenantry_manager::Result<OperationAnswer>>,
    {
        let manager = self.state.manager.clone();
        let key = EnvironmentKey::Id(self.id);
        for _ in 0..EXPECTATION_TRIES {
            let revision = match (self.stated, self.expected) {
                (Some(revision), None) => Some(revision),
                (None, None) => None,
                (stated, Some(expected)) => {
                    let now = manager.environment(&key).await?;
                    if now.state != expected {
                        let detail =
                            format!("the environment is {:?}, not {expected:?}", now.state).to_lowercase();
                        return Err(
                            Problem::new("moved-on", detail).with_current(json!({ "state": now.state }))
                        );
                    }
                    Some(stated.unwrap_or(now.revision))
                }
            };
            match call((manager.clone(), self.who.clone(), self.id, self.validate_only), revision).await {
                Err(ManagerError::Revision { .. }) if self.stated.is_none() => {}
                answer => {
                    let answer = answer?;
                    let environment = manager.environment(&key).await?;
                    return accepted(&convert::started(environment, Some(answer)));
                }
            }
        }
        Err(Problem::new("busy", "the environment changes faster than its state can be compared"))
    }

    async fn lifecycle(
        self,
        what: Lifecycle,
        reason: Option<String>,
        on_conflict: Option<ConflictPolicy>,
    ) -> Answer<Response> {
        self.carry_out(|(manager, who, id, validate_only), expected_revision| {
            let (what, reason) = (what.clone(), reason.clone());
            let options = LifecycleOptions { expected_revision, on_conflict, reason, validate_only };
            // A plan is in it: on the heap, as the futures of all callers would carry it along.
            async move { Box::pin(manager.lifecycle(&who, id, what, options)).await }
        })
        .await
    }
}

type Parts = (tenantry_manager::Manager, Principal, EnvironmentId, bool);

macro_rules! plain {
    ($(#[$doc:meta])* $name:ident, $path:literal, $what:expr) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "environments", params(("environment" = uuid::Uuid, Path), ChangeQuery), request_body = StartOperation, responses((status = ACCEPTED, body = Accepted), (status = OK, description = "with `validateOnly`", body = Accepted)))]
        async fn $name(
            State(state): State<ApiState>,
            Caller(who): Caller,
            segments: Segments,
            Query(query): Query<ChangeQuery>,
            headers: HeaderMap,
            Json(body): Json<StartOperation>,
        ) -> Answer<Response> {
            Asked::new(state, who, &segments, query, &headers, body.expected_state)?
                .lifecycle($what, body.reason, body.on_conflict)
                .await
        }
    };
}

plain!(
    /// An upsert at the unchanged generation: brings new hooks to an existing environment.
    reconcile_environment, "/v1/environments/{environment}/~reconcile", Lifecycle::Reconcile
);
plain!(
    /// Switches the environment off and keeps its data.
    suspend_environment, "/v1/environments/{environment}/~suspend", Lifecycle::Suspend
);
plain!(
    /// Switches a suspended environment on again.
    resume_environment, "/v1/environments/{environment}/~resume", Lifecycle::Resume
);
plain!(
    /// Writes a backup.
    backup_environment, "/v1/environments/{environment}/~backup", Lifecycle::Backup
);
plain!(
    /// Brings a decommissioned environment back.
    undelete_environment, "/v1/environments/{environment}/~undelete", Lifecycle::Undelete
);

/// Reads a backup back.
#[utoipa::path(post, path = "/v1/environments/{environment}/~restore", tag = "environments", params(("environment" = uuid::Uuid, Path), ChangeQuery), request_body = RestoreEnvironment, responses((status = ACCEPTED, body = Accepted), (status = OK, description = "with `validateOnly`", body = Accepted)))]
async fn restore_environment(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Query(query): Query<ChangeQuery>,
    headers: HeaderMap,
    Json(body): Json<RestoreEnvironment>,
) -> Answer<Response> {
    Asked::new(state, who, &segments, query, &headers, body.expected_state)?
        .lifecycle(Lifecycle::Restore { backup: body.backup }, body.reason, body.on_conflict)
        .await
}

/// Tears the environment down; it can be undeleted until its retention ends.
#[utoipa::path(post, path = "/v1/environments/{environment}/~decommission", tag = "environments", params(("environment" = uuid::Uuid, Path), ChangeQuery), request_body = DecommissionEnvironment, responses((status = ACCEPTED, body = Accepted), (status = OK, description = "with `validateOnly`", body = Accepted)))]
async fn decommission_environment(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Query(query): Query<ChangeQuery>,
    headers: HeaderMap,
    Json(body): Json<DecommissionEnvironment>,
) -> Answer<Response> {
    Asked::new(state, who, &segments, query, &headers, body.expected_state)?
        .lifecycle(Lifecycle::Decommission { retention: body.retention }, body.reason, body.on_conflict)
        .await
}

/// Runs any operation by name; `lifecycle.*` have methods of their own.
#[utoipa::path(post, path = "/v1/environments/{environment}/~run", tag = "environments", params(("environment" = uuid::Uuid, Path), ChangeQuery), request_body = RunOperation, responses((status = ACCEPTED, body = Accepted), (status = OK, description = "with `validateOnly`", body = Accepted)))]
async fn run_operation(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Query(query): Query<ChangeQuery>,
    headers: HeaderMap,
    Json(body): Json<RunOperation>,
) -> Answer<Response> {
    Asked::new(state, who, &segments, query, &headers, body.expected_state)?
        .carry_out(|(manager, who, id, validate_only), expected_revision| {
            let new = NewOperation {
                name: body.operation.clone(),
                parameters: body.parameters.clone(),
                reason: body.reason.clone(),
                on_conflict: body.on_conflict,
                scheduled_time: body.scheduled_time,
                expected_revision,
                validate_only,
            };
            async move { manager.request_operation(&who, id, new).await }
        })
        .await
}
