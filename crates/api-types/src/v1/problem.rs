//! What an answer says when it is not what was asked for (RFC 9457, `application/problem+json`).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Media type of a problem document.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The request is wrong: repeating it unchanged gives the same answer, unless `retryable` says otherwise.
    Client,
    /// tenantry or its store.
    Server,
    /// A region or its agent.
    Region,
    /// A team's hook.
    Hook,
}

/// A problem document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemDocument {
    /// Reference of the page that explains `code`: `/errors/<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the code means, in a few words; equal for every problem of this code.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened here, and what to do.
    pub detail: String,
    /// The request's id, as in the answer's `x-request-id` and in the server's logs.
    pub instance: String,
    /// Stable; programs decide by it.
    pub code: String,
    /// Whose fault it is.
    pub fault: Fault,
    /// The same request may succeed later.
    pub retryable: bool,
    /// Single faults, each with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The state that the caller's expectation met, as `{"state": …, "attempt": …, "etag": …}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Value>,
}

/// One fault in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body; or the name of a query parameter, path segment or header.
    pub pointer: String,
    /// What is wrong there, and what to do.
    pub detail: String,
    /// Line in the body, from 1, where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in the body, from 1, where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}
