//! The HTTP API: routes, OpenAPI, authentication, authorisation, problems, streams, serving.
//!
//! Translates between HTTP and the manager's services, and decides who may call what ([`access`]). It must never
//! know how a service decides, what a store keeps, or what a hook is made of.

pub mod access;
mod answers;
mod body;
pub mod codes;
mod convert;
mod extract;
mod guard;
mod layers;
mod metrics;
mod openapi;
mod problem;
mod router;
mod routes;
mod serve;
mod sse;
mod state;
mod tls;
mod verbs;

pub use serve::{ApiConfig, ServeError, Server, TlsFiles, serve};

/// The OpenAPI document of this version, from the code: what docs/openapi.json must hold, and a server serves.
#[must_use]
pub fn openapi() -> String {
    router::document()
}
