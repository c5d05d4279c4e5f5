//! An event of the outbox as receivers get it.

use crate::Manager;
use crate::error::Result;
use crate::outbox::schema_name;
use serde_json::{Value, json};
use tenantry_events::{CloudEvent, sortable};
use tenantry_store::{EventRecord, Read, StoreError, Write};
use uuid::Uuid;

/// Setting: what tells this installation's events from another one's, when nobody has given it a name.
const INSTALLATION: &str = "installation";

impl Manager {
    /// `source` of all events; `None` before the installation has a name.
    pub(super) async fn event_source(&self, read: &mut (dyn Read + '_)) -> Result<Option<String>> {
        if let Some(source) = &self.config.event_source {
            return Ok(Some(source.clone()));
        }
        let kept = read.setting(INSTALLATION).await?;
        Ok(kept.and_then(|value| Some(format!("urn:uuid:{}", value["id"].as_str()?))))
    }

    /// Gives the installation a name, if it has and needs none; tells whether it did.
    pub(super) async fn name_installation(&self, write: &mut (dyn Write + '_)) -> Result<bool> {
        if self.config.event_source.is_some() || write.setting(INSTALLATION).await?.is_some() {
            return Ok(false);
        }
        write.put_setting(INSTALLATION, &json!({ "id": Uuid::new_v4() })).await?;
        Ok(true)
    }

    /// `source` of an event that is made now; the installation gets a name if it has none.
    pub(crate) async fn own_event_source(&self, write: &mut (dyn Write + '_)) -> Result<String> {
        self.name_installation(write).await?;
        self.event_source(write).await?.ok_or_else(|| {
            let source = "no id".into();
            StoreError::Damaged { table: "settings", key: INSTALLATION.to_owned(), source }.into()
        })
    }
}

/// The id holds the time as well: an installation that was set back to an older backup gives positions a second time.
pub(super) fn envelope(event: &EventRecord, source: &str, traceparent: Option<String>) -> CloudEvent {
    let id = format!("{}-{}", event.position, event.at.as_microsecond());
    let mut envelope = CloudEvent::new(id, source, &event.kind, event.at, event.data.clone());
    envelope.subject = subject(event);
    envelope.dataschema = Some(schema_name(&event.kind));
    envelope.partitionkey = event.environment.map(|id| id.to_string());
    envelope.sequence = Some(sortable(event.position));
    envelope.environmentversion = event.environment.map(|_| sortable(event.version));
    envelope.traceparent = traceparent;
    envelope
}

/// The resource's name, as the audit log has it.
fn subject(event: &EventRecord) -> Option<String> {
    let data = &event.data;
    let text = |key: &str| match &data[key] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let noun = event.kind.strip_prefix("io.tenantry.")?.split('.').next()?;
    Some(match noun {
        "environment" => format!("environments/{}", text("id")?),
        "operation" => format!("operations/{}", text("id")?),
        "step" => format!("operations/{}/steps/{}", text("operation")?, text("step")?),
        "attempt" => {
            format!("operations/{}/steps/{}/attempts/{}", text("operation")?, text("step")?, text("number")?)
        }
        "attention" => format!("attention/{}", text("id")?),
        "approval" => format!("approvals/{}", text("id")?),
        "hold" => format!("holds/{}", data["hold"]["id"].as_str()?),
        "hook" => format!("hooks/{}", text("hook")?),
        "schedule" => format!("schedules/{}", text("id").or_else(|| text("schedule"))?),
        "tenant" | "region" | "definition" => format!("{noun}s/{}", text("name")?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use tenantry_model::EnvironmentId;

    #[test]
    fn an_event_says_whose_order_it_keeps() {
        let mut event = EventRecord {
            position: 42,
            kind: "io.tenantry.step.changed.v1".to_owned(),
            environment: Some(EnvironmentId(Uuid::nil())),
            version: 7,
            operation: None,
            at: Timestamp::UNIX_EPOCH,
            data: json!({ "operation": "o", "step": "s" }),
        };
        let shown = envelope(&event, "urn:x", Some("00-1-2-01".to_owned()));
        assert_eq!(shown.id, "42-0");
        assert_eq!(shown.subject.as_deref(), Some("operations/o/steps/s"));
        assert_eq!(shown.partitionkey, Some(Uuid::nil().to_string()));
        assert_eq!(shown.sequence.as_deref(), Some("00000000000000000042"));
        assert_eq!(shown.environmentversion.as_deref(), Some("00000000000000000007"));
        event.environment = None;
        let shown = envelope(&event, "urn:x", None);
        assert_eq!((shown.partitionkey, shown.environmentversion), (None, None));
    }
}
