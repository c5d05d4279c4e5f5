//! Credentials: 256 random bits, shown once, stored as a SHA-256.

use crate::{Manager, Principal, Result};
use jiff::Timestamp;
use secrecy::SecretString;
use tenantry_model::{Page, Paged, RegionName, Role, Scope, Token, TokenId};

/// A credential that was just made.
#[derive(Debug)]
pub struct IssuedToken {
    /// Its row.
    pub token: Token,
    /// The bearer text; shown only now.
    pub secret: SecretString,
}

/// A verified credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A client of the API.
    Api(Principal),
    /// A join token that was not used yet.
    Join {
        /// The token.
        token: TokenId,
        /// The region that it opens.
        region: RegionName,
    },
    /// A region's agent.
    Agent {
        /// The token.
        token: TokenId,
        /// The only region it speaks for.
        region: RegionName,
    },
}

impl Manager {
    /// Makes a token for clients of the API.
    pub async fn create_token(
        &self,
        who: &Principal,
        name: String,
        role: Role,
        scopes: Vec<Scope>,
        expires_at: Option<Timestamp>,
    ) -> Result<IssuedToken> {
        todo!()
    }

    /// Tokens by id, revoked ones included.
    pub async fn tokens(&self, page: &Page) -> Result<Paged<Token>> {
        todo!()
    }

    /// Refuses the token from now on. Revoking twice changes nothing.
    pub async fn revoke_token(&self, who: &Principal, id: TokenId, reason: Option<String>) -> Result<Token> {
        todo!()
    }

    /// What a bearer text allows. The error does not tell a wrong secret from an unknown token.
    pub async fn verify(&self, secret: &str, origin: Option<String>) -> Result<Credential> {
        todo!()
    }

    /// On the very first start: an admin token. `None` on every later one.
    pub async fn ensure_admin_token(&self) -> Result<Option<IssuedToken>> {
        todo!()
    }
}
