//! Time zones by their IANA names.

use jiff::tz::{self, TimeZone};

/// A name that no time zone has, with the nearest names that one has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no time zone {name:?}{}", hint(.suggestions))]
pub struct UnknownZone {
    /// As given, cut to 100 characters.
    pub name: String,
    /// At most five names, the nearest first.
    pub suggestions: Vec<String>,
}

fn hint(suggestions: &[String]) -> String {
    match suggestions {
        [] => "; use an IANA name such as Europe/Berlin or UTC".to_owned(),
        names => format!("; did you mean {}?", names.join(", ")),
    }
}

/// The time zone of an IANA name (`Europe/Berlin`, `UTC`).
///
/// # Errors
/// [`UnknownZone`]. Names of POSIX rules (`CET-1CEST`) and offsets (`+02:00`) are refused too: they know no history.
pub fn zone(name: &str) -> Result<TimeZone, UnknownZone> {
    match TimeZone::get(name) {
        // Some databases also find names of another case; only the official spelling is kept in a schedule.
        Ok(zone) if zone.iana_name() == Some(name) => Ok(zone),
        _ => Err(UnknownZone { name: name.chars().take(100).collect(), suggestions: suggestions(name) }),
    }
}

/// Names that share the city, then those that differ by few letters.
fn suggestions(given: &str) -> Vec<String> {
    const MOST: usize = 5;
    let given: String = given.chars().take(100).collect::<String>().to_lowercase().replace(' ', "_");
    let city = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let mut scored: Vec<(usize, String)> = tz::db()
        .available()
        .filter_map(|name| {
            let known = name.as_str().to_lowercase();
            let whole = distance(&given, &known);
            let (own, other) = (city(&given), city(&known));
            let by_city = distance(&own, &other);
            let limit = 1 + own.chars().count() / 4;
            (whole <= 2 || by_city <= limit).then(|| (whole.min(by_city * 2 + 1), name.as_str().to_owned()))
        })
        .collect();
    scored.sort();
    scored.into_iter().map(|(_, name)| name).take(MOST).collect()
}

/// Levenshtein's distance: how many letters to insert, remove or replace.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
