//! Signing heads: when enough has happened or enough time has passed, over the chains that moved since.
//!
//! A head is committed with the note of what it names, and exported afterwards from its row: a crash in between only
//! delays the export.

use super::keys::{self, AuditKey, KeyFileError};
use super::sink::Sink;
use crate::error::{ManagerError, Result};
use crate::operations::check_reason;
use crate::repeat::repeating;
use crate::work::{Note, Work};
use crate::{KeptAnswer, Manager, Principal};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tenantry_audit::{ChainMark, Head, PublicKey, SignedHead, Signer};
use tenantry_engine::Raised;
use tenantry_failpoints::Point;
use tenantry_model::{AttentionKind, with_causes};
use tenantry_store::{AuditChain, AuditHead, Read, StoreError, Write};
use tokio::sync::Mutex;
use uuid::Uuid;

/// Most chains that one head names; what is more gets another head at once.
const MOST_CHAINS: u32 = 5000;
/// Heads that are exported at a time.
const EXPORT_PART: u32 = 200;
/// Key of the attention about heads that cannot be signed or written.
const HEADS_UNWRITTEN: &str = "audit-heads";
/// Setting: `{"id": UUID}`, made once.
const INSTALLATION: &str = "installation";
/// Setting: the public keys (PEM) in the order in which they came into use.
const KEYS: &str = "audit-keys";

/// The key and the sink, once they are open. One head at a time.
#[derive(Debug, Default)]
pub(crate) struct Sealer(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    signer: Option<Signer>,
    sink: Option<Sink>,
    /// That nothing is wrong with key and sink is known to be in the rows.
    well: bool,
}

/// What a kept head says.
pub(super) fn document(head: &AuditHead) -> Result<SignedHead> {
    serde_json::from_str(&head.document).map_err(|source| {
        let key = head.number.to_string();
        StoreError::Damaged { table: "audit_heads", key, source: source.into() }.into()
    })
}

impl Manager {
    /// The installation's id, which its heads and exports carry: made with the first head, all zero before.
    pub async fn installation(&self) -> Result<Uuid> {
        Ok(installation(&mut *self.store.read().await?).await?.unwrap_or_default())
    }

    /// Signs a head if it is time to, and exports what is not exported yet. Does nothing without a key file.
    pub async fn seal_when_due(&self) -> Result<()> {
        self.seal_when_due_as(&Principal::system()).await
    }

    pub(crate) async fn seal_when_due_as(&self, who: &Principal) -> Result<()> {
        if self.config.audit.key_file.is_none() {
            return Ok(());
        }
        let mut open = self.sealer.0.lock().await;
        let done = async {
            if self.is_due().await? {
                self.seal(&mut open, who).await?;
            }
            self.export_heads(&mut open).await
        };
        let done = done.await;
        self.judge_heads(who, &mut open, done.as_ref().err()).await?;
        done
    }

    async fn is_due(&self) -> Result<bool> {
        let mut read = self.store.read().await?;
        let unsealed = read.unsealed_chains(MOST_CHAINS).await?;
        if unsealed.is_empty() {
            return Ok(false);
        }
        let entries: u64 = unsealed.iter().map(|chain| chain.position.saturating_sub(chain.sealed)).sum();
        if entries >= self.config.audit.heads_after {
            return Ok(true);
        }
        let Some(last) = read.last_audit_head().await? else { return Ok(true) };
        let last = document(&last)?.head().map_err(|error| defect(&error))?;
        Ok(self.now().duration_since(last.at) >= self.config.audit.heads_every)
    }

    /// Signs heads over everything that is not sealed yet, and exports them; gives the number of the newest head.
    pub async fn seal_audit(&self, who: &Principal) -> Result<Option<u64>> {
        self.seal_all(&Principal::system()).await?;
        let newest = self.store.read().await?.last_audit_head().await?.map(|head| head.number);
        self.keep_answer(who, KeptAnswer::Sealed(newest)).await?;
        Ok(newest)
    }

