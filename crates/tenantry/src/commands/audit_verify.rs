//! `tenantry audit verify`: the verifier runs here and not in the manager, over an export that is read line by line.

use super::{Context, connect, connect::all_lines};
use crate::cli::{AuditVerifyArgs, Format};
use crate::exit::Exit;
use crate::output;
use anyhow::{Context as _, Result, bail};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use tenantry_audit::{BadKind, ChainReport, Line, PublicKey, Report, SignedHead, Verifier};

/// Longest line that is read: an entry holds at most two documents of an API request.
pub const MAX_LINE: usize = 16 * 1024 * 1024;

/// Runs the command.
pub async fn run(context: Context, args: AuditVerifyArgs) -> Result<Exit> {
    let mut keys = read_keys(&args.public_key)?;
    let heads = read_heads(&args.heads)?;
    let report = if let Some(path) = &args.export {
        if keys.is_empty() {
            bail!(crate::exit::Failure::new(
                Exit::Usage,
                "an export is verified with --public-key: `tenantry audit keys` prints the keys, and they must come from elsewhere"
            ));
        }
        let mut verifier = verifier(keys, &heads);
        for line in BufReader::new(open(path)?).lines() {
            let text = line.with_context(|| format!("cannot read {}", path.display()))?;
            verifier.line(parse(&text)?);
        }
        verifier.finish()
    } else {
        let client = connect(args.connection)?;
        if keys.is_empty() {
            anstream::eprintln!(
                "no --public-key was given: the manager's own keys are believed, so that nobody who holds its data is ruled out"
            );
            for key in client.audit_keys().await?.items {
                keys.extend(PublicKey::all_from_pem(&key.pem)?);
            }
        }
        let mut verifier = verifier(keys, &heads);
        let stream = client.export_audit().await?;
        all_lines(stream, MAX_LINE, |text| {
            verifier.line(parse(text)?);
            Ok(())
        })
        .await?;
        verifier.finish()
    };
    show(context, &report)?;
    Ok(if report.is_intact() { Exit::Done } else { Exit::Failed })
}

fn verifier(keys: Vec<PublicKey>, heads: &[SignedHead]) -> Verifier {
    let mut verifier = Verifier::new(keys);
    for head in heads {
        verifier.head(head);
    }
    verifier
}

fn parse(text: &str) -> Result<Line> {
    serde_json::from_str(text).context("a line of the export cannot be read")
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("cannot open {}", path.display()))
}

fn read_keys(files: &[PathBuf]) -> Result<Vec<PublicKey>> {
    let mut keys = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        keys.extend(PublicKey::all_from_pem(&text).with_context(|| file.display().to_string())?);
    }
    Ok(keys)
}

/// All heads of folders and files, by number.
fn read_heads(paths: &[PathBuf]) -> Result<Vec<SignedHead>> {
    let mut heads = Vec::new();
    for path in paths {
        let files = if path.is_dir() {
            let entries = fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
            let files: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
            let mut files = files.with_context(|| format!("cannot list {}", path.display()))?;
            files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
            files
        } else {
            vec![path.clone()]
        };
        for file in files {
            for line in BufReader::new(open(&file)?).lines() {
                let line = line.with_context(|| format!("cannot read {}", file.display()))?;
                let head: SignedHead = serde_json::from_str(&line)
                    .with_context(|| format!("{} holds no signed head", file.display()))?;
                let number = head.head().with_context(|| file.display().to_string())?.number;
                heads.push((number, head));
            }
        }
    }
    heads.sort_by_key(|(number, _)| *number);
    Ok(heads.into_iter().map(|(_, head)| head).collect())
}

fn show(context: Context, report: &Report) -> Result<()> {
    if context.format != Format::Table {
        return output::document(context.format, report);
    }
    for fault in &report.faults {
        anstream::eprintln!("{fault}");
    }
    if !report.bad.is_empty() {
        output::table(
            &["chain", "first bad", "what", "certain before", "detail"],
            report.bad.iter().map(bad_row),
        )?;
    }
    let sealed = match (report.last_head, report.last_head_at) {
        (Some(number), Some(at)) => {
            format!("{} of them vouched for by signed heads up to {number} of {at}", report.certain_entries)
        }
        _ => "no signed head vouches for them: a cut end cannot be found".to_owned(),
    };
    let verdict = if report.is_intact() { "intact" } else { "NOT INTACT" };
    anstream::eprintln!(
        "{verdict}: {} entries in {} chains, {} chains do not fit; {sealed}",
        report.entries,
        report.chains,
        report.bad_chains
    );
    if report.later_heads > 0 {
        anstream::eprintln!(
            "{} heads are newer than the export and say nothing about it: verify a newer one",
            report.later_heads
        );
    }
    Ok(())
}

fn bad_row(chain: &ChainReport) -> Vec<String> {
    let name = chain.environment.map_or_else(|| "common".to_owned(), |id| id.to_string());
    let (position, what, detail) = match &chain.first_bad {
        Some(bad) => (bad.position.to_string(), word(bad.kind), bad.detail.clone()),
        None => (String::new(), "", String::new()),
    };
    let certain = match chain.certain_by {
        Some(head) => format!("1 to {} (head {head})", chain.certain_until),
        None => "nothing".to_owned(),
    };
    vec![name, position, what.to_owned(), certain, detail]
}

fn word(kind: BadKind) -> &'static str {
    match kind {
        BadKind::Changed => "changed",
        BadKind::Removed => "removed",
        BadKind::Reordered => "reordered",
        BadKind::Unlinked => "replaced",
        BadKind::Rewritten => "written anew",
        BadKind::CutOff => "cut off",
    }
}
