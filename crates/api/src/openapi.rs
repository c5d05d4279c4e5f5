//! The OpenAPI document: what the routes say, plus what holds for every one of them.
//!
//! Headers, problems, security and roles are added here from the access table, once, so that no route can forget
//! them; paths get their public form.

use crate::{
    access::{self, Access},
    verbs,
};
use serde_json::{Map, Value, json};
use tenantry_api_types::v1::{IDEMPOTENCY_KEY, ProblemDocument};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Components, InfoBuilder, OpenApi, OpenApiBuilder},
};

const DESCRIPTION: &str = "\
Tenant lifecycle management. Long-running answers are operations (AIP-151): `202` holds one, `/v1/operations/{operation}` \
and its events tell how it goes. Every POST has an `Idempotency-Key`, and may be repeated with it; PATCH, PUT and DELETE may have one too. Changes of a \
resource state its `etag` as `If-Match`. With `validateOnly` a change is only checked. Every refusal is a problem document (RFC 9457) with a stable `code`. \
Lists come in pages. Streams are server-sent events; `Last-Event-ID` goes on where a stream broke.";

/// What the document begins with.
pub(crate) fn head() -> OpenApi {
    let mut schemas = Vec::new();
    ProblemDocument::schemas(&mut schemas);
    schemas.push((ProblemDocument::name().into_owned(), ProblemDocument::schema()));
    let mut components = Components::new();
    components.schemas.extend(schemas);
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("tenantry")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(DESCRIPTION))
                .license(Some(utoipa::openapi::LicenseBuilder::new().name("Apache-2.0").build())),
        )
        .components(Some(components))
        .build()
}

/// The finished document as text with a newline at its end.
pub(crate) fn text(document: OpenApi) -> String {
    // A document made of plain data always serialises; should it not, the test that compares it fails.
    let mut root = serde_json::to_value(document).unwrap_or_default();
    if let Some(paths) = root.get_mut("paths").and_then(Value::as_object_mut) {
        let inner = std::mem::take(paths);
        for (path, mut item) in inner {
            let path = verbs::public(&path);
            if let Some(item) = item.as_object_mut() {
                for (method, operation) in item.iter_mut() {
                    if let Some(operation) = operation.as_object_mut() {
                        complete(&path, &method.to_uppercase(), operation);
                    }
                }
            }
            paths.insert(path, item);
        }
    }
    root["components"]["securitySchemes"] = json!({ "token": { "type": "http", "scheme": "bearer", "description": "A token of `tenantry token create`; for agents the region's credential." } });
    let mut text = serde_json::to_string_pretty(&root).unwrap_or_default();
    text.push('\n');
    text
}

fn complete(path: &str, method: &str, operation: &mut Map<String, Value>) {
    let Some(rule) = access::RULES.iter().find(|rule| rule.path == path && rule.method == method) else {
        return;
    };
    let (security, who) = match rule.access {
        Access::Public => (json!([]), "anybody".to_owned()),
        Access::Join => (json!([{ "token": [] }]), "a join token".to_owned()),
        Access::Agent => (json!([{ "token": [] }]), "a region's agent".to_owned()),
        Access::Bridge => (json!([{ "token": [] }]), "a bridge of a region of Argo".to_owned()),
        Access::Api(least, target) => (
            json!([{ "token": [] }]),
            format!("{} on {}", format!("{least:?}").to_lowercase(), scope(target)),
        ),
    };
    operation.insert("security".to_owned(), security);
    operation.insert("x-tenantry-access".to_owned(), Value::String(who));
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut)
        && rule.access != Access::Public
    {
        responses.insert(
            "default".to_owned(),
            json!({
                "description": "A problem; `code` says which (docs/errors).",
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/ProblemDocument" } } }
            }),
        );
    }
    if !matches!(rule.access, Access::Api(..)) {
        return;
    }
    let mut headers = Vec::new();
    if method != "GET" {
        let required = method == "POST";
        let and = if required { " Not needed with `validateOnly`." } else { "" };
        let text = format!(
            "1 to 255 visible ASCII characters, new for each new request. The same request under the same key is \
             carried out once and gets the same answer (`idempotency-replayed: true`).{and}"
        );
        headers.push(header(IDEMPOTENCY_KEY, required, &text));
    }
    if matches!(method, "PATCH" | "DELETE") {
        headers.push(header("if-match", true, "The resource's `etag`."));
    }
    if method == "PUT" {
        headers.push(header(
            "if-match",
            false,
            "The resource's `etag`; or `if-none-match: *` to make a new one.",
        ));
    }
    if !headers.is_empty()
        && let Some(list) = operation.entry("parameters").or_insert_with(|| json!([])).as_array_mut()
    {
        list.extend(headers);
    }
}

fn scope(on: access::On) -> &'static str {
    use access::On;
    match on {
        On::Own => "anything",
        On::Installation => "all",
        On::Tenant => "the tenant",
        On::Environment | On::EnvironmentInQuery => "the environment",
        On::Operation => "the operation's environment",
        On::Hold => "the hold's region, or all",
        On::Approval => "the approval's environment",
        On::Region => "the region",
        On::Hook => "the hook's region",
        On::Schedule => "the environment, tenant or region of the schedule",
        On::Body => "the tenant and region that the body names",
    }
}

fn header(name: &str, required: bool, description: &str) -> Value {
    json!({ "name": name, "in": "header", "required": required, "description": description, "schema": { "type": "string" } })
}
