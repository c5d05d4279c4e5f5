//! Lists: order, pages, filters, scopes. What is expected is computed here by looking at every row.

use super::samples::{
    at, attempt, attention, environment, hook, operation, region, step, tenant, text, token,
};
use crate::{AttentionFilter, EnvironmentFilter, HookRow, OperationFilter, Read, Store};
use std::{collections::BTreeSet, fmt::Debug, sync::Arc};
use tenantry_hook::Hook;
use tenantry_model::{
    AttemptState, Attention, Environment, EnvironmentState, HookRef, Operation, OperationName,
    OperationState, Page, Paged, Scope,
};

/// Reads a whole list in pages of `limit`.
macro_rules! whole {
    ($limit:expr, $after:ident => $page:expr) => {{
        let mut all = Vec::new();
        let mut $after = Page { after: None, limit: $limit };
        loop {
            let found: Paged<_> = $page.await.unwrap();
            assert!(found.items.len() <= $limit as usize, "a page is bounded");
            all.extend(found.items);
            match found.next {
                Some(next) => $after.after = Some(next),
                None => break all,
            }
        }
    }};
}

/// Pages of sizes that divide the number of rows and that do not.
pub async fn a_thousand_rows_come_exactly_once_through_pages<S: Store>(store: Arc<S>) {
    let mut tenants: Vec<_> = (0..1000).map(|n| tenant(&format!("t{n}"))).collect();
    let mut environments: Vec<_> = (0..1000).map(|n| environment("t1", &format!("e{n}"), "eu1")).collect();
    let tokens: Vec<_> = (0..1000).map(|n| token(&format!("k{n}"))).collect();
    let mut write = store.write().await.unwrap();
    for row in 0..1000 {
        write.put_tenant(&tenants[row]).await.unwrap();
        write.put_environment(&environments[row]).await.unwrap();
        write.put_token(&tokens[row]).await.unwrap();
    }
    write.commit().await.unwrap();
    tenants.sort_by(|a, b| a.name.cmp(&b.name));
    environments.sort_by_key(|row| row.id);
    let mut read = store.read().await.unwrap();
    for limit in [7, 250, 999, 1000] {
        assert!(whole!(limit, page => read.tenants(&page)) == tenants, "tenants by {limit}");
        let filter = EnvironmentFilter::default();
        assert!(
            whole!(limit, page => read.environments(&filter, &page)) == environments,
            "environments by {limit}"
        );
        assert!(whole!(limit, page => read.tokens(&page)) == tokens, "tokens by {limit}");
    }
}

/// By region, namespace and name: not by the text, in which '-' comes before '/'.
pub async fn a_thousand_hooks_come_in_the_order_of_their_names<S: Store>(store: Arc<S>) {
    let regions = ["eu", "eu-1", "eu1"];
    let mut hooks: Vec<_> = (0..1000)
        .map(|n| hook(&format!("{}/{}/h{}", regions[n % 3], ["a", "a-b", "ab"][n / 3 % 3], n)))
        .collect();
    let mut write = store.write().await.unwrap();
    for row in &hooks {
        write.put_hook(row).await.unwrap();
    }
    write.commit().await.unwrap();
    hooks.sort_by(|a, b| a.hook.cmp(&b.hook));
    let mut read = store.read().await.unwrap();
    for limit in [9, 1000] {
        assert!(whole!(limit, page => read.hooks_page(None, &page)) == hooks, "all by {limit}");
        for name in regions {
            let name = text(name);
            let expected: Vec<_> = hooks.iter().filter(|row| row.hook.region == name).cloned().collect();
            assert!(
                whole!(limit, page => read.hooks_page(Some(&name), &page)) == expected,
                "{name} by {limit}"
            );
            assert!(read.hooks(&name).await.unwrap() == expected, "a region's at once");
        }
    }
}

