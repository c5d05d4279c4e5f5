//! What really ran, from the records that the hooks themselves append to a file; no row of tenantry is trusted.

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One line of a witness file (`tb witness`, or [`crate::Hook`]'s shell script of the same format).
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    /// `start`, `beat` (still at work), `end` or `term`.
    pub event: String,
    /// When.
    pub at: Timestamp,
    /// What the hook calls itself.
    pub name: String,
    /// Joins the records of one run.
    pub run: String,
    /// `LIFECYCLE_OPERATION_ID`.
    #[serde(default)]
    pub operation: String,
    /// `LIFECYCLE_TENANT_ENV_ID`.
    #[serde(default)]
    pub environment: String,
    /// `LIFECYCLE_STEP`.
    #[serde(default)]
    pub step: String,
    /// `LIFECYCLE_ATTEMPT`.
    #[serde(default)]
    pub attempt: String,
    /// The code that it ended with.
    #[serde(default)]
    pub exit: Option<i32>,
}

/// One run of a hook.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its first record.
    pub start: Record,
    /// When it ended, if it said so.
    pub end: Option<Record>,
    /// Its last sign of life.
    pub last: Timestamp,
}

/// A witness file.
#[derive(Clone, Debug)]
pub struct Witness(pub PathBuf);

impl Witness {
    /// All records, in the order in which they were written. A file that is not there has none.
    pub fn records(&self) -> Result<Vec<Record>> {
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("read {}", self.0.display())),
        };
        text.lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("a witness wrote {line:?}")))
            .collect()
    }

    /// All runs of an operation, by their start.
    pub fn runs(&self, operation: impl ToString) -> Result<Vec<Run>> {
        let operation = operation.to_string();
        let mut runs: Vec<Run> = Vec::new();
        for record in self.records()?.into_iter().filter(|record| record.operation == operation) {
            match record.event.as_str() {
                "start" => runs.push(Run { last: record.at, start: record, end: None }),
                event => {
                    let run = runs.iter_mut().find(|run| run.start.run == record.run);
                    let run = run.with_context(|| format!("a record without a start: {record:?}"))?;
                    run.last = record.at;
                    if event != "beat" {
                        run.end = Some(record);
                    }
                }
            }
        }
        runs.sort_by_key(|run| run.start.at);
        Ok(runs)
    }

    /// How often a step of the operation began.
    pub fn starts(&self, operation: impl ToString, name: &str) -> Result<usize> {
        Ok(self.runs(operation)?.iter().filter(|run| run.start.name == name).count())
    }

    /// The checks that hold for every operation that succeeded: each step of `order` ran; each attempt ran once; two
    /// attempts of one step never ran at the same time; no step began before those in its list had ended with 0.
    pub fn check(&self, operation: impl ToString, order: &[(&str, &[&str])]) -> Result<()> {
        let runs = self.runs(operation)?;
        let of = |name: &str| runs.iter().filter(|run| run.start.name == name).collect::<Vec<_>>();
        let mut seen = BTreeMap::new();
        for run in &runs {
            let attempt = (run.start.step.clone(), run.start.attempt.clone());
            if let Some(before) = seen.insert(attempt, run) {
                bail!("one attempt ran twice: {before:?} and {run:?}");
            }
            ensure!(
                order.iter().any(|(name, _)| *name == run.start.name),
                "a step that nobody expected ran: {run:?}"
            );
        }
        for (name, after) in order {
            let of_step = of(name);
            ensure!(!of_step.is_empty(), "step {name} never ran; what ran: {runs:?}");
            for pair in of_step.windows(2) {
                let end = pair[0].end.as_ref().with_context(|| {
                    format!("attempt {} of {name} has no end, but another began", pair[0].start.attempt)
                })?;
                ensure!(end.at <= pair[1].start.at, "two attempts of {name} overlap: {pair:?}");
            }
            for target in *after {
                let done = of(target)
                    .iter()
                    .filter_map(|run| run.end.as_ref())
                    .filter(|end| end.exit == Some(0))
                    .map(|end| end.at)
                    .max()
                    .with_context(|| format!("{target} never ended with 0, but {name} began"))?;
                let began = of_step[0].start.at;
                ensure!(done <= began, "{name} began at {began}, before {target} ended at {done}");
            }
        }
        Ok(())
    }

    /// The runs of these two names were at work at the same moment.
    pub fn overlap(&self, operation: impl ToString, one: &str, other: &str) -> Result<bool> {
        let runs = self.runs(operation)?;
        let of = |name: &str| runs.iter().filter(|run| run.start.name == name).collect::<Vec<_>>();
        let end = |run: &Run| run.end.as_ref().map_or(Timestamp::MAX, |end| end.at);
        Ok(of(one).iter().any(|a| of(other).iter().any(|b| a.start.at < end(b) && b.start.at < end(a))))
    }
}
