//! `tenantry hold …`

use super::resolve::{name, until, usage};
use super::{Context, change::only_checked, connect, connect::all};
use crate::cli::{Format, HoldCommand};
use crate::exit::Exit;
use crate::output::{self, Rows};
use anyhow::Result;
use tenantry_api_types::v1::{CreateHold, Hold, HoldsQuery, LiftHold};
use tenantry_client::Call;
use tenantry_model::{HoldId, HoldPredicate, HookRef};

impl Rows for Hold {
    const HEADINGS: &'static [&'static str] = &["hold", "holds", "until", "by", "since", "reason", "lifted"];
    fn cells(&self) -> Vec<String> {
        let lifted = self.lifted.as_ref().map(|end| format!("{:.0} by {}", end.at, end.by.name));
        vec![
            self.id.to_string(),
            describe(&self.predicate),
            self.until.map(|at| format!("{at:.0}")).unwrap_or_default(),
            self.by.name.clone(),
            format!("{:.0}", self.since),
            self.reason.clone(),
            lifted.unwrap_or_default(),
        ]
    }
}

/// What a predicate catches, in a few words.
fn describe(predicate: &HoldPredicate) -> String {
    let parts = [
        ("hook", predicate.hook.as_ref().map(ToString::to_string)),
        ("namespace", predicate.namespace.as_ref().map(ToString::to_string)),
        ("region", predicate.region.as_ref().map(ToString::to_string)),
        ("operation", predicate.operation.as_ref().map(ToString::to_string)),
        ("selector", (!predicate.selector.is_empty()).then(|| predicate.selector.clone())),
    ];
    let given: Vec<String> =
        parts.into_iter().filter_map(|(what, value)| Some(format!("{what} {}", value?))).collect();
    if given.is_empty() { "everything".to_owned() } else { given.join(", ") }
}

/// Runs the command.
pub async fn run(context: Context, command: HoldCommand) -> Result<Exit> {
    match command {
        HoldCommand::Create {
            hook,
            namespace,
            region,
            operation,
            selector,
            until: end,
            reason,
            max,
            dry_run,
            idempotency_key,
            connection,
        } => {
            let mut predicate = HoldPredicate {
                hook: None,
                namespace: namespace.as_deref().map(name).transpose()?,
                region: region.as_deref().map(name).transpose()?,
                operation: operation.as_deref().map(name).transpose()?,
                selector: selector.unwrap_or_default(),
            };
            if let Some(hook) = hook {
                take_hook(&mut predicate, &hook)?;
            }
            let until = end.as_deref().map(until).transpose()?;
            let body = CreateHold { predicate, reason, until, max_steps: max };
            let call = Call { key: idempotency_key, validate_only: dry_run, ..Call::default() };
            show(context, &connect(connection)?.create_hold(&body, &call).await?, "holds")?;
            only_checked(dry_run);
        }
        HoldCommand::List { lifted, limit, connection } => {
            let client = connect(connection)?;
            let items = all(limit, |page_size, page_token| {
                let query = HoldsQuery { lifted, page_size: Some(page_size), page_token };
                let client = &client;
                async move { client.holds(&query).await }
            })
            .await?;
            output::list(context.format, &items)?;
        }
        HoldCommand::Get { hold, connection } => {
            show(context, &connect(connection)?.hold(id_of(&hold)?).await?, "holds")?;
        }
        HoldCommand::Lift { hold, reason, dry_run, connection } => {
            let call = Call { validate_only: dry_run, ..Call::default() };
            let body = LiftHold { reason };
            show(context, &connect(connection)?.lift_hold(id_of(&hold)?, &body, &call).await?, "held")?;
            only_checked(dry_run);
        }
    }
    Ok(Exit::Done)
}

/// `REGION/NAMESPACE/NAME` names a region as well.
fn take_hook(predicate: &mut HoldPredicate, text: &str) -> Result<()> {
    if text.matches('/').count() < 2 {
        predicate.hook = Some(name(text)?);
        return Ok(());
    }
    let hook: HookRef = name(text)?;
    if predicate.region.as_ref().is_some_and(|region| *region != hook.region) {
        return Err(usage(format!("--hook {text} and --region name different regions")));
    }
    predicate.hook = Some(hook.path());
    predicate.region = Some(hook.region);
    Ok(())
}

fn id_of(text: &str) -> Result<HoldId> {
    text.parse().map_err(|error| {
        usage(format!("hold {text:?} is no UUID ({error}); `tenantry hold list` shows them"))
    })
}

fn show(context: Context, hold: &Hold, verb: &'static str) -> Result<()> {
    output::one(context.format, hold, |hold| {
        let lifted = hold.lifted.as_ref().map(|end| format!("{:.0} by {}", end.at, end.by.name));
        vec![
            ("hold", hold.id.to_string()),
            ("catches", describe(&hold.predicate)),
            ("by", hold.by.name.clone()),
            ("reason", hold.reason.clone()),
            ("since", format!("{:.0}", hold.since)),
            ("until", hold.until.map(|at| format!("{at:.0}")).unwrap_or_default()),
            ("lifted", lifted.unwrap_or_default()),
            (verb, format!("{} steps of running operations", hold.steps.unwrap_or_default())),
        ]
    })?;
    let steps = hold.held.as_deref().unwrap_or_default();
    if context.format == Format::Table && !steps.is_empty() {
        output::print("\n")?;
        let rows = steps.iter().map(|one| vec![one.operation.to_string(), one.step.path().to_string()]);
        output::table(&["operation", "step"], rows)?;
    }
    Ok(())
}
