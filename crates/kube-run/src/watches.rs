//! Which namespaces are watched: those in which something is or is awaited, and a bounded number of others.
//!
//! The watches of a namespace are two connections, here and at the API server, and a cluster may have hooks in hundreds of
//! namespaces. Those that are not watched are looked through by turns for what an earlier life left. It must never let go
//! of a watch that somebody holds (whoever follows an attempt does), or in which anything of an attempt is.

use crate::namespace::NamespaceWatch;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tenantry_model::Namespace;
use tokio::time::Instant;

/// Namespaces that are looked through at the same time, and are not watched otherwise.
const AT_ONCE: usize = 16;

/// The namespaces that attempts may be in.
#[derive(Default)]
pub(crate) struct Watches {
    open: HashMap<Namespace, Open>,
    /// When each is to be looked through next.
    due: BTreeMap<Namespace, Instant>,
}

struct Open {
    watch: Arc<NamespaceWatch>,
    used: Instant,
}

/// An open watch, for a round of the clean-up.
pub(crate) struct Watched {
    pub namespace: Namespace,
    pub watch: Arc<NamespaceWatch>,
    /// It is to be looked through as a whole.
    pub is_due: bool,
}

impl Watches {
    /// The watch of a namespace, which is opened if it is not.
    pub fn get(
        &mut self,
        namespace: &Namespace,
        open: impl FnOnce() -> NamespaceWatch,
    ) -> Arc<NamespaceWatch> {
        let now = Instant::now();
        self.know(namespace);
        let entry = self.open.entry(namespace.clone());
        let entry = entry.or_insert_with(|| Open { watch: Arc::new(open()), used: now });
        entry.used = now;
        Arc::clone(&entry.watch)
    }

    /// Attempts may come into this namespace, or an earlier life may have left some: it will be looked through.
    pub fn know(&mut self, namespace: &Namespace) {
        if !self.due.contains_key(namespace) {
            self.due.insert(namespace.clone(), Instant::now());
        }
    }

    /// The watch of a namespace that is open.
    pub fn if_open(&self, namespace: &Namespace) -> Option<Arc<NamespaceWatch>> {
        self.open.get(namespace).map(|open| Arc::clone(&open.watch))
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// Those that are not open and whose turn it is to be looked through.
    pub fn turn(&self) -> Vec<Namespace> {
        let now = Instant::now();
        let (looking, waiting): (Vec<_>, Vec<_>) = self
            .due
            .iter()
            .filter(|(_, due)| **due <= now)
            .partition(|(namespace, _)| self.open.contains_key(*namespace));
        // A namespace that we may not look into waits for the right without a connection, and keeps nobody from their turn.
        let looking = looking.iter().filter(|(namespace, _)| {
            self.open.get(*namespace).is_some_and(|open| !open.watch.is_forbidden())
        });
        let mut waiting: Vec<_> = waiting.into_iter().map(|(namespace, due)| (*due, namespace)).collect();
        waiting.sort();
        let room = AT_ONCE.saturating_sub(looking.count());
        waiting.into_iter().take(room).map(|(_, namespace)| namespace.clone()).collect()
    }

    /// All that are open.
    pub fn all(&self) -> Vec<Watched> {
        let now = Instant::now();
        let each = self.open.iter().map(|(namespace, open)| Watched {
            namespace: namespace.clone(),
            watch: Arc::clone(&open.watch),
            is_due: self.due.get(namespace).is_none_or(|due| *due <= now),
        });
        each.collect()
    }

    /// It was looked through; again after this time.
    pub fn looked(&mut self, namespace: &Namespace, again: Duration) {
        self.due.insert(namespace.clone(), Instant::now() + again);
    }

    /// Lets go of what nobody needs, down to so many.
    pub fn let_go(&mut self, keep: usize) {
        let now = Instant::now();
        let is_idle = |namespace: &Namespace, open: &Open| {
            let looked_through = self.due.get(namespace).is_some_and(|due| *due > now);
            // Under the lock of this: nobody takes it up meanwhile.
            looked_through && Arc::strong_count(&open.watch) == 1 && open.watch.is_empty()
        };
        let idle = self.open.iter().filter(|(namespace, open)| is_idle(namespace, open));
        let idle: Vec<_> = idle.map(|(namespace, open)| (open.used, namespace.clone())).collect();
        for namespace in surplus(idle, keep) {
            self.open.remove(&namespace);
        }
    }
}

/// All but so many, the most lately used ones.
fn surplus(mut idle: Vec<(Instant, Namespace)>, keep: usize) -> Vec<Namespace> {
    idle.sort();
    let count = idle.len().saturating_sub(keep);
    idle.into_iter().take(count).map(|(_, namespace)| namespace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_were_used_last_are_kept() {
        let begun = Instant::now();
        let idle = |names: &[(&str, u64)]| {
            names.iter().map(|(name, at)| (begun + Duration::from_secs(*at), name.parse().unwrap())).collect()
        };
        let names = |found: Vec<Namespace>| found.iter().map(ToString::to_string).collect::<Vec<_>>();
        let all = [("a", 3), ("b", 1), ("c", 2)];
        assert_eq!(names(surplus(idle(&all), 1)), ["b", "c"]);
        assert_eq!(names(surplus(idle(&all), 0)), ["b", "c", "a"]);
        assert_eq!(names(surplus(idle(&all), 3)), [""; 0]);
        assert_eq!(names(surplus(idle(&[]), 1)), [""; 0]);
    }

    #[test]
    fn a_namespace_is_looked_through_when_its_time_has_come_and_a_few_at_a_time() {
        let mut watches = Watches::default();
        let name = |n: usize| format!("ns-{n:02}").parse::<Namespace>().unwrap();
        for n in 0..AT_ONCE + 3 {
            watches.know(&name(n));
        }
        let first = watches.turn();
        assert_eq!(first.len(), AT_ONCE);
        for namespace in &first {
            watches.looked(namespace, Duration::from_mins(30));
        }
        assert_eq!(watches.turn().len(), 3, "the rest, and none twice");
        // Hearing of it again brings no further look.
        watches.know(&first[0]);
        assert_eq!(watches.turn().len(), 3);
    }
}
