//! The pure parts: which hooks, which order, what is printed; and that the guide says what the program says.
#![allow(clippy::unwrap_used)] // a test may

use clap::{Command, CommandFactory};
use std::{collections::BTreeMap, fs, path::PathBuf};
use tenantry_bridge::{
    BridgeError, Encoding, EnvironmentFile, Found, Listing, Order, Rules, STDOUT_LIMIT, Slim, Submit,
    SubmitManager,
    cli::{Cli, DETACHED, PLATFORM},
    judge, workflow,
};
use tenantry_hook::{AfterTarget, OrderPolicy};
use tenantry_model::{HookPath, OnFailure, OperationId, OperationName, Problem};

fn path(text: &str) -> HookPath {
    text.parse().unwrap()
}

fn operation() -> OperationName {
    "lifecycle.upsert".parse().unwrap()
}

/// A hook, what it waits for (`?` as in the contract) and its selector.
fn hook(name: &str, after: &[&str], selector: &str) -> (HookPath, Slim) {
    let after = after
        .iter()
        .map(|target| AfterTarget {
            hook: path(target.trim_end_matches('?')),
            optional: target.ends_with('?'),
        })
        .collect();
    (path(name), Slim { after, selector: selector.to_owned(), on_failure: OnFailure::Wait })
}

fn found(hooks: &[(HookPath, Slim)]) -> Found {
    Found { hooks: hooks.iter().cloned().collect(), ..Found::default() }
}

fn judged(found: Found, labels: &[(&str, &str)], expect: &[&str]) -> Result<Order, BridgeError> {
    let labels: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let (operation, expect) = (operation(), expect.iter().map(|text| path(text)).collect::<Vec<_>>());
    judge(
        found,
        &Rules {
            operation: &operation,
            labels: Some(&labels),
            expect: &expect,
            allow_empty: false,
            order: OrderPolicy { cross_namespace_after: true },
        },
    )
}

/// The platform of the guide's example.
fn platform() -> Vec<(HookPath, Slim)> {
    vec![
        hook("crm/schema", &[], ""),
        hook("crm/crm-tenant", &["billing/accounts", "crm/schema?", "crm/audit?"], "tier in (gold,silver)"),
        hook("billing/accounts", &[], ""),
        hook("billing/gold.only", &["billing/accounts"], "tier=gold"),
        hook("mail/welcome", &["crm/crm-tenant", "billing/gold.only"], ""),
    ]
}

