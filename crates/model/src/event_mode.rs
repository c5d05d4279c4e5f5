use serde::Deserialize;

/// The content modes of `CloudEvents` over HTTP: how an event travels in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventMode {
    /// The body is the envelope with the data in it.
    #[default]
    Structured,
    /// The body is the data; the envelope is headers.
    Binary,
}
