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
    collections::{BTreeMap, BTreeSet},
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

struct State {
    store: TemplateStore,
    hooks: BTreeMap<HookPath, HookReport>,
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

    /// What is to be reported next, page by page; empty when the manager knows everything.
    pub fn pages(&self, session: AgentSessionId) -> Vec<InventoryRequest> {
        let mut state = self.state();
        if !state.complete {
            return Vec::new();
        }
        let whole = !state.told;
        let dirty = std::mem::take(&mut state.dirty);
        let (mut present, absent): (Vec<HookReport>, Vec<HookPath>) = if whole {
            (state.hooks.values().cloned().collect(), Vec::new())
        } else {
            let absent = dirty.iter().filter(|path| !state.hooks.contains_key(*path)).cloned().collect();
            (dirty.iter().filter_map(|path| state.hooks.get(path).cloned()).collect(), absent)
        };
        let mut pages: Vec<InventoryRequest> = Vec::new();
        while !present.is_empty() {
            let bounded = &present[..present.len().min(MAX_BATCH)];
            let after = present.split_off(fitting(bounded));
            pages.push(page(session, std::mem::replace(&mut present, after), Vec::new()));
        }
        for chunk in absent.chunks(MAX_BATCH) {
            pages.push(page(session, Vec::new(), chunk.to_vec()));
        }
        if whole {
            if pages.is_empty() {
                pages.push(page(session, Vec::new(), Vec::new()));
            }
            if let Some(first) = pages.first_mut() {
                first.begin = true;
            }
            if let Some(last) = pages.last_mut() {
                last.end = true;
            }
        }
        pages
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
        if self.hooks.get(&report.path) != Some(&report) {
            self.dirty.insert(report.path.clone());
            self.hooks.insert(report.path.clone(), report);
        }
    }

    fn remove(&mut self, path: &HookPath) {
        if self.hooks.remove(path).is_some() {
            self.dirty.insert(path.clone());
        }
    }
}

fn page(session: AgentSessionId, present: Vec<HookReport>, absent: Vec<HookPath>) -> InventoryRequest {
    InventoryRequest { session, begin: false, end: false, present, absent }
}
