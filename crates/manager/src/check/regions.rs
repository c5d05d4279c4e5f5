//! What is for agents and for people: commands and open attention.

use super::letters::has_letters;
use super::{Checked, Checker, RESTORE};
use crate::runner::region_silent_key;
use crate::{Manager, ManagerError, Result};
use jiff::SignedDuration;
use tenantry_engine::keys;
use tenantry_model::{Attention, AttentionKind, HookRef, Page, RegionName};
use tenantry_store::{AttentionFilter, Command, CommandKind, Read};

/// Commands of a region that are looked at.
const COMMANDS: u32 = 10_000;
/// An attempt may end while its start is still in an agent's hands; for longer than this nobody has it.
const IN_HANDS: SignedDuration = SignedDuration::from_mins(5);

impl Manager {
    /// Commands of a region that are not carried out yet, oldest first; at most 1,000.
    pub async fn open_commands(&self, region: &RegionName) -> Result<Vec<Command>> {
        let mut read = self.store.read().await?;
        if read.region(region).await?.is_none() {
            return Err(ManagerError::not_found("region", region));
        }
        Ok(read.commands(region, 1000).await?)
    }
}

impl Checker<'_> {
    pub(super) async fn commands(&mut self) -> Checked {
        self.begin("commands");
        let regions = self.manager.store.read().await?.regions().await?;
        for region in regions {
            let mut read = self.manager.store.read().await?;
            for command in read.commands(&region.name, COMMANDS).await? {
                self.command(&mut *read, &region.name, &command).await?;
                self.count().await?;
            }
        }
        Ok(())
    }

    async fn command(&mut self, read: &mut dyn Read, region: &RegionName, command: &Command) -> Checked {
        let row = format!("command {} of region {region}", command.id);
        let attempts = read.attempts(command.attempt.operation).await?;
        let Some(attempt) = attempts.into_iter().find(|attempt| attempt.id == command.attempt) else {
            let message = format!("its attempt {} does not exist", command.attempt);
            return self.error("command-attempt", row, message, RESTORE).await;
        };
        let late = attempt.ended_at.is_some_and(|ended| self.manager.now().duration_since(ended) > IN_HANDS);
        if command.kind != CommandKind::Release && attempt.state.is_over() && late {
            let message = format!(
                "{:?} of attempt {}, which is over since {}",
                command.kind,
                command.attempt,
                attempt.ended_at.unwrap_or_default()
            );
            let remedy = "an agent that connects carries it out or drops it: tenantry region list";
            return self.warning("command-late", row, message, remedy).await;
        }
        if *region != command.attempt.step.region {
            let message = format!("it is about {}, a step of another region", command.attempt);
            return self.error("command-attempt", row, message, RESTORE).await;
        }
        Ok(())
    }

    /// Whatever is open and of no operation has a cause that still is.
    pub(super) async fn attentions(&mut self) -> Checked {
        self.begin("attention");
        let mut page = Page { after: None, limit: 200 };
        loop {
            let mut read = self.manager.store.read().await?;
            let part = read.attentions(&AttentionFilter::default(), &page).await?;
            for attention in part.items {
                if !has_cause(&mut *read, &attention).await? {
                    let row = format!("attention {}", attention.id);
                    let message = format!("{} is open and its cause is gone", attention.key);
                    self.error("attention-cause", row, message, RESTORE).await?;
                }
                self.count().await?;
            }
            match part.next {
                Some(next) => page.after = Some(next),
                None => return Ok(()),
            }
        }
    }
}

async fn has_cause(read: &mut dyn Read, attention: &Attention) -> Checked<bool> {
    if let Some(operation) = attention.operation {
        // What an operation's own rows show is judged with them.
        return Ok(read.operation(operation).await?.is_some());
    }
    let Some(cause) = &attention.hook else {
        let region = attention.region.as_ref().filter(|region| attention.key == region_silent_key(region));
        return Ok(match region {
            // Silence is a matter of the clock: what is certain is that a region that is gone is not silent.
            Some(name) => read.region(name).await?.is_some(),
            None => has_letters(read, attention).await?,
        });
    };
    if matches!(attention.kind, AttentionKind::HookQuarantined | AttentionKind::HookLeftOut)
        && [keys::hook_quarantined(cause), keys::hook_left_out(cause)].contains(&attention.key)
    {
        return hook_has_cause(read, cause).await;
    }
    Ok(true)
}

async fn hook_has_cause(read: &mut dyn Read, hook: &HookRef) -> Checked<bool> {
    // A version that can be read may still be quarantined by a plan (a cycle), so that only absence settles it here.
    Ok(read.hook(hook).await?.is_some_and(|row| row.absent_since.is_none()))
}
