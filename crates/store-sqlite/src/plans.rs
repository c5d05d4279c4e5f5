//! Every list walks an index from its cursor: SQLite's own plan of each statement says so.

use crate::{
    SqliteStore,
    keys::{Condition, List, arms, statement},
    tables::{approvals, attentions, audit_list, environments, holds, operations},
};
use sqlx::{AssertSqlSafe, Execute as _, Row as _};
use tempfile::TempDir;
use tenantry_model::{EnvironmentState, OperationState, Scope};
use tenantry_store::{ApprovalFilter, AttentionFilter, AuditFilter, EnvironmentFilter, OperationFilter};

async fn plan(store: &SqliteStore, sql: &str) -> Vec<String> {
    sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
        .fetch_all(store.writer())
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .iter()
        .map(|row| row.get::<String, _>("detail"))
        .collect()
}

fn assert_walks_an_index(sql: &str, plan: &[String]) {
    for line in plan {
        // The keys of a page, at most a thousand, are a table of their own.
        let page_of_keys =
            line.starts_with("SCAN k VIRTUAL TABLE") || line.starts_with("SCAN json_each VIRTUAL TABLE");
        let sorts = line.contains("TEMP B-TREE") && !sql.contains("json_each");
        let harmless = page_of_keys || line == "SCAN CONSTANT ROW" || !line.starts_with("SCAN");
        assert!(!sorts && harmless || bounded_scan(sql, line), "{sql}\n{line}");
    }
}

/// From the start, in order, nothing narrowed: reads as much as its LIMIT says.
fn bounded_scan(sql: &str, line: &str) -> bool {
    let in_order = line.contains("INDEX") || ["SCAN events", "SCAN audit_heads"].contains(&line);
    in_order && sql.contains("LIMIT") && !sql.contains("WHERE")
}

async fn check(store: &SqliteStore, list: List, arms: Vec<Vec<Condition>>) {
    for arm in arms {
        let mut query = statement(list, &arm, Some("x"), 10);
        let sql = query.build().sql().as_str().to_owned();
        let plan = plan(store, &sql).await;
        assert_eq!(plan.len(), 1, "{sql}: {plan:?}");
        assert!(plan[0].starts_with("SEARCH"), "{sql}: {plan:?}");
        let driver = list.drivers.iter().find(|driver| arm.iter().any(|(column, _)| column == *driver));
        if let (None, Some(driver)) = (list.partial, driver) {
            assert!(plan[0].contains(&format!("({driver}=? AND id")), "{sql}: {plan:?} begins at {driver}");
        }
        if list.partial.is_some() {
            assert!(plan[0].contains("unfinished") || plan[0].contains("open"), "{sql}: {plan:?}");
        }
    }
}

fn scopes() -> Vec<Option<Vec<Scope>>> {
    let tenant = "acme".parse().map(Scope::Tenant).unwrap();
    let region = "eu1".parse().map(Scope::Region).unwrap();
    vec![None, Some(vec![tenant, region])]
}

