//! Plans: which steps, in which order, and why not.

use crate::bench::{hook, minutes, time};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_engine::{Plan, PlanInput, PlanPolicy, PlanRefusal, RegisteredHook, plan};
use tenantry_hook::{AfterTarget, AttemptKind, Hook, codes};
use tenantry_model::{
    AppliedHook, EmptyPlan, Environment, EnvironmentId, EnvironmentSpec, EnvironmentState, Hold, HoldId,
    HoldPredicate, HookPath, HookRef, OnFailure, OnLost, OperationDefinition, OperationId, Problem,
    StepPolicy, StepState, TemplateHash,
};
use uuid::Uuid;

/// `after` as written: names of the same namespace, `namespace/name`, `?` for optional.
fn version(name: &str, hash: &str, after: &[&str]) -> Hook {
    let path = hook(name).path();
    let target = |text: &&str| {
        let (text, optional) = text.strip_suffix('?').map_or((*text, false), |text| (text, true));
        let hook = text.parse::<HookPath>().unwrap_or_else(|_| hook(text).path());
        AfterTarget { hook, optional }
    };
    Hook {
        path,
        hash: TemplateHash(hash.to_owned()),
        operations: ["lifecycle.upsert", "lifecycle.backup"].map(|name| name.parse().unwrap()).into(),
        after: after.iter().map(target).collect(),
        after_for: BTreeMap::new(),
        selector: String::new(),
        policy: StepPolicy { on_failure: OnFailure::Wait, on_lost: OnLost::Wait, retries: 0, timeout: None },
        kind: AttemptKind::Pod,
        container: "main".to_owned(),
    }
}

/// A hook whose version was good before.
fn old(name: &str, after: &[&str]) -> RegisteredHook {
    let version = version(name, "old", after);
    RegisteredHook { last_good: Some(version.clone()), ..new(name, after, version) }
}

/// A hook with a version that no plan has used yet.
fn fresh(name: &str, after: &[&str]) -> RegisteredHook {
    new(name, after, version(name, "new", after))
}

/// A hook whose version has just changed.
fn changed(name: &str, after: &[&str], before: &[&str]) -> RegisteredHook {
    RegisteredHook { last_good: Some(version(name, "old", before)), ..fresh(name, after) }
}

fn new(name: &str, _after: &[&str], current: Hook) -> RegisteredHook {
    RegisteredHook {
        hook: hook(name),
        current: Some(current),
        problems: Vec::new(),
        last_good: None,
        absent_since: None,
        retired: false,
    }
}

struct Case {
    environment: Environment,
    definition: OperationDefinition,
    hooks: Vec<RegisteredHook>,
    applied: Vec<AppliedHook>,
    holds: Vec<Hold>,
    policy: PlanPolicy,
}

fn case(hooks: impl IntoIterator<Item = RegisteredHook>) -> Case {
    let environment = Environment {
        id: EnvironmentId(Uuid::from_u128(0xe)),
        tenant: "acme".parse().unwrap(),
        name: "prod".parse().unwrap(),
        aliases: BTreeSet::new(),
        labels: BTreeMap::from([("tier".to_owned(), "gold".to_owned())]),
        region: "eu1".parse().unwrap(),
        spec: EnvironmentSpec::default(),
        state: EnvironmentState::Active,
        generation: 1,
        revision: 1,
        version: 1,
        retention: None,
        created_at: time(0),
        updated_at: time(0),
    };
    Case {
        environment,
        definition: OperationDefinition::built_in()
            .into_iter()
            .find(|d| d.name.as_str() == "lifecycle.upsert")
            .unwrap(),
        hooks: hooks.into_iter().collect(),
        applied: Vec::new(),
        holds: Vec::new(),
        policy: PlanPolicy {
            absent_grace: minutes(2),
            cross_namespace_after: true,
            further_regions: BTreeSet::new(),
            strict_regions: BTreeSet::new(),
        },
    }
}

impl Case {
    fn plan(&self) -> Result<Plan, PlanRefusal> {
        plan(&PlanInput {
            operation: OperationId(Uuid::from_u128(1)),
            environment: &self.environment,
            definition: &self.definition,
            hooks: &self.hooks,
            applied: &self.applied,
            holds: &self.holds,
            policy: &self.policy,
            now: time(10),
        })
    }

