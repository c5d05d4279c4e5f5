//! `/v1/environments`: the resource itself.

use crate::{
    convert,
    extract::{Json, Query, Segments, answer, page, required_etag, revision},
    guard::Caller,
    problem::Answer,
    state::ApiState,
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use tenantry_api_types::v1::{
    Accepted, ChangeQuery, CreateEnvironment, Environment, EnvironmentStatus, EnvironmentsQuery, List,
    UpdateEnvironment,
};
use tenantry_manager::{ChangeOptions, EnvironmentChange, EnvironmentKey, NewEnvironment, Target};
use tenantry_model::{Page, Paged, Role};
use tenantry_store::{EnvironmentFilter, OperationFilter};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_environments, create_environment))
        .routes(routes!(get_environment, update_environment))
        .routes(routes!(get_environment_by_name))
}

/// Environments that the caller may see, by id.
#[utoipa::path(get, path = "/v1/environments", tag = "environments", params(EnvironmentsQuery), responses((status = OK, body = List<Environment>)))]
async fn list_environments(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Query(query): Query<EnvironmentsQuery>,
) -> Answer<Response> {
    let page = page(query.page_size, query.page_token.as_deref())?;
    if let Some(alias) = query.alias {
        let items = state.manager.environments_by_alias(&who, alias).await?;
        return answer(StatusCode::OK, None, &convert::list::<_, Environment>(Paged { items, next: None }));
    }
    let filter = EnvironmentFilter {
        tenant: query.tenant,
        region: query.region,
        state: query.state,
        purged: query.show_purged,
        scopes: None,
    };
    let found = state.manager.environments(&who, filter, &page).await?;
    answer(StatusCode::OK, None, &convert::list::<_, Environment>(found))
}

/// Makes an environment and starts its first upsert.
#[utoipa::path(post, path = "/v1/environments", tag = "environments", params(ChangeQuery), request_body = CreateEnvironment, responses((status = ACCEPTED, body = Accepted), (status = OK, description = "with `validateOnly`", body = Accepted)))]
async fn create_environment(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ChangeQuery>,
    Json(body): Json<CreateEnvironment>,
) -> Answer<Response> {
    let target = Target::Environment { tenant: body.tenant.clone(), region: body.region.clone() };
    caller.require(Role::Operator, &target)?;
    let new = NewEnvironment {
        id: body.id,
        tenant: body.tenant,
        name: body.name,
        aliases: body.aliases,
        labels: body.labels,
        region: body.region,
        spec: body.spec,
    };
    let options =
        ChangeOptions { reason: body.reason, validate_only: query.validate_only, ..ChangeOptions::default() };
    let made = state.manager.create_environment(&caller.0, new, options).await?;
    accepted(&convert::accepted(made))
}

/// One environment, with what goes on beside its state.
#[utoipa::path(get, path = "/v1/environments/{environment}", tag = "environments", params(("environment" = uuid::Uuid, Path)), responses((status = OK, body = Environment)))]
async fn get_environment(
    State(state): State<ApiState>,
    caller: Caller,
    segments: Segments,
) -> Answer<Response> {
    show(&state, &caller, &EnvironmentKey::Id(segments.get("environment")?)).await
}

/// One environment by its tenant's and its own name.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/environments/{name}", tag = "environments", params(("tenant" = String, Path), ("name" = String, Path)), responses((status = OK, body = Environment)))]
async fn get_environment_by_name(
    State(state): State<ApiState>,
    caller: Caller,
    segments: Segments,
) -> Answer<Response> {
    show(&state, &caller, &EnvironmentKey::Name(segments.get("tenant")?, segments.get("name")?)).await
}

async fn show(state: &ApiState, Caller(who): &Caller, key: &EnvironmentKey) -> Answer<Response> {
    let found = state.manager.environment(key).await?;
    let applied = state.manager.applied(found.id).await?;
    let filter =
        OperationFilter { environment: Some(found.id), unfinished: true, ..OperationFilter::default() };
    let mut unfinished: Vec<_> = state
        .manager
        .operations(who, filter, &Page { after: None, limit: 1000 })
        .await?
        .items
        .into_iter()
        .map(|operation| operation.id)
        .collect();
    unfinished.reverse();
    let mut body = Environment::from(found);
    body.status = Some(EnvironmentStatus { unfinished, applied });
    answer(StatusCode::OK, Some(&body.etag), &body)
}

/// Changes what is wished, and starts an upsert if the generation was raised by it.
#[utoipa::path(patch, path = "/v1/environments/{environment}", tag = "environments", params(("environment" = uuid::Uuid, Path), ChangeQuery), request_body = UpdateEnvironment, responses((status = ACCEPTED, body = Accepted), (status = OK, description = "nothing has to run, or `validateOnly`", body = Accepted)))]
async fn update_environment(
    State(state): State<ApiState>,
    caller: Caller,
    segments: Segments,
    Query(query): Query<ChangeQuery>,
    headers: HeaderMap,
    Json(body): Json<UpdateEnvironment>,
) -> Answer<Response> {
    let id = segments.get("environment")?;
    let expected = revision(&required_etag(&headers)?)?;
    if let Some(region) = &body.region {
        // Moving into a region needs the role there too; the guard has only judged where it is now.
        let tenant = state.manager.environment(&EnvironmentKey::Id(id)).await?.tenant;
        caller.require(Role::Operator, &Target::Environment { tenant, region: region.clone() })?;
    }
    let change = EnvironmentChange {
        aliases: body.aliases,
        labels: body.labels,
        region: body.region,
        spec: body.spec,
    };
    let options = ChangeOptions {
        expected_revision: Some(expected),
        reason: body.reason,
        validate_only: query.validate_only,
        ..ChangeOptions::default()
    };
    let changed = Box::pin(state.manager.update_environment(&caller.0, id, change, options)).await?;
    accepted(&convert::accepted(changed))
}

/// 202 with the operation's address when something runs, 200 otherwise.
pub(crate) fn accepted(body: &Accepted) -> Answer<Response> {
    let Some(operation) = &body.operation else {
        return answer(StatusCode::OK, Some(&body.environment.etag), body);
    };
    let location = format!("/v1/operations/{}", operation.id);
    let mut response = answer(StatusCode::ACCEPTED, Some(&body.environment.etag), body)?;
    if let Ok(value) = location.parse() {
        response.headers_mut().insert(axum::http::header::LOCATION, value);
    }
    Ok(response)
}
