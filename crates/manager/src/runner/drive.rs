//! Lets the operations of one environment go on: gives locks to those whose turn it is, plans those that have one.

use crate::error::Result;
use crate::work::Work;
use tenantry_engine::{Event, startable};
use tenantry_model::{Converges, OperationState};

impl Work<'_> {
    /// Brings every unfinished operation of the locked environment as far as it gets now, in this transaction, so
    /// that no commit leaves one behind that could have gone on. Ends, because each round ends an operation.
    pub(crate) async fn drive(&mut self) -> Result<()> {
        let id = self.environment()?.id;
        loop {
            let unfinished = self.tx.unfinished(id).await?;
            for operation in startable(&unfinished) {
                let row = unfinished.iter().find(|row| row.id == operation);
                // A replay of what only works on the environment gets the environment of its original.
                let kept =
                    row.filter(|row| row.replay.is_some() && row.definition.converges == Converges::No);
                let present = self.environment()?.generation;
                let generation = kept.map_or(present, |row| row.generation);
                self.apply_each(operation, vec![Event::Admitted { generation }]).await?;
            }
            let mut ended = false;
            for operation in self.tx.unfinished(id).await? {
                if operation.state == OperationState::Planning {
                    ended |= self.plan(&operation).await?;
                }
            }
            if !ended {
                return Ok(());
            }
        }
    }
}
