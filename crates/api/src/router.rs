//! All routes, with their layers, and the OpenAPI document that comes from them.

use crate::{body, guard, layers, openapi, problem::Problem, routes, state::ApiState, verbs};
use axum::{
    Router,
    http::{Method, Uri},
    middleware::from_fn_with_state,
};
use std::sync::OnceLock;
use tower::{ServiceBuilder, util::MapRequestLayer};
use utoipa_axum::router::OpenApiRouter;

/// The routes without state and layers, and the OpenAPI document as text. Made once: the document takes a tenth of a second
/// in a test build, and a process of tests makes dozens of servers.
pub(crate) fn build() -> (Router<ApiState>, String) {
    static BUILT: OnceLock<(Router<ApiState>, String)> = OnceLock::new();
    BUILT.get_or_init(collect).clone()
}

fn collect() -> (Router<ApiState>, String) {
    let (router, document) = OpenApiRouter::with_openapi(openapi::head())
        .merge(routes::probes::routes())
        .merge(routes::tenants::routes())
        .merge(routes::environments::routes())
        .merge(routes::lifecycle::routes())
        .merge(routes::purge::routes())
        .merge(routes::operations::routes())
        .merge(routes::steps::routes())
        .merge(routes::holds::routes())
        .merge(routes::approvals::routes())
        .merge(routes::logs::routes())
        .merge(routes::events::routes())
        .merge(routes::event_sinks::routes())
        .merge(routes::inbox::routes())
        .merge(routes::hooks::routes())
        .merge(routes::definitions::routes())
        .merge(routes::regions::routes())
        .merge(routes::schedules::routes())
        .merge(routes::tokens::routes())
        .merge(routes::attention::routes())
        .merge(routes::audit::routes())
        .merge(routes::check::routes())
        .merge(routes::retention::routes())
        .merge(routes::agent::routes())
        .merge(routes::bridge::routes())
        .split_for_parts();
    (router, openapi::text(document))
}

/// The whole service. Order matters: the outermost layer sees every answer, a path is rewritten before it is
/// routed, the guard knows the caller before a body is read, and the key is judged after the guard.
pub(crate) fn finish(router: Router<ApiState>, state: ApiState) -> Router {
    let inner = router
        .route_layer(from_fn_with_state(state.clone(), body::body))
        .route_layer(from_fn_with_state(state.clone(), guard::guard))
        .fallback(no_route)
        .with_state(state.clone());
    let rewritten = ServiceBuilder::new().layer(MapRequestLayer::new(verbs::rewrite)).service(inner);
    Router::new().fallback_service(rewritten).layer(from_fn_with_state(state, layers::outermost))
}

async fn no_route(method: Method, uri: Uri) -> Problem {
    Problem::new("route-not-found", format!("there is no {method} {}", uri.path()))
}
