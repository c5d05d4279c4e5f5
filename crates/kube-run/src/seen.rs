//! The attempts of a namespace as they stand: for a program that keeps no notes of its own.
//!
//! It must never follow or change what it sees.

use crate::{RunError, Runner, cleanup};
use jiff::Timestamp;
use tenantry_hook::AttemptIdentity;
use tenantry_model::{Fact, Namespace, Outcome};

/// An attempt whose objects are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenAttempt {
    /// What it says of itself.
    pub identity: AttemptIdentity,
    /// How it ended; `None` while it is not known to be over.
    pub outcome: Option<Outcome>,
    /// Its outcome was told, and its objects only stay to be looked at.
    pub released: bool,
}

impl Runner {
    /// Every attempt that [`crate::Settings::attempts`] selects in this namespace, in the order of their numbers. Waits for the
    /// first listing; without the right to it the answer is [`RunError::Forbidden`] at once.
    pub async fn seen(&self, namespace: &Namespace) -> Result<Vec<SeenAttempt>, RunError> {
        let watch = self.inner.namespace(namespace);
        let what = format!("list the attempts of namespace {namespace}");
        let after = self.inner.settings.answer_deadline;
        tokio::select! {
            () = watch.listed() => {}
            message = watch.forbidden() => return Err(RunError::Forbidden { what, message }),
            () = tokio::time::sleep(after) => return Err(RunError::Timeout { what, after }),
        }
        let now = Timestamp::now();
        let mut all: Vec<SeenAttempt> = watch
            .all()
            .into_values()
            .filter(|view| !view.is_gone())
            .filter_map(|view| {
                let identity = view.identity()?;
                let view = view.only(identity.nonce);
                let outcome = match cleanup::verdict(&view, &self.inner.settings, now).fact {
                    Some(Fact::Ended { outcome, .. }) => Some(outcome),
                    _ => None,
                };
                let released = view.main().is_some_and(|main| cleanup::released(main).is_some());
                Some(SeenAttempt { identity, outcome, released })
            })
            .collect();
        all.sort_by_key(|seen| seen.identity.attempt.number);
        Ok(all)
    }

    /// Waits until the attempts of this namespace may not be watched: nobody would learn of their ends. For a program
    /// that can say so and end.
    pub async fn forbidden(&self, namespace: &Namespace) -> RunError {
        let message = self.inner.namespace(namespace).forbidden().await;
        RunError::Forbidden { what: format!("watch the attempts of namespace {namespace}"), message }
    }
}
