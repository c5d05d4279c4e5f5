//! Invariants 6, 9, 10 and 11 as named checks, each with planted faults that turn it red: what the simulators of engine and
//! schedules cannot see, because it is kept where credentials, templates, secrets and names are.
//!
//! A check looks at a whole server over HTTP, or at the rules that agents and bridges run, and says what is broken; it never
//! looks whether a fault is planted (`crates/mutants`).

#![allow(clippy::unwrap_used, dead_code)] // a panic is a failed test; the helpers are those of the API's tests

mod actors;
mod endings;
#[path = "../it/harness.rs"]
mod harness;
mod reach;
mod secrets;
#[path = "../it/site.rs"]
mod site;

use std::collections::BTreeSet;
use tenantry_engine::mutants::Mutant as EngineMutant;
use tenantry_mutants::Mutant;

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Check {
    /// 6: what changes what runs is refused without a reason.
    ReasonRequired,
    /// 6: who did it is whose credential it was.
    ActorFromCredential,
    /// 6: a verb meets the state that its caller saw, or nothing happens.
    ExpectedState,
    /// 6: the same request again has the same answer and no other effect.
    RequestOnce,
    /// 6: a second person is another one.
    SecondPerson,
    /// 9: the shipped roles have no verb on Secrets and on objects of RBAC.
    RolesWithoutSecrets,
    /// 9: a copy names objects of its own namespace only.
    CopiesStayAtHome,
    /// 10: what tenantry injected is masked in hooks' logs.
    MaskedInHookLogs,
    /// 10: no audit entry holds a secret.
    AuditWithoutSecrets,
    /// 10: no refusal holds a secret.
    ErrorsWithoutSecrets,
    /// 10: no log line of the manager holds a secret.
    LogsWithoutSecrets,
    /// 10: no row holds a secret; events are rows.
    RowsWithoutSecrets,
    /// 11: a purge asks for the environment's name.
    PurgeAsksForName,
    /// 11: a purge is the second step, after a decommissioning and its retention.
    PurgeIsTheSecondStep,
    /// 11: a selector has a cap, and reaches no end.
    SelectorsAreCapped,
}

impl Check {
    const ALL: [Self; 15] = [
        Self::ReasonRequired,
        Self::ActorFromCredential,
        Self::ExpectedState,
        Self::RequestOnce,
        Self::SecondPerson,
        Self::RolesWithoutSecrets,
        Self::CopiesStayAtHome,
        Self::MaskedInHookLogs,
        Self::AuditWithoutSecrets,
        Self::ErrorsWithoutSecrets,
        Self::LogsWithoutSecrets,
        Self::RowsWithoutSecrets,
        Self::PurgeAsksForName,
        Self::PurgeIsTheSecondStep,
        Self::SelectorsAreCapped,
    ];

    /// What is broken.
    async fn broken(self) -> Vec<String> {
        match self {
            Self::ReasonRequired => actors::reason_required().await,
            Self::ActorFromCredential => actors::actor_from_credential().await,
            Self::ExpectedState => actors::expected_state().await,
            Self::RequestOnce => actors::request_once().await,
            Self::SecondPerson => actors::second_person().await,
            Self::RolesWithoutSecrets => reach::roles_without_secrets(&[]),
            Self::CopiesStayAtHome => reach::copies_stay_at_home(),
            Self::MaskedInHookLogs => secrets::masked_in_hook_logs(),
            Self::AuditWithoutSecrets => secrets::look().await.audit,
            Self::ErrorsWithoutSecrets => secrets::look().await.errors,
            Self::LogsWithoutSecrets => secrets::look().await.logs,
            Self::RowsWithoutSecrets => secrets::look().await.rows,
            Self::PurgeAsksForName => endings::purge_asks_for_name().await,
            Self::PurgeIsTheSecondStep => endings::purge_is_the_second_step().await,
            Self::SelectorsAreCapped => endings::selectors_are_capped().await,
        }
    }
}

