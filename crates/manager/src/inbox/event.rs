//! An event that asks for an operation: a CloudEvent 1.0 in its structured or binary form, whichever way it came.

use crate::RequestKey;
use crate::error::FieldError;
use aws_lc_rs::digest;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use tenantry_model::{ConflictPolicy, EnvironmentState, EventCause, OperationName, hex};

/// The type of events that ask for an operation.
pub const OPERATION_REQUEST: &str = "io.tenantry.operation.request.v1";
/// The largest event: what a server of NATS carries if nobody sets it otherwise.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// The longest `id` and `source`, in bytes.
const LONGEST: usize = 1000;

/// Why something is no event that can be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventRefusal {
    /// It is in no form of a CloudEvent.
    #[error(
        "{0}; send a CloudEvent, either whole as application/cloudevents+json, or its data as application/json and its \
         attributes as headers that begin with ce-"
    )]
    Form(String),
    /// It breaks a rule.
    #[error("{} of the event: {}", .0.pointer, .0.message)]
    Invalid(FieldError),
    /// It is of a type that asks for nothing.
    #[error("events of the type {0:?} are not taken here; {OPERATION_REQUEST} is")]
    Type(String),
    /// It is from long ago: it may have been carried out when nobody remembers it any more.
    #[error(
        "the event is of {time}; one that is older than {limit:#} is not taken: send a new one, with an id of its own"
    )]
    TooOld {
        /// When it happened, as it says.
        time: Timestamp,
        /// The oldest that is taken.
        limit: jiff::SignedDuration,
    },
    /// Another event came under the same source and id.
    #[error("another event of {} came under the id {:?}: each needs an id of its own", .0.source, .0.id)]
    IdReused(EventCause),
}

impl EventRefusal {
    pub(super) fn invalid(pointer: &str, message: impl Into<String>) -> Self {
        Self::Invalid(FieldError { pointer: pointer.to_owned(), message: message.into() })
    }

    /// Stable code, kebab-case.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Form(_) => "event-form",
            Self::Invalid(_) => "event-invalid",
            Self::Type(_) => "event-type",
            Self::TooOld { .. } => "event-too-old",
            Self::IdReused(_) => "event-id-reused",
        }
    }
}

/// What is to be started: the data of an event. The fields are those of the API's `:run`, with the environment.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperationRequest {
    /// The environment: its id, `tenant/name`, or an alias.
    pub environment: String,
    /// `team.operation`; what begins with `lifecycle.` has methods of its own in the API.
    pub operation: OperationName,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// What the hooks read as `operation.parameters`; checked by the definition's schema.
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// What to do when another operation is in the way; absent: what the definition says.
    #[serde(default)]
    pub on_conflict: Option<ConflictPolicy>,
    /// The state in which the sender saw the environment; in another one the event is refused.
    #[serde(default)]
    pub expected_state: Option<EnvironmentState>,
    /// When a schedule wanted it.
    #[serde(default)]
    pub scheduled_time: Option<Timestamp>,
}

/// An event that asks for an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestEvent {
    /// What names it.
    pub cause: EventCause,
    /// When it happened.
    pub time: Timestamp,
    /// The W3C trace that its sender is in.
    pub traceparent: Option<String>,
    /// What it asks for.
    pub data: OperationRequest,
    hash: String,
}

impl RequestEvent {
    /// Reads what came; names of headers in lower case.
    ///
    /// # Errors
    /// It is no event that asks for an operation.
    pub fn read(headers: &[(String, String)], body: &[u8]) -> Result<Self, EventRefusal> {
        let kind = header(headers, "content-type");
        let essence =
            kind.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence.starts_with("application/cloudevents-batch") {
            return Err(EventRefusal::Form(
                "events are not taken in batches: send each by itself".to_owned(),
            ));
        }
        if essence == "application/cloudevents+json" || essence == "application/cloudevents" {
            return Self::structured(body);
        }
        if header(headers, "ce-specversion").is_none() {
            let what = kind.unwrap_or("of no stated content type");
            return Err(EventRefusal::Form(format!("this is no CloudEvent: the body is {what}")));
        }
        if essence != "application/json" && !essence.ends_with("+json") {
            let what = kind.unwrap_or("of no stated content type");
            return Err(EventRefusal::Form(format!("the data of the event is {what}, not JSON")));
        }
        let mut attributes = Map::new();
        for (name, value) in headers {
            if let Some(name) = name.strip_prefix("ce-") {
                let value = unescaped(value)
                    .ok_or_else(|| EventRefusal::invalid(&format!("/{name}"), "is no UTF-8 in percent"))?;
                if attributes.insert(name.to_owned(), Value::String(value)).is_some() {
                    return Err(EventRefusal::invalid(&format!("/{name}"), "is there twice"));
                }
            }
        }
        Self::of(&attributes, &json(body, "/data")?)
    }

