//! A manager that stands still in the middle of a delivery, longer than its role lasts.

use crate::common::*;
use crate::two;
use jiff::SignedDuration;
use std::sync::{Arc, Mutex};
use tenantry_events::{CloudEvent, Sink, Undelivered};
use tenantry_manager::{Manager, Outlet, Round, Wants};
use tokio::sync::Notify;

/// Keeps what it gets; with a gate it takes its time.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<String>>>,
    gate: Option<Arc<(Notify, Notify)>>,
}

#[async_trait::async_trait]
impl Sink for Receiver {
    fn name(&self) -> &'static str {
        "crm"
    }
    async fn deliver(&self, event: &CloudEvent) -> Result<(), Undelivered> {
        self.got.lock().unwrap().push(event.id.clone());
        if let Some(gate) = &self.gate {
            gate.0.notify_one();
            gate.1.notified().await;
        }
        Ok(())
    }
}

fn outlet(receiver: &Receiver) -> Outlet {
    let wants = Wants::Types(vec!["io.tenantry.tenant.".to_owned()]);
    Outlet { sink: Arc::new(receiver.clone()), wants, to: "here".to_owned() }
}

async fn drain(manager: &Manager, outlet: &Outlet) {
    while manager.publish_round(outlet).await.unwrap() == Round::Moved {}
}

async fn tenant(manager: &Manager, name: &str) {
    manager.create_tenant(&admin(), name.parse().unwrap(), name.to_owned()).await.unwrap();
}

pub async fn stands_still() {
    let world = World::new();
    let (one, two) = two(&world).await;
    let gate = Arc::new((Notify::new(), Notify::new()));
    let slow = Receiver { gate: Some(Arc::clone(&gate)), ..Receiver::default() };
    let got = Arc::clone(&slow.got);
    let fast = Receiver { got: Arc::clone(&got), gate: None };
    let (slow, fast) = (outlet(&slow), outlet(&fast));
    drain(&two, &fast).await;
    tenant(&two, "acme").await;
    let asleep = async {
        one.publish_round(&slow).await.unwrap();
    };
    let meanwhile = async {
        gate.0.notified().await;
        // The role is the first one's.
        assert!(matches!(two.publish_round(&fast).await.unwrap(), Round::Wait(_)));
        world.pass(SignedDuration::from_secs(60));
        tenant(&two, "beta").await;
        drain(&two, &fast).await;
        let view = two.event_sinks().await.unwrap().remove(0);
        assert_eq!(view.position, view.newest);
        gate.1.notify_one();
        view.position
    };
    let ((), position) = tokio::join!(asleep, meanwhile);
    let view = one.event_sinks().await.unwrap().remove(0);
    assert_eq!(view.position, position, "what the first one wrote when it woke up was refused");
    drain(&two, &fast).await;
    drain(&one, &fast).await;
    let got = got.lock().unwrap().clone();
    assert_eq!(got.len(), 3, "the one that was under way came twice, the other once: {got:?}");
    assert_eq!(got[0], got[1], "under one id");
}
