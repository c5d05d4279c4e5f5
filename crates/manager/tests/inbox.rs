//! Messages that were refused: how many are kept, and for how long. What becomes of each is in `crates/api/tests/it/inbox.rs`;
//! a real stream is in `nats.rs`.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::wildcard_imports)] // what tests have in common reads best without its name
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::*;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;
use tenantry_events::Message;
use tenantry_manager::{Duty, Manager, Taken};
use tenantry_model::{AttentionKind, LetterId, Page, Role, Scope};
use tenantry_store::AttentionFilter;

fn message(sequence: u64, published_at: Timestamp) -> Message {
    Message {
        stream: "requests".to_owned(),
        sequence,
        subject: "requests.crm".to_owned(),
        published_at,
        delivered: 1,
        headers: Vec::new(),
        body: "{}".into(),
    }
}

async fn refused(manager: &Manager, secret: &str, message: &Message) -> LetterId {
    match manager.take_message(secret, message).await.unwrap() {
        Taken::Refused(letter) => letter,
        started @ (Taken::Started(_) | Taken::Later) => panic!("{started:?}"),
    }
}

async fn token(manager: &Manager) -> String {
    let (role, all) = (Role::Operator, vec![Scope::All]);
    let issued = manager.create_token(&admin(), "intake".to_owned(), role, all, None).await.unwrap();
    issued.secret.expose_secret().to_owned()
}

async fn letters(manager: &Manager) -> Vec<LetterId> {
    let page = Page { after: None, limit: 1000 };
    let part = manager.letters(&page).await.unwrap();
    assert!(part.next.is_none(), "there are more than are kept");
    part.items.iter().map(|row| row.id).collect()
}

async fn told(manager: &Manager) -> usize {
    let open = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
    open.items.iter().filter(|row| row.kind == AttentionKind::MessageRefused).count()
}

#[tokio::test]
async fn of_refused_messages_the_newest_thousand_are_kept() {
    let world = World::new();
    let manager = world.manager().await;
    let secret = token(&manager).await;
    let mut ids = Vec::new();
    for n in 0..1002 {
        let at = world.now() + SignedDuration::from_secs(n);
        ids.push(refused(&manager, &secret, &message(n.unsigned_abs(), at)).await);
    }
    assert_eq!(letters(&manager).await, ids[2..]);
    assert_eq!(told(&manager).await, 1);
}

#[tokio::test]
async fn a_refused_message_goes_when_events_of_its_age_go() {
    let world = World::new();
    let manager = world.manager().await;
    let secret = token(&manager).await;
    let day = SignedDuration::from_hours(24);
    let look = async || assert!(manager.attend_to(Duty::Expiry).await.unwrap());
    refused(&manager, &secret, &message(1, world.now())).await;
    // Day after day, so that nobody doubts the clock.
    for _ in 0..29 {
        world.pass(day);
        assert!(manager.attend_to(Duty::Retention).await.unwrap());
    }
    let second = refused(&manager, &secret, &message(2, world.now())).await;
    look().await;
    assert_eq!(letters(&manager).await.len(), 2);
    for (left, open) in [(vec![second], 1), (Vec::new(), 0)] {
        for _ in 0..if open == 1 { 2 } else { 29 } {
            world.pass(day);
            assert!(manager.attend_to(Duty::Retention).await.unwrap());
        }
        look().await;
        assert_eq!((letters(&manager).await, told(&manager).await), (left, open));
    }
    assert_eq!(findings(&manager).await, []);
}
