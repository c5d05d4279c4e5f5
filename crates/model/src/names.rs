//! Names that people type. Each is checked once, when it is parsed; afterwards the type is the proof.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A name that breaks its rule. `Display` says which name, which rule, and what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {given:?} is not valid: {rule}")]
pub struct InvalidName {
    /// What the name is for, in words ("tenant name").
    pub what: &'static str,
    /// The text as it was given, cut to 100 characters.
    pub given: String,
    /// The rule in words.
    pub rule: &'static str,
}

const DNS_LABEL: &str = "use 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit";
const DNS_SUBDOMAIN: &str =
    "use 1 to 253 of a-z, 0-9, '-' and '.', each part beginning and ending with a letter or digit";
const OPERATION: &str = "use at least two parts joined by '.', each 1 to 40 of a-z, 0-9 and '-', beginning with a letter, at most 100 in all (lifecycle.upsert, crm.reindex)";

fn is_dns_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    !bytes.is_empty()
        && bytes.len() <= 63
        && bytes.iter().all(|b| edge(b) || *b == b'-')
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
}

fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

fn is_operation(text: &str) -> bool {
    text.len() <= 100
        && text.split('.').count() >= 2
        && text
            .split('.')
            .all(|part| part.len() <= 40 && is_dns_label(part) && part.as_bytes()[0].is_ascii_lowercase())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:ident, $rule:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        #[schema(value_type = String)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if $check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidName { what: $what, given: text.chars().take(100).collect(), rule: $rule })
                }
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

name!(
    /// A tenant: a customer, a venture; owns environments.
    TenantName, "tenant name", is_dns_label, DNS_LABEL
);
name!(
    /// An environment's name, unique within its tenant.
    EnvironmentName, "environment name", is_dns_label, DNS_LABEL
);
name!(
    /// A further name under which the lookup finds an environment; unique over all environments.
    Alias, "alias", is_dns_subdomain, DNS_SUBDOMAIN
);
name!(
    /// One cluster or site in which hooks run.
    RegionName, "region name", is_dns_label, DNS_LABEL
);
name!(
    /// A schedule; unique over the installation.
    ScheduleName, "schedule name", is_dns_label, DNS_LABEL
);
name!(
    /// A Kubernetes namespace.
    Namespace, "namespace", is_dns_label, DNS_LABEL
);
name!(
    /// The name of a hook's Job within its namespace.
    HookName, "hook name", is_dns_subdomain, DNS_SUBDOMAIN
);
name!(
    /// What an operation is called: `lifecycle.upsert`, `crm.reindex`.
    OperationName, "operation name", is_operation, OPERATION
);

/// `namespace/name`: a hook without its region, as `tenant.after` and people write it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct HookPath {
    /// The team's namespace.
    pub namespace: Namespace,
    /// The Job's name.
    pub name: HookName,
}

impl fmt::Display for HookPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
impl fmt::Debug for HookPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
impl FromStr for HookPath {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (namespace, name) = text.split_once('/').ok_or_else(|| InvalidName {
            what: "hook",
            given: text.chars().take(100).collect(),
            rule: "write it as namespace/name",
        })?;
        Ok(Self { namespace: namespace.parse()?, name: name.parse()? })
    }
}
impl TryFrom<String> for HookPath {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}
impl From<HookPath> for String {
    fn from(path: HookPath) -> String {
        path.to_string()
    }
}

/// A hook's identity, `region/namespace/name`; within one operation also the identity of its step.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct HookRef {
    /// Where it runs.
    pub region: RegionName,
    /// The team's namespace.
    pub namespace: Namespace,
    /// The Job's name.
    pub name: HookName,
}

impl HookRef {
    /// The hook in `region` that `path` names.
    #[must_use]
    pub fn new(region: RegionName, path: HookPath) -> Self {
        Self { region, namespace: path.namespace, name: path.name }
    }

    /// The identity without the region.
    #[must_use]
    pub fn path(&self) -> HookPath {
        HookPath { namespace: self.namespace.clone(), name: self.name.clone() }
    }

    /// `region.namespace.name`: the step's id in URLs. Region and namespace hold no dot, so it splits back.
    #[must_use]
    pub fn slug(&self) -> String {
        format!("{}.{}.{}", self.region, self.namespace, self.name)
    }

    /// Reads what [`HookRef::slug`] writes.
    pub fn from_slug(slug: &str) -> Result<Self, InvalidName> {
        let mut parts = slug.splitn(3, '.');
        let (Some(region), Some(namespace), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(InvalidName {
                what: "step",
                given: slug.chars().take(100).collect(),
                rule: "write it as region.namespace.name",
            });
        };
        Ok(Self { region: region.parse()?, namespace: namespace.parse()?, name: name.parse()? })
    }
}
impl fmt::Display for HookRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.region, self.namespace, self.name)
    }
}
impl fmt::Debug for HookRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
impl FromStr for HookRef {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (region, path) = text.split_once('/').ok_or_else(|| InvalidName {
            what: "hook",
            given: text.chars().take(100).collect(),
            rule: "write it as region/namespace/name",
        })?;
        Ok(Self::new(region.parse()?, path.parse()?))
    }
}
impl TryFrom<String> for HookRef {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}
impl From<HookRef> for String {
    fn from(hook: HookRef) -> String {
        hook.to_string()
    }
}

macro_rules! schema_of_text {
    ($($name:ident),*) => {$(
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                String::schema()
            }
        }
        impl utoipa::ToSchema for $name {}
    )*};
}
schema_of_text!(HookPath, HookRef);

/// The content hash of a hook's template (contract annotations and allow-listed spec), lower-case hex of
/// SHA-256. Compared only within one region: API servers fill in different defaults.
#[derive(
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct TemplateHash(pub String);

impl fmt::Display for TemplateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Debug for TemplateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0.get(..12).unwrap_or(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_checked_when_it_is_parsed() {
        assert!("acme-1".parse::<TenantName>().is_ok());
        for bad in ["", "-a", "a-", "Acme", "a b", "ü", &"a".repeat(64)] {
            assert!(bad.parse::<TenantName>().is_err(), "{bad:?}");
        }
        assert!("lifecycle.upsert".parse::<OperationName>().is_ok());
        for bad in ["upsert", "lifecycle.", ".upsert", "Lifecycle.upsert", "a.1b"] {
            assert!(bad.parse::<OperationName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_slug_splits_back_although_hook_names_may_hold_dots() {
        let hook: HookRef = "eu1/crm/crm.tenant.v2".parse().unwrap();
        assert_eq!(HookRef::from_slug(&hook.slug()).unwrap(), hook);
    }
}
