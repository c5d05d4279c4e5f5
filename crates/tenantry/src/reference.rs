//! The generated pages of the reference: settings, command line, exit codes, verbs. A test compares them with what is
//! committed, so that they cannot grow stale.

use crate::cli::Cli;
use crate::exit::Exit;
use crate::settings::{self, Group};
use anyhow::{Context, Result};
use clap::{Arg, Command, CommandFactory};
use std::fmt::Write as _;
use std::path::Path;

const MADE: &str = "<!-- Written by `make docs` from the code. Change the code, not this page. -->\n\n";

/// Writes all pages.
pub fn write(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, text) in pages() {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// File name and text of each page.
pub fn pages() -> [(&'static str, String); 3] {
    [("configuration.md", configuration()), ("cli.md", command_line()), ("verbs.md", verbs())]
}

fn verbs() -> String {
    format!(
        "# Verbs on a step\n\n{MADE}Each is a method of the step (`POST /v1/operations/ID/steps/STEP:verb`) and a command \
         (`tenantry op verb ID STEP`). `rerun-with-successors` is `rerun` with `withSuccessors` (`--with-successors`). A \
         verb may state what its caller saw; if the step has moved on, the answer is 409 with its present state.\n\n\
         {}\n## When each is possible\n\n\
         *If held*: only while such a hold is on the step. *If stale*: only if a predecessor was run again after the \
         step had used its outputs. The operation must be running or paused; while it is being cancelled, only \
         `declare-lost` is possible.\n\n{}",
        tenantry_engine::verb_list(),
        tenantry_engine::verb_table()
    )
}

fn configuration() -> String {
    let mut text = format!(
        "# Configuration\n\n{MADE}A flag wins over its environment variable, that over the configuration file \
         (`--config`, TOML, keys as the flags without `--`), that over the default.\n"
    );
    let groups = [
        Group::Common,
        Group::Client,
        Group::Log,
        Group::Store,
        Group::Manager,
        Group::Agent,
        Group::Executor,
    ];
    for group in groups {
        let _ = write!(
            text,
            "\n## {}\n\n| setting | environment | default | what |\n|---|---|---|---|\n",
            group.heading()
        );
        for setting in settings::ALL.iter().filter(|setting| setting.group == group) {
            let default = setting.default.map(|value| format!("`{value}`")).unwrap_or_default();
            let value = setting.value.replace('|', "\\|");
            let _ = writeln!(
                text,
                "| `--{} {value}` | `{}` | {default} | {} |",
                setting.key,
                setting.env(),
                setting.help
            );
        }
    }
    text
}

fn command_line() -> String {
    let mut text = format!("# Command line\n\n{MADE}");
    text.push_str("Data goes to stdout (`-o table`, `json` or `yaml`), everything else to stderr.\n\n");
    text.push_str("## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (exit, meaning) in Exit::ALL {
        let _ = writeln!(text, "| {} | {meaning} |", exit as u8);
    }
    let mut command = Cli::command();
    command.build();
    describe(&command, "tenantry", &mut text);
    text
}

fn describe(command: &Command, path: &str, text: &mut String) {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        let path = format!("{path} {}", sub.get_name());
        if !sub.has_subcommands() || sub.get_positionals().next().is_some() {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = write!(text, "\n### `{path}{}`\n\n{about}.\n", positionals(sub));
            let own: Vec<&Arg> = sub
                .get_arguments()
                .filter(|arg| !arg.is_positional() && !arg.is_hide_set() && !is_setting(arg))
                .filter(|arg| !["help", "version", "output"].contains(&arg.get_id().as_str()))
                .collect();
            if !own.is_empty() {
                text.push('\n');
            }
            for arg in own {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                let long = arg.get_long().unwrap_or_default();
                let value = arg
                    .get_value_names()
                    .filter(|_| arg.get_action().takes_values())
                    .map(|names| format!(" {}", names.join(" ")))
                    .unwrap_or_default();
                let _ = writeln!(text, "- `--{long}{value}`: {help}");
            }
        }
        describe(sub, &path, text);
    }
}

fn is_setting(arg: &Arg) -> bool {
    settings::ALL.iter().any(|setting| setting.key == arg.get_id().as_str())
}

fn positionals(command: &Command) -> String {
    command
        .get_positionals()
        .map(|arg| {
            let name = arg.get_id().as_str().to_uppercase();
            if arg.is_required_set() { format!(" {name}") } else { format!(" [{name}]") }
        })
        .collect()
}
