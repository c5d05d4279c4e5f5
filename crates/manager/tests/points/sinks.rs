//! A sink of events that has refused two of them: what a person does about it.

use crate::common::pager::Pager;
use crate::common::*;
use std::sync::Arc;
use tenantry_events::HttpSink;
use tenantry_manager::{Manager, Outlet, ReplayFrom, Round, Wants};
use tenantry_model::Page;

const SINK: &str = "crm";

/// What is done.
#[derive(Clone, Copy)]
pub enum Change {
    Replay,
    Forget,
    Redeliver,
    Discard,
}

impl Change {
    pub fn point(self) -> &'static str {
        match self {
            Self::Replay => "sink-replay",
            Self::Forget => "sink-forget",
            Self::Redeliver => "letters-redeliver",
            Self::Discard => "letters-discard",
        }
    }

    pub async fn look(self, manager: &Manager) {
        let who = admin();
        let done = match self {
            Self::Replay => manager
                .replay_events(&who, SINK, ReplayFrom::Position(1), Some("it lost a disk"))
                .await
                .map(drop),
            Self::Forget => manager.forget_event_sink(&who, SINK, "it is no more").await,
            Self::Redeliver => manager.redeliver(&who, SINK, &[], Some("mended")).await.map(drop),
            Self::Discard => manager.discard(&who, SINK, &[], "not needed").await.map(drop),
        };
        match (self, done) {
            // Whoever asks again for what is done.
            (Self::Forget, Err(error)) => assert_eq!(error.code(), "not-found", "{error}"),
            (_, done) => done.unwrap(),
        }
    }

    /// What the sink takes now, and that nothing is left of the refusals unless they were to stay.
    pub async fn after(self, manager: &Manager) -> Vec<String> {
        let receiver = Pager::default();
        let mut rows = drain(manager, &receiver).await;
        let letters = manager.dead_letters(SINK, &Page::default()).await.unwrap().items.len();
        assert_eq!(letters, if matches!(self, Self::Replay) { 2 } else { 0 }, "dead letters");
        let refused = rows.iter().filter(|row| row.contains("io.tenantry.tenant.")).count();
        let wanted = match self {
            Self::Replay => 3,
            Self::Redeliver => 2,
            Self::Forget | Self::Discard => 0,
        };
        assert_eq!(refused, wanted, "{rows:?}");
        rows.push(format!("{letters} dead letters"));
        rows
    }
}

/// The sink takes what there is, and then refuses two tenants for good.
pub async fn refused(manager: &Manager) {
    let receiver = Pager::default();
    drain(manager, &receiver).await;
    for name in ["one", "two"] {
        manager.create_tenant(&admin(), name.parse().unwrap(), String::new()).await.unwrap();
    }
    receiver.answer(400, 2);
    drain(manager, &receiver).await;
}

/// Rounds until there is nothing to do; what the sink took, without its times and ids.
async fn drain(manager: &Manager, receiver: &Pager) -> Vec<String> {
    let sink = HttpSink::new(&receiver.listen().await, None).unwrap().named(SINK);
    let wants = Wants::Types(vec!["io.tenantry.tenant.".to_owned()]);
    let outlet = Outlet { sink: Arc::new(sink), wants, to: "http:crm".to_owned() };
    while manager.publish_round(&outlet).await.unwrap() == Round::Moved {}
    let got = receiver.got.lock().unwrap();
    got.iter().map(|(_, event)| format!("{} {}", event.kind, event.data["name"])).collect()
}
