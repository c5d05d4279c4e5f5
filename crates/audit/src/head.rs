//! Signed heads: what the chains were at a time, vouched for by a key and kept elsewhere.
//!
//! A head names the chains that moved since the one before it, and that one's hash; together the heads say where every
//! chain stood, and each stays small however many environments there are.

use crate::chain::sha256;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenantry_model::EnvironmentId;
use uuid::Uuid;

/// How far a chain had come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChainMark {
    /// The environment whose chain it is; `None`: the chain of what belongs to none.
    pub environment: Option<EnvironmentId>,
    /// Position of its newest entry.
    pub position: u64,
    /// Hash of that entry.
    pub hash: String,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// Which installation's.
    pub installation: Uuid,
    /// From 1, without gaps.
    pub number: u64,
    /// When it was made.
    pub at: Timestamp,
    /// SHA-256 of the payload of the head before it, lower-case hex; empty for the first.
    pub previous: String,
    /// The chains that moved since the head before it.
    pub chains: Vec<ChainMark>,
    /// The public key (PEM) that signs from the next head on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_key: Option<String>,
}

/// A head with its signature. The payload is kept as the very text that was signed, so that checking the signature
/// needs no rule about how JSON is written (`openssl pkeyutl -verify -rawin` does it).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedHead {
    /// A [`Head`] as JSON.
    pub payload: String,
    /// Id of the key.
    pub key: String,
    /// Ed25519 over the payload's bytes, base64.
    pub signature: String,
}

impl SignedHead {
    /// What was signed. Says nothing about the signature.
    ///
    /// # Errors
    /// When the payload is no head.
    pub fn head(&self) -> Result<Head, serde_json::Error> {
        serde_json::from_str(&self.payload)
    }

    /// What the next head names as [`Head::previous`].
    #[must_use]
    pub fn hash(&self) -> String {
        sha256(self.payload.as_bytes())
    }
}
