//! Which hooks an operation runs for an environment, and in which order.
//!
//! First every hook of the operation is judged without looking at the environment, then selectors decide: as a manager's
//! plan does, but for last good versions, which nobody keeps here. Of each hook no more is held than its order.

use crate::{
    BridgeError, EnvironmentFile, Listing, Submit, SubmitManager,
    cli::{Bridge, Discovery},
    dag, managed, output, region, submit,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tenantry_hook::{
    AfterTarget, AnnotationDomains, Hook, OrderPolicy, RegionPolicy, Selector, parse, plain_operations,
    resolve_targets,
};
use tenantry_kube_run::{Candidate, CandidatePages, Cluster, RunError, Settings, read_template};
use tenantry_model::{HookPath, OnFailure, OperationId, OperationName, Problem};
use tokio::time::Instant;

/// Templates that are read at the same time.
const AT_ONCE: usize = 8;
/// How long a template that was listed or ordered may be gone: Argo CD replaces by deleting.
const REPLACED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How often a listing that took too long is begun anew.
const LISTINGS: usize = 3;

/// What the cluster has.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The hooks of the operation.
    pub hooks: BTreeMap<HookPath, Slim>,
    /// Hooks of other operations only: who waits for them need not.
    pub others: BTreeSet<HookPath>,
    /// Those that cannot be read.
    pub wrong: Vec<(HookPath, Vec<Problem>)>,
}

/// What is held of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slim {
    /// The targets of `tenant.after` that hold for the operation.
    pub after: Vec<AfterTarget>,
    /// `tenant.selector`.
    pub selector: String,
    /// `tenant.on-failure`.
    pub on_failure: OnFailure,
}

/// What the caller says about the result.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    /// For which operation.
    pub operation: &'a OperationName,
    /// The environment's labels; `None`: nobody gave an environment.
    pub labels: Option<&'a BTreeMap<String, String>>,
    /// Hooks that must be there.
    pub expect: &'a [HookPath],
    /// Nothing to do is fine.
    pub allow_empty: bool,
    /// What the platform allows of order.
    pub order: OrderPolicy,
}

/// The hooks that run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// For each, those that must be done before.
    pub after: BTreeMap<HookPath, BTreeSet<HookPath>>,
    /// Those whose failure counts as done (`tenant.on-failure: continue`).
    pub may_fail: BTreeSet<HookPath>,
}

pub(crate) async fn main(arguments: &Discovery) -> Result<(), BridgeError> {
    let read = |path| EnvironmentFile::read(path, arguments.encoding());
    let environment = arguments.environment_file.as_deref().map(read).transpose()?;
    if let Some(environment) = &environment {
        environment.check_operation(arguments.operation_id, &arguments.operation)?;
    }
    region::check(&arguments.managed, environment.as_ref())?;
    if arguments.as_dag && environment.is_none() && arguments.managed.manager.is_none() {
        return Err(BridgeError::Usage("--as-dag needs --environment-file or --manager".to_owned()));
    }
    let cluster = Cluster::connect(&arguments.region.connection(), &Settings::default()).await?;
    let look = Look {
        cluster: &cluster,
        arguments,
        domains: arguments.region.domains()?,
        policy: arguments.region.policy(),
    };
    let order = match managed::manager(arguments)? {
        Some(manager) => managed::order(&manager, &look).await?,
        None => {
            let rules = Rules {
                operation: &arguments.operation,
                labels: environment.as_ref().map(EnvironmentFile::labels),
                expect: &arguments.expect,
                allow_empty: arguments.allow_empty,
                order: OrderPolicy { cross_namespace_after: !arguments.same_namespace_only },
            };
            judge(anew(|| look.all()).await?, &rules)?
        }
    };
    let text = match arguments.operation_id {
        Some(id) if arguments.as_dag => {
            let submit = submit(arguments, id, environment.as_ref())?;
            let workflow = dag::workflow(&order, &submit);
            match &arguments.workflow_namespace {
                Some(namespace) if arguments.submit => {
                    return submit::create(&cluster, namespace, &submit.name, &workflow).await;
                }
                _ => serde_json::to_string(&workflow).unwrap_or_default(),
            }
        }
        _ if arguments.levels => Listing::Levels.text(&order),
        _ => Listing::Flat.text(&order),
    };
    output::give(&text, arguments.output.as_deref())
}

