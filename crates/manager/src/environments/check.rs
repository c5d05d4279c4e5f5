//! What an environment must keep to, whoever changes it.

use crate::error::{FieldError, ManagerError, Result};
use crate::repeat::repeating;
use crate::work::{Note, Work};
use crate::{KeptAnswer, Manager, ManagerConfig, Principal, schema};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_failpoints::Point;
use tenantry_model::{Alias, EnvironmentId, EnvironmentSpec};

/// The setting that holds the platform's schema of `spec`.
const PLATFORM_SCHEMA: &str = "platform-schema";
/// Largest schema, in bytes as JSON.
const SCHEMA_LIMIT: usize = 256 * 1024;

impl Manager {
    /// The platform's JSON Schema of `spec` (members `apps` and `settings`), if one is set.
    pub async fn platform_schema(&self) -> Result<Option<Value>> {
        Ok(self.store.read().await?.setting(PLATFORM_SCHEMA).await?.filter(|schema| !schema.is_null()))
    }

    /// Sets or removes it; later creates and updates are checked against it, existing environments are not.
    pub async fn set_platform_schema(&self, who: &Principal, schema: Option<Value>) -> Result<()> {
        if let Some(schema) = &schema {
            let size = schema.to_string().len();
            if size > SCHEMA_LIMIT {
                return Err(ManagerError::TooLarge { what: "schema", size, limit: SCHEMA_LIMIT });
            }
            schema::compile("the platform's schema", schema)?;
        }
        repeating(|| async {
            let schema = schema.clone();
            let mut work = self.begin(who).await?;
            let before = work.tx.setting(PLATFORM_SCHEMA).await?.unwrap_or_default();
            let answer = schema.clone().map_or(KeptAnswer::Gone, KeptAnswer::PlatformSchema);
            let after = schema.unwrap_or_default();
            work.tx.put_setting(PLATFORM_SCHEMA, &after).await?;
            let target = format!("settings/{PLATFORM_SCHEMA}");
            work.audit(Note { action: "setting.put", target, reason: None, before, after }).await?;
            work.answer(answer, Point::SchemaPut).await
        })
        .await
    }
}

impl Work<'_> {
    /// Size first: a document that is too large is not worth a schema's time.
    pub(super) async fn check_spec(&mut self, spec: &EnvironmentSpec) -> Result<()> {
        let document = json!({ "apps": spec.apps, "settings": spec.settings });
        let (size, limit) = (document.to_string().len(), self.manager.config.max_spec_bytes);
        if size > limit {
            return Err(ManagerError::TooLarge { what: "spec", size, limit });
        }
        match self.tx.setting(PLATFORM_SCHEMA).await?.filter(|schema| !schema.is_null()) {
            None => Ok(()),
            Some(rules) => {
                schema::check(&schema::compile("the platform's schema", &rules)?, &document, "/spec")
            }
        }
    }
}

/// Labels are what Kubernetes label selectors match, so they keep to its rules.
pub(super) fn check_labels(labels: &BTreeMap<String, String>, config: &ManagerConfig) -> Result<()> {
    let mut wrong = Vec::new();
    if labels.len() > config.max_labels {
        let message = format!("has {} labels; at most {} are allowed", labels.len(), config.max_labels);
        wrong.push(FieldError { pointer: "/labels".to_owned(), message });
    }
    for (key, value) in labels.iter().take(config.max_labels) {
        let (prefix, name) = key.split_once('/').map_or((None, key.as_str()), |(p, n)| (Some(p), n));
        let prefix_fits = prefix.is_none_or(|prefix| prefix.parse::<Alias>().is_ok());
        let key_fits = prefix_fits && !name.is_empty() && is_label_text(name);
        if !key_fits || !is_label_text(value) {
            let at = key.chars().take(100).collect::<String>().replace('~', "~0").replace('/', "~1");
            let message = "is no Kubernetes label: use up to 63 of A-Z, a-z, 0-9, '-', '_' and '.', beginning and \
                           ending with a letter or digit (the key may have a DNS prefix and '/')";
            wrong.push(FieldError { pointer: format!("/labels/{at}"), message: message.to_owned() });
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(ManagerError::Invalid(wrong)) }
}

fn is_label_text(text: &str) -> bool {
    let edge = |b: &u8| b.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|b| edge(b) || matches!(b, b'-' | b'_' | b'.'))
        && bytes.first().is_none_or(edge)
        && bytes.last().is_none_or(edge)
}

/// An alias that looks like an id could never be looked up.
pub(super) fn check_aliases(aliases: &BTreeSet<Alias>, config: &ManagerConfig) -> Result<()> {
    if aliases.len() > config.max_aliases {
        let message = format!("has {} aliases; at most {} are allowed", aliases.len(), config.max_aliases);
        return Err(ManagerError::field("/aliases", message));
    }
    match aliases.iter().find(|alias| alias.as_str().parse::<EnvironmentId>().is_ok()) {
        Some(alias) => {
            Err(ManagerError::field("/aliases", format!("{alias} looks like an id: choose a name")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    #[test]
    fn labels_keep_to_the_rules_of_kubernetes() {
        let config = ManagerConfig::default();
        let one = |key: &str, value: &str| {
            check_labels(&BTreeMap::from([(key.to_owned(), value.to_owned())]), &config)
        };
        for (key, value) in [("tier", "gold"), ("acme.io/tier", ""), ("a", "A_b.c-1")] {
            assert!(one(key, value).is_ok(), "{key}={value}");
        }
        for (key, value) in [("", "x"), ("a b", "x"), ("A.io/x/y", "z"), ("tier", "-x"), ("tier", "ü")] {
            assert!(one(key, value).is_err(), "{key}={value}");
        }
        assert_eq!(one("a/b c", "x").unwrap_err().fields()[0].pointer, "/labels/a~1b c");
    }

    #[test]
    fn an_alias_that_looks_like_an_id_is_refused() {
        let alias: Alias = "0192d9a4-0000-7000-8000-000000000001".parse().unwrap();
        assert!(check_aliases(&BTreeSet::from([alias]), &ManagerConfig::default()).is_err());
    }
}
