//! The export: one JSON document a line. The heads come before the entries, so that whatever a head covers is in the
//! export, and the last line says how much there was, so that a cut file is seen.

use crate::head::SignedHead;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenantry_store::AuditEntry;
use uuid::Uuid;

/// One line of an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Line {
    /// The first line.
    #[serde(rename_all = "camelCase")]
    Export {
        /// Of this form of export: 1.
        version: u32,
        /// Which installation's.
        installation: Uuid,
        /// When it was begun.
        at: Timestamp,
    },
    /// A signed head; all of them, by number.
    Head(SignedHead),
    /// An entry; a chain's entries stand together, in order.
    Entry(Box<AuditEntry>),
    /// The last line.
    End {
        /// How many lines with a head there were.
        heads: u64,
        /// How many lines with an entry there were.
        entries: u64,
    },
}