    /// The same without the number.
    pub(crate) async fn seal_all(&self, who: &Principal) -> Result<()> {
        let mut open = self.sealer.0.lock().await;
        self.seal(&mut open, who).await?;
        // Another manager may have written there since.
        open.sink = None;
        let done = self.export_heads(&mut open).await;
        self.judge_heads(who, &mut open, done.as_ref().err()).await?;
        done
    }

    /// Another manager writes to the sink now: whoever comes back to it looks how far it has come.
    pub(crate) async fn forget_sink(&self) {
        self.sealer.0.lock().await.sink = None;
    }

    /// Signs heads until nothing is left.
    async fn seal(&self, open: &mut Open, who: &Principal) -> Result<()> {
        let open = Mutex::new(open);
        while repeating(|| async { self.seal_more(&mut **open.lock().await, who).await }).await? {}
        Ok(())
    }

    /// Signs one head; tells whether there may be more to seal.
    async fn seal_more(&self, open: &mut Open, who: &Principal) -> Result<bool> {
        let mut work = self.begin(who).await?;
        let Some(more) = self.seal_once(open, &mut *work.tx, None).await? else { return Ok(false) };
        match work.commit(Point::HeadsSign).await {
            // Another manager was first: what it signed is as good.
            Err(ManagerError::Store(StoreError::Duplicate(_))) => Ok(false),
            other => other.map(|()| more),
        }
    }

    /// One head; tells whether there may be more to seal, `None` if there was nothing.
    async fn seal_once(
        &self,
        open: &mut Open,
        tx: &mut dyn Write,
        next: Option<&Signer>,
    ) -> Result<Option<bool>> {
        let chains = tx.unsealed_chains(MOST_CHAINS).await?;
        if chains.is_empty() && next.is_none() {
            return Ok(None);
        }
        let mut known = public_keys(tx).await?;
        let signer = self.signer(open, &known).await?;
        let before = tx.last_audit_head().await?;
        let previous = before.as_ref().map(document).transpose()?.map(|head| head.hash());
        let number = before.map_or(1, |head| head.number + 1);
        let head = Head {
            installation: ensure_installation(tx).await?,
            number,
            at: self.now(),
            previous: previous.unwrap_or_default(),
            chains: chains.iter().map(mark).collect(),
            next_key: next.map(|key| key.public().to_pem()),
        };
        let sealed = signer.sign(&head).map_err(|error| defect(&error))?;
        let document = serde_json::to_string(&sealed).map_err(|error| defect(&error))?;
        match tx.put_audit_head(&AuditHead { number, document }, &chains).await {
            Err(StoreError::Duplicate(_)) => return Ok(None),
            other => other?,
        }
        let used = [Some(signer.public()), next.map(Signer::public)];
        let fresh: Vec<PublicKey> =
            used.into_iter().flatten().filter(|key| !known.contains(key)).cloned().collect();
        if !fresh.is_empty() {
            known.extend(fresh);
            let pems: Vec<String> = known.iter().map(PublicKey::to_pem).collect();
            tx.put_setting(KEYS, &json!(pems)).await?;
        }
        Ok(Some(chains.len() == MOST_CHAINS as usize))
    }

