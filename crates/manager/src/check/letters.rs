//! What could not be carried out or delivered, against the attention that tells a person of it.

use super::{Checked, Checker, RESTORE};
use crate::inbox::LETTERS;
use crate::notify;
use std::collections::BTreeSet;
use tenantry_model::{Attention, Page};
use tenantry_store::{AttentionFilter, Read};

impl Checker<'_> {
    /// Whoever is not told of it never looks.
    pub(super) async fn letters(&mut self) -> Checked {
        self.begin("letters");
        let mut read = self.manager.store.read().await?;
        let mut left = Vec::new();
        if read.count_letters().await? > 0 {
            left.push(("refused messages".to_owned(), LETTERS.to_owned()));
        }
        for sink in notify::sinks(&mut *read).await? {
            if read.count_dead_letters(&sink).await? > 0 {
                left.push((format!("dead letters of {sink}"), notify::dead_key(&sink)));
            }
        }
        let open = if left.is_empty() { BTreeSet::new() } else { open_keys(&mut *read).await? };
        drop(read);
        for (row, key) in left {
            if !open.contains(&key) {
                let message = "nobody is told of them: there is no attention".to_owned();
                self.error("attention-missing", row, message, RESTORE).await?;
            }
            self.count().await?;
        }
        Ok(())
    }
}

/// Whether what an attention is about is still there, if it is about letters.
pub(super) async fn has_letters(read: &mut dyn Read, attention: &Attention) -> Checked<bool> {
    if attention.key == LETTERS {
        return Ok(read.count_letters().await? > 0);
    }
    match notify::sink_of(&attention.key) {
        Some(sink) => Ok(read.count_dead_letters(sink).await? > 0),
        None => Ok(true),
    }
}

async fn open_keys(read: &mut dyn Read) -> Checked<BTreeSet<String>> {
    let (mut keys, mut page) = (BTreeSet::new(), Page { after: None, limit: 1000 });
    loop {
        let part = read.attentions(&AttentionFilter::default(), &page).await?;
        keys.extend(part.items.into_iter().map(|attention| attention.key));
        match part.next {
            Some(next) => page.after = Some(next),
            None => return Ok(keys),
        }
    }
}
