//! Custom methods: `/v1/environments/{id}:suspend` in public, `/v1/environments/{id}/~suspend` for the router.
//!
//! The router cannot match a suffix within a segment, so the path is rewritten once, before routing, and the public
//! form is restored wherever a path is shown (OpenAPI, access table, metrics). Nothing else knows of the inner form.

use axum::http::{Request, Uri, uri::PathAndQuery};

/// Begins the router's own segment of a custom method.
const MARK: &str = "/~";

/// Rewrites the path of a custom method to the router's form. A path that already has that form names nothing, so
/// it is changed to one that no route has.
pub(crate) fn rewrite<B>(mut request: Request<B>) -> Request<B> {
    if let Some(uri) = inner_uri(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

fn inner_uri(uri: &Uri) -> Option<Uri> {
    let path = inner_path(uri.path())?;
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

fn inner_path(path: &str) -> Option<String> {
    if path.contains(MARK) {
        return Some("/~".to_owned());
    }
    let last = path.rfind('/')? + 1;
    let (target, verb) = path.get(last..)?.rsplit_once(':')?;
    if target.is_empty() || verb.is_empty() || !verb.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
        return None;
    }
    Some(format!("{}{target}{MARK}{verb}", path.get(..last)?))
}

/// The public form of a route's path.
pub(crate) fn public(path: &str) -> String {
    path.replace(MARK, ":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(path: &str) -> String {
        rewrite(Request::builder().uri(path).body(()).unwrap()).uri().to_string()
    }

    #[test]
    fn a_custom_method_becomes_a_segment_of_its_own() {
        assert_eq!(rewritten("/v1/environments/1:suspend?a=b:c"), "/v1/environments/1/~suspend?a=b:c");
        assert_eq!(
            rewritten("/v1/o/1/steps/eu.crm.a.b:declare-lost"),
            "/v1/o/1/steps/eu.crm.a.b/~declare-lost"
        );
        assert_eq!(rewritten("/agent/v1/commands:lease"), "/agent/v1/commands/~lease");
        assert_eq!(public(&rewritten("/v1/environments/1:suspend")), "/v1/environments/1:suspend");
    }

    #[test]
    fn other_paths_stay_as_they_are() {
        for path in [
            "/",
            "/v1/tenants",
            "/v1/a:b/c",
            "/v1/tenants/a%3Ab",
            "/v1/x:",
            "/v1/:run",
            "/v1/x:Run",
            "/v1/x:r/",
        ] {
            assert_eq!(rewritten(path), path);
        }
    }

    #[test]
    fn the_inner_form_cannot_be_asked_for() {
        assert_eq!(rewritten("/v1/environments/1/~suspend"), "/~");
    }
}
