//! The page that lists all failpoints.

use crate::points::{ALL, Place};
use std::fmt::Write;

/// `docs/reference/failpoints.md`.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Failpoints\n\n<!-- Written by `UPDATE=1 cargo test --workspace --test failpoints` from the code. Change the \
         code, not this page. -->\n\nPlaces at which a test can end the process as `kill -9` would. No released program \
         has them (docs/decisions/0031-named-failpoints.md); how tests use them stands in docs/testing.md.\n",
    );
    for (place, text) in [
        (
            Place::Manager,
            "\n## Of the manager\n\nEach is the moment after a transaction is committed, before anything else is done.",
        ),
        (Place::Agent, "\n## Of the agent"),
    ] {
        let _ = writeln!(page, "{text}\n\n| name | what has just happened |\n| --- | --- |");
        for (_, name, what) in ALL.iter().filter(|(of, ..)| *of == place) {
            let _ = writeln!(page, "| `{name}` | {what} |");
        }
    }
    page
}