/// Everything about the Workflow of `--as-dag` but its tasks. With a manager its bridges need no environment.
fn submit<'a>(
    arguments: &'a Discovery,
    id: OperationId,
    environment: Option<&EnvironmentFile>,
) -> Result<Submit<'a>, BridgeError> {
    let flags = &arguments.managed;
    let manager =
        flags.manager.as_deref().zip(flags.region_name.as_ref()).map(|(url, region)| SubmitManager {
            url,
            region,
            round: flags.round,
            audience: &arguments.manager_audience,
            ca_secret: arguments.manager_ca_secret.as_deref(),
        });
    let labels = environment.map(|environment| environment.workflow_labels(&arguments.operation));
    let environment = environment.filter(|_| manager.is_none());
    let name = arguments.workflow_name.clone();
    Ok(Submit {
        operation: &arguments.operation,
        id,
        environment: environment
            .map(|environment| environment.environment_yaml(id, &arguments.operation))
            .transpose()?,
        namespace: arguments.workflow_namespace.as_ref(),
        service_account: &arguments.service_account,
        image: &arguments.image,
        flags: region_flags(arguments),
        name: name.unwrap_or_else(|| managed::workflow_name(id, flags.round)),
        stays: arguments.workflow_ttl,
        parallelism: arguments.workflow_parallelism,
        priority: arguments.workflow_priority,
        labels: labels.unwrap_or_default(),
        manager,
    })
}

/// What holds for discovery holds for the bridges of the Workflow that it prints.
fn region_flags(arguments: &Discovery) -> Vec<String> {
    let (region, managed) = (&arguments.region, &arguments.managed);
    let mut flags: Vec<String> = region.domains.iter().map(|domain| format!("--domain={domain}")).collect();
    let name =
        |privilege| serde_json::to_value(privilege).ok().and_then(|name| name.as_str().map(str::to_owned));
    flags.extend(region.allow.iter().filter_map(name).map(|name| format!("--allow={name}")));
    flags.extend(region.tracking_labels.iter().map(|label| format!("--tracking-label={label}")));
    flags.extend(region.object_store_claim.iter().map(|claim| format!("--object-store-claim={claim}")));
    // With a manager it is among what they need for that.
    let here = managed.region_name.iter().filter(|_| managed.manager.is_none());
    flags.extend(here.map(|name| format!("--region={name}")));
    let asked = managed.for_region.iter().filter(|asked| !asked.is_empty());
    flags.extend(asked.map(|name| format!("--for-region={name}")));
    flags.extend(arguments.bridge_flags.iter().cloned());
    flags
}

/// A listing that took too long is begun anew, a few times.
pub(crate) async fn anew<T, F>(mut listing: impl FnMut() -> F) -> Result<T, BridgeError>
where
    F: Future<Output = Result<T, BridgeError>>,
{
    let mut left = LISTINGS;
    loop {
        left -= 1;
        match listing().await {
            Err(BridgeError::Run(error)) if left > 0 && error.code() == Some(410) => {}
            answer => return answer,
        }
    }
}

/// What a candidate is to the operation.
pub(crate) enum Seen {
    /// Its hook.
    Hook(Box<Hook>),
    /// A hook of other operations only.
    Other,
    /// It cannot be read.
    Wrong(Vec<Problem>),
}

/// Looks through the cluster.
pub(crate) struct Look<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) arguments: &'a Discovery,
    pub(crate) domains: AnnotationDomains,
    pub(crate) policy: RegionPolicy,
}

impl Look<'_> {
    pub(crate) fn pages(&self) -> CandidatePages {
        let Discovery { page, .. } = self.arguments;
        CandidatePages::new(self.cluster.clone(), &self.arguments.scope(), self.domains.clone(), *page)
    }

    /// The next page, each candidate read; `None` after the last.
    pub(crate) async fn next(
        &self,
        pages: &mut CandidatePages,
    ) -> Result<Option<Vec<(HookPath, Seen)>>, BridgeError> {
        let operation = &self.arguments.operation;
        let Some(page) = pages.next().await? else { return Ok(None) };
        let (mut seen, mut to_read) = (Vec::new(), Vec::new());
        for Candidate { path, annotations } in page {
            // One that is plainly for other operations need not be sound for this one.
            if plain_operations(&annotations, &self.domains).is_some_and(|plain| !plain.contains(operation)) {
                seen.push((path, Seen::Other));
            } else {
                to_read.push(path);
            }
        }
        let mut read = stream::iter(to_read)
            .map(|path| async move {
                let template = read_listed(self.cluster, &path).await?;
                Ok::<_, BridgeError>((path, parse(&template, &self.domains, &self.policy)))
            })
            .buffer_unordered(AT_ONCE);
        while let Some((path, hook)) = read.try_next().await? {
            let what = match hook {
                Ok(hook) if hook.operations.contains(operation) => Seen::Hook(Box::new(hook)),
                Ok(_) => Seen::Other,
                Err(problems) => Seen::Wrong(problems),
            };
            seen.push((path, what));
        }
        drop(read);
        Ok(Some(seen))
    }

    async fn all(&self) -> Result<Found, BridgeError> {
        let mut found = Found::default();
        let mut pages = self.pages();
        while let Some(page) = self.next(&mut pages).await? {
            for (path, seen) in page {
                match seen {
                    Seen::Hook(hook) => {
                        found.hooks.insert(path, Slim::of(*hook, &self.arguments.operation));
                    }
                    Seen::Other => {
                        found.others.insert(path);
                    }
                    Seen::Wrong(problems) => found.wrong.push((path, problems)),
                }
            }
        }
        found.wrong.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(found)
    }
}