#[test]
fn levels_follow_after_and_selectors_leave_out() {
    let order = judged(found(&platform()), &[("tier", "silver")], &["crm/crm-tenant"]).unwrap();
    let text = Listing::Levels.text(&order);
    assert_eq!(
        text,
        r#"[[{"name":"accounts","namespace":"billing"},{"name":"schema","namespace":"crm"}],[{"name":"crm-tenant","namespace":"crm"}],[{"name":"welcome","namespace":"mail"}]]"#
    );
    assert_eq!(
        Listing::Flat.text(&order),
        r#"[{"name":"accounts","namespace":"billing"},{"name":"schema","namespace":"crm"},{"name":"crm-tenant","namespace":"crm"},{"name":"welcome","namespace":"mail"}]"#
            .replace(r#"{"name":"schema","namespace":"crm"},{"name":"crm-tenant","namespace":"crm"}"#,
                r#"{"name":"crm-tenant","namespace":"crm"},{"name":"schema","namespace":"crm"}"#),
        "sorted by namespace and name"
    );
}

#[test]
fn what_is_left_out_holds_nobody_back() {
    let hooks =
        [hook("a/first", &[], ""), hook("a/middle", &["a/first"], "x=y"), hook("a/last", &["a/middle"], "")];
    let order = judged(found(&hooks), &[], &[]).unwrap();
    // As in a manager's plan: a step that its selector leaves out is done from the start.
    assert!(order.after[&path("a/last")].is_empty());
}

#[test]
fn a_hook_that_is_expected_and_absent_is_named() {
    let error = judged(found(&platform()), &[], &["crm/schema", "crm/gone", "mail/gone"]).unwrap_err();
    assert_eq!(error.to_string(), "expected hooks are not there: crm/gone, mail/gone");
    // Left out by its selector is its author's decision, and not absent.
    judged(found(&platform()), &[], &["crm/crm-tenant"]).unwrap();
}

#[test]
fn what_cannot_be_used_is_named_with_its_rule() {
    let mut with_unreadable = found(&platform());
    with_unreadable.wrong.push((
        path("crm/broken"),
        vec![Problem {
            code: "not-suspended".to_owned(),
            pointer: "/spec/suspend".to_owned(),
            message: "the template is not suspended".to_owned(),
            remedy: "write suspend: true".to_owned(),
        }],
    ));
    let unreadable = judged(with_unreadable, &[], &[]).unwrap_err().to_string();
    assert!(unreadable.contains("crm/broken: the template is not suspended (not-suspended, /spec/suspend)"));
    let cycle = [hook("a/one", &["a/two"], ""), hook("a/two", &["a/one"], "never=true")];
    let cycle = judged(found(&cycle), &[], &[]).unwrap_err().to_string();
    assert!(cycle.contains("a/one → a/two → a/one") && cycle.contains("after-cycle"), "{cycle}");
    let unknown = judged(found(&[hook("a/one", &["a/none"], "")]), &[], &[]).unwrap_err().to_string();
    assert!(unknown.contains("after-unknown") && unknown.contains("a/none"), "{unknown}");
}

#[test]
fn a_target_of_other_operations_or_unreadable_for_others_counts_as_done() {
    let mut with_others = found(&[hook("a/one", &["a/other"], "")]);
    with_others.others.insert(path("a/other"));
    assert!(judged(with_others, &[], &[]).unwrap().after[&path("a/one")].is_empty());
}

#[test]
fn nothing_to_do_and_a_selector_without_labels_are_refused() {
    let selective = || found(&[hook("a/one", &[], "tier=gold")]);
    assert!(matches!(judged(selective(), &[], &[]).unwrap_err(), BridgeError::Empty));
    let operation = operation();
    let order = OrderPolicy { cross_namespace_after: true };
    let mut rules = Rules { operation: &operation, labels: None, expect: &[], allow_empty: true, order };
    assert!(matches!(judge(selective(), &rules).unwrap_err(), BridgeError::NoLabels(_)));
    let none = BTreeMap::new();
    rules.labels = Some(&none);
    assert_eq!(judge(selective(), &rules).unwrap(), Order::default());
    assert_eq!(Listing::Levels.text(&Order::default()), "[]");
}

#[test]
fn a_thousand_hooks_fit_into_stdout_and_ten_thousand_do_not() {
    let many = |count: usize| {
        let hooks: Vec<_> =
            (0..count).map(|n| hook(&format!("team-{}/hook-{n}", n % 200), &[], "")).collect();
        Listing::Flat.text(&judged(found(&hooks), &[], &[]).unwrap()).len()
    };
    assert!(many(1_000) < STDOUT_LIMIT);
    assert!(many(10_000) > STDOUT_LIMIT);
}

#[test]
fn the_workflow_has_the_exact_edges() {
    let mut hooks = platform();
    // A name that looks like another's, one that Argo does not take, and a failure that counts as done.
    hooks.push(hook("billing-gold/only", &["9to5/clock"], ""));
    hooks.push(hook("9to5/clock", &[], ""));
    hooks[0].1.on_failure = OnFailure::Continue;
    let order = judged(found(&hooks), &[("tier", "gold")], &[]).unwrap();
    let operation = operation();
    let submit = Submit {
        operation: &operation,
        id: "0192f0c8-a7b3-7c3e-8f00-00000000abcd".parse::<OperationId>().unwrap(),
        environment: Some("apiVersion: 'tenantry.io/v1'\n".to_owned()),
        namespace: None,
        service_account: "tenantry-bridge",
        image: "tenantry-bridge:1",
        flags: vec!["--domain=collibra.com".to_owned()],
        name: "tenantry-0192f0c8-a7b3-7c3e-8f00-00000000abcd-graph".to_owned(),
        stays: 604_800,
        parallelism: None,
        priority: None,
        labels: [("tenantry.io/tenant", "acme".to_owned())].into(),
        manager: None,
    };
    insta::assert_yaml_snapshot!(workflow(&order, &submit));
}

/// Argo counts `maxDuration` from the first try's start: a bridge lost after that would not be started again.
#[test]
fn what_is_shipped_starts_a_lost_bridge_again_however_long_it_ran() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/argo/manifests.yaml");
    let shipped = std::fs::read_to_string(shipped).unwrap();
    let backoffs: Vec<&str> = shipped.lines().filter(|line| line.contains("backoff:")).collect();
    assert_eq!(backoffs.len(), 3, "two discoveries and a bridge");
    for backoff in backoffs {
        assert!(backoff.contains("cap:") && !backoff.contains("maxDuration"), "{backoff}");
    }
}

