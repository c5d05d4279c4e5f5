//! Logs against attempts: each folder belongs to an operation, and with `deep` each segment can be read.

use super::{Checked, Checker};
use tenantry_logs::LogError;
use tenantry_model::with_causes;

impl Checker<'_> {
    pub(super) async fn logs(&mut self, deep: bool) -> Checked {
        self.begin("logs");
        let manager = self.manager;
        let folders = manager.logs.operations().await.map_err(crate::logs::unlisted)?;
        for id in folders {
            self.count().await?;
            let mut read = manager.store.read().await?;
            if read.operation(id).await?.is_none() {
                let row = format!("logs/{id}");
                let message = "logs of an operation that does not exist".to_owned();
                let remedy = "the manager's next retention removes them (tenantry retention run)";
                self.warning("log-orphan", row, message, remedy).await?;
                continue;
            }
            if !deep {
                continue;
            }
            let attempts = read.attempts(id).await?;
            drop(read);
            for attempt in attempts {
                // Looking how far a log goes reads all of it, unless it was read before.
                if let Err(error) = manager.logs.extent(&attempt.id).await {
                    let remedy = match &error {
                        LogError::Damaged { .. } => {
                            "move the segment away as the message says; the rest of the log can then be read"
                        }
                        _ => "look at the disk and at the permissions of the log folder",
                    };
                    let row = format!("log of attempt {}", attempt.id);
                    self.error("log-segment", row, with_causes(&error), remedy).await?;
                }
            }
        }
        Ok(())
    }
}
