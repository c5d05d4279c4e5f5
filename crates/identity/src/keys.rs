//! The public keys of one region's cluster: a JWKS file that is read again when it changes.

use crate::{
    ConfigError,
    file::{self, Stamp},
};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tenantry_model::with_causes;

/// Tokens of unknown keys make a file that seems unchanged be read again at most this often.
pub const REREAD_AFTER: SignedDuration = SignedDuration::from_secs(10);

struct Key {
    id: String,
    algorithm: Algorithm,
    public: DecodingKey,
}

/// The keys file of one region.
pub(crate) struct Keys {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    /// What was read last from a file that could be read.
    keys: Vec<Key>,
    /// Of the file when it was read last, also if that failed.
    stamp: Option<Stamp>,
    /// When an unknown key made the file be read again.
    forced: Option<Timestamp>,
    /// Why the file cannot be read now.
    trouble: Option<Arc<ConfigError>>,
}

impl Keys {
    /// Reads the file. That it must hold a key is a rule for the start only: later, no key is a way to trust nobody.
    pub(crate) fn open(path: &Path) -> Result<Self, ConfigError> {
        let stamp = Stamp::of(path);
        let keys = read(path)?;
        if keys.is_empty() {
            return Err(ConfigError::NoKey { path: path.to_owned() });
        }
        let state = State { keys, stamp, forced: None, trouble: None };
        Ok(Self { path: path.to_owned(), state: Mutex::new(state) })
    }

    /// The keys with this id for this algorithm; several only if the file names one id twice.
    ///
    /// # Errors
    /// No such key is known, and the file cannot be read: it may be in there.
    pub(crate) fn find(
        &self,
        id: &str,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Result<Vec<DecodingKey>, Arc<ConfigError>> {
        let mut state = self.state();
        let stamp = Stamp::of(&self.path);
        if stamp != state.stamp {
            self.reread(&mut state, stamp);
        }
        let found = state.matching(id, algorithm);
        if !found.is_empty() {
            return Ok(found);
        }
        // A file written twice within one tick of the file system's clock seems unchanged. Anybody can present tokens of
        // unknown keys, so this must not read a file for each.
        let recent = |at: Timestamp| now.duration_since(at).abs() < REREAD_AFTER;
        if !state.forced.is_some_and(recent) {
            state.forced = Some(now);
            self.reread(&mut state, stamp);
        }
        let found = state.matching(id, algorithm);
        match &state.trouble {
            Some(trouble) if found.is_empty() => Err(Arc::clone(trouble)),
            _ => Ok(found),
        }
    }

    /// The id of a key that both have, as far as they were read.
    pub(crate) fn common(&self, other: &Self) -> Option<String> {
        let ids: Vec<String> = self.state().keys.iter().map(|key| key.id.clone()).collect();
        let other = other.state();
        ids.into_iter().find(|id| other.keys.iter().any(|key| key.id == *id))
    }

    /// The stamp must have been taken before: what is written while this reads then is a change.
    fn reread(&self, state: &mut State, stamp: Option<Stamp>) {
        state.stamp = stamp;
        match read(&self.path) {
            Ok(keys) => {
                state.keys = keys;
                state.trouble = None;
            }
            // A file that is being written, or was lost, must not lock out a whole region.
            Err(error) => {
                tracing::warn!("the keys of bridges are those read before: {}", with_causes(&error));
                state.trouble = Some(Arc::new(error));
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn matching(&self, id: &str, algorithm: Algorithm) -> Vec<DecodingKey> {
        let wanted = |key: &&Key| key.id == id && key.algorithm == algorithm;
        self.keys.iter().filter(wanted).map(|key| key.public.clone()).collect()
    }
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

fn read(path: &Path) -> Result<Vec<Key>, ConfigError> {
    let set: Jwks = serde_json::from_str(&file::read(path)?).map_err(|error| {
        // The place alone: the message may quote the file, which by mistake can be a private key.
        let place = format!("line {}, column {}", error.line(), error.column());
        ConfigError::Keys { path: path.to_owned(), place }
    })?;
    Ok(set.keys.into_iter().filter_map(usable).collect())
}

/// Keys of other kinds may stand in a set (RFC 7517 §5): they are passed over.
fn usable(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
        return None;
    }
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        _ => return None,
    };
    // A key for PS256 is no key for RS256, although it would fit.
    if jwk.common.key_algorithm.is_some_and(|said| said != named) {
        return None;
    }
    let public = DecodingKey::from_jwk(&jwk).ok()?;
    Some(Key { id: jwk.common.key_id?, algorithm, public })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, id: &str) {
        let key = serde_json::json!({"kty": "EC", "crv": "P-256", "kid": id, "x": "AA", "y": "AA"});
        std::fs::write(path, serde_json::json!({ "keys": [key] }).to_string()).unwrap();
    }

    #[test]
    fn an_unknown_key_makes_a_file_that_seems_unchanged_be_read_once_in_ten_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        write(&path, "one");
        let keys = Keys::open(&path).unwrap();
        // A change that the stamp does not show.
        let unseen = |id| {
            write(&path, id);
            keys.state().stamp = Stamp::of(&path);
        };
        let start = Timestamp::from_second(1_790_000_000).unwrap();
        let knows = |id, after| {
            let now = start + SignedDuration::from_secs(after);
            !keys.find(id, Algorithm::ES256, now).unwrap().is_empty()
        };
        unseen("two");
        assert!(knows("one", 0), "a known key reads nothing");
        assert!(knows("two", 0));
        unseen("three");
        assert!(!knows("three", 1) && !knows("three", 9) && knows("two", 9));
        assert!(knows("three", 10));
        unseen("four");
        assert!(!knows("four", 19));
        // A clock that was set back must not stop this for as long.
        assert!(knows("four", -1000));
    }
}
