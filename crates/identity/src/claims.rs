//! What a service account token says, as a cluster's API server writes it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

/// The part of the header that decides about the key; nothing in it is proven.
#[derive(Deserialize)]
pub(crate) struct Header {
    pub(crate) alg: String,
    pub(crate) kid: Option<String>,
}

impl Header {
    pub(crate) fn of(token: &str) -> Option<Self> {
        let (header, _) = token.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()
    }
}

/// Claims of a token whose signature was found good. What older tokens lack is optional here, so that they are refused
/// for what is wrong with them and not as unreadable.
#[derive(Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    #[serde(default)]
    pub(crate) aud: Audiences,
    pub(crate) exp: Option<i64>,
    pub(crate) nbf: Option<i64>,
    #[serde(default, rename = "kubernetes.io")]
    pub(crate) kubernetes: Kubernetes,
}

/// One or several (RFC 7519 §4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Audiences {
    One(String),
    Several(Vec<String>),
}

impl Default for Audiences {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Audiences {
    pub(crate) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}

/// To what the token is bound.
#[derive(Default, Deserialize)]
pub(crate) struct Kubernetes {
    pub(crate) pod: Option<Bound>,
}

#[derive(Deserialize)]
pub(crate) struct Bound {
    pub(crate) name: String,
    pub(crate) uid: String,
}
