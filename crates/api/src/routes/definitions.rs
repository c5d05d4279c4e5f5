//! `/v1/definitions` and `/v1/platform-schema`.

use crate::{
    answers::answered,
    convert::{self, content_etag},
    extract::{Json, Query, Segments, answer, page, required_etag, stated_etag},
    guard::Caller,
    problem::{Answer, Problem},
    state::ApiState,
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};
use tenantry_api_types::v1::{ChangeQuery, Definition, List, PageQuery, PlatformSchema};
use tenantry_manager::KeptAnswer;
use tenantry_model::{OperationDefinition, OperationName};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_definitions))
        .routes(routes!(get_definition, put_definition, delete_definition))
        .routes(routes!(get_platform_schema, put_platform_schema, delete_platform_schema))
}

pub(crate) fn shown(definition: OperationDefinition) -> Answer<Definition> {
    let etag = content_etag(&definition)?;
    Ok(Definition { definition, etag })
}

/// Built-in and stored definitions, by name.
#[utoipa::path(get, path = "/v1/definitions", tag = "definitions", params(PageQuery), responses((status = OK, body = List<Definition>)))]
async fn list_definitions(State(state): State<ApiState>, Query(query): Query<PageQuery>) -> Answer<Response> {
    let page = page(query.page_size, query.page_token.as_deref())?;
    let found = state.manager.definitions().await?;
    let part = convert::cut(found, &page, |definition| definition.name.to_string());
    let items = part.items.into_iter().map(shown).collect::<Answer<Vec<_>>>()?;
    let next_page_token = part.next.as_deref().map(crate::extract::seal_token);
    answer(StatusCode::OK, None, &List { items, next_page_token })
}

/// What a name means now; a `team.operation` that nobody defined has a meaning too.
#[utoipa::path(get, path = "/v1/definitions/{name}", tag = "definitions", params(("name" = String, Path)), responses((status = OK, body = Definition)))]
async fn get_definition(State(state): State<ApiState>, segments: Segments) -> Answer<Response> {
    let name: OperationName = segments.get("name")?;
    let body = shown(state.manager.definition(&name).await?)?;
    answer(StatusCode::OK, Some(&body.etag), &body)
}

/// Makes (`if-none-match: *`) or replaces (`if-match`) a definition.
#[utoipa::path(put, path = "/v1/definitions/{name}", tag = "definitions", params(("name" = String, Path), ChangeQuery), request_body = OperationDefinition, responses((status = OK, body = Definition), (status = CREATED, body = Definition)))]
async fn put_definition(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    headers: HeaderMap,
    Json(body): Json<OperationDefinition>,
) -> Answer<Response> {
    let name: OperationName = segments.get("name")?;
    if body.name != name {
        let detail = format!("the body names {}, the path {name}", body.name);
        return Err(Problem::new("invalid-request", detail.clone()).at("/name", detail));
    }
    let stored = state.manager.definitions().await?.into_iter().find(|known| known.name == name);
    judge(&headers, stored.map(|known| content_etag(&known)).transpose()?)?;
    let (definition, made) = state.manager.put_definition(&who, body).await?;
    let (definition, made) = (Box::new(definition), made && !who.only_checks);
    answered(&state.manager, KeptAnswer::Definition { definition, made })
}

/// Removes a definition; of a built-in one, its changes.
#[utoipa::path(delete, path = "/v1/definitions/{name}", tag = "definitions", params(("name" = String, Path), ChangeQuery), responses((status = NO_CONTENT)))]
async fn delete_definition(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    headers: HeaderMap,
) -> Answer<Response> {
    let name: OperationName = segments.get("name")?;
    let stated = required_etag(&headers)?;
    let present = content_etag(&state.manager.definition(&name).await?)?;
    same(&stated, &present)?;
    state.manager.delete_definition(&who, &name).await?;
    answered(&state.manager, KeptAnswer::Gone)
}

async fn schema(state: &ApiState) -> Answer<PlatformSchema> {
    shown_schema(state.manager.platform_schema().await?)
}

pub(crate) fn shown_schema(schema: Option<Value>) -> Answer<PlatformSchema> {
    let etag = content_etag(&schema)?;
    Ok(PlatformSchema { schema, etag })
}

/// The JSON Schema that every environment's `spec` must meet.
#[utoipa::path(get, path = "/v1/platform-schema", tag = "definitions", responses((status = OK, body = PlatformSchema)))]
async fn get_platform_schema(State(state): State<ApiState>) -> Answer<Response> {
    let body = schema(&state).await?;
    answer(StatusCode::OK, Some(&body.etag), &body)
}

/// Sets that schema; later creates and updates are checked against it.
#[utoipa::path(put, path = "/v1/platform-schema", tag = "definitions", params(ChangeQuery), request_body = Object, responses((status = OK, body = PlatformSchema)))]
async fn put_platform_schema(
    State(state): State<ApiState>,
    Caller(who): Caller,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer<Response> {
    judge(&headers, Some(schema(&state).await?.etag))?;
    state.manager.set_platform_schema(&who, Some(body.clone())).await?;
    answered(&state.manager, KeptAnswer::PlatformSchema(body))
}

/// Removes that schema.
#[utoipa::path(delete, path = "/v1/platform-schema", tag = "definitions", params(ChangeQuery), responses((status = NO_CONTENT)))]
async fn delete_platform_schema(
    State(state): State<ApiState>,
    Caller(who): Caller,
    headers: HeaderMap,
) -> Answer<Response> {
    judge(&headers, Some(schema(&state).await?.etag))?;
    state.manager.set_platform_schema(&who, None).await?;
    answered(&state.manager, KeptAnswer::Gone)
}

/// Compares what a PUT states with what is there. These resources have no revision in the store, so two admins who
/// change the same one within the same milliseconds can still overwrite each other.
fn judge(headers: &HeaderMap, present: Option<String>) -> Answer<()> {
    let only_new = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == b"*");
    match (present, only_new) {
        (Some(etag), true) => {
            Err(Problem::new("revision-mismatch", "it exists already: state its etag as If-Match")
                .with_current(json!({ "etag": etag })))
        }
        (None, true) => Ok(()),
        (Some(etag), false) => same(&required_etag(headers)?, &etag),
        (None, false) => match stated_etag(headers)? {
            None => {
                required_etag(headers)?;
                Ok(())
            }
            Some(stated) => {
                Err(Problem::new("revision-mismatch", format!("nothing is there that has etag {stated}")))
            }
        },
    }
}

fn same(stated: &str, present: &str) -> Answer<()> {
    if stated == present {
        return Ok(());
    }
    Err(Problem::new("revision-mismatch", format!("the resource has etag {present}, {stated} was stated"))
        .with_current(json!({ "etag": present })))
}
