//! Which hooks the region has: discovery's events → template store and reports to the manager.
//!
//! Whole in pages once per session, then changes. It must never judge order or plans: only whether a version can be
//! read.

use crate::{
    AgentError,
    executors::{StartRequest, TemplateEvent},
    orders::{Startable, in_words, outcome},
    reports::fitting,
    templates::TemplateStore,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tenantry_api_types::agent::{HookReport, InventoryRequest, MAX_BATCH, StartOrder};
use tenantry_failpoints::Point;
use tenantry_hook::{AnnotationDomains, RegionPolicy, parse};
use tenantry_model::{AgentSessionId, FailureReason, HookPath, TemplateHash, with_causes};
use tokio::sync::Notify;

pub(crate) struct Inventory {
    domains: AnnotationDomains,
    policy: RegionPolicy,
    state: Mutex<State>,
    /// Woken when there is something to report.
    pub changed: Notify,
}

/// A report under way: which hooks it has not told yet, in order.
#[derive(Default)]
pub(crate) struct Report {
    present: VecDeque<HookPath>,
    absent: VecDeque<HookPath>,
    /// It is the whole inventory: the first page says so, and the last one.
    begin: bool,
    end: bool,
}

/// A report as it is told: of ten thousand hooks the text is a fraction of what is read from it.
#[derive(PartialEq, Eq)]
struct Packed(Box<[u8]>);

impl Packed {
    fn of(report: &HookReport) -> Self {
        Self(serde_json::to_vec(report).unwrap_or_default().into())
    }

    fn report(&self) -> Option<HookReport> {
        serde_json::from_slice(&self.0).ok()
    }
}

struct State {
    store: TemplateStore,
    hooks: BTreeMap<HookPath, Packed>,
    /// Named since the listing began; `None` outside of one.
    listed: Option<BTreeSet<HookPath>>,
    /// A first listing is complete: what is not known is absent.
    complete: bool,
    /// Not yet told to the manager.
    dirty: BTreeSet<HookPath>,
    /// The manager has the whole inventory in this session.
    told: bool,
    keep: BTreeSet<TemplateHash>,
}

impl Inventory {
    pub fn open(folder: &Path, domains: AnnotationDomains, policy: RegionPolicy) -> Result<Self, AgentError> {
        let state = State {
            store: TemplateStore::open(folder)?,
            hooks: BTreeMap::new(),
            listed: None,
            complete: false,
            dirty: BTreeSet::new(),
            told: false,
            keep: BTreeSet::new(),
        };
        Ok(Self { domains, policy, state: Mutex::new(state), changed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what discovery saw. Templates are stored before anybody is told of them: after an error nothing is taken in,
    /// and it may be tried again.
    pub fn take(&self, event: &TemplateEvent) -> Result<(), AgentError> {
        let mut state = self.state();
        match event {
            TemplateEvent::Begin => state.listed = Some(BTreeSet::new()),
            TemplateEvent::Present { path, manifest } => {
                let (hook, problems) = match parse(manifest, &self.domains, &self.policy) {
                    Ok(hook) => {
                        state.store.put(path, &hook.hash, manifest)?;
                        // Of the first listing nobody is told before its end.
                        if state.complete {
                            state.store.save()?;
                        }
                        Point::TemplateStored.reached();
                        (Some(hook), Vec::new())
                    }
                    Err(problems) => (None, problems),
                };
                state.set(HookReport { path: path.clone(), hook, problems });
            }
            TemplateEvent::Unreadable { path, problems } => {
                state.set(HookReport { path: path.clone(), hook: None, problems: problems.clone() });
            }
            TemplateEvent::Absent { path } => state.remove(path),
            TemplateEvent::Complete => {
                state.store.save()?;
                let listed = state.listed.take();
                let gone: Vec<HookPath> = (state.hooks.keys())
                    .filter(|path| listed.as_ref().is_some_and(|listed| !listed.contains(*path)))
                    .cloned()
                    .collect();
                for path in gone {
                    state.remove(&path);
                }
                state.complete = true;
            }
        }
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// A new session: the manager has to be told everything again.
    pub fn begin_session(&self) {
        self.state().told = false;
        self.changed.notify_one();
    }

    /// What is to be reported next; nothing when the manager knows everything.
    pub fn report(&self) -> Report {
        let mut state = self.state();
        if !state.complete {
            return Report::default();
        }
        let dirty = std::mem::take(&mut state.dirty);
        if state.told {
            let (present, absent) = dirty.into_iter().partition(|path| state.hooks.contains_key(path));
            Report { present, absent, ..Report::default() }
        } else {
            let present = state.hooks.keys().cloned().collect();
            Report { present, begin: true, end: true, ..Report::default() }
        }
    }

    /// The next page of a report; `None` after its last one. Of ten thousand hooks one page is held, and they are told as they are
    /// then: what changes meanwhile is told again.
    pub fn next_page(&self, report: &mut Report, session: AgentSessionId) -> Option<InventoryRequest> {
        if report.present.is_empty() && report.absent.is_empty() && !report.end {
            return None;
        }
        let mut looked_at = report.present.len().min(MAX_BATCH);
        let mut present: Vec<HookReport> = {
            let state = self.state();
            // One that has gone since is dirty, and told as absent by the next report.
            report.present.iter().take(looked_at).filter_map(|path| state.hooks.get(path)?.report()).collect()
        };
        let fits = fitting(&present);
        if let Some(first) = present.get(fits) {
            looked_at = report.present.iter().position(|path| *path == first.path).unwrap_or(looked_at);
            present.truncate(fits);
        }
        report.present.drain(..looked_at);
        let last = report.present.is_empty();
        let absents = if last { report.absent.len().min(MAX_BATCH) } else { 0 };
        let absent = report.absent.drain(..absents).collect();
        let begin = std::mem::take(&mut report.begin);
        let end = last && std::mem::take(&mut report.end);
        Some(InventoryRequest { session, begin, end, present, absent })
    }

    /// The manager has all pages; `keep` is its newest keep-list.
    pub fn told(&self, keep: Vec<TemplateHash>, open: Vec<TemplateHash>) -> Result<(), AgentError> {
        let mut state = self.state();
        state.told = true;
        state.keep = keep.into_iter().collect();
        let needed: BTreeSet<TemplateHash> = state.keep.iter().cloned().chain(open).collect();
        let present: BTreeSet<HookPath> = state.hooks.keys().cloned().collect();
        match state.store.tidy(&needed, &present) {
            // What may go stays until there is room to write that it went.
            Err(error) if error.is_no_room() => {
                tracing::warn!(error = %with_causes(&error), "versions that nobody needs stay for now");
                Ok(())
            }
            done => done,
        }
    }

    /// A report did not get through: everything is told again.
    pub fn not_told(&self) {
        self.state().told = false;
    }

    /// Whether there is something that the manager has not been told.
    pub fn has_news(&self) -> bool {
        let state = self.state();
        state.complete && (!state.told || !state.dirty.is_empty())
    }

    /// Whether a first listing is complete: only then is a version that is not there gone.
    pub fn is_listed(&self) -> bool {
        self.state().complete
    }

    /// What the executor needs to start this; or the outcome that says why it never can.
    pub fn start_request(&self, order: &StartOrder) -> Startable {
        let template = self.state().store.get(&order.hook, &order.hash).ok_or_else(|| {
            let message = format!("this region no longer has version {} of {}", order.hash.0, order.hook);
            Box::new(outcome(FailureReason::TemplateGone, message))
        })?;
        let hook = parse(&template, &self.domains, &self.policy)
            .map_err(|problems| Box::new(outcome(FailureReason::Rejected, in_words(&problems))))?;
        if hook.path != order.hook || hook.hash != order.hash {
            let message = format!(
                "the stored version is {} {}, not {} {}: the annotation domains of the region may have changed",
                hook.path, hook.hash.0, order.hook, order.hash.0
            );
            return Err(Box::new(outcome(FailureReason::TemplateGone, message)));
        }
        Ok(StartRequest { request: order.request.clone(), hook, template, earlier_try: false })
    }
}

impl State {
    fn set(&mut self, report: HookReport) {
        if let Some(listed) = &mut self.listed {
            listed.insert(report.path.clone());
        }
        let packed = Packed::of(&report);
        if self.hooks.get(&report.path) != Some(&packed) {
            self.dirty.insert(report.path.clone());
            self.hooks.insert(report.path, packed);
        }
    }

    fn remove(&mut self, path: &HookPath) {
        if self.hooks.remove(path).is_some() {
            self.dirty.insert(path.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreadable(n: usize) -> TemplateEvent {
        TemplateEvent::Unreadable { path: path(n), problems: Vec::new() }
    }

    fn path(n: usize) -> HookPath {
        format!("crm/hook-{n:05}").parse().unwrap()
    }

    fn pages(inventory: &Inventory, mut between: impl FnMut(usize)) -> Vec<(bool, bool, usize, usize)> {
        let mut report = inventory.report();
        let mut told = Vec::new();
        let session = AgentSessionId(uuid::Uuid::nil());
        while let Some(page) = inventory.next_page(&mut report, session) {
            told.push((page.begin, page.end, page.present.len(), page.absent.len()));
            between(told.len());
        }
        told
    }

    #[test]
    fn a_report_is_told_page_by_page_as_things_are_then_and_what_changes_meanwhile_once_more() {
        const MANY: usize = 2 * MAX_BATCH + 3;
        let folder = tempfile::tempdir().unwrap();
        let inventory =
            Inventory::open(folder.path(), AnnotationDomains::default(), RegionPolicy::default()).unwrap();
        assert_eq!(pages(&inventory, |_| {}), [], "before the first listing is complete");
        inventory.take(&TemplateEvent::Begin).unwrap();
        for n in 0..MANY {
            inventory.take(&unreadable(n)).unwrap();
        }
        inventory.take(&TemplateEvent::Complete).unwrap();
        let gone = |page| {
            if page == 1 {
                for n in [0, MAX_BATCH, MANY - 1] {
                    inventory.take(&TemplateEvent::Absent { path: path(n) }).unwrap();
                }
            }
        };
        let whole = pages(&inventory, gone);
        // The one of the first page was told before it went.
        let expected = [(true, false, MAX_BATCH, 0), (false, false, MAX_BATCH - 1, 0), (false, true, 2, 0)];
        assert_eq!(whole, expected);
        inventory.told(Vec::new(), Vec::new()).unwrap();
        assert_eq!(pages(&inventory, |_| {}), [(false, false, 0, 3)]);
        assert!(!inventory.has_news());
        inventory.not_told();
        assert_eq!(pages(&inventory, |_| {}).iter().map(|page| page.2).sum::<usize>(), MANY - 3);
    }

    #[test]
    fn a_region_without_hooks_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let inventory =
            Inventory::open(folder.path(), AnnotationDomains::default(), RegionPolicy::default()).unwrap();
        inventory.take(&TemplateEvent::Begin).unwrap();
        inventory.take(&TemplateEvent::Complete).unwrap();
        assert_eq!(pages(&inventory, |_| {}), [(true, true, 0, 0)]);
    }
}
