//! Selectors mean what they mean to Kubernetes.

use proptest::prelude::*;
use std::collections::BTreeMap;
use tenantry_hook::Selector;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn each_operator_matches_as_in_kubernetes() {
    let gold = labels(&[("tier", "gold"), ("app", "crm"), ("size", "7"), ("example.com/x", "")]);
    for (selector, wanted) in [
        ("", true),
        ("  ", true),
        ("tier=gold", true),
        ("tier == gold", true),
        ("tier=silver", false),
        ("tier!=gold", false),
        ("tier != silver", true),
        ("none!=x", true),
        ("tier in (gold,silver)", true),
        ("tier in(silver)", false),
        ("none in (a)", false),
        ("tier notin (gold)", false),
        ("none notin (a)", true),
        ("tier", true),
        ("none", false),
        ("!none", true),
        ("! tier", false),
        ("tier in (gold,silver),app=crm,!legacy", true),
        ("tier in (gold,silver),app=erp", false),
        ("size>6,size<8", true),
        ("size > 7", false),
        ("tier>1", false),
        ("example.com/x=", true),
        ("example.com/x", true),
        ("example.com/x in (,a)", true),
        ("tier in ()", false),
        ("in=x", false),
        ("notin", false),
        ("\ttier\n=\rgold ", true),
    ] {
        let parsed: Selector = selector.parse().unwrap_or_else(|error| panic!("{selector:?}: {error}"));
        assert_eq!(parsed.matches(&gold), wanted, "{selector:?}");
    }
}

#[test]
fn a_selector_is_read_whole_or_not_at_all() {
    for (selector, at) in [
        (",", 1),
        ("a=b,", 4),
        ("a=b,,c", 5),
        ("a b", 3),
        ("a=b c", 5),
        ("a in b", 6),
        ("a in (b", 7),
        ("a in (b c)", 9),
        ("!", 1),
        ("!a=b", 3),
        ("=a", 1),
        ("a===b", 4),
        ("a>x", 3),
        ("a=ü", 3),
        ("ü", 1),
        ("a=b\u{a0}", 4),
        ("a/b/c", 5),
        ("-a", 2),
        ("a=-b", 4),
        ("a in (b)) ", 9),
    ] {
        let error = selector.parse::<Selector>().expect_err(selector);
        assert_eq!(error.at, at, "{selector:?}: {error}");
    }
    assert!(format!("a={}", "x".repeat(64)).parse::<Selector>().is_err());
    assert!("a,".repeat(101).parse::<Selector>().is_err());
}

#[test]
fn a_mismatch_is_explained_in_words() {
    let selector: Selector = "tier in (gold,silver),app=crm".parse().unwrap();
    let explain = |pairs: &[(&str, &str)]| selector.first_mismatch(&labels(pairs));
    assert_eq!(
        explain(&[("tier", "gold"), ("app", "erp")]).unwrap(),
        "app=crm is not fulfilled: the environment has app=erp"
    );
    assert_eq!(
        explain(&[]).unwrap(),
        "tier in (gold,silver) is not fulfilled: the environment has no label tier"
    );
    assert_eq!(explain(&[("tier", "gold"), ("app", "crm")]), None);
}

fn requirement() -> impl Strategy<Value = (String, String, Vec<String>)> {
    let values = || proptest::collection::vec("[a-c]{1,2}", 1..4);
    (
        "[a-e]",
        prop_oneof![Just("in"), Just("notin"), Just("="), Just("!="), Just("exists"), Just("!")],
        values(),
    )
        .prop_map(|(key, operator, values)| (key, operator.to_owned(), values))
}

proptest! {
    #[test]
    fn a_selector_says_the_same_as_its_requirements_one_by_one(
        requirements in proptest::collection::vec(requirement(), 1..6),
        labels in proptest::collection::btree_map("[a-e]", "[a-c]{1,2}", 0..5),
        space in "[ \\t]{0,2}",
    ) {
        let mut text = Vec::new();
        let mut wanted = true;
        for (key, operator, values) in &requirements {
            let value = labels.get(key);
            let (written, fulfilled) = match operator.as_str() {
                "in" => (
                    format!("{key} in{space}({})", values.join(",")),
                    value.is_some_and(|value| values.contains(value)),
                ),
                "notin" => (
                    format!("{key} notin ({space}{})", values.join(",")),
                    value.is_none_or(|value| !values.contains(value)),
                ),
                "=" => (format!("{key}{space}={}", values[0]), value == Some(&values[0])),
                "!=" => (format!("{key}!={space}{}", values[0]), value != Some(&values[0])),
                "exists" => (key.clone(), value.is_some()),
                _ => (format!("!{space}{key}"), value.is_none()),
            };
            text.push(written);
            wanted = wanted && fulfilled;
        }
        let selector: Selector = text.join(&format!("{space},{space}")).parse().unwrap();
        prop_assert_eq!(selector.matches(&labels), wanted);
        // What it prints, it reads again as the same.
        let again: Selector = selector.to_string().parse().unwrap();
        prop_assert_eq!(again, selector);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
        if let Ok(selector) = text.parse::<Selector>() {
            prop_assert_eq!(&selector.to_string().parse::<Selector>().unwrap(), &selector);
        }
    }
}