#[test]
fn the_bridges_of_a_workflow_ask_the_manager_with_a_token_of_their_own() {
    let order = judged(found(&[hook("a/one", &[], ""), hook("a/two", &["a/one"], "")]), &[], &[]).unwrap();
    let (operation, region) = (operation(), "eu1".parse().unwrap());
    let mut submit = Submit {
        operation: &operation,
        id: "0192f0c8-a7b3-7c3e-8f00-00000000abcd".parse::<OperationId>().unwrap(),
        environment: None,
        namespace: None,
        service_account: "tenantry-bridge",
        image: "tenantry-bridge:1",
        flags: vec!["--domain=collibra.com".to_owned()],
        name: "tenantry-0192f0c8-a7b3-7c3e-8f00-00000000abcd-2-graph".to_owned(),
        stays: 604_800,
        parallelism: None,
        priority: Some(-10),
        labels: [("tenantry.io/tenant", "acme".to_owned())].into(),
        manager: Some(SubmitManager {
            url: "https://tenantry.example:7777",
            region: &region,
            round: 2,
            audience: "tenantry",
            ca_secret: Some("tenantry-ca"),
        }),
    };
    insta::assert_yaml_snapshot!(workflow(&order, &submit));
    submit.manager = None;
    submit.parallelism = Some(50);
    let nothing = workflow(&Order::default(), &submit);
    assert_eq!(nothing["spec"]["templates"][0]["suspend"]["duration"], "1", "Argo refuses an empty graph");
    assert_eq!(nothing["spec"]["parallelism"], 50);
}

#[test]
fn an_environment_of_another_operation_is_refused_and_nothing_of_it_is_printed() {
    let folder = std::env::temp_dir().join(format!("tenantry-bridge-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("environment.yaml");
    let write = |text: &str| fs::write(&file, text).unwrap();
    let metadata =
        "metadata: {id: 0192f0c8-0000-7000-8000-000000000001, name: prod, tenant: acme, region: eu1}\n";
    let head = format!("apiVersion: tenantry.io/v1\nkind: TenantEnvironment\n{metadata}");

    write(&format!("{head}operation: {{name: lifecycle.suspend}}\n"));
    let read = EnvironmentFile::read(&file, Encoding::Plain).unwrap();
    assert!(read.check_operation(None, &operation()).unwrap_err().to_string().contains("lifecycle.suspend"));

    // A country code stays a word, and a hook gets every text quoted.
    write(&format!("{head}spec: {{settings: {{country: no}}}}\n"));
    let read = EnvironmentFile::read(&file, Encoding::Plain).unwrap();
    let id = "0192f0c8-a7b3-7c3e-8f00-00000000abcd".parse().unwrap();
    let yaml = read.environment_yaml(id, &operation()).unwrap();
    assert!(
        yaml.contains("country: 'no'") && yaml.contains("batch: '0192f0c8-a7b3-7c3e-8f00-00000000abcd'"),
        "{yaml}"
    );
    let changeset = read.changeset_yaml(None, Encoding::Plain).unwrap();
    assert!(
        changeset.contains("from: 'unknown'") && changeset.contains("/spec/settings/country"),
        "{changeset}"
    );

    write(&format!("{head}spec: {{settings: {{password: hunter2}}, aps: {{}}}}\n"));
    let error = EnvironmentFile::read(&file, Encoding::Plain).unwrap_err().to_string();
    assert!(error.contains("aps") && !error.contains("hunter2"), "{error}");
    write("kind: TenantEnvironment\n");
    EnvironmentFile::read(&file, Encoding::Plain).unwrap_err();
    fs::remove_dir_all(&folder).unwrap();
}

/// docs/bridge.md lists every flag with the program's own words.
#[test]
fn the_guide_has_every_flag_in_the_programs_words() {
    let page =
        fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/bridge.md")).unwrap();
    let mut wanted = Vec::new();
    for verb in Cli::command().get_subcommands() {
        wanted.push(format!("### `tenantry-bridge {}`", verb.get_name()));
        wanted.extend(lines(verb));
    }
    wanted.push(format!("| {PLATFORM} |"));
    wanted.push(format!("| {DETACHED} |"));
    let missing: Vec<String> = wanted.into_iter().filter(|line| !page.contains(line)).collect();
    assert!(missing.is_empty(), "docs/bridge.md lacks:\n{}", missing.join("\n"));
}

fn lines(verb: &Command) -> Vec<String> {
    verb.get_arguments()
        .filter(|argument| argument.get_id() != "help")
        .map(|argument| {
            let flag = argument.get_long().unwrap_or_default();
            let value = argument.get_value_names().filter(|_| argument.get_action().takes_values());
            let value = value.map(|names| format!(" {}", names[0])).unwrap_or_default();
            let default =
                argument.get_default_values().first().map(|value| format!(" [default: {}]", value.display()));
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            format!("- `--{flag}{value}`: {help}{}", default.unwrap_or_default())
        })
        .collect()
}
