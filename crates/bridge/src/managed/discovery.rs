//! Discovery for a manager: says which hooks of the operation there are, and gets the steps to run and their order.
//!
//! It must never judge: what a selector, an edge or an unreadable version means is in the manager's plan.

use super::{Manager, ManagerError, leave};
use crate::{
    BridgeError, Exit, Order,
    cli::Discovery,
    discovery::{Look, Seen, anew},
    run::Owner,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tenantry_api_types::{
    agent::{HookReport, MAX_BATCH},
    bridge::{HooksAnswer, HooksRequest, OrderAnswer, OrderRequest, OrderedStep},
};
use tenantry_model::{AgentSessionId, HookPath};
use uuid::Uuid;

/// How long the manager may think about one poll.
const POLL_SECONDS: u32 = 20;
/// How often all hooks are told again because the manager lost a page of them, and the pause before.
const LISTINGS: usize = 10;
const BETWEEN_LISTINGS: Duration = Duration::from_secs(1);
/// A page is sent when its hooks have this size as JSON: more would only be held here.
const PAGE_BYTES: usize = 256 * 1024;

/// The manager that the command line names.
pub(crate) fn manager(arguments: &Discovery) -> Result<Option<Manager>, ManagerError> {
    let workflow = arguments.workflow.as_ref().map(ToString::to_string);
    Manager::new(&arguments.managed, arguments.operation_id, workflow)
}

/// Tells the hooks and waits for the order.
pub(crate) async fn order(manager: &Manager, look: &Look<'_>) -> Result<Order, BridgeError> {
    let mut terms = leave::terms()?;
    let owner = Owner::new(look.cluster, look.arguments.workflow.clone());
    let ordered = async {
        tell_all(manager, look).await?;
        wait(manager, look).await
    };
    let order = tokio::select! {
        order = ordered => order,
        end = leave::asked(&mut terms, &owner) => match end {
            Some(end) => {
                leave::tell(manager, end).await;
                Err(BridgeError::WorkflowOver(owner.to_string()))
            }
            None => Err(BridgeError::Asked),
        },
    };
    if let Err(error) = &order
        // Argo starts the program again.
        && error.exit() != Exit::Unreachable
    {
        leave::give_up(manager, error).await;
    }
    order
}

/// Tells all hooks. A manager that cannot tell the pages together any more gets all of them again.
async fn tell_all(manager: &Manager, look: &Look<'_>) -> Result<(), BridgeError> {
    let mut left = LISTINGS;
    loop {
        left -= 1;
        match anew(|| report(manager, look)).await {
            Err(BridgeError::Manager(ManagerError::Refused { code, .. }))
                if left > 0 && code == "inventory-restart" =>
            {
                eprintln!("tenantry-bridge: the manager wants all hooks again");
                tokio::time::sleep(BETWEEN_LISTINGS).await;
            }
            answer => return answer,
        }
    }
}

/// Sends the hooks while they are found. What was sent before a listing broke off is void: the next one has a session of its
/// own.
async fn report(manager: &Manager, look: &Look<'_>) -> Result<(), BridgeError> {
    let mut pages = look.pages();
    let mut listing = Listing::new(manager);
    while let Some(page) = look.next(&mut pages).await? {
        for (path, seen) in page {
            match seen {
                Seen::Hook(hook) => {
                    let hook = Some(*hook);
                    listing.take(HookReport { path, hook, problems: Vec::new() }).await?;
                }
                Seen::Wrong(problems) => listing.take(HookReport { path, hook: None, problems }).await?,
                Seen::Other => {}
            }
        }
    }
    let absent: Vec<HookPath> =
        look.arguments.expect.iter().filter(|path| !listing.named.contains(*path)).cloned().collect();
    if !absent.is_empty() {
        // Before the last page: nothing is planned without them.
        return Err(BridgeError::Absent(absent));
    }
    listing.end().await
}

/// A listing that is told page by page.
struct Listing<'a> {
    manager: &'a Manager,
    session: AgentSessionId,
    named: BTreeSet<HookPath>,
    begun: bool,
    held: Vec<HookReport>,
    size: usize,
}

impl<'a> Listing<'a> {
    fn new(manager: &'a Manager) -> Self {
        let session = AgentSessionId(Uuid::now_v7());
        Self { manager, session, named: BTreeSet::new(), begun: false, held: Vec::new(), size: 0 }
    }

    async fn take(&mut self, report: HookReport) -> Result<(), BridgeError> {
        self.named.insert(report.path.clone());
        let size = size(&report);
        if self.held.len() >= MAX_BATCH || (self.size + size > PAGE_BYTES && !self.held.is_empty()) {
            self.send(false).await?;
        }
        self.size += size;
        self.held.push(report);
        Ok(())
    }

    async fn end(mut self) -> Result<(), BridgeError> {
        self.send(true).await
    }

    async fn send(&mut self, end: bool) -> Result<(), BridgeError> {
        let page = HooksRequest {
            workflow: self.manager.workflow.clone(),
            session: self.session,
            begin: !std::mem::replace(&mut self.begun, true),
            end,
            present: std::mem::take(&mut self.held),
        };
        self.size = 0;
        let _: HooksAnswer = self.manager.ask("hooks", Duration::ZERO, |_| &page).await?;
        Ok(())
    }
}

fn size(report: &impl Serialize) -> usize {
    serde_json::to_vec(report).map_or(0, |text| text.len())
}

/// Waits until the operation is planned. Meanwhile hooks may come, or come back: they are told again when the manager asks.
async fn wait(manager: &Manager, look: &Look<'_>) -> Result<Order, BridgeError> {
    let mut said = String::new();
    let request = |_| OrderRequest { workflow: manager.workflow.clone(), wait_seconds: POLL_SECONDS };
    loop {
        let asked = tokio::time::Instant::now();
        let answer = manager.ask("order:wait", Duration::from_secs(POLL_SECONDS.into()), request).await?;
        match answer {
            OrderAnswer::Ready { steps } => return Ok(ordered(steps)),
            OrderAnswer::Over { succeeded: true, message } => {
                eprintln!("tenantry-bridge: nothing is to be run: {message}");
                return Ok(Order::default());
            }
            OrderAnswer::Over { succeeded: false, message } => {
                return Err(BridgeError::OperationOver(message));
            }
            OrderAnswer::Waiting { note, list_again } => {
                super::step::say_note(&mut said, &note);
                if list_again {
                    match tell_all(manager, look).await {
                        // One that was there is being replaced: what was told before holds until it is back.
                        Ok(()) | Err(BridgeError::Absent(_) | BridgeError::Vanished(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        super::step::not_at_once(asked).await;
    }
}

/// Steps that are not of the list are none that Argo could wait for.
fn ordered(steps: Vec<OrderedStep>) -> Order {
    let mut after: BTreeMap<HookPath, BTreeSet<HookPath>> =
        steps.into_iter().map(|step| (step.hook, step.after)).collect();
    let listed: BTreeSet<HookPath> = after.keys().cloned().collect();
    for waits in after.values_mut() {
        waits.retain(|target| listed.contains(target));
    }
    // Whether a failure holds others back is the manager's matter: a bridge whose step counts as done ends with 0.
    Order { after, may_fail: BTreeSet::new() }
}
