//! For each failpoint: rows in which a look passes it, and the look.

use crate::common::*;
use crate::sinks::{Change, refused};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;
use serde_json::{Map, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tenantry_events::{CommandSink, Message};
use tenantry_manager::{Duty, Lifecycle, Manager, NewSchedule, OPERATION_REQUEST, Round, Taken};
use tenantry_model::*;
use tenantry_store::{AttentionFilter, OperationFilter, Store, Write};
use tenantry_store_sqlite::SqliteStore;

/// One of them.
#[derive(Clone, Copy)]
pub enum Case {
    NotifierSkip,
    LeasesGiveBack,
    PurgeRemind,
    RetireDoubt,
    ScheduleTakeBack,
    SchedulePauseUnreadable,
    Sink(Change),
    EventTake,
    LetterKeep,
}

impl Case {
    pub const ALL: [Self; 12] = [
        Self::NotifierSkip,
        Self::LeasesGiveBack,
        Self::PurgeRemind,
        Self::RetireDoubt,
        Self::ScheduleTakeBack,
        Self::SchedulePauseUnreadable,
        Self::Sink(Change::Replay),
        Self::Sink(Change::Forget),
        Self::Sink(Change::Redeliver),
        Self::Sink(Change::Discard),
        Self::EventTake,
        Self::LetterKeep,
    ];

    pub fn point(self) -> &'static str {
        match self {
            Self::NotifierSkip => "notifier-skip",
            Self::LeasesGiveBack => "leases-give-back",
            Self::PurgeRemind => "purge-remind",
            Self::RetireDoubt => "retire-doubt",
            Self::ScheduleTakeBack => "schedule-take-back",
            Self::SchedulePauseUnreadable => "schedule-pause-unreadable",
            Self::Sink(change) => change.point(),
            Self::EventTake => "event-take",
            Self::LetterKeep => "letter-keep",
        }
    }

    /// Brings the rows about; gives what the look needs to know.
    pub async fn prepare(self, world: &World, store: &Arc<SqliteStore>) -> String {
        let manager = world.beside(Arc::clone(store));
        prepare(&manager).await;
        let names = ["lifecycle.upsert", "lifecycle.decommission", "crm.reindex"];
        let mut agent = Agent::open(&manager, vec![readable(hook("crm/a", &names, &[]))]).await;
        match self {
            Self::NotifierSkip => {
                let program = program(world);
                drain(&manager, &program).await;
                for n in 0..510 {
                    let name = format!("tenant-{n}").parse().unwrap();
                    manager.create_tenant(&admin(), name, String::new()).await.unwrap();
                }
                create(&manager, "prod").await;
                let start = agent.starts(&manager).await.remove(0);
                agent.ended(&manager, &start.attempt, world.now(), failure()).await;
                program.display().to_string()
            }
            Self::LeasesGiveBack => {
                create(&manager, "prod").await;
                assert_eq!(agent.lease(&manager).await.len(), 1);
                assert_eq!(agent.lease(&manager).await.len(), 0, "leased is leased");
                agent.session.to_string()
            }
            Self::PurgeRemind => {
                for name in ["one", "two"] {
                    let (environment, _) = create(&manager, name).await;
                    agent.run_all(&manager, world.now()).await;
                    let retention = Some(SignedDuration::from_hours(1));
                    ask(&manager, environment.id, Lifecycle::Decommission { retention }).await;
                    agent.run_all(&manager, world.now()).await;
                }
                world.pass(SignedDuration::from_hours(3));
                String::new()
            }
            Self::RetireDoubt => {
                assert!(manager.attend_to(Duty::Retention).await.unwrap());
                world.pass(SignedDuration::from_hours(8 * 24));
                String::new()
            }
            Self::EventTake | Self::LetterKeep => {
                create(&manager, "prod").await;
                agent.run_all(&manager, world.now()).await;
                let (role, all) = (Role::Operator, vec![Scope::All]);
                let issued =
                    manager.create_token(&admin(), "intake".to_owned(), role, all, None).await.unwrap();
                issued.secret.expose_secret().to_owned()
            }
            Self::ScheduleTakeBack => {
                schedules(&manager).await;
                let years = SignedDuration::from_hours(24 * 3650);
                world.pass(years);
                manager.run_schedules().await.unwrap();
                world.pass(-years);
                String::new()
            }
            Self::SchedulePauseUnreadable => {
                schedules(&manager).await;
                let mut write = store.write().await.unwrap();
                lose_zones(&mut *write).await;
                write.commit().await.unwrap();
                world.pass(SignedDuration::from_hours(24));
                String::new()
            }
            Self::Sink(_) => {
                refused(&manager).await;
                String::new()
            }
        }
    }

    pub async fn look(self, manager: &Manager, with: &str) {
        let duty = match self {
            Self::NotifierSkip => return drain(manager, Path::new(with)).await,
            Self::LeasesGiveBack => {
                return manager.agent_unanswered(&region(), with.parse().unwrap()).await.unwrap();
            }
            Self::Sink(change) => return change.look(manager).await,
            Self::EventTake => {
                let taken = manager.take_message(with, &asks("acme/prod")).await.unwrap();
                assert!(matches!(taken, Taken::Started(_)), "{taken:?}");
                return;
            }
            Self::LetterKeep => {
                let taken = manager.take_message(with, &asks("acme/none")).await.unwrap();
                assert!(matches!(taken, Taken::Refused(_)), "{taken:?}");
                return;
            }
            Self::PurgeRemind => Duty::Expiry,
            Self::RetireDoubt => Duty::Retention,
            Self::ScheduleTakeBack | Self::SchedulePauseUnreadable => Duty::Schedules,
        };
        assert!(manager.attend_to(duty).await.unwrap(), "the role is free");
    }

    /// What only this look leaves, and what there must be in any case.
    pub async fn after(self, manager: &Manager, with: &str) -> Vec<String> {
        let kind = match self {
            Self::NotifierSkip => {
                let taken = PathBuf::from(with).with_extension("taken");
                let text = std::fs::read_to_string(&taken).unwrap();
                std::fs::remove_file(&taken).unwrap();
                assert_eq!(text.matches("\"kind\":\"step-waiting\"").count(), 1, "told once: {text}");
                drain(manager, Path::new(with)).await;
                assert!(!taken.exists(), "told once, whoever looks again");
                return vec![text];
            }
            Self::LeasesGiveBack => {
                let session = with.parse().unwrap();
                let leased = manager.agent_lease(&region(), session, 10, Duration::ZERO).await.unwrap();
                assert_eq!(leased.len(), 1, "it is given out again");
                return vec![format!("leased {:?} {:?}", leased[0].id, leased[0].attempt)];
            }
            Self::Sink(change) => return change.after(manager).await,
            Self::EventTake => {
                let all =
                    manager.operations(&admin(), OperationFilter::default(), &Page::default()).await.unwrap();
                let by_event: Vec<_> = all.items.iter().filter(|row| row.cause.is_some()).collect();
                assert_eq!(by_event.len(), 1, "it is carried out once");
                return vec![format!("{:?}", by_event[0].cause)];
            }
            Self::LetterKeep => {
                let letters = manager.letters(&Page::default()).await.unwrap().items;
                assert_eq!(letters.len(), 1, "it is kept once");
                return vec![format!("{} {}", letters[0].id, letters[0].problem)];
            }
            Self::PurgeRemind => AttentionKind::RetentionOver,
            Self::RetireDoubt => AttentionKind::RetentionClock,
            Self::ScheduleTakeBack => AttentionKind::ScheduleClock,
            Self::SchedulePauseUnreadable => AttentionKind::ScheduleSkipped,
        };
        let open = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
        let count = open.items.iter().filter(|row| row.kind == kind).count();
        let each = if kind == AttentionKind::RetentionClock { 1 } else { 2 };
        assert_eq!(count, each, "said once for each: {:?}", open.items);
        Vec::new()
    }
}

