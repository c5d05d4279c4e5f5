//! What a day leaves: the rows that clients see, and what really ran.

use super::desk::Desk;
use super::{REGION, TENANT, keeping, schedules};
use crate::life::rows_of;
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use tenantry_api_types::v1::{ApprovalsQuery, AuditQuery, HoldsQuery, PageQuery};
use tenantry_e2e::Witness;

/// What is done again when its answer was not heard, or by whoever is started again.
const REPEATED: [&str; 4] = ["region.join-token", "region.join", "token.create", "token.revoke"];

pub fn all(desk: &mut Desk) -> Result<Vec<String>> {
    keeping::everybody_was_told(desk)?;
    nothing_ran_twice(desk)?;
    let mut rows = Vec::new();
    for name in ["prod", "night", "clock"] {
        let full = format!("{TENANT}/{name}");
        rows.push(full.clone());
        rows.extend(desk.look("the rows of an environment", |site| rows_of(site, &full, REGION))?);
    }
    rows.extend(schedules::rows(desk)?);

    let definitions = desk.ask(|client| async move { client.definitions(&PageQuery::default()).await })?;
    rows.extend(definitions.items.iter().map(|one| {
        let definition = &one.definition;
        format!("definition {} {:?} {:?}", definition.name, definition.four_eyes, definition.from_states)
    }));
    let tenants = desk.ask(|client| async move { client.tenants(&PageQuery::default()).await })?;
    rows.extend(tenants.items.iter().map(|tenant| format!("tenant {} {}", tenant.name, tenant.display_name)));
    let tokens = desk.ask(|client| async move { client.tokens(&PageQuery::default()).await })?;
    let mut valid: Vec<String> = tokens
        .items
        .iter()
        .filter(|token| token.revoked_at.is_none() && token.role.is_some())
        .map(|token| format!("token {} {:?}", token.name, token.role))
        .collect();
    valid.sort();
    rows.extend(valid);
    let query = HoldsQuery { lifted: true, ..HoldsQuery::default() };
    let holds = desk.ask(move |client| async move { client.holds(&query).await })?;
    rows.extend(holds.items.iter().map(|hold| {
        let lifted = hold.lifted.as_ref().map(|end| (&end.by.name, &end.reason));
        format!("hold {} {lifted:?}", hold.reason)
    }));
    let query = ApprovalsQuery { decided: true, ..ApprovalsQuery::default() };
    let approvals = desk.ask(move |client| async move { client.approvals(&query).await })?;
    rows.extend(approvals.items.iter().map(|one| {
        let by = one.decided_by.as_ref().map(|actor| &actor.name);
        format!("approval {} {:?} {by:?} {:?}", one.verb, one.state, one.decision_reason)
    }));
    rows.extend(audited(desk)?);
    Ok(rows)
}

/// Each change stands in the audit log once.
fn audited(desk: &mut Desk) -> Result<Vec<String>> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut query = AuditQuery { page_size: Some(1000), ..AuditQuery::default() };
    loop {
        let page = {
            let query = query.clone();
            desk.ask(move |client| async move { client.audit(&query).await })?
        };
        for entry in page.items.iter().filter(|entry| !REPEATED.contains(&entry.action.as_str())) {
            *counts.entry(format!("{} by {}", entry.action, entry.actor.name)).or_default() += 1;
        }
        query.page_token = page.next_page_token;
        if query.page_token.is_none() {
            break;
        }
    }
    Ok(counts.into_iter().map(|(what, count)| format!("audit: {what}, {count} times")).collect())
}

/// By what the hooks wrote themselves: no attempt ran twice, and no two of one step at once.
fn nothing_ran_twice(desk: &Desk) -> Result<()> {
    let witness = Witness(desk.folder.join("witness/records"));
    let mut starts: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for record in witness.records()?.into_iter().filter(|record| record.event == "start") {
        *starts.entry((record.operation, record.step, record.attempt)).or_default() += 1;
    }
    ensure!(!starts.is_empty(), "nothing ran");
    let twice: Vec<_> = starts.iter().filter(|(_, count)| **count > 1).collect();
    ensure!(twice.is_empty(), "ran twice: {twice:?}");
    Ok(())
}