    fn ran_before(mut self, name: &str) -> Self {
        self.applied.push(AppliedHook {
            hook: hook(name),
            generation: Some(1),
            dirty: false,
            expected: true,
            operation: OperationId(Uuid::from_u128(2)),
        });
        self
    }
}

/// `c@old<a,b` for each step: its version and what it waits for; `!` when it is left out by its selector.
fn lines(plan: &Plan) -> Vec<String> {
    let line = |(hook, step): (&HookRef, &tenantry_model::Step)| {
        let after: Vec<_> = step.after.iter().map(|target| target.name.to_string()).collect();
        let skipped = if step.state == StepState::Skipped { "!" } else { "" };
        format!("{}@{}<{}{skipped}", hook.name, step.template_hash, after.join(","))
    };
    plan.steps.iter().map(line).collect()
}

fn quarantined(plan: &Plan) -> Vec<(String, &str, bool)> {
    let entry = |entry: &tenantry_engine::Quarantined| {
        let code =
            codes::ALL_CODES.iter().find(|code| entry.problems.first().is_some_and(|p| p.code == **code));
        (entry.hook.name.to_string(), *code.unwrap_or(&""), entry.last_good_in_force)
    };
    plan.quarantined.iter().map(entry).collect()
}

#[test]
fn where_no_last_good_version_is_kept_what_cannot_be_used_refuses_the_plan() {
    let mut broken = old("a", &[]);
    broken.current = None;
    broken.problems.push(Problem {
        code: "suspend".to_owned(),
        pointer: "/spec/suspend".to_owned(),
        message: "suspend is not set".to_owned(),
        remedy: "set it".to_owned(),
    });
    let mut case = case([broken, old("b", &[])]);
    assert!(case.plan().is_ok(), "the last good one runs");
    case.policy.strict_regions = BTreeSet::from([hook("a").region]);
    let refused = case.plan().unwrap_err();
    assert_eq!(refused.code(), "plan-hook-quarantined");
    let said = refused.to_string();
    assert!(said.contains("eu1/team/a") && said.contains("suspend is not set"), "{said}");
}

#[test]
fn hooks_become_steps_with_the_edges_of_their_after() {
    let plan = case([old("a", &[]), old("b", &["a"]), old("c", &["a", "b?"])]).plan().unwrap();
    assert_eq!(lines(&plan), ["a@old<", "b@old<a", "c@old<a,b"]);
    assert!(plan.quarantined.is_empty() && plan.good.is_empty());
    assert!(plan.steps.values().all(|step| step.operation == OperationId(Uuid::from_u128(1))));
}

#[test]
fn the_order_in_which_hooks_are_given_does_not_matter() {
    let hooks = [old("a", &["b"]), changed("b", &["a"], &[]), old("c", &["a"]), fresh("d", &["nowhere"])];
    let forth = case(hooks.clone()).plan();
    let back = case(hooks.into_iter().rev()).plan();
    assert_eq!(forth, back);
}

#[test]
fn after_can_be_replaced_for_one_operation() {
    let mut reversed = old("b", &["a"]);
    let mut a = old("a", &[]);
    let backup: tenantry_model::OperationName = "lifecycle.backup".parse().unwrap();
    for version in [&mut reversed.current, &mut reversed.last_good] {
        version.as_mut().unwrap().after_for.insert(backup.clone(), Vec::new());
    }
    for version in [&mut a.current, &mut a.last_good] {
        let target = AfterTarget { hook: hook("b").path(), optional: false };
        version.as_mut().unwrap().after_for.insert(backup.clone(), vec![target]);
    }
    let mut case = case([a, reversed]);
    assert_eq!(lines(&case.plan().unwrap()), ["a@old<", "b@old<a"]);
    case.definition.name = backup;
    assert_eq!(lines(&case.plan().unwrap()), ["a@old<b", "b@old<"]);
}

#[test]
fn only_hooks_of_the_environments_region_and_of_further_regions_take_part() {
    let mut elsewhere = old("a", &[]);
    elsewhere.hook = "us1/team/a".parse().unwrap();
    let mut case = case([old("b", &[]), elsewhere]);
    assert_eq!(case.plan().unwrap().steps.len(), 1);
    case.policy.further_regions.insert("us1".parse().unwrap());
    assert_eq!(case.plan().unwrap().steps.len(), 2);
}

