//! A server that speaks TLS alone and wants to know who comes, as NATS has it in production: an operator vouches for accounts, an
//! account for its users, and a user signs with the key in its credentials' file.

use crate::asked::{Place, at_least, each_of, started, told};
use crate::{settle, stored};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tenantry_events::{NatsConfig, NatsSink, Sink as _};
use tenantry_manager::{Inbox, Outlet, Wants};
use tenantry_model::*;
use tenantry_postgres_test::Authority;
use tokio_util::sync::CancellationToken;

/// What a server is started with, and what opens it.
pub struct Guard {
    /// The server's settings.
    pub config: PathBuf,
    /// Of a user of the account that has the streams.
    pub credentials: PathBuf,
    /// Of a user whose account the server does not know.
    pub stranger: PathBuf,
    /// Who vouches for the server.
    pub root: PathBuf,
}

impl Guard {
    fn new(folder: &Path, authority: &Authority) -> Self {
        let [operator, account, system, elsewhere] =
            [KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account(), KeyPair::new_account()];
        let own = claims(&operator, &operator, &json!({ "type": "operator", "version": 2 }));
        let streams = claims(&operator, &account, &unlimited_account(true));
        // The server's own has no streams.
        let rest = claims(&operator, &system, &unlimited_account(false));
        authority.issue(folder, &["localhost"]).unwrap();
        let config = folder.join("server.conf");
        let file = |name: &str| folder.join(name).display().to_string();
        let settings = json!({
            "operator": own, "resolver": "MEMORY", "system_account": system.public_key(),
            "resolver_preload": { account.public_key(): streams, system.public_key(): rest },
            "tls": { "cert_file": file("server.crt"), "key_file": file("server.key") }
        });
        fs::write(&config, settings.to_string()).unwrap();
        let user = |name: &str, account: &KeyPair| {
            let path = folder.join(name);
            fs::write(&path, credentials(account)).unwrap();
            path
        };
        let (credentials, stranger) = (user("own.creds", &account), user("stranger.creds", &elsewhere));
        Self { config, credentials, stranger, root: authority.root() }
    }
}

/// What an issuer says of a key.
fn claims(issuer: &KeyPair, of: &KeyPair, nats: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let (iss, sub) = (issuer.public_key(), of.public_key());
    let claims =
        json!({ "jti": sub, "iat": 1_700_000_000, "iss": iss, "sub": sub, "name": sub, "nats": nats });
    let signed = format!("{}.{}", part(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

fn unlimited_account(streams: bool) -> Value {
    let all = ["subs", "data", "payload", "imports", "exports", "conn", "leaf"];
    let jetstream = ["mem_storage", "disk_storage", "streams", "consumer"];
    let mut limits: serde_json::Map<String, Value> =
        all.map(|name| (name.to_owned(), json!(-1))).into_iter().collect();
    limits.extend(jetstream.map(|name| (name.to_owned(), json!(if streams { -1 } else { 0 }))));
    limits.insert("wildcards".to_owned(), json!(true));
    json!({ "type": "account", "version": 2, "limits": limits, "default_permissions": { "pub": {}, "sub": {} } })
}

/// A credentials' file of a new user.
fn credentials(account: &KeyPair) -> String {
    let user = KeyPair::new_user();
    let rights =
        json!({ "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1 });
    let (jwt, seed) = (claims(account, &user, &rights), user.seed().unwrap());
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

pub async fn guarded(program: PathBuf, authority: Authority, foreign: Authority) {
    let folder = tempfile::tempdir().unwrap();
    let guard = Guard::new(folder.path(), &authority);
    let (own, stranger, root) = (guard.credentials.clone(), guard.stranger.clone(), guard.root.clone());
    let place = Place::behind(program, Some(guard)).await;
    let manager = place.world.manager().await;
    let sink = |credentials: Option<&Path>, authorities: &Path| {
        let config = NatsConfig {
            url: place.url(),
            prefix: "tenantry".to_owned(),
            authorities: Some(authorities.to_owned()),
            credentials: credentials.map(Path::to_owned),
        };
        NatsSink::new("bus", config).unwrap()
    };
    let outlet = Outlet {
        sink: Arc::new(sink(Some(&own), &root)),
        wants: Wants::Types(Vec::new()),
        to: "nats".to_owned(),
    };
    settle(&place.world, &manager, &outlet).await;
    place.set_up(&manager).await;
    settle(&place.world, &manager, &outlet).await;
    let all = stored(&place.reader().await).await;
    assert!(all.len() > 20, "{}", all.len());

    let missing = folder.path().join("none.creds");
    for (credentials, authorities, says) in [
        (None, root.clone(), "authorization violation"),
        (Some(stranger.as_path()), root.clone(), "authorization violation"),
        (Some(missing.as_path()), root.clone(), "none.creds cannot be used"),
        (Some(own.as_path()), foreign.root(), "certificate"),
        (Some(own.as_path()), folder.path().join("none.pem"), "none.pem"),
    ] {
        let refused = sink(credentials, &authorities).deliver(&all[0].2).await.unwrap_err();
        let message = format!("{refused:?}");
        assert!(message.contains(says), "{says}: {message}");
        // Who has no key must not learn of the file's contents from a message.
        assert!(!message.contains("BEGIN"), "{message}");
    }

    // The other way: messages that ask.
    place.consumer().await;
    place.publish(0..5).await;
    let source = tenantry_events::NatsSource::new(tenantry_events::SourceConfig {
        credentials: Some(stranger),
        ..place.settings()
    })
    .unwrap();
    let inbox = Inbox { source, token_file: place.token_file() };
    let strange = manager.clone();
    let turned_away =
        tokio::spawn(async move { strange.take_messages(inbox, CancellationToken::new()).await });
    let why = told(&manager, AttentionKind::InboxDown, 1).await;
    assert!(why[0].contains("authorization violation"), "{why:?}");
    assert_eq!(started(&manager).await.len(), 0);
    turned_away.abort();
    let taking = place.takes(manager.clone());
    assert_eq!(at_least(&manager, 5).await, each_of(5));
    place.all_answered().await;
    assert_eq!(told(&manager, AttentionKind::InboxDown, 0).await, [""; 0]);
    taking.abort();
}
