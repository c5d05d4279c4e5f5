//! The same answer to the same request: what a change came to is kept under the request's key in the change's own
//! transaction (see [`crate::RequestKey`]), as data. Whoever shows it to the caller shows it again by the same function.
//!
//! There is no moment at which a change is committed and its answer is not. What must not be kept is a secret that is
//! shown once: of that only its target is kept.

use crate::audit::AuditKey;
use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::work::Work;
use crate::{
    AskedRun, DeadLettersChanged, EventSinkView, HoldView, LettersDiscarded, Manager, OperationView,
    Principal, Purged, Retired,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_failpoints::Point;
use tenantry_model::{
    Approval, Environment, Operation, OperationDefinition, OperationId, Region, Schedule, Tenant, Token,
};
use tenantry_mutants::{self as mutants, Mutant};
use tenantry_store::{HookRow, IdempotentAnswer, StoreError};

/// What a request under a key came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptAnswer {
    /// A tenant was made, or changed.
    Tenant {
        /// As it was then.
        tenant: Tenant,
        /// It is new.
        made: bool,
    },
    /// A region was made.
    Region(Region),
    /// An environment was made or changed, or an operation was requested for it.
    Accepted {
        /// As it was then.
        environment: Box<Environment>,
        /// What was requested; `None` when nothing has to run.
        operation: Option<Box<Operation>>,
    },
    /// A verb was carried out.
    Steered(Box<OperationView>),
    /// A verb was carried out on an operation of which a picture would be too large to be kept: it is looked at again.
    SteeredLarge(OperationId),
    /// A verb waits for a second person.
    Waits(Box<Approval>),
    /// The second person has decided.
    Decided {
        /// The decision.
        approval: Box<Approval>,
        /// The operation after the verb; `None`: it was rejected, or about no operation.
        operation: Option<Box<OperationView>>,
        /// What is gone, when it was about purging an environment.
        purged: Option<Box<Purged>>,
    },
    /// An environment was purged.
    Purged(Box<Purged>),
    /// A hold was set, or lifted.
    Hold {
        /// The hold and what it held.
        hold: Box<HoldView>,
        /// It is new.
        made: bool,
    },
    /// A hook was retired.
    Hook(Box<HookRow>),
    /// A definition was stored.
    Definition {
        /// What the name means.
        definition: Box<OperationDefinition>,
        /// The name had no definition before.
        made: bool,
    },
    /// The platform's schema was set.
    PlatformSchema(Value),
    /// A schedule was made, changed, paused or resumed.
    Schedule {
        /// As it was then.
        schedule: Box<Schedule>,
        /// It is new.
        made: bool,
    },
    /// Runs of a schedule were asked for.
    Asked(Vec<AskedRun>),
    /// A token was revoked; without the hash of its secret.
    Revoked(Token),
    /// The audit log was sealed: the number of the newest head.
    Sealed(Option<u64>),
    /// The audit log's key was replaced.
    AuditKey(AuditKey),
    /// What is old was removed.
    Retired(Retired),
    /// A sink of events begins elsewhere.
    EventSink(Box<EventSinkView>),
    /// Dead letters are delivered after all, or never.
    DeadLetters(DeadLettersChanged),
    /// Messages that were refused are thrown away.
    LettersDiscarded(LettersDiscarded),
    /// Something was removed; there is nothing to show.
    Gone,
    /// Something was made whose answer held a secret.
    Secret {
        /// What was made.
        target: String,
    },
}

/// The answer to a verb is kept whole up to so many steps, a megabyte or two; beyond them each verb of a person or script
/// would leave many of them for a day.
const MOST_KEPT: usize = 500;

/// The name of the row of a request's key.
pub(crate) fn claim_key(who: &Principal, key: &str) -> String {
    let token = who.token.map_or_else(|| "manager".to_owned(), |token| token.to_string());
    format!("{token}/claim/{key}")
}

impl Manager {
    /// Before the request: what it came to when it was carried out before.
    ///
    /// # Errors
    /// `KeyReused` for another request under the same key, `AlreadyApplied` when the answer held a secret.
    pub async fn replay(&self, who: &Principal) -> Result<Option<KeptAnswer>> {
        let Some(request) = &who.request else { return Ok(None) };
        if mutants::on(Mutant::KeyForgotten) {
            return Ok(None);
        }
        let kept = self.store.read().await?.idempotent(&claim_key(who, &request.key)).await?;
        match kept {
            None => Ok(None),
            Some(kept) if kept.request_hash != request.hash => Err(ManagerError::KeyReused),
            Some(kept) => match serde_json::from_str(&kept.body) {
                Ok(KeptAnswer::Secret { target }) => Err(ManagerError::AlreadyApplied(target)),
                Ok(KeptAnswer::SteeredLarge(id)) => {
                    Ok(Some(KeptAnswer::Steered(Box::new(self.operation(id).await?))))
                }
                Ok(answer) => Ok(Some(answer)),
                // Kept by a version that kept the target alone, or by one that knows more kinds of answers.
                Err(_) => Err(ManagerError::AlreadyApplied(kept.body.chars().take(200).collect())),
            },
        }
    }

    /// Keeps the answer of what may be carried out twice without harm, and is no single unit.
    pub(crate) async fn keep_answer(&self, who: &Principal, answer: KeptAnswer) -> Result<()> {
        if who.request.is_none() {
            return Ok(());
        }
        let kept = repeating(|| async {
            self.begin_one(who).await?.answer(answer.clone(), Point::AnswerKeep).await
        })
        .await;
        match kept {
            // The same request at the same moment: both answers are true.
            Err(ManagerError::AlreadyApplied(_)) => Ok(()),
            other => other,
        }
    }
}

impl Work<'_> {
    /// Claims the request's key: a second request under it fails here and changes nothing.
    pub(crate) async fn claim(&mut self, answer: &KeptAnswer) -> Result<()> {
        let Some(request) = &self.who.request else { return Ok(()) };
        let large = match answer {
            KeptAnswer::Steered(view) if view.steps.len() > MOST_KEPT => {
                Some(KeptAnswer::SteeredLarge(view.operation.id))
            }
            _ => None,
        };
        let body = serde_json::to_string(large.as_ref().unwrap_or(answer))
            .map_err(|why| ManagerError::Internal(format!("an answer cannot be kept: {why}")))?;
        let row = IdempotentAnswer {
            key: claim_key(self.who, &request.key),
            request_hash: request.hash.clone(),
            status: 0,
            body,
            etag: None,
            at: self.kept_from.map_or(self.now, |from| from.max(self.now)),
        };
        match self.tx.put_idempotent(&row).await {
            Err(StoreError::Duplicate(_)) => {
                Err(ManagerError::AlreadyApplied(self.target.take().unwrap_or_default()))
            }
            other => Ok(other?),
        }
    }
}
