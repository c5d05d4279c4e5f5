//! What makes the audit log evidence: chains of hashes, signed heads over them, and the verifier of both.
//!
//! Pure: the manager makes chains and heads with it, an auditor's machine verifies an export with it, and both run the
//! same lines. It must never know a store, a file or the network.

mod chain;
mod head;
mod key;
mod line;
mod verify;

pub use chain::{follow, hash_of};
pub use head::{ChainMark, Head, SignedHead};
pub use key::{KeyError, PublicKey, Signer};
pub use line::Line;
pub use verify::{Bad, BadKind, ChainReport, Report, Verifier};
