//! What an installation keeps: signed heads, keys, hooks and tokens that are no more, what it told a pager; and at last
//! everything old goes.

use super::desk::{Desk, from};
use super::{REGION, schedules};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tenantry_api_types::v1::{
    AttentionQuery, HookState, OperationsQuery, PageQuery, RevokeToken, RunRetention,
};
use tenantry_client::Call;
use tenantry_model::HookRef;

/// A pager: a program that appends what it is told to a file.
pub fn sink(folder: &Path) -> Result<String> {
    let program = folder.join("pager");
    let script =
        format!("#!/bin/sh\nevent=$(cat) && printf '%s\\n' \"$event\" >> '{}'\n", told(folder).display());
    std::fs::write(&program, script)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    Ok(program.display().to_string())
}

fn told(folder: &Path) -> std::path::PathBuf {
    folder.join("told")
}

pub fn all(desk: &mut Desk) -> Result<()> {
    desk.ask(|client| async move { client.seal_audit(&Call::default()).await })?;
    let body = from(json!({ "reason": "once a year" }))?;
    desk.ask(move |client| async move { client.rotate_audit_key(&body, &Call::default()).await })?;
    desk.ask(|client| async move { client.seal_audit(&Call::default()).await })?;

    std::fs::remove_file(desk.template("old"))?;
    let old: HookRef = format!("{REGION}/team/old").parse()?;
    desk.until("a hook that is absent", |desk| {
        let old = old.clone();
        let hook = desk.ask(move |client| async move { client.hook(&old).await })?;
        Ok((hook.state == HookState::Absent).then_some(()))
    })?;
    let body = from(json!({ "reason": "it is part of base" }))?;
    desk.ask(move |client| async move { client.retire_hook(&old, &body, &Call::default()).await })?;

    let tokens = desk.ask(|client| async move { client.tokens(&PageQuery::default()).await })?.items;
    let second = tokens.iter().find(|token| token.name == "second" && token.revoked_at.is_none());
    let second = second.context("the second person's token")?.id;
    for _ in 0..2 {
        let body = RevokeToken { reason: Some("the day is over".to_owned()) };
        desk.ask(move |client| async move { client.revoke_token(second, &body, &Call::default()).await })?;
    }
    Ok(())
}

/// One line of the pager's file.
#[derive(Deserialize)]
struct Told {
    sequence: String,
    #[serde(rename = "type")]
    kind: String,
    data: Value,
}

/// The pager was told of everything that was raised and settled, in order, and of nothing that did not happen.
pub fn everybody_was_told(desk: &mut Desk) -> Result<()> {
    desk.until("an end of what waits for a person", |desk| {
        Ok(desk.open_attention()?.is_empty().then_some(()))
    })?;
    let query = AttentionQuery { settled: true, page_size: Some(1000), ..AttentionQuery::default() };
    let all = desk.ask(move |client| async move { client.attention(&query).await })?.items;
    let ids: BTreeSet<String> = all.iter().map(|item| item.id.to_string()).collect();
    let file = told(&desk.folder);
    let (mut lines, mut untold) = (Vec::new(), Vec::new());
    let ended = desk.until("the end of what the pager is told", |desk| {
        desk.site.revive()?;
        lines = read(&file)?;
        let settled: BTreeSet<&str> =
            lines.iter().filter(|told| told.kind.contains("settled")).map(about).collect();
        untold = all.iter().filter(|item| !settled.contains(item.id.to_string().as_str())).collect();
        Ok(untold.is_empty().then_some(()))
    });
    ended.with_context(|| format!("the pager was not told of the end of {untold:?}"))?;
    let positions = lines.iter().map(|told| Ok(told.sequence.parse()?)).collect::<Result<Vec<u64>>>()?;
    ensure!(positions.is_sorted(), "told out of order: {positions:?}");
    let mut seen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for told in &lines {
        let kinds = seen.entry(about(told)).or_default();
        // The same event again, since nobody noted that it was delivered.
        if kinds.last() != Some(&told.kind.as_str()) {
            kinds.push(&told.kind);
        }
    }
    for (id, kinds) in seen {
        ensure!(ids.contains(id), "the pager was told of {id}, which does not exist");
        ensure!(
            kinds.len() == 2 && kinds[0].contains("raised") && kinds[1].contains("settled"),
            "attention {id} was told as {kinds:?}"
        );
    }
    Ok(())
}

fn about(told: &Told) -> &str {
    told.data["id"].as_str().unwrap_or_default()
}

fn read(file: &Path) -> Result<Vec<Told>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("the pager got {line:?}")))
        .collect()
}

/// The manager starts with other settings, and what is old and needed by nothing is gone; answers what stays.
pub fn everything_old_goes(desk: &mut Desk) -> Result<Vec<String>> {
    schedules::remove(desk)?;
    let age = ["--keep-operations", "--keep-logs", "--keep-events", "--keep-attention"];
    let flags: Vec<&str> = age.iter().flat_map(|flag| [*flag, "1s"]).chain(["--keep-newest", "0"]).collect();
    desk.site.add_manager_flags(0, &flags)?;
    desk.restart_manager()?;
    desk.until("an end of everything old", |desk| {
        desk.ask(
            |client| async move { client.run_retention(&RunRetention::default(), &Call::default()).await },
        )?;
        let left = desk.ask(|client| async move { client.preview_retention().await })?;
        let query = AttentionQuery { settled: true, ..AttentionQuery::default() };
        let attention = desk.ask(move |client| async move { client.attention(&query).await })?.items;
        Ok((left.operations == 0 && left.logs == 0 && attention.is_empty()).then_some(()))
    })?;
    let query = OperationsQuery::default();
    let operations = desk.ask(move |client| async move { client.operations(&query).await })?.items;
    let mut stays: Vec<String> =
        operations.iter().map(|stays| format!("stays: {} {:?}", stays.name, stays.state)).collect();
    stays.sort();
    Ok(stays)
}
