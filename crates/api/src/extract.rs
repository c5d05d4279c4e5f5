//! Bodies, queries and paths as types; what cannot be read says where.

use crate::problem::{Answer, Problem};
use axum::{
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_path_to_error::{Path as ErrorPath, Segment};
use tenantry_api_types::v1::{DEFAULT_PAGE_SIZE, FieldError, MAX_BODY_BYTES, MAX_PAGE_SIZE};
use tenantry_model::{HookRef, Page};

/// A JSON body. An empty one counts as `{}`: most verbs need to say nothing.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, _: &S) -> Answer<Self> {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, MAX_BODY_BYTES)
            .await
            .map_err(|_| Problem::new("invalid-body", "the body cannot be read"))?;
        if bytes.is_empty() {
            return parse(b"{}").map(Self);
        }
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
        if essence.is_none_or(|essence| !essence.eq_ignore_ascii_case("application/json")) {
            let detail =
                format!("the body is {}; send application/json", kind.unwrap_or("of no stated content type"));
            return Err(Problem::new("unsupported-media-type", detail).at("content-type", "application/json"));
        }
        parse(&bytes).map(Self)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|why| refused(&pointer(why.path()), why.inner()))?;
    reader.end().map_err(|why| refused("", &why))?;
    Ok(value)
}

fn refused(pointer: &str, why: &serde_json::Error) -> Problem {
    let (line, column) = (u32::try_from(why.line()).ok(), u32::try_from(why.column()).ok());
    let full = why.to_string();
    // serde_json writes the place behind the message; here it has members of its own.
    let message = full.rsplit_once(" at line ").map_or(full.as_str(), |(message, _)| message);
    let (code, what) = if why.is_data() {
        ("invalid-body", "the body is not as expected")
    } else {
        ("malformed-json", "the body is no JSON")
    };
    let place = if pointer.is_empty() { String::new() } else { format!(" at {pointer}") };
    Problem::new(code, format!("{what}{place} (line {}, column {}): {message}", why.line(), why.column()))
        .with_error(FieldError { pointer: pointer.to_owned(), detail: message.to_owned(), line, column })
}

fn pointer(path: &ErrorPath) -> String {
    path.iter().fold(String::new(), |mut text, segment| {
        match segment {
            Segment::Map { key } => {
                text.push('/');
                text.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Seq { index } => {
                text.push('/');
                text.push_str(&index.to_string());
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
        text
    })
}

/// Query parameters; unknown ones are refused by their type.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|axum::extract::Query(value)| Self(value)).map_err(
            |why| {
                let full = why.body_text();
                let message = full.rsplit_once(": ").map_or(full.as_str(), |(_, message)| message);
                let name = full.split(": ").nth(1).filter(|name| !name.contains(' ') && *name != message);
                Problem::new("invalid-query", format!("the query cannot be read: {message}"))
                    .at(name.unwrap_or_default(), message)
            },
        )
    }
}

/// Path segments by name, each read by its own type.
pub(crate) struct Segments(RawPathParams);

impl<S: Send + Sync> FromRequestParts<S> for Segments {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        params.map(Self).map_err(|why| Problem::new("invalid-path", why.body_text()))
    }
}

impl Segments {
    /// The segment called `name`.
    pub(crate) fn get<T: std::str::FromStr>(&self, name: &str) -> Answer<T>
    where
        T::Err: std::fmt::Display,
    {
        self.text(name).parse().map_err(|why: T::Err| self.unreadable(name, &why))
    }

    /// The segment called `name`, a hook or step as `region.namespace.name`.
    pub(crate) fn hook(&self, name: &str) -> Answer<HookRef> {
        HookRef::from_slug(self.text(name)).map_err(|why| self.unreadable(name, &why))
    }

    fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    fn unreadable(&self, name: &str, why: &impl std::fmt::Display) -> Problem {
        Problem::new(
            "invalid-path",
            format!("{name} {:?} in the path cannot be read: {why}", self.text(name)),
        )
        .at(name, why.to_string())
    }
}

/// The part of a list that is wanted.
pub(crate) fn page(size: Option<u32>, token: Option<&str>) -> Answer<Page> {
    let limit = size.unwrap_or(DEFAULT_PAGE_SIZE);
    if limit == 0 || limit > MAX_PAGE_SIZE {
        let rule = format!("must be 1 to {MAX_PAGE_SIZE}");
        return Err(
            Problem::new("invalid-query", format!("pageSize is {limit}; it {rule}")).at("pageSize", rule)
        );
    }
    Ok(Page { after: token.map(open_token).transpose()?, limit })
}

/// Page tokens are the list's own keys, wrapped so that nobody builds them by hand.
pub(crate) fn seal_token(key: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key)
}

fn open_token(token: &str) -> Answer<String> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|key| !key.is_empty() && key.len() <= 1000)
        .ok_or_else(|| {
            Problem::new("invalid-page-token", "the page token is not one that this server made")
                .at("pageToken", "send nextPageToken of the page before unchanged")
        })
}

/// A JSON answer, with the ETag of what it shows.
pub(crate) fn answer<T: Serialize>(status: StatusCode, etag: Option<&str>, body: &T) -> Answer<Response> {
    let bytes = serde_json::to_vec(body)
        .map_err(|why| Problem::new("internal", format!("an answer cannot be written: {why}")))?;
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response();
    if let Some(value) = etag.and_then(|etag| etag.parse().ok()) {
        response.headers_mut().insert(header::ETAG, value);
    }
    Ok(response)
}

/// The ETag that a change must state.
pub(crate) fn required_etag(headers: &HeaderMap) -> Answer<String> {
    stated_etag(headers)?.ok_or_else(|| {
        Problem::new("if-match-required", "this change needs the header If-Match with the resource's etag")
            .at("if-match", "is missing")
    })
}

/// The ETag in `If-Match`.
pub(crate) fn stated_etag(headers: &HeaderMap) -> Answer<Option<String>> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text.len() < 3 || !text.starts_with('"') || !text.ends_with('"') || text.contains(',') {
        let detail = "If-Match must be one strong etag in quotation marks, as the resource shows it";
        return Err(Problem::new("if-match-invalid", detail).at("if-match", detail));
    }
    Ok(Some(text.to_owned()))
}

/// The revision that a resource's ETag stands for.
pub(crate) fn revision(etag: &str) -> Answer<u64> {
    etag.trim_matches('"').parse().map_err(|_| {
        // It has the right form and is of no revision: whatever the caller saw, it is not the present one.
        Problem::new("revision-mismatch", format!("the resource has another etag than {etag}"))
    })
}