/// By what each version says, as it is now: nobody knows what a version is for that cannot be read.
pub async fn hooks_are_found_by_the_operations_that_they_concern<S: Store>(store: Arc<S>) {
    let row = |name: &str, current: Option<&[&str]>, last_good: Option<&[&str]>| {
        let sample = hook(name);
        let version = |operations: &[&str]| Hook {
            operations: operations.iter().map(|name| text(name)).collect(),
            ..sample.current.clone().unwrap()
        };
        HookRow { current: current.map(version), last_good: last_good.map(version), ..sample.clone() }
    };
    let [x, y, z] = ["ops.x", "ops.y", "ops.z"].map(text::<OperationName>);
    let mut rows = [
        row("eu/a-b/new", Some(&["ops.x"]), None),
        row("eu/a/moved", Some(&["ops.y"]), Some(&["ops.x"])),
        row("eu/a/both", Some(&["ops.x", "ops.y"]), Some(&["ops.x", "ops.y"])),
        row("eu/b/broken", None, Some(&["ops.y"])),
        row("eu/b/never", None, None),
        row("us/a/far", Some(&["ops.x"]), None),
    ];
    let write = async |rows: &[HookRow]| {
        let mut write = store.write().await.unwrap();
        for row in rows {
            write.put_hook(row).await.unwrap();
        }
        write.commit().await.unwrap();
    };
    let found = async |region: &str, operation: &OperationName| -> Vec<String> {
        let rows = store.read().await.unwrap().hooks_for(&text(region), operation).await.unwrap();
        rows.iter().map(|row| row.hook.to_string()).collect()
    };
    write(&rows).await;
    let unreadable = ["eu/b/broken", "eu/b/never"];
    assert_eq!(found("eu", &x).await, ["eu/a/both", "eu/a/moved", "eu/a-b/new", "eu/b/broken", "eu/b/never"]);
    assert_eq!(found("eu", &y).await, ["eu/a/both", "eu/a/moved", "eu/b/broken", "eu/b/never"]);
    assert_eq!(found("eu", &z).await, unreadable);
    assert_eq!(found("us", &x).await, ["us/a/far"]);
    assert_eq!(found("us", &z).await, [""; 0]);

    // One is mended, one is for other operations from now on, one cannot be read any more, of one only the rest changes.
    rows[3].current = row("eu/b/broken", Some(&["ops.z"]), None).current;
    rows[1].last_good.clone_from(&rows[1].current);
    rows[5].current = None;
    rows[2].absent_since = None;
    write(&rows).await;
    assert_eq!(found("eu", &x).await, ["eu/a/both", "eu/a-b/new", "eu/b/never"]);
    assert_eq!(found("eu", &y).await, ["eu/a/both", "eu/a/moved", "eu/b/broken", "eu/b/never"]);
    assert_eq!(found("eu", &z).await, unreadable);
    assert_eq!(found("us", &z).await, ["us/a/far"]);

    let asked = ["us/a/far", "eu/a-b/new", "eu/a/none", "eu/b/never"].map(text::<HookRef>);
    let among = store.read().await.unwrap().hooks_among(&BTreeSet::from(asked)).await.unwrap();
    assert_eq!(among, [rows[0].clone(), rows[4].clone(), rows[5].clone()]);
    assert_eq!(store.read().await.unwrap().hooks_among(&BTreeSet::new()).await.unwrap(), []);
}

/// The newest is what people look for; the oldest is what holds the lock.
pub async fn operations_come_newest_first_and_unfinished_ones_oldest_first<S: Store>(store: Arc<S>) {
    let world = World::make(&*store).await;
    let mut read = store.read().await.unwrap();
    let all = whole!(5, page => read.operations(&OperationFilter::default(), &page));
    assert!(all.windows(2).all(|pair| pair[0].id > pair[1].id), "newest first");
    assert_eq!(all.len(), world.operations.len());
    for environment in &world.environments {
        let expected: Vec<_> = world
            .operations
            .iter()
            .filter(|row| row.environment == environment.id && !row.state.is_final())
            .cloned()
            .collect();
        assert_eq!(read.unfinished(environment.id).await.unwrap(), expected, "oldest first");
    }
}

/// Environments of two tenants in two regions, in several states, with operations and attentions.
struct World {
    environments: Vec<Environment>,
    operations: Vec<Operation>,
    attentions: Vec<Attention>,
}

