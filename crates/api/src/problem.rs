//! Problems: from a service's error, or from the api itself, to `application/problem+json`.
//!
//! A handler returns a [`Problem`]; the outermost layer writes it, because only that layer knows the request's id.

use crate::codes::{self, Code};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::sync::Arc;
use tenantry_api_types::v1::{FieldError, PROBLEM_MEDIA_TYPE, ProblemDocument};
use tenantry_engine::Rejected;
use tenantry_manager::{ErrorClass, ManagerError, PurgeRefusal};
use tenantry_model::with_causes;

/// Result of a handler.
pub type Answer<T> = std::result::Result<T, Problem>;

/// Why a request got no answer of its own.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: &'static Code,
    detail: String,
    retryable: bool,
    errors: Vec<FieldError>,
    current: Option<Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of a registered code. An unknown code is a defect and becomes `internal`.
    pub(crate) fn new(code: &str, detail: impl Into<String>) -> Self {
        let found = codes::find(code).or_else(|| codes::find("internal"));
        let code = found.unwrap_or(&codes::CODES[0]);
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            retryable: code.retryable,
            errors: Vec::new(),
            current: None,
            headers: Vec::new(),
        }))
    }

    /// With one place that is wrong.
    pub(crate) fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.errors.push(FieldError {
            pointer: pointer.into(),
            detail: detail.into(),
            line: None,
            column: None,
        });
        self
    }

    pub(crate) fn with_error(mut self, error: FieldError) -> Self {
        self.0.errors.push(error);
        self
    }

    /// With what the caller's expectation met.
    pub(crate) fn with_current(mut self, current: Value) -> Self {
        self.0.current = Some(current);
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    pub(crate) fn code(&self) -> &'static str {
        self.0.code.code
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new("unauthenticated", detail)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tenantry\""))
    }

    /// The whole answer, for the request with this id.
    pub(crate) fn render(&self, instance: &str) -> Response {
        let inner = &self.0;
        let document = ProblemDocument {
            kind: format!("/errors/{}", inner.code.code),
            title: inner.code.title.to_owned(),
            status: inner.code.status,
            detail: inner.detail.clone(),
            instance: instance.to_owned(),
            code: inner.code.code.to_owned(),
            fault: inner.code.fault,
            retryable: inner.retryable,
            errors: inner.errors.clone(),
            current: inner.current.clone(),
        };
        // A document of plain texts and numbers always serialises.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            // A kept connection would bring the next request to this server again; a new one goes through the balancer, to
            // one that is ready.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        for (name, value) in &inner.headers {
            headers.insert(name.clone(), value.clone());
        }
        response
    }
}

/// Travels from the handler to the outermost layer.
#[derive(Clone)]
pub(crate) struct Pending(pub(crate) Arc<Problem>);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Pending(Arc::new(self)));
        response
    }
}

impl From<ManagerError> for Problem {
    fn from(error: ManagerError) -> Self {
        let hidden = matches!(error.class(), ErrorClass::Internal | ErrorClass::Unavailable);
        if hidden {
            tracing::error!(
                error = %with_causes(&error),
                code = error.code(),
                "a service failed"
            );
        }
        if matches!(error.class(), ErrorClass::Unauthenticated) {
            return Self::unauthenticated(error.to_string());
        }
        // What the server runs on is in its log; a client only needs to know that it was not its own fault.
        let detail = match error.class() {
            ErrorClass::Internal => {
                "something is wrong inside tenantry; the server's log holds the cause under this instance"
                    .to_owned()
            }
            _ => error.to_string(),
        };
        let code = codes::find(error.code()).map_or_else(|| fallback(error.class()), |known| known.code);
        let mut problem = Self::new(code, detail);
        problem.0.retryable |= error.retryable();
        for field in error.fields() {
            problem = problem.at(field.pointer.clone(), field.message.clone());
        }
        if let Some(current) = current(&error) {
            problem = problem.with_current(current);
        }
        problem
    }
}

/// For a code that this list does not know yet: the class still gives the right status.
fn fallback(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Invalid => "invalid-request",
        ErrorClass::Unauthenticated => "unauthenticated",
        ErrorClass::Forbidden => "forbidden",
        ErrorClass::NotFound => "not-found",
        ErrorClass::Conflict => "moved-on",
        ErrorClass::Precondition => "revision-mismatch",
        ErrorClass::Unavailable => "store-unavailable",
        ErrorClass::Internal => "internal",
    }
}

fn current(error: &ManagerError) -> Option<Value> {
    match error {
        ManagerError::Revision { present, .. } => {
            Some(json!({ "etag": tenantry_api_types::v1::etag(*present) }))
        }
        ManagerError::EnvironmentState { state, .. } | ManagerError::EnvironmentMoved { state, .. } => {
            Some(json!({ "state": state }))
        }
        ManagerError::Purge(refusal) => Some(match refusal {
            PurgeRefusal::OtherName { expected, .. } => json!({ "name": expected }),
            PurgeRefusal::Retained { until, .. } => json!({ "retention": { "until": until } }),
            PurgeRefusal::Unfinished { operations, .. } => json!({ "operations": operations }),
        }),
        ManagerError::OperationConflict { with, .. } => Some(json!({ "operations": with })),
        ManagerError::Rejected(Rejected::Expectation { state, attempt, .. }) => {
            Some(json!({ "state": state, "attempt": attempt }))
        }
        ManagerError::Rejected(Rejected::WrongState { state, .. }) => Some(json!({ "state": state })),
        ManagerError::HoldTooWide { steps, operations, allowed, .. } => {
            Some(json!({ "steps": steps, "operations": operations, "allowed": allowed }))
        }
        ManagerError::ApprovalDecided { state, .. } => Some(json!({ "state": state })),
        ManagerError::OperationMoved { state, .. }
        | ManagerError::Rejected(Rejected::OperationState { state, .. }) => Some(json!({ "state": state })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_serve_lets_go_of_the_connection_and_no_other_refusal_does() {
        for code in codes::CODES {
            let answer = Problem::new(code.code, "why").render("an id");
            let closes = answer.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
            assert_eq!(closes, code.status == 503, "{}", code.code);
        }
    }
}