    /// The key that signs now.
    ///
    /// A key that was replaced must not sign again: another manager has rotated it, and shares the file, or does not.
    async fn signer<'o>(&self, open: &'o mut Open, known: &[PublicKey]) -> Result<&'o Signer> {
        let replaced =
            |signer: &Signer| known.contains(signer.public()) && known.last() != Some(signer.public());
        if open.signer.as_ref().is_some_and(replaced) {
            open.signer = None;
        }
        if open.signer.is_none() {
            let path = self.key_file()?;
            let announced = known.to_vec();
            let loaded = blocking(move || match keys::load(&path, &announced)? {
                Some(signer) => Ok(signer),
                None => keys::make(&path),
            })
            .await?;
            if replaced(&loaded) {
                return Err(ManagerError::AuditKey {
                    what: "the key file holds a key that was replaced; put the newest one in its place (managers share one)"
                        .to_owned(),
                    source: None,
                });
            }
            if !known.is_empty() && !known.contains(loaded.public()) {
                tracing::warn!(
                    key = loaded.public().id(),
                    "the key that signed earlier heads is gone; a new one signs from now on, and nothing signed says so"
                );
            }
            open.signer = Some(loaded);
        }
        open.signer.as_ref().ok_or_else(|| ManagerError::Internal("no audit key is open".to_owned()))
    }

    fn key_file(&self) -> Result<PathBuf> {
        self.config.audit.key_file.clone().ok_or_else(|| ManagerError::AuditKey {
            what: "this manager has no key file for the audit log".to_owned(),
            source: None,
        })
    }

    /// Replaces the key: the old one signs a head that announces the new one. Gives the new one's public half.
    pub async fn rotate_audit_key(&self, who: &Principal, reason: &str) -> Result<AuditKey> {
        let path = self.key_file()?;
        if reason.trim().is_empty() {
            return Err(ManagerError::field("/reason", "replacing the key needs a reason"));
        }
        check_reason(Some(reason))?;
        let made = repeating(|| self.rotate_once(who, &path, reason)).await?;
        self.export_heads(&mut *self.sealer.0.lock().await).await?;
        Ok(made)
    }

    async fn rotate_once(&self, who: &Principal, path: &Path, reason: &str) -> Result<AuditKey> {
        let mut open = self.sealer.0.lock().await;
        let mut work = self.begin(who).await?;
        // Opened before the new key lies beside it, which would be taken for what a crash left.
        let known = public_keys(&mut *work.tx).await?;
        let old = self.signer(&mut open, &known).await?.public().id();
        let next = {
            let path = path.to_owned();
            blocking(move || keys::make_next(&path)).await?
        };
        let public = next.public().clone();
        let (path, id) = (path.to_owned(), public.id());
        let made = AuditKey { id: id.clone(), pem: public.to_pem(), current: true };
        if let Err(error) = self.announce(&mut open, work, &old, &next, &made, reason).await {
            // It will never be announced; after any other error it may have been, and whoever opens the file looks.
            if error.is_conflict() {
                blocking(move || keys::discard(&path, &id)).await?;
            }
            return Err(error);
        }
        blocking(move || keys::put_in_place(&path, &id)).await?;
        open.signer = Some(next);
        // Another manager may have written there since.
        open.sink = None;
        Ok(made)
    }

    /// Commits the head in which the old key says that the next one follows it.
    async fn announce(
        &self,
        open: &mut Open,
        mut work: Work<'_>,
        old: &str,
        next: &Signer,
        made: &AuditKey,
        reason: &str,
    ) -> Result<()> {
        let note = Note {
            action: "audit.rotate-key",
            target: "audit/keys".to_owned(),
            reason: Some(reason),
            before: json!({ "key": old }),
            after: json!({ "key": made.id }),
        };
        work.audit(note).await?;
        if self.seal_once(open, &mut *work.tx, Some(next)).await?.is_none() {
            return Err(StoreError::Duplicate("signed head".to_owned()).into());
        }
        work.answer(KeptAnswer::AuditKey(made.clone()), Point::KeyRotate).await
    }

    /// The public keys that signed heads so far.
    pub(crate) async fn known_audit_keys(&self) -> Result<Vec<PublicKey>> {
        public_keys(&mut *self.store.read().await?).await
    }

    /// All public keys of the installation, the current one last; makes the first one if there is none yet.
    pub async fn audit_keys(&self) -> Result<Vec<AuditKey>> {
        let mut known = public_keys(&mut *self.store.read().await?).await?;
        if known.is_empty() {
            let mut open = self.sealer.0.lock().await;
            known.push(self.signer(&mut open, &[]).await?.public().clone());
        }
        let last = known.len() - 1;
        let keys = known.iter().enumerate();
        Ok(keys.map(|(n, key)| AuditKey { id: key.id(), pem: key.to_pem(), current: n == last }).collect())
    }

    async fn export_heads(&self, open: &mut Open) -> Result<()> {
        let Some(path) = &self.config.audit.heads_to else { return Ok(()) };
        let failed = |source: std::io::Error| ManagerError::AuditKey {
            what: format!("signed heads cannot be written to {}", path.display()),
            source: Some(source.into()),
        };
        // Taken out, so that after an error the next try looks at what is really there.
        let mut sink = match open.sink.take() {
            Some(sink) => sink,
            None => {
                let path = path.clone();
                blocking(move || Ok::<_, KeyFileError>(Sink::open(&path))).await?.map_err(failed)?
            }
        };
        loop {
            let heads = self.store.read().await?.audit_heads(sink.last, EXPORT_PART).await?;
            if heads.is_empty() {
                open.sink = Some(sink);
                return Ok(());
            }
            let (back, done) = blocking(move || {
                let done = sink.put(&heads);
                Ok::<_, KeyFileError>((sink, done))
            })
            .await?;
            done.map_err(failed)?;
            sink = back;
        }
    }

    /// Tells people that heads are not signed or not written, once, and when that is over.
    async fn judge_heads(
        &self,
        who: &Principal,
        open: &mut Open,
        failed: Option<&ManagerError>,
    ) -> Result<()> {
        match failed {
            None if open.well => return Ok(()),
            None | Some(ManagerError::AuditKey { .. }) => {}
            // The store's own errors are not about the heads, and could not be written down either.
            Some(_) => return Ok(()),
        }
        open.well = false;
        repeating(|| async {
            let mut work = self.begin(who).await?;
            match failed {
                Some(error) => work.raise_for(None, &self.unwritten(error)).await?,
                None => work.settle_attention(HEADS_UNWRITTEN).await?,
            }
            work.commit(Point::HeadsTell).await
        })
        .await?;
        open.well = failed.is_none();
        Ok(())
    }

    fn unwritten(&self, error: &ManagerError) -> Raised {
        let sink = self.config.audit.heads_to.as_deref().unwrap_or(Path::new("the folder of the key file"));
        Raised {
            kind: AttentionKind::AuditHeads,
            key: HEADS_UNWRITTEN.to_owned(),
            step: None,
            region: None,
            message: format!("the audit log's heads are not kept: {}", with_causes(error)),
            remedy: format!(
                "let the manager write there (df -h {0}; ls -ld {0}), then: tenantry audit seal",
                sink.display()
            ),
        }
    }
}

