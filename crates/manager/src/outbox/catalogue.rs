//! All types of events, with the schema of what each carries.

use super::{
    APPROVAL_CHANGED, ATTEMPT_CHANGED, ATTENTION_RAISED, ATTENTION_SETTLED, DEFINITION_CHANGED,
    ENVIRONMENT_CHANGED, HOLD_CHANGED, HOOK_CHANGED, OPERATION_CHANGED, REGION_CHANGED, SCHEDULE_CHANGED,
    SCHEDULE_DELETED, SCHEDULE_FIRED, SCHEDULE_RUN_CHANGED, STEP_CHANGED, TENANT_CHANGED, TENANT_DELETED,
    pictures as p,
};
use crate::inbox::{OPERATION_REQUEST, OperationRequest};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

/// What schemas are called by: a name, not an address.
const SCHEMAS: &str = "https://tenantry.io/schemas/events";

/// A type of events.
pub struct EventType {
    /// `io.tenantry.step.changed.v1`, …
    pub kind: &'static str,
    /// When it comes, in a sentence.
    pub about: &'static str,
    /// It may be about an environment, whose order it keeps.
    pub ordered: bool,
    /// The JSON Schema of its data.
    pub schema: Value,
}

/// The name of a type's schema: `dataschema` of its events, and `$id` of the schema.
#[must_use]
pub fn schema_name(kind: &str) -> String {
    format!("{SCHEMAS}/{kind}.json")
}

/// All of them.
#[must_use]
pub fn event_types() -> Vec<EventType> {
    vec![
        of::<p::Environment>(ENVIRONMENT_CHANGED, true, "An environment was made or has changed."),
        of::<p::Operation>(OPERATION_CHANGED, true, "An operation was requested or has changed."),
        of::<p::Step>(STEP_CHANGED, true, "A step was planned or has changed."),
        of::<p::Attempt>(ATTEMPT_CHANGED, true, "An attempt was made or has changed."),
        of::<p::Attention>(ATTENTION_RAISED, true, "Something waits for a person."),
        of::<p::Attention>(ATTENTION_SETTLED, true, "Something waits for a person no more."),
        of::<p::Approval>(APPROVAL_CHANGED, true, "A verb waits for a second person, or was decided."),
        of::<p::Run>(SCHEDULE_RUN_CHANGED, true, "A run of a schedule has changed."),
        of::<p::Tenant>(TENANT_CHANGED, false, "A tenant was made or has changed."),
        of::<p::Tenant>(TENANT_DELETED, false, "A tenant was removed."),
        of::<p::Region>(REGION_CHANGED, false, "A region was made or has changed."),
        of::<p::Hook>(HOOK_CHANGED, false, "A hook was seen in its region, has changed or has gone."),
        of::<p::Hold>(HOLD_CHANGED, false, "A hold by predicate was set or lifted."),
        of::<p::Definition>(DEFINITION_CHANGED, false, "An operation definition was stored or removed."),
        of::<p::Schedule>(SCHEDULE_CHANGED, false, "A schedule was made or has changed."),
        of::<p::Schedule>(SCHEDULE_DELETED, false, "A schedule was removed."),
        of::<p::Fired>(SCHEDULE_FIRED, false, "A schedule's time has come."),
    ]
}

/// Those that are taken, with the schema of what they must carry.
#[must_use]
pub fn received_types() -> Vec<EventType> {
    let settings = SchemaSettings::default().for_deserialize();
    vec![with::<OperationRequest>(settings, OPERATION_REQUEST, false, "An operation is asked for.")]
}

fn of<T: JsonSchema>(kind: &'static str, ordered: bool, about: &'static str) -> EventType {
    with::<T>(SchemaSettings::default().for_serialize(), kind, ordered, about)
}

fn with<T: JsonSchema>(
    settings: SchemaSettings,
    kind: &'static str,
    ordered: bool,
    about: &'static str,
) -> EventType {
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    if let Some(members) = schema.as_object_mut() {
        members.insert("$id".to_owned(), json!(schema_name(kind)));
        members.insert("title".to_owned(), json!(kind));
    }
    EventType { kind, about, ordered, schema }
}