#[tokio::test]
async fn no_list_reads_a_table_from_its_start() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let id = uuid::Uuid::now_v7();
    for scopes in scopes() {
        for bits in 0..8 {
            let on = |bit: u32| bits & (1 << bit) != 0;
            let filter = EnvironmentFilter {
                tenant: on(0).then(|| "acme".parse().unwrap()),
                region: on(1).then(|| "eu1".parse().unwrap()),
                state: on(2).then_some(EnvironmentState::Active),
                purged: false,
                scopes: scopes.clone(),
            };
            let conditions = environments::conditions(&filter);
            let ways = arms(&conditions, scopes.as_deref(), environments::scope_columns);
            check(&store, environments::list_for(&filter), ways.clone()).await;
            check(&store, environments::list_for(&EnvironmentFilter { purged: true, ..filter }), ways).await;
            for state in [None, Some(OperationState::Running), Some(OperationState::Failed)] {
                let filter = OperationFilter {
                    environment: on(0).then_some(tenantry_model::EnvironmentId(id)),
                    name: on(1).then(|| "crm.reindex".parse().unwrap()),
                    state,
                    unfinished: on(2),
                    scopes: scopes.clone(),
                };
                let conditions = operations::conditions(&filter);
                let ways = arms(&conditions, scopes.as_deref(), environments::scope_columns);
                check(&store, operations::list_for(&filter), ways).await;
            }
            let operation = on(0).then_some(tenantry_model::OperationId(id));
            let filter = AttentionFilter { operation, settled: on(1), scopes: scopes.clone() };
            let conditions = attentions::conditions(&filter);
            let ways = arms(&conditions, scopes.as_deref(), attentions::scope_columns);
            let list = if filter.settled { attentions::LIST } else { attentions::OPEN };
            check(&store, list, ways).await;
            let environment = on(2).then_some(tenantry_model::EnvironmentId(id));
            let filter = ApprovalFilter { operation, environment, decided: on(1), scopes: scopes.clone() };
            let conditions = approvals::conditions(&filter);
            let ways = arms(&conditions, scopes.as_deref(), environments::scope_columns);
            check(&store, if filter.decided { approvals::LIST } else { approvals::OPEN }, ways).await;
            let ways = arms(&[], scopes.as_deref(), holds::scope_columns);
            check(&store, if on(1) { holds::LIST } else { holds::OPEN }, ways).await;
        }
    }
}

/// By the key of a chain, or by an index whose order is the list's.
#[tokio::test]
async fn lists_over_the_audit_log_walk_an_index() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    for bits in 0..32 {
        let on = |bit: u32| bits & (1 << bit) != 0;
        let filter = AuditFilter {
            environment: on(0).then(|| tenantry_model::EnvironmentId(uuid::Uuid::now_v7())),
            actor: on(1).then(|| "ann".to_owned()),
            action: on(2).then(|| "step.skip".to_owned()),
            since: on(3).then_some(jiff::Timestamp::UNIX_EPOCH),
            until: on(4).then_some(jiff::Timestamp::UNIX_EPOCH),
        };
        for after in [None, Some((1, "x".to_owned(), 1))] {
            let mut query = audit_list::statement(&filter, after, 10);
            let sql = query.build().sql().as_str().to_owned();
            let plan = plan(&store, &sql).await;
            assert_eq!(plan.len(), 1, "{sql}: {plan:?}");
            assert!(plan[0].starts_with("SEARCH"), "{sql}: {plan:?}");
        }
    }
}

#[tokio::test]
async fn every_written_out_statement_has_an_index() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let sources = [
        include_str!("tables/approvals.rs"),
        include_str!("tables/attentions.rs"),
        include_str!("tables/audit.rs"),
        include_str!("tables/commands.rs"),
        include_str!("tables/deliveries.rs"),
        include_str!("tables/environments.rs"),
        include_str!("tables/events.rs"),
        include_str!("tables/holds.rs"),
        include_str!("tables/hooks.rs"),
        include_str!("tables/installation.rs"),
        include_str!("tables/leases.rs"),
        include_str!("tables/operations.rs"),
        include_str!("tables/retention.rs"),
        include_str!("tables/schedules.rs"),
        include_str!("tables/steps.rs"),
        include_str!("tables/tenants.rs"),
        include_str!("tables/workflows.rs"),
    ];
    let mut count = 0;
    for source in sources {
        // Statements are the string literals that begin with an SQL verb.
        for verb in ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE "] {
            for (at, _) in source.match_indices(verb) {
                let literal = &source[at + 1..];
                let end = literal
                    .char_indices()
                    .find(|(n, c)| *c == '"' && !literal[..*n].ends_with('\\'))
                    .unwrap()
                    .0;
                let sql = literal[..end].replace("\\\"", "\"");
                assert_walks_an_index(&sql, &plan(&store, &sql).await);
                count += 1;
            }
        }
    }
    assert!(count > 60, "found {count} statements");
}