#[test]
fn an_edge_does_not_leave_its_region() {
    let mut elsewhere = old("a", &[]);
    elsewhere.hook = "us1/team/a".parse().unwrap();
    let mut case = case([fresh("b", &["a"]), elsewhere]);
    case.policy.further_regions.insert("us1".parse().unwrap());
    assert_eq!(quarantined(&case.plan().unwrap()), [("b".to_owned(), codes::AFTER_UNKNOWN, false)]);
}

#[test]
fn a_hook_that_its_selector_leaves_out_is_skipped_and_still_waited_for() {
    let mut silver = old("a", &[]);
    for version in [&mut silver.current, &mut silver.last_good] {
        version.as_mut().unwrap().selector = "tier in (silver)".to_owned();
    }
    let plan = case([silver, old("b", &["a"])]).plan().unwrap();
    assert_eq!(lines(&plan), ["a@old<!", "b@old<a"]);
}

#[test]
fn a_target_that_is_not_registered_for_this_operation_counts_as_done() {
    let mut backup_only = old("a", &[]);
    for version in [&mut backup_only.current, &mut backup_only.last_good] {
        version.as_mut().unwrap().operations = BTreeSet::from(["lifecycle.backup".parse().unwrap()]);
    }
    assert_eq!(lines(&case([backup_only, old("b", &["a"])]).plan().unwrap()), ["b@old<"]);
}

#[test]
fn a_new_version_that_waits_for_nothing_that_exists_steps_back_to_the_last_good_one() {
    let plan = case([old("a", &[]), changed("b", &["nowhere"], &["a"])]).plan().unwrap();
    assert_eq!(lines(&plan), ["a@old<", "b@old<a"]);
    assert_eq!(quarantined(&plan), [("b".to_owned(), codes::AFTER_UNKNOWN, true)]);
    assert!(plan.good.is_empty());
}

#[test]
fn a_hook_without_a_good_version_is_left_out_and_nobody_else_is_stopped() {
    let plan =
        case([old("a", &[]), fresh("b", &["nowhere"]), fresh("c", &["b", "elsewhere?"])]).plan().unwrap();
    assert_eq!(lines(&plan), ["a@old<", "c@new<"]);
    assert_eq!(quarantined(&plan), [("b".to_owned(), codes::AFTER_UNKNOWN, false)]);
    assert_eq!(plan.good, [(hook("c"), version("c", "new", &["b", "elsewhere?"]))]);
}

#[test]
fn of_a_cycle_the_version_that_changed_steps_back() {
    let plan = case([old("a", &["b"]), changed("b", &["a"], &[])]).plan().unwrap();
    assert_eq!(lines(&plan), ["a@old<b", "b@old<"]);
    assert_eq!(quarantined(&plan), [("b".to_owned(), codes::AFTER_CYCLE, true)]);
}

#[test]
fn of_a_cycle_of_new_hooks_all_are_left_out() {
    let plan = case([fresh("a", &["b"]), fresh("b", &["a"]), old("c", &["a"])]).plan().unwrap();
    assert_eq!(lines(&plan), ["c@old<"]);
    let cycle = |name: &str| (name.to_owned(), codes::AFTER_CYCLE, false);
    assert_eq!(quarantined(&plan), [cycle("a"), cycle("b")]);
}

#[test]
fn a_cycle_that_nobody_caused_newly_takes_all_its_members_out() {
    let plan = case([old("a", &["b"]), old("b", &["a"]), old("c", &[])]).plan().unwrap();
    assert_eq!(lines(&plan), ["c@old<"]);
    assert_eq!(plan.quarantined.len(), 2);
}

#[test]
fn a_version_that_is_wrong_by_itself_steps_back_before_a_cycle_is_judged() {
    // b's new version closes a cycle and names nothing that exists: with it gone, a's new version is sound.
    let plan = case([changed("a", &["b"], &[]), changed("b", &["a", "nowhere"], &[])]).plan().unwrap();
    assert_eq!(lines(&plan), ["a@new<b", "b@old<"]);
    assert_eq!(quarantined(&plan), [("b".to_owned(), codes::AFTER_UNKNOWN, true)]);
}

