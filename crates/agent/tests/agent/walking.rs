//! The walking path.

use crate::site::Site;
use tenantry_model::Fact;

pub async fn a_hook_runs_from_the_order_to_its_end_with_its_files_its_log_and_its_outputs() {
    let site = Site::new().await;
    site.script(
        "crm-tenant",
        r#"echo "hello $LIFECYCLE_OPERATION_NAME $LIFECYCLE_ATTEMPT"
           cat "$LIFECYCLE_TENANT_ENV_FILE" "$LIFECYCLE_CHANGESET_FILE"
           echo "to stderr" >&2
           printf '{"url":"https://x"}' > "$LIFECYCLE_OUTPUT_FILE""#,
    );
    let agent = site.agent();
    let attempt = site.start("crm-tenant").await;
    let (fact, log) = site.manager.wait_over(&attempt).await;
    let Fact::Ended { outcome, started_at, ended_at, .. } = fact else { panic!("{fact:?}") };
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(outcome.exit_code, Some(0));
    assert_eq!(outcome.outputs["url"], "https://x");
    assert!(started_at.is_some_and(|at| at <= ended_at));
    assert_eq!(
        String::from_utf8(log.bytes).unwrap(),
        "hello lifecycle.upsert 1\napiVersion: tenantry.io/v1\nkind: TenantChangeset\nto stderr\n"
    );
    site.manager.order(&attempt, tenantry_api_types::agent::Order::Release);
    let folder = site.attempt_folder(&attempt);
    crate::site::until("the folder to go", || (!folder.exists()).then_some(())).await;
    agent.stop().await;
}
