//! Findings have a line and a remedy.

use crate::common::*;
use proptest::prelude::*;
use tenantry_hook::{Finding, RegionPolicy, Severity, codes, lint_manifest, read_manifest};

fn lint(text: &str) -> Vec<Finding> {
    lint_manifest(text, "hook.yaml", &domains(), &RegionPolicy::default())
}

fn at(findings: &[Finding], code: &str) -> Vec<usize> {
    findings.iter().filter(|finding| finding.code == code).map(|finding| finding.line).collect()
}

fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).unwrap() + 1
}

#[test]
fn the_complete_job_has_no_findings() {
    assert_eq!(lint(COMPLETE), []);
}

#[test]
fn each_problem_is_told_with_its_line() {
    let text = COMPLETE
        .replace("tenant.retries: \"2\"", "tenant.retries: \"many\"")
        .replace("tenant.on-lost", "tenant.on-losst")
        .replace("suspend: true ", "suspend: false")
        .replace("          image:", "          imagePulPolicy: Always\n          image:");
    let findings = lint(&text);
    assert_eq!(at(&findings, codes::RETRIES_INVALID), [line_of(&text, "tenant.retries")]);
    assert_eq!(at(&findings, codes::ANNOTATION_UNKNOWN), [line_of(&text, "tenant.on-losst")]);
    assert_eq!(at(&findings, codes::NOT_SUSPENDED), [line_of(&text, "suspend: false")]);
    assert_eq!(at(&findings, codes::FIELD_NOT_ALLOWED), [line_of(&text, "imagePulPolicy")]);
    assert_eq!(findings.len(), 4, "{findings:#?}");
    assert!(findings.iter().all(|finding| finding.severity == Severity::Error && !finding.remedy.is_empty()));
    assert!(findings.is_sorted_by_key(|finding| finding.line), "in the order of the text");
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let text = COMPLETE
        .replace("spec:\n  suspend", "spec:\n  backoffLimit: 3\n  ttlSecondsAfterFinished: 60\n  podFailurePolicy: {rules: []}\n  suspend")
        .replace("restartPolicy: Never", "restartPolicy: OnFailure")
        .replace("    argocd.argoproj.io/sync-options: Force=true,Replace=true\n", "");
    let findings = lint(&text);
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning), "{findings:#?}");
    let mut lines = at(&findings, codes::WITHOUT_EFFECT);
    lines.sort_unstable();
    let wanted =
        ["backoffLimit", "ttlSeconds", "podFailurePolicy", "OnFailure"].map(|word| line_of(&text, word));
    assert_eq!(lines, wanted);
    assert_eq!(at(&findings, codes::SYNC_OPTIONS), [line_of(&text, "annotations:")]);
}

#[test]
fn a_lifecycle_operation_that_nobody_knows_is_a_warning() {
    let findings = lint(&COMPLETE.replace("lifecycle.suspend,", "lifecycle.supsend,"));
    assert_eq!(findings.len(), 1);
    assert_eq!(
        (findings[0].severity, findings[0].code.as_str()),
        (Severity::Warning, codes::OPERATION_UNKNOWN)
    );
    assert_eq!(findings[0].remedy, "did you mean lifecycle.suspend?");
}

#[test]
fn malformed_text_is_one_finding_with_its_line() {
    for (text, line) in [("a: [1\nb: 2\n", 2), ("{\"a\": 1,\n\"b\" 2}", 2), ("a: 1\na: 2", 2)] {
        let findings = lint(text);
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].code.as_str(), findings[0].line), (codes::SYNTAX, line), "{findings:?}");
    }
    for text in ["", "# nothing\n", "---\n---\n", "kind: Service\n", "just text"] {
        assert_eq!(at(&lint(text), codes::NO_HOOK), [1], "{text:?}");
    }
}

#[test]
fn a_domain_that_is_not_configured_is_told() {
    let text = COMPLETE.replace("collibra.com/", "example.com/");
    let findings = lint(&text);
    assert_eq!(at(&findings, codes::NO_HOOK), [line_of(&text, "tenant.lifecycle")]);
    assert!(findings[0].message.contains("tenantry.io, collibra.com"), "{}", findings[0].message);
}

#[test]
fn several_documents_lists_and_json_are_read() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n";
    let bad = COMPLETE.replace("6h", "long");
    let text = format!("{service}---\n{COMPLETE}---\n{bad}");
    let first = service.lines().count() + 1 + COMPLETE.lines().count() + 1;
    assert_eq!(at(&lint(&text), codes::TIMEOUT_INVALID), [first + line_of(&bad, "long")]);
    assert_eq!(read_manifest(&text, "x", &domains()).unwrap().len(), 2);

    let json = serde_json::to_string_pretty(&annotated(small(), "timeout", "long")).unwrap();
    assert_eq!(at(&lint(&json), codes::TIMEOUT_INVALID), [line_of(&json, "long")]);
    let list = format!("{{\"kind\": \"List\", \"items\": [\n{json}\n]}}");
    assert_eq!(at(&lint(&list), codes::TIMEOUT_INVALID), [line_of(&list, "long")]);
}

#[test]
fn a_missing_namespace_is_only_a_warning_in_a_file() {
    let text = COMPLETE.replace("  namespace: crm ", "  # ");
    let findings = lint(&text);
    assert_eq!(at(&findings, codes::NAMESPACE_INVALID), [line_of(&text, "metadata:")], "{findings:#?}");
    assert_eq!(findings[0].severity, Severity::Warning);
}

proptest! {
    #[test]
    fn no_text_makes_lint_panic_and_every_finding_is_within_it(
        from in 0..COMPLETE.len(),
        length in 0_usize..60,
        inserted in prop_oneof![Just(String::new()), "\\PC{0,10}", "[\\[\\]{}:,&*!|>'\"%@\\n\\t -]{0,6}"],
    ) {
        // The example is ASCII: every place is between two characters.
        let end = (from + length).min(COMPLETE.len());
        let text = format!("{}{inserted}{}", &COMPLETE[..from], &COMPLETE[end..]);
        for finding in lint(&text) {
            prop_assert!(finding.line >= 1 && finding.line <= text.lines().count() + 1, "{finding:?}");
            prop_assert!(tenantry_hook::codes::ALL_CODES.contains(&finding.code.as_str()), "{finding:?}");
            prop_assert!(!finding.message.is_empty() && !finding.remedy.is_empty(), "{finding:?}");
        }
    }
}

fn manifests(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            manifests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

#[test]
fn every_hook_among_the_examples_is_clean() {
    let mut files = Vec::new();
    manifests(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples").as_ref(), &mut files);
    let mut hooks = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let found = read_manifest(&text, &file.display().to_string(), &domains()).unwrap().len();
        hooks += found;
        if found > 0 {
            assert_eq!(lint(&text), [], "{}", file.display());
        }
    }
    assert!(hooks > 1, "the examples have hooks");
}
