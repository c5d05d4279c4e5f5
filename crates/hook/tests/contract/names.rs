//! Names and labels of attempts: always valid, never the same for different attempts.

use proptest::prelude::*;
use std::collections::BTreeSet;
use tenantry_hook::{attempt_name, step_label};
use tenantry_model::{AttemptId, HookRef, Namespace, OperationId};
use uuid::Uuid;

fn id(operation: u128, step: &HookRef, number: u32) -> AttemptId {
    AttemptId { operation: OperationId(Uuid::from_u128(operation)), step: step.clone(), number }
}

fn is_dns_label(text: &str) -> bool {
    text.parse::<Namespace>().is_ok()
}

fn hook_names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?",
        "[a-z]{23}-[a-z]{1,30}",
        "[a-z]{1,61}[.][a-z]{1,61}[.][a-z]{61}[.][a-z]{61}",
    ]
}

proptest! {
    #[test]
    fn a_name_is_a_dns_label_and_differs_for_different_attempts(
        operations in proptest::collection::btree_set(any::<u128>(), 1..4),
        names in proptest::collection::btree_set(hook_names(), 1..4),
        numbers in proptest::collection::btree_set(any::<u32>(), 1..4),
    ) {
        let mut seen = BTreeSet::new();
        for operation in &operations {
            for name in &names {
                for region in ["eu1", "us1"] {
                    let step: HookRef = format!("{region}/team/{name}").parse().unwrap();
                    for number in &numbers {
                        let given = attempt_name(&id(*operation, &step, *number));
                        prop_assert!(is_dns_label(&given), "{}", given);
                        prop_assert!(seen.insert(given.clone()), "{} twice", given);
                    }
                }
            }
        }
    }

    #[test]
    fn a_step_label_is_a_label_value_and_differs_for_different_steps(
        names in proptest::collection::btree_set(hook_names(), 2..6),
    ) {
        let labels: BTreeSet<String> =
            names.iter().map(|name| step_label(&format!("eu1/team/{name}").parse().unwrap())).collect();
        prop_assert_eq!(labels.len(), names.len());
        for label in labels {
            prop_assert!(label.len() <= 63 && label.ends_with(|c: char| c.is_ascii_alphanumeric()), "{}", label);
        }
    }
}

#[test]
fn names_stay_what_they_are() {
    // Objects of older versions must be found again: this function never changes.
    let long = format!("{}.{}", "a".repeat(63), "b".repeat(63));
    let step: HookRef = format!("eu1/crm/{long}").parse().unwrap();
    let names = [
        attempt_name(&id(
            0x0192_f0c8_a7b3_7c3e_8f00_0000_0000_abcd,
            &"eu1/crm/crm-tenant".parse().unwrap(),
            1,
        )),
        attempt_name(&id(0x0192_f0c8_a7b3_7c3e_8f00_0000_0000_abcd, &step, u32::MAX)),
        step_label(&step),
    ];
    insta::assert_debug_snapshot!(names);
}
