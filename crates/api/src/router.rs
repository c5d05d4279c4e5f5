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

/// What the API consists of.
const PARTS: &[fn() -> OpenApiRouter<ApiState>] = &[
    routes::probes::routes,
    routes::tenants::routes,
    routes::environments::routes,
    routes::lifecycle::routes,
    routes::purge::routes,
    routes::operations::routes,
    routes::steps::routes,
    routes::holds::routes,
    routes::approvals::routes,
    routes::logs::routes,
    routes::events::routes,
    routes::event_sinks::routes,
    routes::inbox::routes,
    routes::hooks::routes,
    routes::definitions::routes,
    routes::regions::routes,
    routes::schedules::routes,
    routes::tokens::routes,
    routes::attention::routes,
    routes::audit::routes,
    routes::check::routes,
    routes::retention::routes,
    routes::agent::routes,
    routes::bridge::routes,
];

/// The routes without state and layers. Made once: a process of tests makes dozens of servers.
///
/// Part by part: what a part says of itself is garbage as soon as its routes are taken out of it, and the next part's comes to lie
/// in its place. Of all of them together the allocator would keep seven megabytes for good.
pub(crate) fn build() -> Router<ApiState> {
    static BUILT: OnceLock<Router<ApiState>> = OnceLock::new();
    let collect = || PARTS.iter().fold(Router::new(), |all, part| all.merge(part().split_for_parts().0));
    BUILT.get_or_init(collect).clone()
}

/// The OpenAPI document as text.
pub(crate) fn document() -> String {
    let head = OpenApiRouter::with_openapi(openapi::head());
    openapi::text(PARTS.iter().fold(head, |all, part| all.merge(part())).into_openapi())
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
