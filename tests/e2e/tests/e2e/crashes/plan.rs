//! Which passages of a recorded life end their process, and in which life.

use std::collections::BTreeMap;

/// Of each name that `wanted` gives so many passages: the first, the last and some in between, in the order of the first
/// record, as `NAME NUMBER`. How often a name is passed is not the same in every life (what is reported one by one in one
/// is reported at once in another), so that the last passage is that of the record with the fewest.
pub fn choose(records: &[&[String]], wanted: impl Fn(&str) -> usize) -> Vec<String> {
    let mut fewest: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, record) in records.iter().enumerate() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for name in *record {
            *counts.entry(name).or_default() += 1;
        }
        if number == 0 {
            fewest = counts;
        } else {
            for (name, count) in &mut fewest {
                // Passed in the first record only: it has come once, and may come again.
                *count = (*count).min(counts.get(name).copied().unwrap_or(1));
            }
        }
    }
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, name) in records.first().copied().unwrap_or_default().iter().enumerate() {
        places.entry(name).or_default().push(place);
    }
    let mut chosen = BTreeMap::new();
    for (name, places) in places {
        let passed = fewest.get(name).copied().unwrap_or(1).max(1);
        let count = passed.min(wanted(name));
        for nth in 0..count {
            let index = if count == 1 { 0 } else { nth * (passed - 1) / (count - 1) };
            chosen.insert(places[index], format!("{name} {}", index + 1));
        }
    }
    chosen.into_values().collect()
}

/// Into lives of at most so many ends, which lie far from each other.
pub fn deal(chosen: Vec<String>, ends: usize) -> Vec<Vec<String>> {
    let lives = chosen.len().div_ceil(ends);
    let mut plans = vec![Vec::new(); lives];
    for (number, passage) in chosen.into_iter().enumerate() {
        plans[number % lives].push(passage);
    }
    plans
}

/// The name of `NAME NUMBER`.
pub fn name_of(passage: &str) -> &str {
    passage.split(' ').next().unwrap_or_default()
}
