//! Numbers about the server and about what it manages, as Prometheus reads them; names follow OpenTelemetry
//! (`http.server.*`, `cicd.pipeline.*`), with the dots that Prometheus does not know as underscores.

use crate::{problem::Answer, problem::Problem};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{collections::BTreeMap, time::Duration};
use tenantry_manager::{Manager, Principal};
use tenantry_model::{Page, Paged};
use tenantry_store::{AttentionFilter, OperationFilter};

/// A scrape reads at most so many pages of 1,000 rows: the numbers are a lower bound beyond.
const MAX_PAGES: usize = 10;

#[allow(clippy::struct_field_names)] // the names are OpenTelemetry's
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    http_request_method: String,
    http_route: String,
    http_response_status_code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    cicd_pipeline_name: String,
    cicd_pipeline_run_state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttentionLabels {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RegionLabels {
    region: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabels {
    sink: String,
}

/// Counted while serving.
pub(crate) struct Metrics {
    duration: Family<RequestLabels, Histogram, fn() -> Histogram>,
    panics: Counter,
    streams: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            duration: Family::new_with_constructor(|| {
                Histogram::new([
                    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
                ])
            }),
            panics: Counter::default(),
            streams: Gauge::default(),
        }
    }

    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let labels = RequestLabels {
            http_request_method: method.to_owned(),
            http_route: route.to_owned(),
            http_response_status_code: status,
        };
        self.duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn panicked(&self) {
        self.panics.inc();
    }

    pub(crate) fn streams(&self) -> &Gauge {
        &self.streams
    }

    /// Everything, in the text format; what is managed is read now.
    pub(crate) async fn text(&self, manager: &Manager) -> Answer<String> {
        let mut registry = Registry::default();
        registry.register_with_unit(
            "http_server_request_duration",
            "Time from a request's head to its answer's head",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register("tenantry_panics", "Requests that ended in a defect", self.panics.clone());
        registry.register(
            "tenantry_open_streams",
            "Event and log streams that are open",
            self.streams.clone(),
        );
        managed(&mut registry, manager).await?;
        let mut text = String::new();
        encode(&mut text, &registry)
            .map_err(|why| Problem::new("internal", format!("the metrics cannot be written: {why}")))?;
        Ok(text)
    }
}

async fn managed(registry: &mut Registry, manager: &Manager) -> Answer<()> {
    let system = Principal::system();
    let runs = Family::<RunLabels, Gauge>::default();
    let filter = OperationFilter { unfinished: true, ..OperationFilter::default() };
    let mut page = Page { after: None, limit: 1000 };
    for _ in 0..MAX_PAGES {
        let Paged { items, next } = manager.operations(&system, filter.clone(), &page).await?;
        for operation in items {
            let labels = RunLabels {
                cicd_pipeline_name: operation.name.to_string(),
                cicd_pipeline_run_state: word(&operation.state),
            };
            runs.get_or_create(&labels).inc();
        }
        page.after = next;
        if page.after.is_none() {
            break;
        }
    }
    registry.register("cicd_pipeline_run_active", "Operations that have not ended", runs);

    let mut waiting = BTreeMap::<String, i64>::new();
    let mut page = Page { after: None, limit: 1000 };
    for _ in 0..MAX_PAGES {
        let Paged { items, next } = manager.attentions(&system, AttentionFilter::default(), &page).await?;
        for item in items {
            *waiting.entry(word(&item.kind)).or_default() += 1;
        }
        page.after = next;
        if page.after.is_none() {
            break;
        }
    }
    let attention = Family::<AttentionLabels, Gauge>::default();
    for (kind, count) in waiting {
        attention.get_or_create(&AttentionLabels { kind }).set(count);
    }
    registry.register("tenantry_attention", "Things that wait for a person", attention);

    let alive = Family::<RegionLabels, Gauge>::default();
    for region in manager.regions(&system).await? {
        let is_alive = manager.is_alive(&region);
        alive.get_or_create(&RegionLabels { region: region.name.to_string() }).set(i64::from(is_alive));
    }
    registry.register("tenantry_region_alive", "1 while the region's agent speaks, else 0", alive);
    messages(registry, manager).await
}

/// What goes out to sinks, and what came in and was refused.
async fn messages(registry: &mut Registry, manager: &Manager) -> Answer<()> {
    let [behind, parked, dead, tries] = std::array::from_fn(|_| Family::<SinkLabels, Gauge>::default());
    for sink in manager.event_sinks().await? {
        let labels = SinkLabels { sink: sink.name };
        let set = |family: &Family<SinkLabels, Gauge>, value: u64| {
            family.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&behind, sink.newest.saturating_sub(sink.position));
        set(&parked, u64::try_from(sink.parked.len()).unwrap_or(u64::MAX));
        set(&dead, sink.dead_letters);
        set(&tries, u64::from(sink.tries));
    }
    for (name, help, family) in [
        (
            "tenantry_event_sink_behind",
            "Events that the sink has not looked at yet, also those that it does not want",
            behind,
        ),
        ("tenantry_event_sink_parked", "Environments whose events wait for another try", parked),
        ("tenantry_event_sink_dead_letters", "Events that were given up", dead),
        ("tenantry_event_sink_tries", "How often in a row the sink took nothing", tries),
    ] {
        registry.register(name, help, family);
    }
    let refused = Gauge::<i64>::default();
    refused.set(i64::try_from(manager.count_letters().await?).unwrap_or(i64::MAX));
    registry.register(
        "tenantry_refused_messages",
        "Messages that asked for operations and were refused",
        refused,
    );
    Ok(())
}

/// A state as the API writes it.
fn word<T: serde::Serialize>(state: &T) -> String {
    serde_json::to_value(state).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
