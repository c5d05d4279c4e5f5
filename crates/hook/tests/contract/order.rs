//! Edges and cycles.

use crate::common::*;
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_hook::{Edges, Hook, OrderPolicy, codes, cycles, levels, resolve_edges};
use tenantry_model::HookPath;

fn hook(path: &str, after: &str) -> Hook {
    let path: HookPath = path.parse().unwrap();
    let template = with(small(), "/metadata/name", json!(path.name));
    let template = with(template, "/metadata/namespace", json!(path.namespace));
    read(&annotated(template, "after", after)).unwrap()
}

fn resolve(hooks: &[Hook], exists: &[&str], cross_namespace_after: bool) -> Edges {
    let map: BTreeMap<HookPath, &Hook> = hooks.iter().map(|hook| (hook.path.clone(), hook)).collect();
    let exists = |path: &HookPath| exists.contains(&path.to_string().as_str());
    let policy = OrderPolicy { cross_namespace_after };
    resolve_edges(&map, &"lifecycle.upsert".parse().unwrap(), &exists, policy)
}

fn of(edges: &Edges, path: &str) -> Vec<String> {
    edges.after[&path.parse::<HookPath>().unwrap()].iter().map(ToString::to_string).collect()
}

fn codes_of(edges: &Edges) -> Vec<(String, String)> {
    edges
        .problems
        .iter()
        .flat_map(|(path, problems)| problems.iter().map(|problem| (path.to_string(), problem.code.clone())))
        .collect()
}

#[test]
fn a_target_of_the_same_operation_is_waited_for() {
    let hooks = [hook("a/one", ""), hook("a/two", "one"), hook("b/three", "a/one,a/two")];
    let edges = resolve(&hooks, &[], true);
    assert_eq!(of(&edges, "a/one"), Vec::<String>::new());
    assert_eq!(of(&edges, "a/two"), ["a/one"]);
    assert_eq!(of(&edges, "b/three"), ["a/one", "a/two"]);
    assert!(edges.problems.is_empty());
}

#[test]
fn a_target_of_other_operations_only_counts_as_done_and_one_that_does_not_exist_is_a_problem() {
    let hooks = [hook("a/one", "elsewhere,gone?,gone2")];
    let edges = resolve(&hooks, &["a/elsewhere"], true);
    assert!(of(&edges, "a/one").is_empty());
    assert_eq!(codes_of(&edges), [("a/one".to_owned(), codes::AFTER_UNKNOWN.to_owned())]);
    assert!(edges.problems.values().next().unwrap()[0].message.contains("a/gone2"));
}

#[test]
fn edges_across_namespaces_can_be_switched_off() {
    let hooks = [hook("a/one", ""), hook("b/two", "a/one"), hook("a/three", "one")];
    let edges = resolve(&hooks, &[], false);
    assert_eq!(codes_of(&edges), [("b/two".to_owned(), codes::AFTER_CROSS_NAMESPACE.to_owned())]);
    assert_eq!(of(&edges, "a/three"), ["a/one"]);
}

#[test]
fn a_cycle_names_its_members_and_stops_nobody_else() {
    let hooks = [
        hook("a/one", "three"),
        hook("a/two", "one"),
        hook("a/three", "two"),
        hook("a/waits", "one"),
        hook("a/free", ""),
    ];
    let edges = resolve(&hooks, &[], true);
    let members: Vec<String> = codes_of(&edges).into_iter().map(|(path, _)| path).collect();
    assert_eq!(members, ["a/one", "a/three", "a/two"]);
    for problems in edges.problems.values() {
        assert!(problems[0].message.ends_with("a/one → a/three → a/two → a/one"), "{}", problems[0].message);
    }
}

#[test]
fn every_knot_is_found_once_and_chains_of_any_length_are_none() {
    let mut graph: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for node in 0..100_000 {
        graph.insert(node, BTreeSet::from([node + 1]));
    }
    assert!(cycles(&graph).is_empty());
    graph.insert(100_000, BTreeSet::from([99_999]));
    graph.insert(7, BTreeSet::from([7, 8]));
    let found = cycles(&graph);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].path, [7]);
    assert_eq!(found[1].path, [99_999, 100_000]);
    assert_eq!(found[1].members, BTreeSet::from([99_999, 100_000]));
}

proptest::proptest! {
    #[test]
    fn a_graph_has_a_knot_exactly_when_it_cannot_be_sorted(
        edges in proptest::collection::btree_set((0_u8..8, 0_u8..8), 0..20),
    ) {
        let mut graph: BTreeMap<u8, BTreeSet<u8>> = (0..8).map(|node| (node, BTreeSet::new())).collect();
        for (from, to) in edges {
            graph.get_mut(&from).unwrap().insert(to);
        }
        // Kahn: take away what waits for nothing, again and again.
        let mut left = graph.clone();
        while let Some(node) = left.iter().find(|(_, after)| after.is_empty()).map(|(node, _)| *node) {
            left.remove(&node);
            for after in left.values_mut() {
                after.remove(&node);
            }
        }
        let found = cycles(&graph);
        proptest::prop_assert_eq!(found.is_empty(), left.is_empty());
        for cycle in found {
            for (at, node) in cycle.path.iter().enumerate() {
                let next = cycle.path[(at + 1) % cycle.path.len()];
                proptest::prop_assert!(graph[node].contains(&next));
            }
        }
    }
}

fn graph(edges: &[(&'static str, &[&'static str])]) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    edges.iter().map(|(name, after)| (*name, after.iter().copied().collect())).collect()
}

#[test]
fn a_level_holds_what_waits_for_earlier_levels_only() {
    let found =
        levels(&graph(&[("a", &[]), ("b", &["a"]), ("c", &["a", "b"]), ("d", &[]), ("e", &["d", "gone"])]));
    assert_eq!(found, [BTreeSet::from(["a", "d"]), BTreeSet::from(["b", "e"]), BTreeSet::from(["c"])]);
    assert!(levels(&graph(&[])).is_empty());
}

#[test]
fn what_waits_in_a_circle_stands_in_no_level() {
    let found = levels(&graph(&[("a", &["b"]), ("b", &["a"]), ("c", &["a"]), ("d", &[])]));
    assert_eq!(found, [BTreeSet::from(["d"])]);
}

proptest! {
    /// Edges go from larger to smaller numbers, so that there is no circle: then nobody is left out, nobody stands beside
    /// or before what it waits for, and nobody stands later than it must.
    #[test]
    fn levels_are_sound_and_as_early_as_can_be(edges in prop::collection::vec((0_u8..30, 0_u8..30), 0..90)) {
        let mut after: BTreeMap<u8, BTreeSet<u8>> = (0..30).map(|n| (n, BTreeSet::new())).collect();
        for (one, other) in edges.into_iter().filter(|(one, other)| one != other) {
            after.entry(one.max(other)).or_default().insert(one.min(other));
        }
        let found = levels(&after);
        let at: BTreeMap<u8, usize> =
            found.iter().enumerate().flat_map(|(at, level)| level.iter().map(move |n| (*n, at))).collect();
        prop_assert_eq!(at.len(), 30);
        for (member, waits) in &after {
            let earliest = waits.iter().map(|target| at[target] + 1).max().unwrap_or(0);
            prop_assert_eq!(at[member], earliest);
        }
    }
}
