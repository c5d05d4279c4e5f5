//! The candidates that are there now, page by page: for a program that looks once and ends.
//!
//! Of ten thousand Jobs it holds one page, and of each Job no more than its names and annotations. It must never read a
//! candidate as a whole.

use crate::{Cluster, RunError, Scope, discovery::is_template};
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Resource,
    api::ListParams,
    core::{ListMeta, Request},
};
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use tenantry_hook::AnnotationDomains;
use tenantry_model::{HookPath, Namespace};

/// A Job that means to be a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub path: HookPath,
    /// Its annotations, the foreign ones too.
    pub annotations: BTreeMap<String, String>,
}

/// A listing under way. An error with code 410 means that it took too long: what it gave is void, and a new one begins
/// from the start.
pub struct CandidatePages {
    cluster: Cluster,
    domains: AnnotationDomains,
    page: u32,
    /// `None`: the whole cluster.
    scopes: VecDeque<Option<Namespace>>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: ListMeta,
    /// The API server writes `null` for none.
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

/// What is needed of an object's metadata: the rest is passed over while it is read, and most of it is field managers.
#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: String,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}

impl CandidatePages {
    /// Begins; nothing is sent yet. A page holds at most `page` Jobs.
    #[must_use]
    pub fn new(cluster: Cluster, scope: &Scope, domains: AnnotationDomains, page: u32) -> Self {
        let scopes = match scope {
            Scope::Cluster => VecDeque::from([None]),
            Scope::Namespaces(names) => names.iter().cloned().map(Some).collect(),
        };
        Self { cluster, domains, page, scopes, next: None }
    }

    /// The candidates of the next page, which may be none; `None` after the last page.
    pub async fn next(&mut self) -> Result<Option<Vec<Candidate>>, RunError> {
        let Some(scope) = self.scopes.front() else { return Ok(None) };
        let namespace = scope.as_ref().map(Namespace::as_str);
        let mut params = ListParams::default().limit(self.page);
        params.continue_token.clone_from(&self.next);
        let request = Request::new(Job::url_path(&(), namespace));
        let what = match namespace {
            Some(namespace) => format!("list the Jobs of namespace {namespace}"),
            None => "list the Jobs of the cluster".to_owned(),
        };
        let client = self.cluster.client();
        let page: Page = self
            .cluster
            .until_answered(&what, || async {
                let request = request.list_metadata(&params).map_err(kube::Error::BuildRequest)?;
                client.request(request).await
            })
            .await?;
        self.next = page.metadata.continue_.filter(|token| !token.is_empty());
        if self.next.is_none() {
            self.scopes.pop_front();
        }
        let found = page.items.into_iter().flatten().filter_map(|item| {
            let Metadata { name, namespace, labels, annotations } = item.metadata;
            if !is_template(labels.as_ref(), annotations.as_ref(), &self.domains) {
                return None;
            }
            let path = HookPath { namespace: namespace.parse().ok()?, name: name.parse().ok()? };
            Some(Candidate { path, annotations: annotations.unwrap_or_default() })
        });
        Ok(Some(found.collect()))
    }
}
