//! What agents say and get.

use tenantry_hook::Hook;
use tenantry_model::{AttemptId, HookPath, Problem};
use uuid::Uuid;

/// An attempt that the rows say may exist in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAttempt {
    /// Which.
    pub attempt: AttemptId,
    /// Its nonce.
    pub nonce: Uuid,
    /// The highest observation number that was taken in.
    pub observed: u64,
    /// How many bytes of its log are stored.
    pub log_offset: u64,
    /// It is unknown until the region says that it has looked.
    pub unknown: bool,
}

/// Part of a region's inventory of hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryPart {
    /// First page of a whole inventory.
    pub begin: bool,
    /// Last page of a whole inventory: what no page named is absent.
    pub end: bool,
    /// Hooks that are there.
    pub present: Vec<ReportedHook>,
    /// Hooks that are gone (only in a report of changes).
    pub absent: Vec<HookPath>,
}

/// One hook as its region sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedHook {
    /// Which.
    pub path: HookPath,
    /// The contract, if it can be read.
    pub hook: Option<Hook>,
    /// Why it cannot.
    pub problems: Vec<Problem>,
}

/// A piece of one attempt's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPiece {
    /// Whose.
    pub attempt: AttemptId,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// The bytes.
    pub data: Vec<u8>,
    /// Nothing follows.
    pub last: bool,
}