fn mark(chain: &AuditChain) -> ChainMark {
    ChainMark { environment: chain.environment, position: chain.position, hash: chain.hash.clone() }
}

async fn installation(read: &mut dyn Read) -> Result<Option<Uuid>> {
    let value = read.setting(INSTALLATION).await?;
    Ok(value.and_then(|value| value["id"].as_str().and_then(|id| id.parse().ok())))
}

async fn ensure_installation(tx: &mut dyn Write) -> Result<Uuid> {
    if let Some(id) = installation(tx).await? {
        return Ok(id);
    }
    let id = Uuid::now_v7();
    tx.put_setting(INSTALLATION, &json!({ "id": id })).await?;
    Ok(id)
}

async fn public_keys(read: &mut dyn Read) -> Result<Vec<PublicKey>> {
    let Some(Value::Array(pems)) = read.setting(KEYS).await? else { return Ok(Vec::new()) };
    let keys = pems.iter().filter_map(Value::as_str).map(PublicKey::all_from_pem);
    let keys: std::result::Result<Vec<_>, _> = keys.collect();
    keys.map(|keys| keys.into_iter().flatten().collect()).map_err(|source| {
        StoreError::Damaged { table: "settings", key: KEYS.to_owned(), source: source.into() }.into()
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::result::Result<T, KeyFileError> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| ManagerError::AuditKey {
            what: "the key of the audit log cannot be used".to_owned(),
            source: Some(error.into()),
        }),
        Err(_) => Err(ManagerError::Internal("the manager is stopping".to_owned())),
    }
}

fn defect(error: &dyn std::fmt::Display) -> ManagerError {
    ManagerError::Internal(format!("a signed head: {error}"))
}
