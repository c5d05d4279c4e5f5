//! The audit log (DESIGN §8): entries in chains, signed heads over them, exports. What a chain and a head are is in
//! `tenantry-audit`; this reads and writes their rows, and keeps the key.

mod export;
mod keys;
mod read;
mod seal;
mod sink;

pub use export::AuditExport;
pub use keys::AuditKey;
pub(crate) use seal::Sealer;

use crate::Principal;
use crate::work::Note;
use jiff::Timestamp;
use tenantry_model::EnvironmentId;
use tenantry_store::AuditEntry;

/// The entry that follows `head`.
pub(crate) fn entry(
    head: Option<&AuditEntry>,
    environment: Option<EnvironmentId>,
    at: Timestamp,
    who: &Principal,
    note: Note<'_>,
) -> AuditEntry {
    let entry = AuditEntry {
        position: 0,
        environment,
        at,
        actor: who.actor.clone(),
        action: note.action.to_owned(),
        target: note.target,
        reason: note.reason.map(str::to_owned),
        origin: who.origin.clone(),
        request: who.request.as_ref().map(|request| request.key.clone()),
        before: note.before,
        after: note.after,
        hash: String::new(),
        previous: String::new(),
    };
    tenantry_audit::follow(head, entry)
}
