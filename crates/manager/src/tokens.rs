//! Credentials: 256 random bits, shown once, stored as a SHA-256.
//!
//! Bearer text: `tnt_` + the id's 32 hex digits + `_` + 43 characters base64url. The prefix lets scanners of
//! repositories find a leaked one; the id finds the row without a search by hash.

use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::work::Note;
use crate::{KeptAnswer, Manager, Principal};
use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tenantry_failpoints::Point;
use tenantry_model::{
    Actor, ActorKind, Page, Paged, RegionName, Role, Scope, Token, TokenId, TokenKind, hex,
};
use tenantry_mutants::{self as mutants, Mutant};
use uuid::Uuid;

const PREFIX: &str = "tnt_";
/// Longest name of a token, in characters.
const NAME_LIMIT: usize = 100;
/// Most scopes of one token.
const SCOPES_LIMIT: usize = 100;
/// The setting that says that the first admin token was made.
const FIRST_ADMIN: &str = "first-admin-token";
const REFUSED: ManagerError =
    ManagerError::Unauthenticated("the credential is not known, or has expired or been revoked");

/// A credential that was just made.
#[derive(Debug)]
pub struct IssuedToken {
    /// Its row.
    pub token: Token,
    /// The bearer text; shown only now.
    pub secret: SecretString,
}

/// A credential that its holder has made: only its hash is known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCredential {
    /// Its id, chosen by the holder.
    pub id: TokenId,
    /// SHA-256 of its secret's text, in 64 lower-case hex digits.
    pub secret_sha256: String,
}

impl OwnCredential {
    /// Its row as a region's agent.
    pub(crate) fn token(&self, name: String, region: &RegionName, now: Timestamp) -> Token {
        Token {
            id: self.id,
            name,
            secret_hash: self.secret_sha256.clone(),
            kind: TokenKind::Agent { region: region.clone() },
            created_at: now,
            expires_at: None,
            revoked_at: None,
        }
    }
}

/// A verified credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A client of the API.
    Api(Principal),
    /// A join token. One that was used opens nothing new; its agent may ask again for the answer.
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
    /// Makes a token for clients of the API. Nobody can give away more than a scope and a role of their own.
    pub async fn create_token(
        &self,
        who: &Principal,
        name: String,
        role: Role,
        scopes: Vec<Scope>,
        expires_at: Option<Timestamp>,
    ) -> Result<IssuedToken> {
        let length = name.chars().count();
        if length == 0 || length > NAME_LIMIT || name.chars().any(char::is_control) {
            let message = format!("must have 1 to {NAME_LIMIT} characters, none of them a control character");
            return Err(ManagerError::field("/name", message));
        }
        if scopes.is_empty() || scopes.len() > SCOPES_LIMIT {
            return Err(ManagerError::field("/scopes", format!("must name 1 to {SCOPES_LIMIT} scopes")));
        }
        let all = who.scopes.contains(&Scope::All);
        if role > who.role || !(all || scopes.iter().all(|scope| who.scopes.contains(scope))) {
            return Err(ManagerError::Forbidden("a token cannot have more rights than its maker".to_owned()));
        }
        repeating(|| async {
            let (name, scopes) = (name.clone(), scopes.clone());
            let mut work = self.begin(who).await?;
            if expires_at.is_some_and(|at| at <= work.now) {
                return Err(ManagerError::field("/expiresAt", "lies in the past"));
            }
            let mut issued = issue(name, TokenKind::Api { role, scopes }, expires_at, work.now)?;
            if mutants::on(Mutant::SecretInRow) {
                issued.token.secret_hash = issued.secret.expose_secret().to_owned();
            }
            if mutants::on(Mutant::SecretInLog) {
                tracing::info!(secret = issued.secret.expose_secret(), "a token was made");
            }
            let reason = mutants::on(Mutant::SecretInAudit).then(|| issued.secret.expose_secret());
            work.tx.put_token(&issued.token).await?;
            work.audit(note("token.create", &issued.token, reason, Value::Null)).await?;
            // With no answer: the secret is shown once and kept nowhere.
            work.commit(Point::TokenCreate).await?;
            Ok(issued)
        })
        .await
    }

    /// A token with which one agent can join the region, once, within an hour.
    pub(crate) async fn issue_join_token(&self, who: &Principal, region: &RegionName) -> Result<IssuedToken> {
        repeating(|| async {
            let mut work = self.begin(who).await?;
            if work.tx.region(region).await?.is_none() {
                return Err(ManagerError::not_found("region", region));
            }
            let expires_at = work.now.checked_add(self.config.join_token_time).ok();
            let kind = TokenKind::Join { region: region.clone(), used_at: None };
            let issued = issue(format!("join {region}"), kind, expires_at, work.now)?;
            work.tx.put_token(&issued.token).await?;
            work.audit(note("region.join-token", &issued.token, None, Value::Null)).await?;
            work.commit(Point::JoinTokenCreate).await?;
            Ok(issued)
        })
        .await
    }

    /// Tokens by id, revoked ones included.
    pub async fn tokens(&self, page: &Page) -> Result<Paged<Token>> {
        Ok(self.store.read().await?.tokens(page).await?)
    }

    /// Refuses the token from now on. Revoking twice changes nothing.
    pub async fn revoke_token(&self, who: &Principal, id: TokenId, reason: Option<String>) -> Result<Token> {
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let mut token = work.tx.token(id).await?.ok_or_else(|| ManagerError::not_found("token", id))?;
            if token.revoked_at.is_some() {
                work.unchanged(KeptAnswer::Revoked(without_hash(&token))).await?;
                return Ok(token);
            }
            let before = shown(&token);
            token.revoked_at = Some(work.now);
            work.tx.put_token(&token).await?;
            work.audit(note("token.revoke", &token, reason.as_deref(), before)).await?;
            work.answer(KeptAnswer::Revoked(without_hash(&token)), Point::TokenRevoke).await?;
            Ok(token)
        })
        .await
    }

    /// What a bearer text allows. The error does not tell a wrong secret from an unknown token.
    pub async fn verify(&self, secret: &str, origin: Option<String>) -> Result<Credential> {
        let (id, half) = split(secret).ok_or(REFUSED)?;
        let token = self.store.token(id).await?.ok_or(REFUSED)?;
        let given = hash(half);
        constant_time::verify_slices_are_equal(given.as_bytes(), token.secret_hash.as_bytes())
            .map_err(|_| REFUSED)?;
        usable(&token, self.now()).map_err(ManagerError::Unauthenticated)?;
        Ok(match token.kind {
            TokenKind::Api { role, scopes } => Credential::Api(Principal {
                actor: Actor { kind: ActorKind::Token, name: token.name },
                role,
                scopes,
                token: Some(id),
                origin,
                request: None,
                only_checks: false,
                traceparent: None,
                fence: None,
            }),
            TokenKind::Join { region, .. } => Credential::Join { token: id, region },
            TokenKind::Agent { region } => Credential::Agent { token: id, region },
        })
    }

    /// On the very first start: an admin token. `None` on every later one.
    pub async fn ensure_admin_token(&self) -> Result<Option<IssuedToken>> {
        self.ensure_admin_token_kept(|_| Ok(())).await
    }

    /// The same for a secret that a crash must not lose: `keep` puts it somewhere before it is valid. When it cannot, or a
    /// crash follows, the next start makes another one.
    pub async fn ensure_admin_token_kept<K>(&self, keep: K) -> Result<Option<IssuedToken>>
    where
        K: Fn(&SecretString) -> std::result::Result<(), String> + Send + Sync,
    {
        let who = Principal::system();
        repeating(|| async {
            let mut work = self.begin(&who).await?;
            if work.tx.setting(FIRST_ADMIN).await?.is_some() {
                return Ok(None);
            }
            let kind = TokenKind::Api { role: Role::Admin, scopes: vec![Scope::All] };
            let issued = issue("admin".to_owned(), kind, None, work.now)?;
            keep(&issued.secret).map_err(ManagerError::Internal)?;
            work.tx.put_token(&issued.token).await?;
            work.tx.put_setting(FIRST_ADMIN, &json!(issued.token.id)).await?;
            work.audit(note("token.create", &issued.token, Some("first start"), Value::Null)).await?;
            work.commit(Point::AdminTokenCreate).await?;
            Ok(Some(issued))
        })
        .await
    }
}

