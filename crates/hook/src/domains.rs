//! Under which prefixes a region's annotations count (`tenantry.io/tenant.after`, `collibra.com/tenant.after`).
//!
//! Cheap enough for every event of a metadata watch. It must never judge what an annotation says.

use std::collections::BTreeMap;

/// The annotation domains of a region, in the order of the configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnotationDomains(Vec<String>);

impl Default for AnnotationDomains {
    fn default() -> Self {
        Self(vec!["tenantry.io".to_owned()])
    }
}

impl AnnotationDomains {
    /// Checks each domain (a DNS subdomain). An empty list is the default `tenantry.io`.
    pub fn new<I: IntoIterator<Item = S>, S: Into<String>>(
        domains: I,
    ) -> Result<Self, tenantry_model::InvalidName> {
        let _ = domains.into_iter();
        todo!("signature first")
    }

    /// The domains.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The part after `tenant.` if the key is a contract annotation of one of the domains
    /// (`collibra.com/tenant.after` → `after`).
    #[must_use]
    pub fn contract_key<'k>(&self, key: &'k str) -> Option<&'k str> {
        let (domain, name) = key.split_once('/')?;
        let rest = name.strip_prefix("tenant.")?;
        self.0.iter().any(|known| known == domain).then_some(rest)
    }
}

/// Whether an object with these annotations means to be a hook: it has any `<domain>/tenant.*` annotation. The
/// answer for a metadata watch: only a candidate is read as a whole and given to [`crate::parse`].
#[must_use]
pub fn is_candidate(annotations: &BTreeMap<String, String>, domains: &AnnotationDomains) -> bool {
    annotations.keys().any(|key| domains.contract_key(key).is_some())
}
