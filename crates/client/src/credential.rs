//! A credential that its holder makes: the manager is told its hash, so that the secret travels only as the bearer of calls
//! and a request for it can be repeated.

use aws_lc_rs::{digest, error::Unspecified, rand};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use tenantry_model::{TokenId, hex};
use uuid::Uuid;

const PREFIX: &str = "tnt_";

/// A credential of the form that the manager gives out too: `tnt_`, the id's 32 hex digits, `_`, and the secret.
#[derive(Debug)]
pub struct NewCredential {
    /// The row it becomes.
    pub id: TokenId,
    secret: SecretString,
}

impl NewCredential {
    /// 256 bits from the system's random source.
    ///
    /// # Errors
    /// That source has nothing to give.
    pub fn generate() -> Result<Self, Unspecified> {
        let mut random = [0; 32];
        rand::fill(&mut random)?;
        Ok(Self { id: TokenId(Uuid::now_v7()), secret: BASE64_URL_SAFE_NO_PAD.encode(random).into() })
    }

    /// One that was kept as its bearer text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let id = TokenId(Uuid::try_parse(id).ok()?);
        (!secret.is_empty()).then(|| Self { id, secret: secret.to_owned().into() })
    }

    /// What its holder shows with each call.
    #[must_use]
    pub fn bearer(&self) -> SecretString {
        format!("{PREFIX}{}_{}", self.id.0.simple(), self.secret.expose_secret()).into()
    }

    /// What the manager is told of the secret.
    #[must_use]
    pub fn secret_sha256(&self) -> String {
        hex(digest::digest(&digest::SHA256, self.secret.expose_secret().as_bytes()).as_ref())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    #[test]
    fn a_credential_reads_back_from_its_bearer_text() {
        let new = NewCredential::generate().unwrap();
        let bearer = new.bearer();
        let read = NewCredential::parse(bearer.expose_secret()).unwrap();
        assert_eq!((read.id, read.secret_sha256()), (new.id, new.secret_sha256()));
        for bad in ["", "tnt_", "tnt_x_y", "abc", &format!("tnt_{}_", new.id.0.simple())] {
            assert!(NewCredential::parse(bad).is_none(), "{bad:?}");
        }
    }
}