/// A new token with a secret from the system's random source.
pub(crate) fn issue(
    name: String,
    kind: TokenKind,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<IssuedToken> {
    let mut random = [0; 32];
    rand::fill(&mut random).map_err(|_| ManagerError::Internal("no random numbers to be had".to_owned()))?;
    let half = BASE64_URL_SAFE_NO_PAD.encode(random);
    let id = TokenId(Uuid::now_v7());
    let secret = SecretString::from(format!("{PREFIX}{}_{half}", id.0.simple()));
    let secret_hash = hash(&half);
    let token = Token { id, name, secret_hash, kind, created_at: now, expires_at, revoked_at: None };
    Ok(IssuedToken { token, secret })
}

/// Whether a token still counts; else a sentence that says why not.
pub(crate) fn usable(token: &Token, now: Timestamp) -> std::result::Result<(), &'static str> {
    if token.revoked_at.is_some() {
        return Err("the credential has been revoked");
    }
    if token.expires_at.is_some_and(|at| at <= now) {
        return Err("the credential has expired");
    }
    Ok(())
}

/// Why a join token opens nothing new.
pub(crate) const USED: &str = "this join token was used already: make a new one";

pub(crate) fn check_hash(sha256: &str) -> Result<()> {
    if sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(ManagerError::field("/secretSha256", "must be a SHA-256 in 64 lower-case hex digits"))
}

/// Refuses a credential whose id belongs to another one: whoever may join must not replace what somebody else holds.
pub(crate) fn same_credential(known: &Token, new: &Token, now: Timestamp) -> Result<()> {
    if known.kind != new.kind || known.secret_hash != new.secret_hash {
        return Err(ManagerError::field("/credential", "is the id of another credential: make a new one"));
    }
    usable(known, now).map_err(ManagerError::Unauthenticated)
}

fn split(secret: &str) -> Option<(TokenId, &str)> {
    let (id, half) = secret.strip_prefix(PREFIX)?.split_once('_')?;
    Some((TokenId(Uuid::try_parse(id).ok()?), half))
}

fn hash(half: &str) -> String {
    hex(digest::digest(&digest::SHA256, half.as_bytes()).as_ref())
}

fn without_hash(token: &Token) -> Token {
    Token { secret_hash: String::new(), ..token.clone() }
}

/// Without the hash.
fn shown(token: &Token) -> Value {
    json!({ "id": token.id, "name": token.name, "kind": token.kind, "expiresAt": token.expires_at, "revokedAt": token.revoked_at })
}

fn note<'a>(action: &'a str, token: &Token, reason: Option<&'a str>, before: Value) -> Note<'a> {
    Note { action, target: format!("tokens/{}", token.id), reason, before, after: shown(token) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    #[test]
    fn a_bearer_text_splits_into_id_and_secret_half_although_the_half_may_hold_underscores() {
        let id = Uuid::now_v7();
        let text = format!("tnt_{}_ab_c-d", id.simple());
        assert_eq!(split(&text), Some((TokenId(id), "ab_c-d")));
        for bad in ["", "tnt_", "tnt_x_y", "abc"] {
            assert_eq!(split(bad), None);
        }
    }
}
