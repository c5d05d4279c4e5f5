//! The latest moment that this manager's clock has said, so that it is seen when somebody sets it back.

use jiff::Timestamp;
use std::sync::{Mutex, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct Latest(Mutex<Option<Timestamp>>);

impl Latest {
    pub(crate) fn get(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, moment: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(moment);
    }
}
