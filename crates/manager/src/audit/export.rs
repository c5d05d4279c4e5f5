//! The export: all heads, then all chains, a few hundred lines at a time, so that its size costs no memory.
//!
//! Each part is a read of its own: what is appended meanwhile may or may not be in it. The heads come first, so that
//! everything they name is.

use super::seal::document;
use crate::{Manager, Result};
use std::collections::VecDeque;
use tenantry_audit::Line;
use tenantry_model::{EnvironmentId, Page};
use tenantry_store::Read;

/// Lines that are read at a time.
const PART: usize = 500;

/// An export on its way.
pub struct AuditExport {
    manager: Manager,
    stage: Stage,
    heads: u64,
    entries: u64,
}

#[derive(Debug)]
enum Stage {
    Begin,
    /// After the head of this number.
    Heads(u64),
    Chains(Chains),
    Done,
}

#[derive(Debug, Default)]
struct Chains {
    /// Chains that were listed and are not written yet.
    waiting: VecDeque<Option<EnvironmentId>>,
    /// In the first of them, after this position.
    after: u64,
    /// Where the list of chains goes on; `None` when it has ended.
    page: Option<Page>,
}

impl Manager {
    /// Begins an export of all heads and all chains.
    #[must_use]
    pub fn export_audit(&self) -> AuditExport {
        AuditExport { manager: self.clone(), stage: Stage::Begin, heads: 0, entries: 0 }
    }
}

impl AuditExport {
    /// The next lines; none at the end.
    pub async fn next(&mut self) -> Result<Vec<Line>> {
        let manager = self.manager.clone();
        loop {
            let mut lines = Vec::new();
            match &mut self.stage {
                Stage::Begin => {
                    let installation = manager.installation().await?;
                    lines.push(Line::Export { version: 1, installation, at: manager.now() });
                    self.stage = Stage::Heads(0);
                }
                Stage::Heads(after) => {
                    let found = manager.store.read().await?.audit_heads(*after, 100).await?;
                    match found.last() {
                        Some(last) => *after = last.number,
                        None => {
                            let page = Some(Page { after: None, limit: 500 });
                            self.stage = Stage::Chains(Chains { page, ..Chains::default() });
                        }
                    }
                    for head in &found {
                        lines.push(Line::Head(document(head)?));
                    }
                    self.heads += lines.len() as u64;
                }
                Stage::Chains(chains) => {
                    chains.read(&mut *manager.store.read().await?, &mut lines).await?;
                    self.entries += lines.len() as u64;
                    if lines.is_empty() {
                        lines.push(Line::End { heads: self.heads, entries: self.entries });
                        self.stage = Stage::Done;
                    }
                }
                Stage::Done => return Ok(lines),
            }
            if !lines.is_empty() {
                return Ok(lines);
            }
        }
    }
}

impl Chains {
    /// Fills a part; nothing is added at the end only.
    async fn read(&mut self, read: &mut dyn Read, lines: &mut Vec<Line>) -> Result<()> {
        while lines.len() < PART {
            let Some(chain) = self.waiting.front().copied() else {
                let Some(page) = self.page.take() else { return Ok(()) };
                let found = read.audit_chains(&page).await?;
                self.waiting.extend(found.items.into_iter().map(|chain| chain.environment));
                self.page = found.next.map(|next| Page { after: Some(next), ..page });
                continue;
            };
            let wanted = u32::try_from(PART - lines.len()).unwrap_or(1);
            let entries = read.audit(chain, self.after, wanted).await?;
            let full = entries.len() as u64 == u64::from(wanted);
            // An entry that claims a position before its own must not lead round in a circle.
            self.after = entries.last().map_or(self.after, |last| last.position.max(self.after + 1));
            lines.extend(entries.into_iter().map(|entry| Line::Entry(Box::new(entry))));
            if !full {
                self.waiting.pop_front();
                self.after = 0;
            }
        }
        Ok(())
    }
}