#[test]
fn stepping_back_is_repeated_until_the_order_is_sound() {
    // b steps back to a version that waits for a, which closes a cycle with a's new version.
    let plan = case([changed("a", &["b"], &[]), changed("b", &["nowhere"], &["a"])]).plan().unwrap();
    assert_eq!(lines(&plan), ["a@old<", "b@old<a"]);
    assert_eq!(plan.quarantined.len(), 2);
}

#[test]
fn quarantine_does_not_depend_on_the_environment() {
    let mut silver = changed("b", &["a"], &[]);
    silver.current.as_mut().unwrap().selector = "tier=silver".to_owned();
    let plan = case([old("a", &["b"]), silver]).plan().unwrap();
    assert_eq!(quarantined(&plan), [("b".to_owned(), codes::AFTER_CYCLE, true)]);
}

#[test]
fn an_edge_to_another_namespace_is_allowed_only_by_policy() {
    let mut far = old("x", &[]);
    far.hook = "eu1/billing/x".parse().unwrap();
    let mut case = case([fresh("b", &["billing/x"]), far]);
    assert_eq!(lines(&case.plan().unwrap()), ["x@old<", "b@new<x"]);
    case.policy.cross_namespace_after = false;
    let plan = case.plan().unwrap();
    assert_eq!(lines(&plan), ["x@old<"]);
    assert_eq!(quarantined(&plan), [("b".to_owned(), codes::AFTER_CROSS_NAMESPACE, false)]);
}

#[test]
fn a_version_that_cannot_be_read_leaves_its_last_good_one_in_force() {
    let problem = Problem {
        code: codes::RETRIES_INVALID.to_owned(),
        pointer: String::new(),
        message: "no number".to_owned(),
        remedy: "write a number".to_owned(),
    };
    let unreadable = RegisteredHook { current: None, problems: vec![problem.clone()], ..old("a", &[]) };
    let never_good = RegisteredHook { current: None, problems: vec![problem], ..fresh("b", &[]) };
    let plan = case([unreadable, never_good, old("c", &["b"])]).plan().unwrap();
    assert_eq!(lines(&plan), ["a@old<", "c@old<"]);
    let entry = |name: &str, in_force| (name.to_owned(), codes::RETRIES_INVALID, in_force);
    assert_eq!(quarantined(&plan), [entry("a", true), entry("b", false)]);
}

#[test]
fn a_required_hook_that_is_missing_refuses_the_plan() {
    let mut case = case([old("a", &[])]);
    case.definition.required_hooks.insert(hook("a").path());
    assert!(case.plan().is_ok());
    case.definition.required_hooks.insert(hook("b").path());
    assert_eq!(case.plan(), Err(PlanRefusal::RequiredMissing(vec![hook("b").path()])));
}

#[test]
fn an_empty_plan_is_what_its_definition_says() {
    let mut silver = old("a", &[]);
    for version in [&mut silver.current, &mut silver.last_good] {
        version.as_mut().unwrap().selector = "tier=silver".to_owned();
    }
    let mut case = case([silver]);
    assert_eq!(lines(&case.plan().unwrap()), ["a@old<!"]);
    case.definition.empty_plan = EmptyPlan::Refuse;
    assert_eq!(case.plan(), Err(PlanRefusal::Empty));
}

fn absent(minutes_ago: i64, hook: RegisteredHook) -> RegisteredHook {
    RegisteredHook { current: None, absent_since: Some(time(10 - minutes_ago)), ..hook }
}

#[test]
fn a_hook_that_ran_before_and_is_absent_refuses_the_plan_until_it_is_retired() {
    let gone = absent(3, old("a", &[]));
    let case = case([gone, old("b", &[])]).ran_before("a").ran_before("b");
    assert_eq!(case.plan(), Err(PlanRefusal::Absent(vec![hook("a")])));
    let mut retired = case;
    retired.hooks[0].retired = true;
    assert_eq!(lines(&retired.plan().unwrap()), ["b@old<"]);
}

#[test]
fn a_hook_that_ran_before_and_is_not_even_known_any_more_refuses_the_plan() {
    let case = case([old("b", &[])]).ran_before("a");
    assert_eq!(case.plan(), Err(PlanRefusal::Absent(vec![hook("a")])));
}

