//! The regions of Argo, from the document that the setting `argo-regions` names.

use crate::exit::{Exit, Failure};
use crate::settings::{OfGroup, Settings};
use anyhow::Result;
use std::path::Path;
use std::sync::Arc;
use tenantry_events::{Bearer, HttpSink};
use tenantry_identity::{EventsConfig, Identities};
use tenantry_manager::ArgoSinks;
use tenantry_model::with_causes;

/// What the manager has to know of them.
pub struct ArgoRegions {
    /// Who their bridges are.
    pub identities: Arc<Identities>,
    /// Where their events go.
    pub sinks: ArgoSinks,
}

/// All of them; `None`: there are none.
pub fn regions<G: OfGroup>(settings: &Settings<G>) -> Result<Option<ArgoRegions>> {
    let usage = |message: String| Failure::new(Exit::Usage, format!("argo-regions: {message}"));
    let Some(file) = settings.get("argo-regions") else { return Ok(None) };
    let identities = Identities::from_file(Path::new(file)).map_err(|error| usage(with_causes(&error)))?;
    for (region, page) in identities.pages() {
        let absolute = page.starts_with("https://") || page.starts_with("http://");
        if !absolute || page.contains(char::is_whitespace) {
            let message = format!("{file}: regions.{region}.ui: {page:?} is no address; write https://HOST");
            return Err(usage(message).into());
        }
    }
    let mut sinks = ArgoSinks::new();
    for (region, events) in identities.regions() {
        let sink = sink(events).map_err(|why| usage(format!("{file}: regions.{region}.events: {why}")))?;
        sinks.insert(region.clone(), Arc::new(sink));
    }
    Ok(Some(ArgoRegions { identities: Arc::new(identities), sinks }))
}

fn sink(events: &EventsConfig) -> Result<HttpSink, String> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| format!("cannot read the file {}: {error}", path.display()))
    };
    // Read again for each event, and once here: a file that is not there is an error of the start.
    read(&events.token_file)?;
    let authorities = events.ca_file.as_deref().map(read).transpose()?;
    let sink = HttpSink::with(&events.url, Bearer::File(events.token_file.clone()), authorities.as_deref())?;
    Ok(sink.in_mode(events.mode))
}
