//! `/v1/tenants`.

use crate::{
    answers::answered,
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
use tenantry_api_types::v1::{ChangeQuery, CreateTenant, List, PageQuery, Tenant, UpdateTenant};
use tenantry_manager::KeptAnswer;
use tenantry_model::TenantName;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_tenants, create_tenant)).routes(routes!(
        get_tenant,
        update_tenant,
        delete_tenant
    ))
}

/// Tenants that the caller may see, by name.
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", params(PageQuery), responses((status = OK, body = List<Tenant>)))]
async fn list_tenants(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Query(query): Query<PageQuery>,
) -> Answer<Response> {
    let found = state.manager.tenants(&who, &page(query.page_size, query.page_token.as_deref())?).await?;
    answer(StatusCode::OK, None, &convert::list::<_, Tenant>(found))
}

/// Makes a tenant.
#[utoipa::path(post, path = "/v1/tenants", tag = "tenants", params(ChangeQuery), request_body = CreateTenant, responses((status = CREATED, body = Tenant), (status = OK, description = "with `validateOnly`", body = Tenant)))]
async fn create_tenant(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Json(body): Json<CreateTenant>,
) -> Answer<Response> {
    let display_name = body.display_name.unwrap_or_else(|| body.name.to_string());
    let tenant = state.manager.create_tenant(&who, body.name, display_name).await?;
    answered(&state.manager, KeptAnswer::Tenant { tenant, made: !who.only_checks })
}

/// One tenant.
#[utoipa::path(get, path = "/v1/tenants/{tenant}", tag = "tenants", params(("tenant" = String, Path)), responses((status = OK, body = Tenant)))]
async fn get_tenant(State(state): State<ApiState>, segments: Segments) -> Answer<Response> {
    let name: TenantName = segments.get("tenant")?;
    let tenant = Tenant::from(state.manager.tenant(&name).await?);
    answer(StatusCode::OK, Some(&tenant.etag), &tenant)
}

/// Changes a tenant.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}", tag = "tenants", params(("tenant" = String, Path), ChangeQuery), request_body = UpdateTenant, responses((status = OK, body = Tenant)))]
async fn update_tenant(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    headers: HeaderMap,
    Json(body): Json<UpdateTenant>,
) -> Answer<Response> {
    let name: TenantName = segments.get("tenant")?;
    let expected = revision(&required_etag(&headers)?)?;
    let tenant = state.manager.update_tenant(&who, &name, Some(expected), body.display_name).await?;
    answered(&state.manager, KeptAnswer::Tenant { tenant, made: false })
}

/// Removes a tenant that has no environments.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}", tag = "tenants", params(("tenant" = String, Path), ChangeQuery), responses((status = NO_CONTENT)))]
async fn delete_tenant(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    headers: HeaderMap,
) -> Answer<Response> {
    let name: TenantName = segments.get("tenant")?;
    let expected = revision(&required_etag(&headers)?)?;
    state.manager.delete_tenant(&who, &name, Some(expected)).await?;
    answered(&state.manager, KeptAnswer::Gone)
}
