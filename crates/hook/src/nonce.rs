//! Nonces of attempts: what tells an attempt's object from another one of the same name (invariant 1).

use tenantry_model::AttemptId;
use uuid::Uuid;

/// The nonce of `attempt`: in the engine from the randomness of the event that creates it, in a bridge without a manager
/// from the operation's id. FNV-1a over the seed and the attempt's identity: attempts that share a seed differ, and so do
/// attempts of counted seeds in tests. It is no secret, so that mixing is enough.
#[must_use]
pub fn attempt_nonce(seed: Uuid, attempt: &AttemptId) -> Uuid {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let name = attempt.to_string();
    let mixed = seed
        .as_bytes()
        .iter()
        .chain(name.as_bytes())
        .fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME));
    uuid::Builder::from_custom_bytes(mixed.to_be_bytes()).into_uuid()
}
