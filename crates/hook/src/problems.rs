//! Collecting what is wrong. All of it: an author fixes a manifest once, not once per mistake.

use tenantry_model::Problem;

/// Collects problems; bounded, since a manifest may come from anybody.
#[derive(Default)]
pub(crate) struct Problems(Vec<Problem>);

const LIMIT: usize = 200;

impl Problems {
    pub(crate) fn add(
        &mut self,
        code: &str,
        pointer: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if self.0.len() < LIMIT {
            self.0.push(problem(code, pointer, message, remedy));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

pub(crate) fn problem(
    code: &str,
    pointer: impl Into<String>,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Problem {
    Problem { code: code.to_owned(), pointer: pointer.into(), message: message.into(), remedy: remedy.into() }
}

/// `parent/token` as a JSON pointer (RFC 6901).
pub(crate) fn below(parent: &str, token: impl std::fmt::Display) -> String {
    format!("{parent}/{}", token.to_string().replace('~', "~0").replace('/', "~1"))
}

/// The candidate that `given` was probably meant to be: at most a third of its letters differ.
pub(crate) fn closest<'c>(given: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let given: Vec<char> = given.chars().take(64).collect();
    candidates
        .into_iter()
        .map(|candidate| (distance(&given, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

// Optimal string alignment: two neighbours exchanged count as one mistake.
fn distance(given: &[char], candidate: &str) -> usize {
    let candidate: Vec<char> = candidate.chars().collect();
    let width = candidate.len() + 1;
    let mut rows: Vec<Vec<usize>> = vec![vec![0; width]; given.len() + 1];
    for (column, cell) in rows[0].iter_mut().enumerate() {
        *cell = column;
    }
    for i in 1..=given.len() {
        rows[i][0] = i;
        for j in 1..width {
            let same = usize::from(given[i - 1] != candidate[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && given[i - 1] == candidate[j - 2] && given[i - 2] == candidate[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[given.len()][width - 1]
}

/// Text of somebody else in a message: quoted, invisible characters escaped, cut to 80 characters.
pub(crate) fn shown(text: &str) -> String {
    if text.chars().count() > 80 {
        format!("{:?}…", text.chars().take(80).collect::<String>())
    } else {
        format!("{text:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_word_and_nonsense_does_not() {
        let words = ["after", "lifecycle", "on-failure", "selector"];
        assert_eq!(closest("atfer", words), Some("after"));
        assert_eq!(closest("lifecyle", words), Some("lifecycle"));
        assert_eq!(closest("onfailure", words), Some("on-failure"));
        assert_eq!(closest("banana", words), None);
    }
}
