//! Which faults happen when: made from a seed before anything runs, so that a run can be read first and repeated.
//!
//! A fault has a target that is ill for a while and then healed; no target is ill twice at a time. It must never know
//! how a fault is done.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What is done to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    KillManager,
    PauseManager,
    KillAgent,
    PauseAgent,
    /// Between agent and manager nothing gets through.
    CutManager,
    /// Between agent and API server nothing gets through.
    CutCluster,
    KillApiServer,
    PauseApiServer,
    KillKubelet,
    KillContainerd,
    /// One of the shims that hold the hooks' containers: its hook dies with it.
    KillShim,
}

/// Who can be ill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Manager,
    Agent,
    WayToManager,
    WayToCluster,
    ApiServer,
    Kubelet,
    Containerd,
    Shim,
}

impl Fault {
    /// What is drawn from; a shim is killed oftener, since only that hurts a hook itself.
    const URN: [Self; 14] = [
        Self::KillManager,
        Self::PauseManager,
        Self::KillAgent,
        Self::PauseAgent,
        Self::CutManager,
        Self::CutCluster,
        Self::KillApiServer,
        Self::PauseApiServer,
        Self::KillKubelet,
        Self::KillContainerd,
        Self::KillShim,
        Self::KillShim,
        Self::KillShim,
        Self::KillShim,
    ];

    /// Who is ill meanwhile.
    pub const fn target(self) -> Target {
        match self {
            Self::KillManager | Self::PauseManager => Target::Manager,
            Self::KillAgent | Self::PauseAgent => Target::Agent,
            Self::CutManager => Target::WayToManager,
            Self::CutCluster => Target::WayToCluster,
            Self::KillApiServer | Self::PauseApiServer => Target::ApiServer,
            Self::KillKubelet => Target::Kubelet,
            Self::KillContainerd => Target::Containerd,
            Self::KillShim => Target::Shim,
        }
    }

    /// How long the target is ill, in milliseconds. A pause of manager or agent is at times longer than the silence
    /// after which a region counts as silent, a cut as well.
    const fn milliseconds(self) -> (u64, u64) {
        match self {
            Self::KillShim => (0, 1),
            Self::KillManager | Self::KillAgent | Self::KillKubelet | Self::KillContainerd => (100, 4_000),
            Self::KillApiServer => (500, 6_000),
            Self::PauseManager | Self::PauseAgent | Self::CutManager | Self::CutCluster => (1_000, 12_000),
            Self::PauseApiServer => (1_000, 8_000),
        }
    }
}

impl Fault {
    /// How long its target stays well afterwards. An API server and a container runtime need their time to be of use
    /// again.
    const fn rest(self) -> Duration {
        match self.target() {
            Target::ApiServer | Target::Containerd | Target::Kubelet => Duration::from_secs(20),
            Target::Shim => Duration::from_secs(1),
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
    /// How long its target is ill.
    pub lasts: Duration,
    /// Which one, where there are several.
    pub choice: u64,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8.3} s  {:?} for {:.3} s", self.at.as_secs_f64(), self.fault, self.lasts.as_secs_f64())
    }
}

/// Faults for so long. `past_lease`: manager and agent also stand still for this time once, at the end of the plan.
pub fn plan(seed: u64, length: Duration, past_lease: Option<Duration>) -> Vec<Planned> {
    let mut random = Random(seed);
    let mut busy: BTreeMap<Target, Duration> = BTreeMap::new();
    let mut planned = Vec::new();
    let mut at = Duration::from_secs(2);
    while at < length {
        let free: Vec<Fault> = Fault::URN
            .into_iter()
            .filter(|fault| busy.get(&fault.target()).is_none_or(|until| *until <= at))
            .collect();
        if let Some(fault) = random.one_of(&free) {
            let (least, most) = fault.milliseconds();
            let lasts = Duration::from_millis(least + random.below(most - least));
            // Well for a while afterwards: otherwise nothing would ever move.
            busy.insert(fault.target(), at + lasts + fault.rest());
            planned.push(Planned { at, fault, lasts, choice: random.next() });
        }
        at += Duration::from_millis(700 + random.below(2_600));
    }
    if let Some(lasts) = past_lease {
        for fault in [Fault::PauseAgent, Fault::PauseManager] {
            planned.push(Planned { at, fault, lasts, choice: 0 });
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
