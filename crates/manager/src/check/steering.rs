//! What steers operations from outside: holds by predicate, verbs that wait for a second person, replays. Each leads to
//! something that exists.

use super::{Checked, Checker, RESTORE};
use tenantry_engine::Run;
use tenantry_model::{OperationId, Page};
use tenantry_store::{ApprovalFilter, HoldFilter, Read};

/// As many as [`Read::replays`] gives.
const MOST_REPLAYS: usize = 1000;

impl Checker<'_> {
    pub(super) async fn steering(&mut self) -> Checked {
        self.begin("steering");
        let mut page = Page { after: None, limit: 500 };
        let decided = ApprovalFilter { decided: true, ..ApprovalFilter::default() };
        loop {
            let mut read = self.manager.store.read().await?;
            let part = read.approvals(&decided, &page).await?;
            for approval in part.items {
                let lost = match approval.operation() {
                    Some(id) => read.operation(id).await?.is_none().then(|| format!("operation {id}")),
                    None => {
                        let id = approval.environment;
                        read.environment(id).await?.is_none().then(|| format!("environment {id}"))
                    }
                };
                if let Some(lost) = lost {
                    let row = format!("approval {}", approval.id);
                    let message = format!("its {lost} does not exist");
                    self.error("approval-orphan", row, message, RESTORE).await?;
                }
                self.count().await?;
            }
            match part.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        let mut page = Page { after: None, limit: 500 };
        loop {
            let mut read = self.manager.store.read().await?;
            let part = read.holds(&HoldFilter::default(), &page).await?;
            for row in part.items.into_iter().filter(|row| row.lifted.is_none()) {
                if let Some(region) = &row.hold.predicate.region
                    && read.region(region).await?.is_none()
                {
                    let message = format!("it holds hooks of region {region}, which does not exist");
                    let remedy = format!("tenantry hold lift {}", row.hold.id);
                    self.warning("hold-region", format!("hold {}", row.hold.id), message, &remedy).await?;
                }
                self.count().await?;
            }
            match part.next {
                Some(next) => page.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// What holds its steps is there, and the ways to and from what it repeats.
    pub(super) async fn steered(&mut self, read: &mut dyn Read, run: &Run) -> Checked {
        let operation = run.operation();
        let id = operation.id;
        let row = format!("operation {id}");
        for step in run.steps().values().filter(|_| !operation.state.is_final()) {
            for hold in step.holds.iter().filter_map(|hold| hold.id) {
                let found = read.hold(hold).await?;
                // One that was lifted may still be about to be told here.
                if found.is_some_and(|row| row.is_open()) {
                    continue;
                }
                let message = format!("hold {hold} keeps it from going on, and does not exist any more");
                let remedy =
                    format!("tenantry op release {id} {} --hold {hold} --reason …", step.hook.path());
                self.error("hold-gone", format!("{row}, step {}", step.hook), message, &remedy).await?;
            }
        }
        if let Some(original) = operation.replay.as_ref().map(|replay| replay.of) {
            if read.operation(original).await?.is_none() {
                let message = format!("it replays operation {original}, which does not exist");
                self.error("replay-link", row.clone(), message, RESTORE).await?;
            } else if !knows(&read.replays(original).await?, id) {
                let message = format!("it replays operation {original}, which does not know of it");
                self.error("replay-link", row.clone(), message, RESTORE).await?;
            }
        }
        for replay in read.replays(id).await? {
            let of = read.operation(replay).await?.and_then(|row| row.replay).map(|replay| replay.of);
            if of != Some(id) {
                let message = format!("operation {replay} is said to replay it, and does not");
                self.error("replay-link", row.clone(), message, RESTORE).await?;
            }
        }
        Ok(())
    }
}

/// Of an original that is replayed more often than one list holds, nobody can tell.
fn knows(replays: &[OperationId], id: OperationId) -> bool {
    replays.len() >= MOST_REPLAYS || replays.contains(&id)
}
