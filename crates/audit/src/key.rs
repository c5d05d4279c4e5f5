//! The keys that sign heads: Ed25519, as PEM files that openssl reads too.

use crate::chain::sha256;
use crate::head::{Head, SignedHead};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";
/// An Ed25519 public key as `SubjectPublicKeyInfo` (RFC 8410) is this, then the key's 32 bytes.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is no such key.
    #[error("this is no Ed25519 {0} in PEM form")]
    Unreadable(&'static str),
    /// The crypto library refused (no randomness).
    #[error("a key cannot be made: {0}")]
    Refused(&'static str),
}

/// A private key.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.public.id())
    }
}

impl Signer {
    /// A new key.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Refused("no randomness"))?;
        Self::of(pair)
    }

    /// A key that [`Signer::to_pem`] wrote (PKCS#8).
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (der, _) = unwrap(text, PRIVATE).ok_or(KeyError::Unreadable("private key"))?;
        let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| KeyError::Unreadable("private key"))?;
        Self::of(pair)
    }

    fn of(pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        let der: PublicKeyX509Der<'_> =
            pair.public_key().as_der().map_err(|_| KeyError::Refused("its public half has no form"))?;
        let public = PublicKey::from_der(der.as_ref())?;
        Ok(Self { pair, public })
    }

    /// As a file that only its owner may read.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let der = self.pair.to_pkcs8v1().map_err(|_| KeyError::Refused("it has no PKCS#8 form"))?;
        Ok(wrap(PRIVATE, der.as_ref()))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a head.
    ///
    /// # Errors
    /// Never for a head that was made by this program: it is plain data.
    pub fn sign(&self, head: &Head) -> Result<SignedHead, serde_json::Error> {
        let payload = serde_json::to_string(head)?;
        let signature = BASE64.encode(self.pair.sign(payload.as_bytes()).as_ref());
        Ok(SignedHead { payload, key: self.public.id(), signature })
    }
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// All keys of a PEM file, in its order; other text between them is left alone.
    pub fn all_from_pem(mut text: &str) -> Result<Vec<Self>, KeyError> {
        let mut keys = Vec::new();
        while let Some((der, rest)) = unwrap(text, PUBLIC) {
            keys.push(Self::from_der(&der)?);
            text = rest;
        }
        if keys.is_empty() { Err(KeyError::Unreadable("public key")) } else { Ok(keys) }
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        der.strip_prefix(&SPKI_PREFIX)
            .and_then(|key| key.try_into().ok())
            .map(Self)
            .ok_or(KeyError::Unreadable("public key"))
    }

    /// As a file for the auditor.
    #[must_use]
    pub fn to_pem(&self) -> String {
        wrap(PUBLIC, &[&SPKI_PREFIX[..], &self.0].concat())
    }

    /// The first 16 digits of the SHA-256 of its DER form.
    #[must_use]
    pub fn id(&self) -> String {
        let mut id = sha256(&[&SPKI_PREFIX[..], &self.0].concat());
        id.truncate(16);
        id
    }

    /// Whether this key made the head's signature.
    #[must_use]
    pub fn signed(&self, head: &SignedHead) -> bool {
        BASE64.decode(&head.signature).is_ok_and(|signature| {
            UnparsedPublicKey::new(&ED25519, self.0).verify(head.payload.as_bytes(), &signature).is_ok()
        })
    }
}

fn wrap(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}

/// The first block with this label, and the text after it.
fn unwrap<'t>(text: &'t str, label: &str) -> Option<(Vec<u8>, &'t str)> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, rest) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.split_whitespace().collect();
    Some((BASE64.decode(body).ok()?, rest))
}