impl World {
    async fn make<S: Store>(store: &S) -> Self {
        let mut world = Self { environments: vec![], operations: vec![], attentions: vec![] };
        let states = [EnvironmentState::Active, EnvironmentState::Suspended, EnvironmentState::Purged];
        let mut write = store.write().await.unwrap();
        for (n, state) in states.into_iter().cycle().take(12).enumerate() {
            let mut row = environment(["acme", "beta"][n % 2], &format!("e{n}"), ["eu1", "us1"][n / 2 % 2]);
            row.state = state;
            write.put_environment(&row).await.unwrap();
            for (m, state) in [OperationState::Running, OperationState::Failed, OperationState::Pending]
                .into_iter()
                .enumerate()
            {
                let row = operation(row.id, ["lifecycle.upsert", "crm.reindex"][(n + m) % 2], state);
                write.put_operation(&row).await.unwrap();
                world.operations.push(row);
            }
            world.environments.push(row);
        }
        for (n, operation) in world.operations.iter().enumerate() {
            let mut row = attention(&format!("k{n}"));
            // Some belong to an operation, some to a region, some to nothing; some are settled.
            if n % 3 > 0 {
                row.environment = Some(operation.environment);
                row.operation = Some(operation.id);
            }
            row.region = (n % 5 > 2).then(|| text(["eu1", "us1"][n % 2]));
            row.settled_at = (n % 4 == 0).then(|| at(60));
            write.put_attention(&row).await.unwrap();
            world.attentions.push(row);
        }
        write.commit().await.unwrap();
        world
    }

    fn environment(&self, operation: &Operation) -> &Environment {
        self.environments.iter().find(|row| row.id == operation.environment).unwrap()
    }

    /// What `scopes` allow of an environment.
    fn allows(scopes: Option<&[Scope]>, row: &Environment) -> bool {
        scopes.is_none_or(|scopes| {
            scopes.iter().any(|scope| match scope {
                Scope::All => true,
                Scope::Tenant(tenant) => *tenant == row.tenant,
                Scope::Region(region) => *region == row.region,
            })
        })
    }

    fn allows_attention(&self, scopes: Option<&[Scope]>, row: &Attention) -> bool {
        let home = self.environments.iter().find(|environment| Some(environment.id) == row.environment);
        home.is_some_and(|home| Self::allows(scopes, home))
            || scopes.is_none_or(|scopes| {
                scopes.iter().any(|scope| match scope {
                    Scope::All => true,
                    Scope::Tenant(_) => false,
                    Scope::Region(region) => row.region.as_ref() == Some(region),
                })
            })
    }

    /// Compares each list with what a look at every row finds.
    async fn check<S: Store>(&self, store: &S, scopes: Option<Vec<Scope>>) {
        let mut read = store.read().await.unwrap();
        self.check_environments(&mut *read, scopes.clone()).await;
        self.check_operations(&mut *read, scopes.clone()).await;
        self.check_attentions(&mut *read, scopes).await;
    }

    async fn check_environments(&self, read: &mut dyn Read, scopes: Option<Vec<Scope>>) {
        for tenant in [None, Some("acme"), Some("nobody")] {
            for region in [None, Some("us1")] {
                for (state, purged) in [
                    (None, false),
                    (None, true),
                    (Some(EnvironmentState::Suspended), false),
                    (Some(EnvironmentState::Suspended), true),
                    (Some(EnvironmentState::Purged), false),
                    (Some(EnvironmentState::Migrating), false),
                ] {
                    let filter = EnvironmentFilter {
                        tenant: tenant.map(text),
                        region: region.map(text),
                        state,
                        purged,
                        scopes: scopes.clone(),
                    };
                    let found = whole!(2, page => read.environments(&filter, &page));
                    let expected = self.environments.iter().filter(|row| {
                        filter.tenant.as_ref().is_none_or(|tenant| *tenant == row.tenant)
                            && filter.region.as_ref().is_none_or(|region| *region == row.region)
                            && state.is_none_or(|state| state == row.state)
                            && (purged || state.is_some() || row.state != EnvironmentState::Purged)
                            && Self::allows(scopes.as_deref(), row)
                    });
                    assert_eq!(ids(&found, |row| row.id), ids(expected, |row| row.id), "{filter:?}");
                }
            }
        }
    }

