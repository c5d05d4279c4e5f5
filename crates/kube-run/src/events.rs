//! What the cluster's events say of an object that does not come: volumes that cannot be mounted, Pods that a Job's
//! controller cannot make. Statuses are silent about both.
//!
//! Events come late, one by one, and the newest is often the least telling ("timed out waiting for …"). It must never
//! decide whether an attempt is ended.

use crate::{Cluster, RunError};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use std::collections::HashSet;
use tenantry_model::Namespace;

/// Several volumes may fail, each with its own words.
const SHOWN: usize = 3;

/// What events say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Explained {
    /// Their words, the newest first; empty: nothing yet.
    pub words: String,
    /// They name a cause, not only that time has passed.
    pub clear: bool,
}

/// Reads the warnings about an object. An error: they cannot be read, and asking again will not help soon.
pub(crate) async fn explain(
    cluster: &Cluster,
    namespace: &Namespace,
    uid: &str,
) -> Result<Explained, RunError> {
    let params = ListParams::default().fields(&format!("involvedObject.uid={uid},type=Warning")).limit(50);
    let api = cluster.namespaced::<Event>(namespace);
    let events = cluster.until_answered("read the events of an attempt", || api.list(&params)).await?;
    Ok(summarize(events.items))
}

/// The words only say that something took too long: a busy machine heals, and a real cause is named by the next try.
pub(crate) fn is_vague(words: &str) -> bool {
    const VAGUE: [&str; 3] = [
        "timed out waiting for the condition",
        "context deadline exceeded",
        // The API server's authorizer of nodes has not heard yet that the Pod is on this one.
        "no relationship found between node",
    ];
    VAGUE.iter().any(|part| words.contains(part))
}

fn summarize(mut events: Vec<Event>) -> Explained {
    events.retain(is_telling);
    events.sort_by_key(|event| std::cmp::Reverse(last_seen(event)));
    let mut known = HashSet::new();
    let all: Vec<String> = events
        .into_iter()
        .map(|event| format!("{}: {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default()))
        .filter(|words| known.insert(words.clone()))
        .collect();
    let clear: Vec<&str> =
        all.iter().map(String::as_str).filter(|words| !is_vague(words)).take(SHOWN).collect();
    if clear.is_empty() {
        Explained { words: all.into_iter().next().unwrap_or_default(), clear: false }
    } else {
        Explained { words: clear.join("; "), clear: true }
    }
}

/// Other warnings (a missing cluster DNS) are about the Pod, but no reason why it does not come; that no node took it
/// is over once one has.
fn is_telling(event: &Event) -> bool {
    event.reason.as_deref().is_some_and(|reason| {
        (reason.starts_with("Failed") && reason != "FailedScheduling") || reason == "NetworkNotReady"
    })
}

fn last_seen(event: &Event) -> Option<Timestamp> {
    event
        .last_timestamp
        .as_ref()
        .map(|t| t.0)
        .or_else(|| event.event_time.as_ref().map(|t| t.0))
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(|t| t.0))
}

#[cfg(test)]
mod tests {
    use super::{Explained, summarize};
    use k8s_openapi::api::core::v1::Event;
    use serde_json::json;

    const MISSING: &str = "MountVolume.SetUp failed for volume \"s\" : secret \"missing\" not found";
    const CACHE: &str = "MountVolume.SetUp failed for volume \"s\" : failed to sync secret cache: timed out waiting for the condition";
    const UNMOUNTED: &str =
        "Unable to attach or mount volumes: unmounted volumes=[s]: context deadline exceeded";

    fn event(reason: &str, message: &str, at: &str) -> Event {
        serde_json::from_value(json!({
            "metadata": {}, "involvedObject": {}, "type": "Warning",
            "reason": reason, "message": message, "lastTimestamp": format!("2026-11-21T12:00:{at}Z")
        }))
        .unwrap()
    }

    #[test]
    fn the_cause_is_named_although_what_came_last_only_says_that_time_passed() {
        let mount = |message, at| event("FailedMount", message, at);
        let said = summarize(vec![mount(CACHE, "01"), mount(MISSING, "02"), mount(UNMOUNTED, "59")]);
        assert_eq!(said, Explained { words: format!("FailedMount: {MISSING}"), clear: true });
    }

    #[test]
    fn without_a_cause_what_there_is_is_said_and_more_may_come() {
        let said = summarize(vec![event("FailedMount", CACHE, "01"), event("DNSConfigForming", "x", "02")]);
        assert_eq!(said, Explained { words: format!("FailedMount: {CACHE}"), clear: false });
        assert_eq!(summarize(Vec::new()), Explained { words: String::new(), clear: false });
    }

    #[test]
    fn a_node_that_is_not_yet_known_to_have_the_pod_is_no_cause() {
        let early = "MountVolume.SetUp failed for volume \"w\" : persistentvolumeclaims \"w\" is forbidden: User \
                     \"system:node:n1\" cannot get resource: no relationship found between node 'n1' and this object";
        assert!(!summarize(vec![event("FailedMount", early, "01")]).clear);
    }

    #[test]
    fn several_causes_are_said_once_each_the_newest_first_and_no_more_than_three() {
        let of = |volume: &str, at| event("FailedMount", &format!("volume {volume}"), at);
        let said = summarize(vec![of("a", "01"), of("b", "02"), of("b", "03"), of("c", "04"), of("d", "05")]);
        assert_eq!(said.words, "FailedMount: volume d; FailedMount: volume c; FailedMount: volume b");
    }

    #[test]
    fn that_no_node_took_it_at_first_does_not_explain_why_its_volumes_do_not_come() {
        let said = summarize(vec![event("FailedScheduling", "0/1 nodes are available", "01")]);
        assert!(!said.clear && said.words.is_empty(), "{said:?}");
    }
}