/// A pager: a program that keeps what it is given.
fn program(world: &World) -> PathBuf {
    let program = world.folder.path().join("page");
    let taken = program.with_extension("taken");
    std::fs::write(&program, format!("#!/bin/sh\ncat >> '{0}'; echo >> '{0}'\n", taken.display())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    program
}

async fn drain(manager: &Manager, program: &Path) {
    let sink = CommandSink::new(program);
    while manager.notify_round(&sink).await.unwrap() == Round::Moved {}
}

/// A message that asks for an operation.
fn asks(environment: &str) -> Message {
    let at = Timestamp::from_millisecond(START).unwrap();
    let event = json!({ "specversion": "1.0", "id": "1", "source": "urn:crm", "type": OPERATION_REQUEST, "time": at,
        "data": { "environment": environment, "operation": "crm.reindex" } });
    Message {
        stream: "requests".to_owned(),
        sequence: 1,
        subject: "requests.crm".to_owned(),
        published_at: at,
        delivered: 1,
        headers: Vec::new(),
        body: event.to_string().into(),
    }
}

/// Two schedules of every night, for nobody: what is seen is when they would run.
async fn schedules(manager: &Manager) {
    for name in ["one", "two"] {
        let new = NewSchedule {
            name: name.parse().unwrap(),
            description: String::new(),
            operation: "risk.nightly".parse().unwrap(),
            parameters: Map::new(),
            target: ScheduleTarget::Selector {
                tenant: None,
                region: None,
                labels: "tier=none".to_owned(),
                cap: 5,
            },
            cron: "0 22 * * *".to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            catch_up: CatchUp::Latest,
            overlap: Overlap::Queue,
            deadline: None,
            validate_only: false,
        };
        manager.create_schedule(&admin(), new).await.unwrap();
    }
}

/// The zone database has changed under them.
async fn lose_zones(write: &mut dyn Write) {
    for row in write.schedules().await.unwrap() {
        let mut row = write.lock_schedule(row.id).await.unwrap().unwrap();
        "Europe/Atlantis".clone_into(&mut row.time_zone);
        write.put_schedule(&row).await.unwrap();
    }
}
