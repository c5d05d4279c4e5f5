//! Changes that start nothing: the call that the flags describe, and what people are told after it.

use crate::cli::ChangeArgs;
use tenantry_client::Call;

/// The call; `etag` is of the resource as it was read, if it was.
pub fn call(change: &ChangeArgs, etag: Option<String>) -> Call {
    Call { key: change.idempotency_key.clone(), validate_only: change.validate_only, if_match: etag }
}

/// Says that nothing happened, if nothing did.
pub fn only_checked(validate_only: bool) {
    if validate_only {
        anstream::eprintln!("only checked: nothing was changed");
    }
}