#[test]
fn a_hook_that_is_just_being_replaced_is_waited_for_whether_or_not_it_ran_before() {
    let hooks = [absent(1, old("a", &[])), old("b", &["a"])];
    for case in [case(hooks.clone()), case(hooks).ran_before("a")] {
        let wait = PlanRefusal::AbsentForNow { hooks: vec![hook("a")], until: time(11) };
        assert_eq!(case.plan(), Err(wait));
    }
}

#[test]
fn a_hook_that_is_gone_for_good_and_never_ran_here_is_not_missed_but_who_waits_for_it_is_quarantined() {
    let plan = case([absent(3, old("a", &[])), old("b", &["a"]), old("c", &["a?"])]).plan().unwrap();
    assert_eq!(lines(&plan), ["c@old<"]);
    assert_eq!(quarantined(&plan), [("b".to_owned(), codes::AFTER_UNKNOWN, false)]);
}

#[test]
fn an_absent_hook_that_would_not_run_now_is_not_missed_and_exists_while_it_is_replaced() {
    for selector in ["tier=silver", ""] {
        let mut gone = old("a", &[]);
        let version = gone.last_good.as_mut().unwrap();
        version.selector = selector.to_owned();
        if selector.is_empty() {
            version.operations = BTreeSet::from(["lifecycle.backup".parse().unwrap()]);
        }
        let plan = case([absent(1, gone), old("b", &["a"])]).ran_before("a").plan().unwrap();
        assert_eq!(lines(&plan), ["b@old<"]);
        assert!(plan.quarantined.is_empty());
    }
}

fn hold(change: impl FnOnce(&mut Hold)) -> Hold {
    let mut hold = Hold {
        id: HoldId(Uuid::from_u128(1)),
        predicate: HoldPredicate::default(),
        by: crate::bench::person(),
        reason: "freeze".to_owned(),
        since: time(0),
        until: None,
    };
    change(&mut hold);
    hold
}

#[test]
fn a_hold_by_predicate_catches_the_steps_that_fit_every_part_of_it() {
    let catches = |change: fn(&mut Hold)| {
        let mut case = case([old("a", &[]), old("b", &["a"])]);
        case.holds = vec![hold(change)];
        let plan = case.plan().unwrap();
        plan.steps
            .values()
            .filter(|step| step.is_held())
            .map(|step| step.hook.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(catches(|_| {}), ["a", "b"]);
    assert_eq!(catches(|hold| hold.predicate.hook = Some(hook("b").path())), ["b"]);
    assert_eq!(catches(|hold| hold.predicate.region = Some("us1".parse().unwrap())), Vec::<String>::new());
    assert_eq!(catches(|hold| hold.predicate.namespace = Some("team".parse().unwrap())), ["a", "b"]);
    assert_eq!(catches(|hold| hold.predicate.namespace = Some("crm".parse().unwrap())), Vec::<String>::new());
    assert_eq!(
        catches(|hold| hold.predicate.operation = Some("lifecycle.upsert".parse().unwrap())),
        ["a", "b"]
    );
    assert_eq!(
        catches(|hold| hold.predicate.operation = Some("lifecycle.backup".parse().unwrap())),
        Vec::<String>::new()
    );
    assert_eq!(catches(|hold| hold.predicate.selector = "tier in (gold)".to_owned()), ["a", "b"]);
    assert_eq!(catches(|hold| hold.predicate.selector = "tier in (silver)".to_owned()), Vec::<String>::new());
    assert_eq!(
        catches(|hold| hold.predicate.selector = "tier in (".to_owned()),
        ["a", "b"],
        "rather too much"
    );
    assert_eq!(catches(|hold| hold.until = Some(time(10))), Vec::<String>::new(), "its time is over");
    assert_eq!(catches(|hold| hold.until = Some(time(11))), ["a", "b"]);
}

#[test]
fn a_step_that_its_selector_leaves_out_is_not_held() {
    let mut silver = old("a", &[]);
    silver.current.as_mut().unwrap().selector = "tier in (silver)".to_owned();
    let mut case = case([silver, old("b", &[])]);
    case.holds = vec![hold(|_| {})];
    let plan = case.plan().unwrap();
    assert_eq!((plan.steps[&hook("a")].holds.len(), plan.steps[&hook("b")].holds.len()), (0, 1));
}
