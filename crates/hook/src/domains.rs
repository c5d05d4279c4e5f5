//! Under which prefixes a region's annotations count (`tenantry.io/tenant.after`, `collibra.com/tenant.after`).
//!
//! Cheap enough for every event of a metadata watch. It must never judge what an annotation says.

use crate::annotations;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::OperationName;

/// The annotation domains of a region, in the order of the configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnotationDomains(Vec<String>);

impl Default for AnnotationDomains {
    fn default() -> Self {
        Self(vec!["tenantry.io".to_owned()])
    }
}

impl AnnotationDomains {
    /// Checks each domain (a DNS subdomain); one given twice counts once. An empty list is the default `tenantry.io`.
    pub fn new<I: IntoIterator<Item = S>, S: Into<String>>(
        domains: I,
    ) -> Result<Self, tenantry_model::InvalidName> {
        let mut checked: Vec<String> = Vec::new();
        for domain in domains {
            let domain = domain.into();
            // An alias has the same rule (DNS subdomain); only its words are about something else.
            if domain.parse::<tenantry_model::Alias>().is_err() {
                return Err(tenantry_model::InvalidName {
                    what: "annotation domain",
                    given: domain.chars().take(100).collect(),
                    rule: "use a DNS subdomain of at most 253 of a-z, 0-9, '-' and '.' (collibra.com)",
                });
            }
            if !checked.contains(&domain) {
                checked.push(domain);
            }
        }
        Ok(if checked.is_empty() { Self::default() } else { Self(checked) })
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
/// answer for a metadata watch: only a candidate is read as a whole and given to [`crate::parse()`].
#[must_use]
pub fn is_candidate(annotations: &BTreeMap<String, String>, domains: &AnnotationDomains) -> bool {
    annotations.keys().any(|key| domains.contract_key(key).is_some())
}

/// For which operations an object with these annotations is a hook, when that can be told without doubt: then one for
/// other operations need not be read as a whole. `None`: only [`crate::parse()`] can tell, or say what is wrong.
#[must_use]
pub fn plain_operations(
    of: &BTreeMap<String, String>,
    domains: &AnnotationDomains,
) -> Option<BTreeSet<OperationName>> {
    let mut values = of
        .iter()
        .filter(|(key, _)| domains.contract_key(key) == Some("lifecycle"))
        .map(|(_, value)| value.as_str());
    let value = values.next()?;
    if values.any(|other| other != value) {
        return None;
    }
    let operations: BTreeSet<OperationName> =
        annotations::words(value).map(str::parse).collect::<Result<_, _>>().ok()?;
    (!operations.is_empty()).then_some(operations)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    #[test]
    fn only_tenant_annotations_of_a_configured_domain_make_a_candidate() {
        let domains = AnnotationDomains::new(["collibra.com", "tenantry.io"]).unwrap();
        let of = |key: &str| BTreeMap::from([(key.to_owned(), String::new())]);
        assert!(is_candidate(&of("collibra.com/tenant.lifecycle"), &domains));
        assert!(
            is_candidate(&of("tenantry.io/tenant.atfer"), &domains),
            "a typing error must be read to be told"
        );
        for other in
            ["example.com/tenant.lifecycle", "tenant.lifecycle", "collibra.com/tenancy", "x/y/tenant.a"]
        {
            assert!(!is_candidate(&of(other), &domains), "{other}");
        }
    }

    #[test]
    fn operations_are_told_from_annotations_alone_only_when_there_is_no_doubt() {
        let domains = AnnotationDomains::new(["collibra.com", "tenantry.io"]).unwrap();
        let of = |all: &[(&str, &str)]| {
            let all = all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            plain_operations(&all, &domains)
                .map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let both = vec!["crm.reindex".to_owned(), "lifecycle.upsert".to_owned()];
        assert_eq!(of(&[("collibra.com/tenant.lifecycle", " lifecycle.upsert, crm.reindex,")]), Some(both));
        assert_eq!(of(&[("example.com/tenant.lifecycle", "lifecycle.upsert")]), None);
        assert_eq!(of(&[("tenantry.io/tenant.lifecycle", "Lifecycle.upsert")]), None);
        assert_eq!(of(&[("tenantry.io/tenant.lifecycle", "")]), None);
        assert_eq!(of(&[("tenantry.io/tenant.lifecycel", "lifecycle.upsert")]), None);
        assert_eq!(
            of(&[("collibra.com/tenant.lifecycle", "a.b"), ("tenantry.io/tenant.lifecycle", "a.c")]),
            None,
            "a conflict is for the reader of the whole to tell"
        );
    }

    #[test]
    fn a_domain_is_checked_and_none_is_the_default() {
        assert!(AnnotationDomains::new(["Collibra.com"]).is_err());
        assert!(AnnotationDomains::new(["a/b"]).is_err());
        let none: [&str; 0] = [];
        assert_eq!(AnnotationDomains::new(none).unwrap().iter().collect::<Vec<_>>(), ["tenantry.io"]);
    }
}
