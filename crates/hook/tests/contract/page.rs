//! docs/hook-contract.md says what the code does.

use crate::common::COMPLETE;
use tenantry_hook::codes::ALL_CODES;

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