/// A planted fault.
#[derive(Clone, Copy)]
enum Planted {
    Room(Mutant),
    Engine(EngineMutant),
    /// A rule in the role that teams give the agent.
    Rule(&'static str),
}

fn block<T>(test: impl Future<Output = T>) -> T {
    // One thread: faults are planted for a thread.
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// What is broken while the fault is planted.
fn broken_by(planted: Planted, check: Check) -> Vec<String> {
    match planted {
        Planted::Room(mutant) => {
            tenantry_mutants::plant(Some(mutant));
            let broken = block(check.broken());
            tenantry_mutants::plant(None);
            broken
        }
        Planted::Engine(mutant) => {
            tenantry_engine::mutants::plant(Some(mutant));
            let broken = block(check.broken());
            tenantry_engine::mutants::plant(None);
            broken
        }
        Planted::Rule(rule) => reach::roles_without_secrets(&[rule]),
    }
}

/// Green without the fault, red with it.
fn turns_red(planted: Planted, check: Check) {
    assert_eq!(block(check.broken()), [""; 0], "{check:?} is red without it");
    assert!(!broken_by(planted, check).is_empty(), "{check:?} did not notice it");
}

macro_rules! planted {
    ($($name:ident: $planted:expr => $check:ident;)*) => {
        $(#[test]
        fn $name() {
            turns_red($planted, Check::$check);
        })*

        const PLANTED: &[Check] = &[$(Check::$check),*];
    };
}

planted! {
    a_verb_without_a_reason_is_noticed: Planted::Engine(EngineMutant::ReasonOptional) => ReasonRequired;
    an_actor_from_a_header_is_noticed: Planted::Room(Mutant::ActorFromHeader) => ActorFromCredential;
    an_expectation_that_is_ignored_is_noticed: Planted::Engine(EngineMutant::ExpectationIgnored) => ExpectedState;
    a_key_that_is_forgotten_is_noticed: Planted::Room(Mutant::KeyForgotten) => RequestOnce;
    one_person_for_two_is_noticed: Planted::Room(Mutant::OwnApproval) => SecondPerson;
    a_role_that_reads_secrets_is_noticed: Planted::Rule("{apiGroups: [\"\"], resources: [secrets], verbs: [get]}") => RolesWithoutSecrets;
    a_role_that_makes_roles_is_noticed: Planted::Rule("{apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [create]}") => RolesWithoutSecrets;
    a_role_for_everything_is_noticed: Planted::Rule("{apiGroups: [\"\"], resources: [\"*\"], verbs: [list]}") => RolesWithoutSecrets;
    a_template_that_names_another_namespace_is_noticed: Planted::Room(Mutant::ForeignAnnotations) => CopiesStayAtHome;
    a_copy_in_another_namespace_is_noticed: Planted::Room(Mutant::CopyElsewhere) => CopiesStayAtHome;
    a_secret_cut_in_two_is_noticed: Planted::Room(Mutant::MaskWithinReads) => MaskedInHookLogs;
    a_secret_in_the_audit_log_is_noticed: Planted::Room(Mutant::SecretInAudit) => AuditWithoutSecrets;
    a_secret_in_a_refusal_is_noticed: Planted::Room(Mutant::SecretInError) => ErrorsWithoutSecrets;
    a_secret_in_the_log_is_noticed: Planted::Room(Mutant::SecretInLog) => LogsWithoutSecrets;
    a_secret_in_a_row_is_noticed: Planted::Room(Mutant::SecretInRow) => RowsWithoutSecrets;
    a_purge_by_any_name_is_noticed: Planted::Room(Mutant::PurgeAnyName) => PurgeAsksForName;
    a_purge_of_what_is_in_use_is_noticed: Planted::Room(Mutant::PurgeInUse) => PurgeIsTheSecondStep;
    a_purge_within_the_retention_is_noticed: Planted::Room(Mutant::PurgeWithinRetention) => PurgeIsTheSecondStep;
    a_cap_that_is_ignored_is_noticed: Planted::Room(Mutant::CapIgnored) => SelectorsAreCapped;
    an_end_by_schedule_is_noticed: Planted::Room(Mutant::EndScheduled) => SelectorsAreCapped;
}

#[test]
fn every_invariant_holds() {
    for check in Check::ALL {
        let broken = block(check.broken());
        assert!(broken.is_empty(), "{check:?}: {broken:#?}");
    }
}

#[test]
fn every_check_has_a_planted_fault() {
    let planted: BTreeSet<Check> = PLANTED.iter().copied().collect();
    assert_eq!(planted, Check::ALL.into_iter().collect());
}

/// Something that must be refused with this code.
fn refused(broken: &mut Vec<String>, what: &str, got: &harness::Got, code: &str) {
    if got.body["code"] != code {
        broken.push(format!("{what}: {} {} instead of {code}", got.status, got.body));
    }
}