    async fn check_operations(&self, read: &mut dyn Read, scopes: Option<Vec<Scope>>) {
        for environment in [None, Some(self.environments[3].id)] {
            for name in [None, Some("crm.reindex")] {
                for state in [None, Some(OperationState::Running), Some(OperationState::Failed)] {
                    for unfinished in [false, true] {
                        let filter = OperationFilter {
                            environment,
                            name: name.map(text),
                            state,
                            unfinished,
                            scopes: scopes.clone(),
                        };
                        let found = whole!(2, page => read.operations(&filter, &page));
                        let expected = self.operations.iter().rev().filter(|row| {
                            environment.is_none_or(|id| id == row.environment)
                                && filter.name.as_ref().is_none_or(|name| *name == row.name)
                                && state.is_none_or(|state| state == row.state)
                                && !(unfinished && row.state.is_final())
                                && Self::allows(scopes.as_deref(), self.environment(row))
                        });
                        assert_eq!(ids(&found, |row| row.id), ids(expected, |row| row.id), "{filter:?}");
                    }
                }
            }
        }
    }

    async fn check_attentions(&self, read: &mut dyn Read, scopes: Option<Vec<Scope>>) {
        for operation in [None, Some(self.operations[4].id), Some(self.operations[5].id)] {
            for settled in [false, true] {
                let filter = AttentionFilter { operation, settled, scopes: scopes.clone() };
                let found = whole!(2, page => read.attentions(&filter, &page));
                let expected = self.attentions.iter().filter(|row| {
                    operation.is_none_or(|id| Some(id) == row.operation)
                        && (settled || row.settled_at.is_none())
                        && self.allows_attention(scopes.as_deref(), row)
                });
                assert_eq!(ids(&found, |row| row.id), ids(expected, |row| row.id), "{filter:?}");
            }
        }
    }
}

fn ids<'a, T: 'a, I: Debug>(rows: impl IntoIterator<Item = &'a T>, id: impl Fn(&T) -> I) -> Vec<I> {
    rows.into_iter().map(id).collect()
}

/// Tenant, region, state and their combinations.
pub async fn filters_narrow_environments<S: Store>(store: Arc<S>) {
    let world = World::make(&*store).await;
    world.check_environments(&mut *store.read().await.unwrap(), None).await;
}

/// Environment, name, state, unfinished and their combinations.
pub async fn filters_narrow_operations<S: Store>(store: Arc<S>) {
    let world = World::make(&*store).await;
    world.check_operations(&mut *store.read().await.unwrap(), None).await;
}

/// Operation, settled and their combinations.
pub async fn filters_narrow_attentions<S: Store>(store: Arc<S>) {
    let world = World::make(&*store).await;
    world.check_attentions(&mut *store.read().await.unwrap(), None).await;
}

/// A scope shows what it allows and nothing else, under every filter; a moved environment takes its rows along.
pub async fn scopes_narrow_every_list_and_follow_a_moved_environment<S: Store>(store: Arc<S>) {
    let mut world = World::make(&*store).await;
    let (acme, beta) = (Scope::Tenant(text("acme")), Scope::Tenant(text("beta")));
    let (eu1, us1) = (Scope::Region(text("eu1")), Scope::Region(text("us1")));
    let cases = [
        vec![],
        vec![Scope::All],
        vec![acme.clone()],
        vec![eu1.clone()],
        vec![acme.clone(), us1.clone()],
        vec![acme.clone(), beta],
        vec![eu1.clone(), us1.clone(), acme.clone(), acme],
        vec![Scope::Tenant(text("nobody"))],
    ];
    for scopes in &cases {
        world.check(&*store, Some(scopes.clone())).await;
    }
    let mut write = store.write().await.unwrap();
    for row in world.environments.iter_mut().take(5) {
        row.region = text(if row.region.as_str() == "eu1" { "us1" } else { "eu1" });
        write.put_environment(row).await.unwrap();
    }
    write.commit().await.unwrap();
    for scopes in &cases {
        world.check(&*store, Some(scopes.clone())).await;
    }
}

