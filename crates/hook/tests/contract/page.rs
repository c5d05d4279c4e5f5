//! docs/hook-contract.md says what the code does.

use crate::common::COMPLETE;
use serde_json::Value;
use tenantry_hook::{Privilege, codes::ALL_CODES};
use tenantry_model::FailureReason;

const PAGE: &str = include_str!("../../../../docs/hook-contract.md");

#[test]
fn the_page_prints_the_complete_job_as_it_is() {
    assert!(
        PAGE.contains(&format!("```yaml\n{COMPLETE}```")),
        "copy examples/hook-complete.yaml into the page"
    );
}

#[test]
fn every_problem_code_has_a_section_and_every_section_a_code() {
    let sections: Vec<&str> =
        PAGE.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    assert_eq!(sections, ALL_CODES);
}

#[test]
fn the_page_names_every_annotation_and_variable() {
    for word in [
        "tenant.lifecycle",
        "tenant.after",
        "tenant.after.<operation>",
        "tenant.selector",
        "tenant.on-failure",
        "tenant.on-lost",
        "tenant.retries",
        "tenant.timeout",
        "tenant.container",
        "tenant.attempt-kind",
        "LIFECYCLE_TENANT_ENV_ID",
        "LIFECYCLE_BATCH_OPERATION_ID",
        "LIFECYCLE_OPERATION_NAME",
        "LIFECYCLE_OPERATION_ID",
        "LIFECYCLE_STEP",
        "LIFECYCLE_ATTEMPT",
        "LIFECYCLE_TENANT_ENV_FILE",
        "LIFECYCLE_CHANGESET_FILE",
        "LIFECYCLE_OUTPUT_FILE",
        "LIFECYCLE_SCHEDULED_TIME",
        "LIFECYCLE_OBJECT_STORE_URL",
        "TRACEPARENT",
    ] {
        assert!(PAGE.contains(&format!("`{word}`")), "{word}");
    }
}

#[test]
fn the_page_names_every_failure_reason_and_privilege() {
    let reasons = FailureReason::ALL.map(|reason| serde_json::to_value(reason).unwrap());
    let privileges = Privilege::ALL.map(|privilege| serde_json::to_value(privilege).unwrap());
    for word in reasons.iter().chain(&privileges) {
        assert!(PAGE.contains(&format!("`{}`", word.as_str().unwrap())), "{word}");
    }
}

#[test]
fn the_files_on_the_page_fulfil_their_schemas() {
    let schema = |name: &str| {
        let path = format!("{}/../../docs/schemas/{name}", env!("CARGO_MANIFEST_DIR"));
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    };
    let mut checked = 0;
    for block in PAGE.split("```yaml\n").skip(1) {
        let text = block.split("```").next().unwrap();
        let document: Value = serde_saphyr::from_str(text).unwrap();
        let validator = match document["kind"].as_str().unwrap() {
            "TenantEnvironment" => schema("tenant-environment.json"),
            "TenantChangeset" => schema("tenant-changeset.json"),
            _ => continue,
        };
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{text}");
        checked += 1;
    }
    assert_eq!(checked, 2);
}
