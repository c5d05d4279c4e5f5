//! The `AsyncAPI` document: the same types of events, for whoever generates receivers.

use super::{event_types, received_types};
use std::fmt::Write as _;

const HEAD: &str = "\
# Written by the tests from the code (docs/guide/events.md): UPDATE=1 cargo test --workspace --test events
asyncapi: 3.0.0
info:
  title: tenantry events
  version: 1.0.0
  description: >-
    CloudEvents 1.0 for every change of environments, operations, steps and attempts, and for what waits for a person. Each is
    delivered at least once; a delivery of the same event has the same source and id. Those with the same partitionkey come in
    the order of their sequence. And CloudEvents that tenantry takes: each asks for an operation.
  license:
    name: Apache-2.0
defaultContentType: application/cloudevents+json
";

const COMMON: &str = "  messageTraits:
    cloudEvent:
      contentType: application/cloudevents+json
      headers:
        type: object
        description: In binary HTTP mode the attributes are headers with the prefix ce-, and the payload is data alone.
        properties:
          webhook-id: {type: string, description: The event's id.}
          webhook-timestamp: {type: string, description: 'Seconds since 1970, when it was sent.'}
          webhook-signature: {type: string, description: 'v1,BASE64 of HMAC-SHA256 over id.timestamp.body, one for each secret.'}
  schemas:
    received:
      type: object
      required: [specversion, id, source, type, time, data]
      properties:
        specversion: {const: '1.0'}
        id: {type: string, minLength: 1, maxLength: 1000, description: Unique within the source; the same event is carried out once.}
        source: {type: string, minLength: 1, maxLength: 1000, description: Who asks.}
        time: {type: string, format: date-time, description: One that is old is refused.}
        traceparent: {type: string, description: The W3C trace that the sender is in.}
    envelope:
      type: object
      required: [specversion, id, source, type, time, datacontenttype, dataschema, sequence, data]
      properties:
        specversion: {const: '1.0'}
        id: {type: string, description: Unique within the source.}
        source: {type: string, format: uri, description: Which installation.}
        time: {type: string, format: date-time}
        datacontenttype: {const: application/json}
        dataschema: {type: string, format: uri, description: The name of the schema of data.}
        subject: {type: string}
        partitionkey: {type: string, format: uuid, description: 'The environment, if it is about one.'}
        sequence: {type: string, pattern: '^[0-9]{20}$', description: The position among all events of the source.}
        environmentversion: {type: string, pattern: '^[0-9]{20}$', description: 'The environment''s version that the change made.'}
        traceparent: {type: string, description: The W3C trace of the operation's request.}
";

/// The document, in YAML.
#[must_use]
pub fn asyncapi() -> String {
    let types = event_types();
    let mut text = HEAD.to_owned();
    // Writing to a String cannot fail.
    text.push_str("channels:\n  http:\n    address: null\n    description: The URL of an HTTP sink takes all types by POST.\n    messages:\n");
    for one in &types {
        let key = key(one.kind);
        let _ = writeln!(text, "      {key}: {{$ref: '#/components/messages/{key}'}}");
    }
    text.push_str(
        "  jetstream:\n    address: '{prefix}.{environment}.{type}'\n    description: A NATS sink publishes to these subjects.\n",
    );
    text.push_str("    parameters:\n      prefix: {description: The sink's subjectPrefix.}\n");
    text.push_str("      environment: {description: The environment's id, or none.}\n");
    text.push_str("      type: {description: The type without io.tenantry.}\n    messages:\n");
    for one in &types {
        let key = key(one.kind);
        let _ = writeln!(text, "      {key}: {{$ref: '#/components/messages/{key}'}}");
    }
    let received = received_types();
    text.push_str(
        "  inbox-http:\n    address: /v1/cloudevents\n    description: The manager takes them by POST, with a bearer token.\n    messages:\n",
    );
    let listed = |text: &mut String| {
        for one in &received {
            let key = key(one.kind);
            let _ = writeln!(text, "      {key}: {{$ref: '#/components/messages/{key}'}}");
        }
    };
    listed(&mut text);
    text.push_str("  inbox-jetstream:\n    address: '{subject}'\n    description: The stream of the setting event-inbox.\n");
    text.push_str(
        "    parameters:\n      subject: {description: What the consumer is for.}\n    messages:\n",
    );
    listed(&mut text);
    text.push_str("operations:\n");
    for channel in ["http", "jetstream"] {
        let _ = writeln!(
            text,
            "  send-{channel}:\n    action: send\n    channel: {{$ref: '#/channels/{channel}'}}"
        );
    }
    for channel in ["inbox-http", "inbox-jetstream"] {
        let _ = writeln!(
            text,
            "  receive-{channel}:\n    action: receive\n    channel: {{$ref: '#/channels/{channel}'}}"
        );
    }
    text.push_str("components:\n  messages:\n");
    for one in &received {
        let (key, kind, about) = (key(one.kind), one.kind, one.about);
        let _ = writeln!(
            text,
            "    {key}:\n      name: {kind}\n      summary: {about}\n      payload:\n        allOf:\n          - $ref: \
             '#/components/schemas/received'\n          - type: object\n            properties:\n              type: \
             {{const: {kind}}}\n              data: {{$ref: 'schemas/events/{kind}.json'}}"
        );
    }
    for one in &types {
        let (key, kind, about) = (key(one.kind), one.kind, one.about);
        let _ = writeln!(
            text,
            "    {key}:\n      name: {kind}\n      summary: {about}\n      traits: [{{$ref: '#/components/messageTraits/cloudEvent'}}]\n      \
             payload:\n        allOf:\n          - $ref: '#/components/schemas/envelope'\n          - type: object\n            \
             properties:\n              type: {{const: {kind}}}\n              data: {{$ref: 'schemas/events/{kind}.json'}}"
        );
    }
    text.push_str(COMMON);
    text
}

/// `step.changed.v1` as a key: names of components may hold no more than letters, digits, `-`, `_` and dots.
fn key(kind: &str) -> &str {
    kind.strip_prefix("io.tenantry.").unwrap_or(kind)
}