impl Slim {
    fn of(hook: Hook, operation: &OperationName) -> Self {
        Self {
            after: hook.after_for(operation).to_vec(),
            selector: hook.selector,
            on_failure: hook.policy.on_failure,
        }
    }
}

/// A template that is gone at this moment is waited for: a step must not vanish because its template is being replaced.
pub(crate) async fn read_replaced(
    cluster: &Cluster,
    path: &HookPath,
) -> Result<Option<serde_json::Value>, RunError> {
    let deadline = Instant::now() + REPLACED_WITHIN;
    loop {
        let template = read_template(cluster, path).await?;
        if template.is_some() || Instant::now() >= deadline {
            return Ok(template);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn read_listed(cluster: &Cluster, path: &HookPath) -> Result<serde_json::Value, BridgeError> {
    read_replaced(cluster, path).await?.ok_or_else(|| BridgeError::Vanished(path.clone()))
}

/// What runs, and in which order; or everything that stands against it.
pub fn judge(found: Found, rules: &Rules<'_>) -> Result<Order, BridgeError> {
    let Found { hooks, others, mut wrong } = found;
    let unreadable: BTreeSet<HookPath> = wrong.iter().map(|(path, _)| path.clone()).collect();
    let targets = hooks.iter().map(|(path, hook)| (path.clone(), hook.after.as_slice())).collect();
    let exists = |path: &HookPath| others.contains(path) || unreadable.contains(path);
    let edges = resolve_targets(&targets, rules.operation, &exists, rules.order);
    wrong.extend(edges.problems);
    if !wrong.is_empty() {
        return Err(BridgeError::Wrong(wrong));
    }
    let absent: Vec<HookPath> =
        rules.expect.iter().filter(|path| !hooks.contains_key(path)).cloned().collect();
    if !absent.is_empty() {
        return Err(BridgeError::Absent(absent));
    }
    let mut order = Order::default();
    for (path, hook) in &hooks {
        if selects(path, &hook.selector, rules.labels)? {
            order.after.insert(path.clone(), BTreeSet::new());
            if hook.on_failure == OnFailure::Continue {
                order.may_fail.insert(path.clone());
            }
        }
    }
    for (path, waits) in edges.after {
        // What its selector leaves out counts as done.
        let waits: BTreeSet<HookPath> =
            waits.into_iter().filter(|target| order.after.contains_key(target)).collect();
        if let Some(entry) = order.after.get_mut(&path) {
            *entry = waits;
        }
    }
    if order.after.is_empty() && !rules.allow_empty {
        return Err(BridgeError::Empty);
    }
    Ok(order)
}

fn selects(
    path: &HookPath,
    selector: &str,
    labels: Option<&BTreeMap<String, String>>,
) -> Result<bool, BridgeError> {
    if selector.is_empty() {
        return Ok(true);
    }
    let labels = labels.ok_or_else(|| BridgeError::NoLabels(path.clone()))?;
    // It was checked when the template was read.
    Ok(selector.parse::<Selector>().is_ok_and(|selector| selector.matches(labels)))
}

impl Bridge {
    /// The one template that this bridge runs, and what it says.
    pub(crate) async fn template(
        &self,
        cluster: &Cluster,
        domains: &AnnotationDomains,
        policy: &RegionPolicy,
    ) -> Result<Option<(serde_json::Value, Hook)>, BridgeError> {
        let Some(template) = read_replaced(cluster, &self.job).await? else { return Ok(None) };
        match parse(&template, domains, policy) {
            Ok(hook) if hook.operations.contains(&self.operation) => Ok(Some((template, hook))),
            Ok(_) => Err(BridgeError::Usage(format!(
                "hook {} is not registered for {}: its tenant.lifecycle does not name it",
                self.job, self.operation
            ))),
            Err(problems) => Err(BridgeError::Wrong(vec![(self.job.clone(), problems)])),
        }
    }
}
