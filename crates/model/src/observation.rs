//! What a region saw of an attempt. Facts, not orders: taken in at any time, in any order, more than once.

use crate::{AttemptId, Outcome};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One fact about one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// Of which attempt.
    pub attempt: AttemptId,
    /// Grows with each observation of this attempt, also over restarts of the agent. An older number than one
    /// taken in changes nothing.
    pub number: u64,
    /// When it was seen, by the region's clock.
    #[schemars(with = "String")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What was seen.
    pub fact: Fact,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", tag = "fact")]
pub enum Fact {
    /// The object exists; nothing runs yet.
    #[serde(rename_all = "camelCase")]
    Starting {
        /// As people find it.
        object: String,
        /// What it waits for, if the platform says.
        waiting_for: Option<String>,
    },
    /// The hook's container runs.
    #[serde(rename_all = "camelCase")]
    Running {
        /// As people find it.
        object: String,
        /// When it started.
        #[schemars(with = "String")]
        #[schema(value_type = String, format = DateTime)]
        started_at: Timestamp,
        /// Where.
        node: Option<String>,
        /// Images by container.
        images: BTreeMap<String, String>,
    },
    /// It is over: terminated container statuses, a released shim lock, a node marked out of service.
    #[serde(rename_all = "camelCase")]
    Ended {
        /// When the container started, if it did.
        #[schemars(with = "Option<String>")]
        #[schema(value_type = Option<String>, format = DateTime)]
        started_at: Option<Timestamp>,
        /// When it was over.
        #[schemars(with = "String")]
        #[schema(value_type = String, format = DateTime)]
        ended_at: Timestamp,
        /// How.
        outcome: Outcome,
        /// Images by container.
        images: BTreeMap<String, String>,
    },
    /// Looked for it and cannot tell: the node is silent, the object is gone without an end.
    #[serde(rename_all = "camelCase")]
    Unknown {
        /// In the platform's words.
        why: String,
    },
    /// The start was not carried out and never will be: refused, template gone, name collision. Nothing ran.
    #[serde(rename_all = "camelCase")]
    NotStarted {
        /// Why; its reason is never `None`.
        outcome: Outcome,
    },
}
