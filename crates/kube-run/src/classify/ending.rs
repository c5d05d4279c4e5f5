//! Why we ended an attempt ourselves. Written on the object before it is deleted, so that after a crash of the agent
//! the object still says it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tenantry_model::{FailureReason, KillCause};

/// Annotation: why we delete the object ([`Ending`]); the first one stays.
pub(crate) const ANNOTATION_ENDING: &str = "tenantry.io/ending";
/// Annotation: the platform's words at that moment.
pub(crate) const ANNOTATION_ENDING_MESSAGE: &str = "tenantry.io/ending-message";

/// Why we end an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Asked for by the manager.
    Kill(KillCause),
    /// The image cannot be had.
    ImagePull,
    /// No node takes it.
    Unschedulable,
    /// The container cannot be made.
    CannotStart,
    /// The Job controller cannot make its Pods.
    Rejected,
    /// The hook's container has ended, others would run on for ever.
    ResultEnded,
}

impl Ending {
    /// As it stands in the annotation.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kill(KillCause::Operator) => "kill-operator",
            Self::Kill(KillCause::Cancel) => "kill-cancel",
            Self::Kill(KillCause::Timeout) => "kill-timeout",
            Self::ImagePull => "image-pull",
            Self::Unschedulable => "unschedulable",
            Self::CannotStart => "cannot-start",
            Self::Rejected => "rejected",
            Self::ResultEnded => "result-ended",
        }
    }

    const ALL: [Self; 8] = [
        Self::Kill(KillCause::Operator),
        Self::Kill(KillCause::Cancel),
        Self::Kill(KillCause::Timeout),
        Self::ImagePull,
        Self::Unschedulable,
        Self::CannotStart,
        Self::Rejected,
        Self::ResultEnded,
    ];

    /// Reads what was written, with the words that stand beside it.
    #[must_use]
    pub fn read(metadata: &ObjectMeta) -> Option<(Self, String)> {
        let annotations = metadata.annotations.as_ref()?;
        let written = annotations.get(ANNOTATION_ENDING)?;
        let ending = Self::ALL.into_iter().find(|ending| ending.as_str() == written)?;
        Some((ending, annotations.get(ANNOTATION_ENDING_MESSAGE).cloned().unwrap_or_default()))
    }

    /// What the end then counts as; `None`: the hook's own exit code counts.
    #[must_use]
    pub fn reason(self) -> Option<FailureReason> {
        match self {
            Self::Kill(KillCause::Timeout) => Some(FailureReason::Deadline),
            Self::Kill(KillCause::Operator | KillCause::Cancel) => Some(FailureReason::Killed),
            Self::ImagePull => Some(FailureReason::ImagePull),
            Self::Unschedulable => Some(FailureReason::Unschedulable),
            Self::CannotStart => Some(FailureReason::CannotStart),
            Self::Rejected => Some(FailureReason::Rejected),
            Self::ResultEnded => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_is_read_back_as_it_was_written() {
        for ending in Ending::ALL {
            let metadata = ObjectMeta {
                annotations: Some(
                    [(ANNOTATION_ENDING.to_owned(), ending.as_str().to_owned())].into_iter().collect(),
                ),
                ..ObjectMeta::default()
            };
            assert_eq!(Ending::read(&metadata), Some((ending, String::new())));
        }
    }
}
