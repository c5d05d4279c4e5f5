//! Template → [`Hook`], or everything that is wrong with it.

use crate::{AnnotationDomains, Hook, RegionPolicy};
use serde_json::Value;
use tenantry_model::{Problem, TemplateHash};

/// Reads a Job, as JSON *as the API server or the file gave it* (a typed Job has already dropped unknown fields).
/// All problems are collected; the order is that of the manifest.
pub fn parse(
    template: &Value,
    domains: &AnnotationDomains,
    policy: &RegionPolicy,
) -> Result<Hook, Vec<Problem>> {
    let _ = (template, domains, policy);
    todo!("signature first")
}

/// The content hash of a template: contract annotations and allow-listed spec as stored, without what changes when
/// the same manifest is deleted and created again (uid, controller labels, selector, status, tracking metadata).
#[must_use]
pub fn template_hash(template: &Value, domains: &AnnotationDomains) -> TemplateHash {
    let _ = (template, domains);
    todo!("signature first")
}
