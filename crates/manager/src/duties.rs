//! Work that exists once, although every manager could do it: each duty is a role (see `roles`), whose holder does it
//! again and again. Whoever holds none looks now and then whether the holder is gone.

use crate::Manager;
use crate::error::Result;
use crate::reconcile::Pause;
use std::time::Duration;

/// How often the roles that this manager has are prolonged; well within a lease.
const KEEP_EVERY: Duration = Duration::from_secs(4);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Judging regions whose agent is silent.
    Regions,
    /// Removing old answers, old runs of schedules and old messages that were refused, reminding of purges, and looking at timers that are far ahead.
    Expiry,
    /// Ending holds and approvals whose time has come, and telling what is not told.
    Steering,
    /// Signing heads of the audit log, and writing them to their sink.
    AuditHeads,
    /// Removing what is older than its retention.
    Retention,
    /// Firing schedules and beginning their runs.
    Schedules,
    /// Judging the deadlines of scheduled runs.
    Deadlines,
    /// Asking for further Workflows in regions of Argo.
    Workflows,
}

impl Duty {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Regions,
        Self::Expiry,
        Self::Steering,
        Self::AuditHeads,
        Self::Retention,
        Self::Schedules,
        Self::Deadlines,
        Self::Workflows,
    ];

    /// The name of its role, as the lease's row has it.
    #[must_use]
    pub fn role(self) -> &'static str {
        match self {
            Self::Regions => "regions",
            Self::Expiry => "expiry",
            Self::Steering => "steering",
            Self::AuditHeads => "audit-heads",
            Self::Retention => "retention",
            Self::Schedules => "schedules",
            Self::Deadlines => "deadlines",
            Self::Workflows => "workflows",
        }
    }
}

impl Manager {
    /// Does what is due of a duty, if this manager has its role or can take it; tells whether it did. `false` also when
    /// another manager has taken over meanwhile: then nothing more was written.
    pub async fn attend_to(&self, duty: Duty) -> Result<bool> {
        let done = self
            .in_role(duty.role(), |who| async move {
                match duty {
                    Duty::Regions => self.check_regions_as(&who).await,
                    Duty::Expiry => {
                        self.expire_answers_as(&who).await?;
                        self.expire_runs(&who).await?;
                        self.expire_letters(&who).await?;
                        self.remind_of_purges(&who).await?;
                        self.hasten_timers(&who).await
                    }
                    Duty::Steering => {
                        self.check_holds_as(&who).await?;
                        self.check_approvals_as(&who).await
                    }
                    Duty::AuditHeads => self.seal_when_due_as(&who).await,
                    Duty::Retention => self.retire_as(&who).await.map(drop),
                    Duty::Schedules => self.run_schedules_as(&who).await.map(drop),
                    Duty::Deadlines => self.watch_deadlines_as(&who).await.map(drop),
                    Duty::Workflows => self.check_workflows_as(&who).await,
                }
            })
            .await?;
        if duty == Duty::AuditHeads && !done {
            self.forget_sink().await;
        }
        Ok(done)
    }

    /// Prolongs the roles that this manager has, so that they do not pass from one manager to the other between two
    /// turns of their work.
    pub(crate) async fn keep_roles(&self) {
        let mut pause = Pause::new();
        loop {
            match self.prolong_roles().await {
                Ok(()) => {
                    pause = Pause::new();
                    tokio::time::sleep(KEEP_EVERY).await;
                }
                Err(error) => pause.after("roles", &error).await,
            }
        }
    }
}
