//! Many operations of one step at once, beside as many Workflows of one Pod.

use crate::argo::{WORKFLOWS, WithArgo, workflow};
use crate::cluster::PEERS;
use crate::place::REGION;
use crate::table::{self, Table};
use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tenantry_api_types::v1::{Accepted, CreateEnvironment, OperationsQuery};
use tenantry_client::Call;

/// Calls that are under way at a time.
const CALLS: usize = 8;
const LOOK: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_mins(30);

impl WithArgo<'_> {
    /// So many environments made at once, each of which runs one hook, by each executor; and so many Workflows.
    pub fn queued(&self, count: usize, table: &mut Table) -> Result<()> {
        let peer = self.workflows_of_one(count)?;
        self.clear()?;
        let kubernetes = self.environments_at_once(REGION, count)?;
        let argo = self.environments_at_once(WORKFLOWS, count)?;
        self.clear()?;
        let a_minute = |took: Duration| table::count(count) * 60.0 / took.as_secs_f64();
        let mut row = |what: &str, took: Duration, aim| {
            let figure =
                format!("{count} one-step operations at once, {what} : as many Workflows, each a minute");
            table.ratio(&figure, a_minute(took), a_minute(peer), "", aim);
        };
        row("executor kubernetes", kubernetes, None);
        row("executor argo", argo, None);
        Ok(())
    }

    fn workflows_of_one(&self, count: usize) -> Result<Duration> {
        let items =
            (0..count).map(|n| workflow(&format!("one-{n:03}"), 1)).collect::<Result<Vec<Value>>>()?;
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
        let began = Instant::now();
        self.cluster.kubectl_with(&["create", "--validate=false", "-f", "-"], &list)?;
        self.succeed(PEERS, "--all")?;
        Ok(began.elapsed())
    }

    fn environments_at_once(&self, region: &str, count: usize) -> Result<Duration> {
        let body = |n: usize| -> Result<CreateEnvironment> {
            let name = format!("{region}-{n:03}");
            Ok(serde_json::from_value(json!({"tenant": "acme", "name": name, "region": region, "spec": {}}))?)
        };
        let bodies = (0..count).map(body).collect::<Result<Vec<_>>>()?;
        let client = self.site.client();
        let began = Instant::now();
        let calls = stream::iter(&bodies)
            .map(|body| async move { client.create_environment(body, &Call::default()).await })
            .buffer_unordered(CALLS);
        let made: Vec<Accepted> = self.site.call::<Vec<Accepted>>(async { calls.try_collect().await })?;
        let query = OperationsQuery { unfinished: true, page_size: Some(1), ..OperationsQuery::default() };
        while !self.site.call(client.operations(&query))?.items.is_empty() {
            ensure!(began.elapsed() < PATIENCE, "operations do not end");
            std::thread::sleep(LOOK);
        }
        let took = began.elapsed();
        for accepted in made.into_iter().filter_map(|accepted| accepted.operation) {
            self.site.wait_succeeded(accepted.id)?;
        }
        Ok(took)
    }
}