    fn structured(body: &[u8]) -> Result<Self, EventRefusal> {
        let Value::Object(mut attributes) = json(body, "")? else {
            return Err(EventRefusal::invalid("", "must be one event, a JSON object"));
        };
        if attributes.contains_key("data_base64") {
            return Err(EventRefusal::invalid("/data_base64", "is not read: give `data` as JSON"));
        }
        let data = attributes.remove("data").unwrap_or_default();
        Self::of(&attributes, &data)
    }

    fn of(attributes: &Map<String, Value>, data: &Value) -> Result<Self, EventRefusal> {
        let version = text(attributes, "specversion")?;
        if version != "1.0" {
            return Err(EventRefusal::invalid("/specversion", format!("is {version:?}; 1.0 is read")));
        }
        let kind = text(attributes, "type")?;
        if kind != OPERATION_REQUEST {
            return Err(EventRefusal::Type(kind.chars().take(200).collect()));
        }
        let cause = EventCause {
            source: text(attributes, "source")?.to_owned(),
            id: text(attributes, "id")?.to_owned(),
        };
        // Optional elsewhere; without it nobody could tell an old event that comes again from a new one.
        let time = text(attributes, "time")?;
        let time: Timestamp = time.parse().map_err(|_| {
            EventRefusal::invalid("/time", format!("{time:?} is no time (2026-11-21T06:00:00Z)"))
        })?;
        let asked: OperationRequest = OperationRequest::deserialize(data)
            .map_err(|why| EventRefusal::invalid("/data", why.to_string()))?;
        let traceparent = attributes.get("traceparent").and_then(Value::as_str);
        let hash = sha256(&[kind, &time.to_string(), &data.to_string()]);
        Ok(Self {
            cause,
            time,
            traceparent: traceparent.filter(|text| is_trace(text)).map(str::to_owned),
            data: asked,
            hash,
        })
    }

    /// What the same event is known by when it comes again. No client can choose such a key: it holds a space.
    #[must_use]
    pub fn key(&self) -> RequestKey {
        let EventCause { source, id } = &self.cause;
        RequestKey { key: format!("cloudevent {}", sha256(&[source, id])), hash: self.hash.clone() }
    }
}

/// The names of `source` and `id` of what may be an event, for people.
pub(super) fn names(headers: &[(String, String)], body: &[u8]) -> (Option<String>, Option<String>) {
    let whole = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let of = |name: &str| {
        let found =
            header(headers, &format!("ce-{name}")).or_else(|| whole.get(name).and_then(Value::as_str));
        found.map(|text| text.chars().take(200).collect())
    };
    (of("source"), of("id"))
}

pub(super) fn header<'h>(headers: &'h [(String, String)], wanted: &str) -> Option<&'h str> {
    headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

fn json(body: &[u8], pointer: &str) -> Result<Value, EventRefusal> {
    serde_json::from_slice(body).map_err(|why| EventRefusal::invalid(pointer, format!("is no JSON: {why}")))
}

fn text<'a>(attributes: &'a Map<String, Value>, name: &str) -> Result<&'a str, EventRefusal> {
    let pointer = format!("/{name}");
    let text = match attributes.get(name) {
        None => return Err(EventRefusal::invalid(&pointer, "is missing")),
        Some(value) => value.as_str().ok_or_else(|| EventRefusal::invalid(&pointer, "must be text"))?,
    };
    if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
        let rule = format!("must be 1 to {LONGEST} bytes, none of them a control character");
        return Err(EventRefusal::invalid(&pointer, rule));
    }
    Ok(text)
}

