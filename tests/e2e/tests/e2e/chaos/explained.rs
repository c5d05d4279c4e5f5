//! Which warnings and errors a fault explains, in whose log, and for how long.

use super::plan::{Fault, Store, Target};
use super::scene::{REGION, Was};
use jiff::{SignedDuration, Timestamp};
use tenantry_e2e::Site;

/// What the agent says all the while that managers come and go, and what a killed shim or kubelet takes with it.
const ALWAYS: &[&str] = &[
    "cannot reach the manager",
    "session-expired",
    "session-superseded",
    // A shim took its container's log with it, or the kubelet does not answer.
    "the log cannot be read to its end",
    "the log's end did not come in time",
];

/// What the agent says while its API server is away, cannot be reached, or comes back.
const WITHOUT_API_SERVER: &[&str] = &[
    "the watch of the attempts broke",
    "the watch of the templates broke",
    "cannot read a template; it is read again",
    "an order does not get through",
    "cannot end the attempt; asked again",
    "cannot sweep ConfigMaps; tried again later",
];
/// An API server that was started takes its time on a busy machine, and so does a try that waits for one.
const API_SERVER_MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// What a manager says while its database is away, is too long in coming, or ends the sessions of one that stood still;
/// and the status with which it answers then.
const WITHOUT_STORE: &[&str] = &[
    "\"code\":\"store-unavailable\"",
    "\"code\":\"outcome-unknown\"",
    "a loop met an error",
    "a timer could not be applied",
    UNAVAILABLE,
];
const UNAVAILABLE: &str = "\"status\":503";
/// Whoever began to wait for a connection before the end of a fault gives up within 15 s.
const STORE_MARGIN: SignedDuration = SignedDuration::from_secs(20);

/// Whether the fault keeps this manager from its rows.
fn is_without_store(was: &Was, manager: usize) -> bool {
    match was.fault {
        Fault::KillStore => true,
        Fault::CutStore | Fault::SilenceStore => was.target == Target::WayToStore(manager),
        Fault::PauseManager | Fault::PauseManagerPastItsRoles => was.target == Target::Manager(manager),
        _ => false,
    }
}

fn is_without_api_server(was: &Was) -> bool {
    use Fault::{CutCluster, KillApiServer, PauseAgent, PauseApiServer};
    matches!(was.fault, CutCluster | KillApiServer | PauseApiServer | PauseAgent)
}

fn during<'a>(history: impl Iterator<Item = &'a Was>, margin: SignedDuration) -> Vec<(Timestamp, Timestamp)> {
    history.map(|was| (was.from, was.until.saturating_add(margin).unwrap_or(Timestamp::MAX))).collect()
}

/// Tells the check of the logs what to expect after all this.
pub fn expect(site: &Site, store: Store, history: &[Was]) {
    for text in ALWAYS {
        site.expect_log(text);
    }
    let without = during(history.iter().filter(|was| is_without_api_server(was)), API_SERVER_MARGIN);
    for text in WITHOUT_API_SERVER {
        site.expect_log_during(&format!("agent-{REGION}"), text, &without);
    }
    for manager in 0..store.managers() {
        let without = during(history.iter().filter(|was| is_without_store(was, manager)), STORE_MARGIN);
        let (program, texts) = match store {
            // Its rows are always there; only requests that it slept through get this answer.
            Store::Sqlite => ("manager".to_owned(), &[UNAVAILABLE][..]),
            Store::Postgres => (format!("manager-{manager}"), WITHOUT_STORE),
        };
        for text in texts {
            site.expect_log_during(&program, text, &without);
        }
    }
}