/// Attempt 10 comes after attempt 9; namespace `a` before `a-b`.
pub async fn steps_and_attempts_come_by_hook_and_number<S: Store>(store: Arc<S>) {
    let environment = environment("acme", "prod", "eu1");
    let run = operation(environment.id, "crm.reindex", OperationState::Running);
    let hooks: Vec<HookRef> = ["eu/a/z", "eu/a-b/a", "eu-1/a/a", "eu1/a/a"].map(text).into();
    let mut write = store.write().await.unwrap();
    write.put_environment(&environment).await.unwrap();
    write.put_operation(&run).await.unwrap();
    for hook in hooks.iter().rev() {
        write.put_step(&step(run.id, &hook.to_string())).await.unwrap();
        for number in (1..=11).rev() {
            write
                .put_attempt(&attempt(run.id, &hook.to_string(), number, AttemptState::Failed))
                .await
                .unwrap();
        }
    }
    let steps: Vec<_> = write.steps(run.id).await.unwrap().into_iter().map(|row| row.hook).collect();
    assert_eq!(steps, hooks);
    let attempts: Vec<_> =
        write.attempts(run.id).await.unwrap().into_iter().map(|row| (row.id.step, row.id.number)).collect();
    let expected: Vec<_> =
        hooks.iter().flat_map(|hook| (1..=11).map(move |number| (hook.clone(), number))).collect();
    assert_eq!(attempts, expected);
}

/// Due ones, the earliest, and that a change of the operation leaves its timer alone.
pub async fn timers_come_earliest_first_and_survive_a_put<S: Store>(store: Arc<S>) {
    let environment = environment("acme", "prod", "eu1");
    let mut rows: Vec<_> =
        (0..5).map(|_| operation(environment.id, "crm.reindex", OperationState::Running)).collect();
    let mut write = store.write().await.unwrap();
    write.put_environment(&environment).await.unwrap();
    for (row, due) in rows.iter().zip([50, 10, 40, 20, 30]) {
        write.put_operation(row).await.unwrap();
        write.put_timer(row.id, Some(at(due))).await.unwrap();
    }
    for row in &mut rows {
        row.revision += 1;
        write.put_operation(row).await.unwrap();
    }
    let id = |n: usize| rows[n].id;
    assert_eq!(write.next_due().await.unwrap(), Some(at(10)));
    assert_eq!(write.due(at(30), 10).await.unwrap(), [id(1), id(3), id(4)], "also one of that very time");
    assert_eq!(write.due(at(99), 2).await.unwrap(), [id(1), id(3)]);
    write.put_timer(id(1), None).await.unwrap();
    write.put_timer(id(3), Some(at(60))).await.unwrap();
    assert_eq!(write.next_due().await.unwrap(), Some(at(30)));
    assert_eq!(write.due(at(99), 10).await.unwrap(), [id(4), id(2), id(0), id(3)]);
    assert!(write.due(at(29), 10).await.unwrap().is_empty());
}

/// What a silent agent may have left behind: attempts count by their step's region, not the environment's.
pub async fn operations_running_in_a_region_have_an_open_attempt_there<S: Store>(store: Arc<S>) {
    let environment = environment("acme", "prod", "eu1");
    let mut write = store.write().await.unwrap();
    write.put_region(&region("us1")).await.unwrap();
    write.put_environment(&environment).await.unwrap();
    let mut expected = Vec::new();
    for n in 0..30 {
        let state = if n % 3 == 0 { OperationState::Cancelled } else { OperationState::Running };
        let run = operation(environment.id, "crm.reindex", state);
        let open = [AttemptState::Running, AttemptState::Failed, AttemptState::Created][n % 5 % 3];
        write.put_operation(&run).await.unwrap();
        write.put_attempt(&attempt(run.id, "us1/crm/a", 1, open)).await.unwrap();
        write.put_attempt(&attempt(run.id, "us1/crm/b", 1, open)).await.unwrap();
        write.put_attempt(&attempt(run.id, "eu1/crm/c", 1, AttemptState::Succeeded)).await.unwrap();
        if !state.is_final() && !open.is_over() {
            expected.push(run.id);
        }
    }
    let (us1, eu1) = (text("us1"), text("eu1"));
    assert_eq!(whole!(4, page => write.operations_running_in(&us1, &page)), expected, "each once");
    assert!(whole!(4, page => write.operations_running_in(&eu1, &page)).is_empty());
    for id in &expected {
        for hook in ["us1/crm/a", "us1/crm/b"] {
            write.put_attempt(&attempt(*id, hook, 1, AttemptState::Lost)).await.unwrap();
        }
    }
    assert!(whole!(4, page => write.operations_running_in(&us1, &page)).is_empty(), "all are over");
}
