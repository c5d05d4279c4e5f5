//! `tenantry hook lint`: files and folders → findings.

use super::Context;
use super::resolve::usage;
use crate::cli::Format;
use crate::exit::Exit;
use crate::output;
use anyhow::Result;
use std::path::{Path, PathBuf};
use tenantry_hook::{AnnotationDomains, Finding, RegionPolicy, Severity, lint_manifest};

/// At most this many files in one call.
const MAX_FILES: usize = 10_000;

/// Checks every manifest. Ends with [`Exit::Failed`] when there is an error among the findings.
pub fn lint(context: Context, paths: &[PathBuf], domains: &[String]) -> Result<Exit> {
    let domains = AnnotationDomains::new(domains).map_err(usage)?;
    let policy = RegionPolicy::default();
    let mut findings = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        collect(path, true, &mut files)?;
    }
    for file in &files {
        let text =
            std::fs::read_to_string(file).map_err(|error| usage(format!("{}: {error}", file.display())))?;
        // A folder holds other manifests beside hooks; only a file that was named is expected to hold one.
        let named = paths.contains(file);
        let found = lint_manifest(&text, &file.display().to_string(), &domains, &policy);
        findings.extend(
            found.into_iter().filter(|finding| named || finding.code != tenantry_hook::codes::NO_HOOK),
        );
    }
    show(context, &findings)?;
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    anstream::eprintln!("{} file(s), {errors} error(s), {} warning(s)", files.len(), findings.len() - errors);
    Ok(if errors == 0 { Exit::Done } else { Exit::Failed })
}

fn collect(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> Result<()> {
    if files.len() >= MAX_FILES {
        return Err(usage(format!("more than {MAX_FILES} files: name fewer")));
    }
    if path.is_dir() {
        let entries =
            std::fs::read_dir(path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
        let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for entry in entries {
            collect(&entry, false, files)?;
        }
    } else if named
        || path.extension().is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known))
    {
        files.push(path.to_owned());
    }
    Ok(())
}

fn show(context: Context, findings: &[Finding]) -> Result<()> {
    if context.format != Format::Table {
        return output::document(context.format, &findings);
    }
    for finding in findings {
        output::print(&format!(
            "{}:{}:{}: {} {}: {}\n  {}\n",
            finding.file,
            finding.line,
            finding.column,
            output::word(&finding.severity),
            finding.code,
            finding.message,
            finding.remedy
        ))?;
    }
    Ok(())
}