/// The shape of W3C `traceparent`.
fn is_trace(text: &str) -> bool {
    text.len() == 55
        && text.bytes().enumerate().all(|(at, byte)| {
            if matches!(at, 2 | 35 | 52) { byte == b'-' } else { matches!(byte, b'0'..=b'9' | b'a'..=b'f') }
        })
}

/// Percents become what they stand for.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Of each part with its length.
fn sha256(parts: &[&str]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    hex(context.finish().as_ref())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;
    use serde_json::json;

    fn event() -> Value {
        json!({
            "specversion": "1.0", "id": "7", "source": "urn:crm", "type": OPERATION_REQUEST,
            "time": "2026-11-21T06:00:00Z", "datacontenttype": "application/json",
            "data": { "environment": "acme/prod", "operation": "crm.reindex" }
        })
    }

    fn structured(event: &Value) -> Result<RequestEvent, EventRefusal> {
        let headers = [("content-type".to_owned(), "application/cloudevents+json; charset=utf-8".to_owned())];
        RequestEvent::read(&headers, event.to_string().as_bytes())
    }

    #[test]
    fn both_forms_are_the_same_event() {
        let whole = structured(&event()).unwrap();
        let headers: Vec<(String, String)> = [
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", "%37"),
            ("ce-source", "urn:crm"),
            ("ce-type", OPERATION_REQUEST),
            ("ce-time", "2026-11-21T06:00:00Z"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let parts = RequestEvent::read(&headers, event()["data"].to_string().as_bytes()).unwrap();
        assert_eq!(parts, whole);
        assert_eq!(parts.key(), whole.key());
    }

    #[test]
    fn the_key_is_of_source_and_id_and_the_hash_of_the_rest() {
        let first = structured(&event()).unwrap().key();
        for (pointer, value, same_key) in [
            ("/data/operation", json!("crm.other"), true),
            ("/time", json!("2026-11-21T06:00:01Z"), true),
            ("/id", json!("8"), false),
            ("/source", json!("urn:other"), false),
        ] {
            let mut other = event();
            *other.pointer_mut(pointer).unwrap() = value;
            let other = structured(&other).unwrap().key();
            assert_eq!(other.key == first.key, same_key, "{pointer}");
            assert_eq!(other.hash == first.hash, !same_key, "{pointer}");
        }
        assert!(first.key.contains(' '));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (pointer, value, why) in [
            ("/specversion", json!("0.3"), "1.0"),
            ("/type", json!("com.example.x"), "com.example.x"),
            ("/id", json!(""), "/id"),
            ("/id", json!(7), "/id"),
            ("/source", Value::Null, "/source"),
            ("/time", json!("yesterday"), "/time"),
            ("/data", json!([]), "/data"),
            ("/data/operation", json!("Not A Name"), "/data"),
        ] {
            let mut wrong = event();
            *wrong.pointer_mut(pointer).unwrap() = value;
            let refused = structured(&wrong).unwrap_err();
            assert!(refused.to_string().contains(why), "{pointer}: {refused}");
        }
        let mut further = event();
        further["data"]["priority"] = json!("high");
        assert!(structured(&further).unwrap_err().to_string().contains("priority"));
        let mut timeless = event();
        timeless.as_object_mut().unwrap().remove("time");
        assert!(structured(&timeless).unwrap_err().to_string().contains("/time"));
    }

    #[test]
    fn what_is_in_no_form_of_an_event_is_told_which_forms_there_are() {
        let read = |kind: &str, body: &str| {
            let headers = [("content-type".to_owned(), kind.to_owned())];
            RequestEvent::read(&headers, body.as_bytes()).unwrap_err()
        };
        for (kind, body, why) in [
            ("application/x-www-form-urlencoded", "environment=acme", "form-urlencoded"),
            ("application/json", "{}", "no CloudEvent"),
            ("application/cloudevents-batch+json", "[]", "by itself"),
        ] {
            let refused = read(kind, body);
            assert_eq!(refused.code(), "event-form");
            assert!(refused.to_string().contains(why) && refused.to_string().contains("ce-"), "{refused}");
        }
        assert_eq!(read("application/cloudevents+json", "[]").code(), "event-invalid");
        assert_eq!(read("application/cloudevents+json", "{").code(), "event-invalid");
    }
}
