//! Carries an attempt's log from the API server to its observer, container after container.
//!
//! Follows while a container runs, reads the rest once it has ended (a followed stream notices the end only after up to
//! a second). It must never hold more than one buffer.

use crate::{Cluster, LogReader, Observer, classify::LogSource, namespace::pauses};
use bytes::Bytes;
use futures::{AsyncBufReadExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::LogParams};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tenantry_model::{AttemptId, Namespace};
use tokio::{sync::watch, time::Instant};

/// How long a container's status may take to follow its end on a busy node. A stream that was closed for another reason
/// (a kubelet that restarted) is opened again after this time.
const STATUS_LAG: Duration = Duration::from_secs(8);

/// What there is to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogPlan {
    /// In order.
    pub sources: Vec<LogSource>,
    /// No further source comes.
    pub over: bool,
}

/// Reads one attempt's log.
pub(crate) struct LogPump {
    pub cluster: Cluster,
    pub deadline: Duration,
    pub namespace: Namespace,
    pub attempt: AttemptId,
    pub from: u64,
    pub plan: watch::Receiver<LogPlan>,
    pub observer: Arc<dyn Observer>,
}

/// Where the attempt's whole log stands.
struct Out {
    offset: u64,
    at_line_start: bool,
}

impl LogPump {
    /// Runs until the log has ended, and says so.
    pub(crate) async fn run(mut self) {
        let mut out = Out { offset: 0, at_line_start: true };
        let mut done = BTreeSet::new();
        while let Some(source) = self.next(&done).await {
            self.read(&source, &mut out).await;
            done.insert((source.pod, source.container));
        }
        self.observer.log_end(&self.attempt, out.offset).await;
    }

    async fn next(&mut self, done: &BTreeSet<(String, String)>) -> Option<LogSource> {
        loop {
            let plan = self.plan.borrow_and_update().clone();
            let next =
                plan.sources.into_iter().find(|s| !done.contains(&(s.pod.clone(), s.container.clone())));
            if next.is_some() || plan.over {
                return next;
            }
            // The follower is gone: nobody wants the rest.
            self.plan.changed().await.ok()?;
        }
    }

    fn is_complete(&mut self, source: &LogSource) -> bool {
        let plan = self.plan.borrow_and_update();
        plan.over
            || plan
                .sources
                .iter()
                .any(|s| s.pod == source.pod && s.container == source.container && s.complete)
    }

    async fn read(&mut self, source: &LogSource, out: &mut Out) {
        let pods: Api<Pod> = self.cluster.namespaced(&self.namespace);
        let mut reader = LogReader::default();
        let mut wait = pauses();
        // Begins when the container has ended: then there is no reason for the log not to be there.
        let mut give_up: Option<Instant> = None;
        loop {
            let complete = self.is_complete(source);
            if complete && give_up.is_none() {
                give_up = Some(Instant::now() + self.deadline);
            }
            reader.reopen(!complete);
            let before = reader.position();
            let problem = match self.stream(&pods, source, complete, &mut reader, out).await {
                Ok(End::Whole) => break,
                Ok(End::Completed) => continue,
                Ok(End::Closed) => {
                    // Most often the container has ended and its status is on the way: one read less.
                    if tokio::time::timeout(STATUS_LAG, completed(&mut self.plan, source)).await.is_ok() {
                        continue;
                    }
                    "the stream was closed".to_owned()
                }
                Err(error) => error,
            };
            if reader.position() != before {
                wait = pauses();
            }
            if give_up.is_some_and(|at| at <= Instant::now()) {
                tracing::warn!(attempt = %self.attempt, pod = %source.pod, problem, "the log cannot be read to its end");
                let note = format!("[tenantry: the rest of this log could not be read: {problem}]\n");
                if !out.at_line_start {
                    self.give(b"\n", "", out).await;
                }
                self.give(note.as_bytes(), &source.prefix, out).await;
                return;
            }
            let pause = wait.next().unwrap_or(Duration::from_secs(1));
            tokio::time::sleep(pause).await;
        }
        if !out.at_line_start && !source.prefix.is_empty() {
            self.give(b"\n", "", out).await;
        }
    }

    /// One stream, from where the reader stands to its end.
    async fn stream(
        &mut self,
        pods: &Api<Pod>,
        source: &LogSource,
        complete: bool,
        reader: &mut LogReader,
        out: &mut Out,
    ) -> Result<End, String> {
        let params = LogParams {
            container: Some(source.container.clone()),
            follow: !complete,
            timestamps: true,
            since_time: reader.since(),
            ..LogParams::default()
        };
        let what = format!("read the log of {}/{}", self.namespace, source.pod);
        let stream =
            self.cluster.once(&what, pods.log_stream(&source.pod, &params)).await.map_err(|error| {
                error.server_message().map_or_else(|| error.to_string(), ToOwned::to_owned)
            })?;
        pin_mut!(stream);
        let mut fresh = Vec::new();
        loop {
            let taken = tokio::select! {
                biased;
                bytes = stream.fill_buf() => {
                    let bytes = bytes.map_err(|error| error.to_string())?;
                    reader.feed(bytes, &mut fresh);
                    bytes.len()
                }
                completed = completed(&mut self.plan, source), if !complete => {
                    // Without a follower nobody reads on.
                    return if completed { Ok(End::Completed) } else { Ok(End::Whole) };
                }
            };
            if taken == 0 {
                return Ok(if complete { End::Whole } else { End::Closed });
            }
            stream.consume_unpin(taken);
            if !fresh.is_empty() {
                self.give(&fresh, &source.prefix, out).await;
                fresh.clear();
            }
        }
    }

    /// Gives bytes to the observer, each line after its prefix; what it had in an earlier life is left out.
    async fn give(&self, bytes: &[u8], prefix: &str, out: &mut Out) {
        let bytes = prefixed(bytes, prefix, &mut out.at_line_start);
        let begin = out.offset;
        out.offset += bytes.len() as u64;
        let had = usize::try_from(self.from.saturating_sub(begin)).unwrap_or(usize::MAX);
        if had < bytes.len() {
            self.observer.log(&self.attempt, begin + had as u64, bytes.slice(had..)).await;
        }
    }
}

/// How a stream ended.
enum End {
    /// Everything was read.
    Whole,
    /// The container has ended: the rest is read without following.
    Completed,
    /// While the container runs: it must be opened again.
    Closed,
}

/// Waits until the container's end is known. `false`: the follower is gone.
async fn completed(plan: &mut watch::Receiver<LogPlan>, source: &LogSource) -> bool {
    plan.wait_for(|plan| {
        plan.over
            || plan
                .sources
                .iter()
                .any(|s| s.pod == source.pod && s.container == source.container && s.complete)
    })
    .await
    .is_ok()
}

fn prefixed(bytes: &[u8], prefix: &str, at_line_start: &mut bool) -> Bytes {
    let ends = bytes.last() == Some(&b'\n');
    if prefix.is_empty() {
        *at_line_start = ends;
        return Bytes::copy_from_slice(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len() + prefix.len());
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        if *at_line_start {
            out.extend_from_slice(prefix.as_bytes());
        }
        out.extend_from_slice(line);
        *at_line_start = line.last() == Some(&b'\n');
    }
    Bytes::from(out)
}
