//! Which faults happen when: made from a seed before anything runs, so that a run can be read first and repeated.
//!
//! A fault has a target that is ill for a while and then healed; no target is ill twice at a time. It must never know
//! how a fault is done.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What the rows of the tormented installation are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// In the data folder of its only manager.
    Sqlite,
    /// In PostgreSQL, for two managers behind a balancer.
    Postgres,
}

impl Store {
    pub const fn managers(self) -> usize {
        match self {
            Self::Sqlite => 1,
            Self::Postgres => 2,
        }
    }
}

/// What is done to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    KillManager,
    PauseManager,
    /// It stands still for longer than it was lent its roles: another manager takes over meanwhile.
    PauseManagerPastItsRoles,
    KillAgent,
    PauseAgent,
    /// Between agent and manager (or balancer) nothing gets through.
    CutManager,
    /// Between balancer and manager nothing gets through.
    CutBalancer,
    /// Between manager and PostgreSQL nothing gets through; connections break.
    CutStore,
    /// The same, and nobody is told: connections stay open.
    SilenceStore,
    /// PostgreSQL ends at once, as in a crash.
    KillStore,
    /// Between agent and API server nothing gets through.
    CutCluster,
    KillApiServer,
    PauseApiServer,
    KillKubelet,
    KillContainerd,
    /// One of the shims that hold the hooks' containers: its hook dies with it.
    KillShim,
}

/// Who can be ill; of several managers which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Manager(usize),
    Agent,
    WayToManager,
    WayFromBalancer(usize),
    WayToStore(usize),
    Store,
    WayToCluster,
    ApiServer,
    Kubelet,
    Containerd,
    Shim,
}

/// What is drawn from; a shim is killed oftener, since only that hurts a hook itself.
fn urn(store: Store) -> Vec<(Fault, Target)> {
    #[allow(clippy::enum_glob_use)] // a table
    use Fault::*;
    let mut urn = vec![
        (KillAgent, Target::Agent),
        (PauseAgent, Target::Agent),
        (CutManager, Target::WayToManager),
        (CutCluster, Target::WayToCluster),
        (KillApiServer, Target::ApiServer),
        (PauseApiServer, Target::ApiServer),
        (KillKubelet, Target::Kubelet),
        (KillContainerd, Target::Containerd),
    ];
    urn.extend([(KillShim, Target::Shim); 4]);
    for manager in 0..store.managers() {
        urn.extend([KillManager, PauseManager].map(|fault| (fault, Target::Manager(manager))));
        if store == Store::Postgres {
            urn.push((PauseManagerPastItsRoles, Target::Manager(manager)));
            urn.push((CutBalancer, Target::WayFromBalancer(manager)));
            urn.extend([CutStore, SilenceStore].map(|fault| (fault, Target::WayToStore(manager))));
        }
    }
    if store == Store::Postgres {
        urn.extend([(KillStore, Target::Store); 2]);
        urn.extend([(KillShim, Target::Shim); 3]);
    }
    urn
}

impl Fault {
    /// How long the target is ill, in milliseconds. A pause of manager or agent is at times longer than the silence
    /// after which a region counts as silent, a cut as well.
    const fn milliseconds(self) -> (u64, u64) {
        match self {
            Self::KillShim => (0, 1),
            Self::KillManager | Self::KillAgent | Self::KillKubelet | Self::KillContainerd => (100, 4_000),
            Self::KillStore => (100, 3_000),
            Self::KillApiServer => (500, 6_000),
            Self::PauseManager
            | Self::PauseAgent
            | Self::CutManager
            | Self::CutCluster
            | Self::CutBalancer => (1_000, 12_000),
            Self::PauseManagerPastItsRoles => (16_000, 20_000),
            Self::CutStore | Self::SilenceStore => (500, 12_000),
            Self::PauseApiServer => (1_000, 8_000),
        }
    }
}

impl Target {
    /// How long it stays well afterwards. An API server and a container runtime need their time to be of use again.
    const fn rest(self) -> Duration {
        match self {
            Self::ApiServer | Self::Containerd | Self::Kubelet => Duration::from_secs(20),
            Self::Store | Self::WayToStore(_) => Duration::from_secs(10),
            Self::Shim => Duration::from_secs(1),
            _ => Duration::from_secs(4),
        }
    }
}

/// One fault of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// From the begin on.
    pub at: Duration,
    pub fault: Fault,
    pub target: Target,
    /// How long its target is ill.
    pub lasts: Duration,
    /// Which one, where there are several that nobody knows beforehand.
    pub choice: u64,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, lasts) = (self.at.as_secs_f64(), self.lasts.as_secs_f64());
        write!(f, "{at:8.3} s  {:?} ({:?}) for {lasts:.3} s", self.fault, self.target)
    }
}

/// So many are ill at a time, besides a hook whose shim was killed: where everything is broken always, nothing is done
/// that could go wrong.
const ILL_AT_ONCE: usize = 2;

/// Faults for so long. `past_lease`: each manager and the agent also stand still for this time once, at the end of the
/// plan.
pub fn plan(store: Store, seed: u64, length: Duration, past_lease: Option<Duration>) -> Vec<Planned> {
    let urn = urn(store);
    let mut left = urn.clone();
    let mut random = Random(seed);
    let mut busy: BTreeMap<Target, Duration> = BTreeMap::new();
    let mut planned = Vec::new();
    let mut at = Duration::from_secs(2);
    while at < length {
        let ill = planned.iter().filter(|earlier: &&Planned| earlier.at + earlier.lasts > at).count();
        let is_free = |(_, target): &&(Fault, Target)| {
            busy.get(target).is_none_or(|until| *until <= at)
                && (ill < ILL_AT_ONCE || *target == Target::Shim)
        };
        // Each once before any comes again, as far as it can be: a short run should see them all.
        let free: Vec<(Fault, Target)> = left.iter().filter(is_free).copied().collect();
        let free = if free.is_empty() { urn.iter().filter(is_free).copied().collect() } else { free };
        if let Some((fault, target)) = random.one_of(&free) {
            if let Some(drawn) = left.iter().position(|other| *other == (fault, target)) {
                left.swap_remove(drawn);
            }
            if left.is_empty() {
                left.clone_from(&urn);
            }
            let (least, most) = fault.milliseconds();
            let lasts = Duration::from_millis(least + random.below(most - least));
            // Well for a while afterwards: otherwise nothing would ever move.
            busy.insert(target, at + lasts + target.rest());
            planned.push(Planned { at, fault, target, lasts, choice: random.next() });
        }
        at += Duration::from_millis(700 + random.below(2_600));
    }
    if let Some(lasts) = past_lease {
        let managers = (0..store.managers()).map(|manager| (Fault::PauseManager, Target::Manager(manager)));
        for (fault, target) in [(Fault::PauseAgent, Target::Agent)].into_iter().chain(managers) {
            planned.push(Planned { at, fault, target, lasts, choice: 0 });
            at += lasts + Duration::from_secs(10);
        }
    }
    planned
}

/// Splitmix64: the same numbers everywhere, for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        let at = self.below(items.len() as u64);
        usize::try_from(at).ok().and_then(|at| items.get(at)).copied()
    }
}
