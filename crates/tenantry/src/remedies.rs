//! Whatever tells a person to type a command must name one that exists: the remedies of attention, of findings and of
//! errors are read from the sources in which they are made, and given to the parser of the command line.

use crate::cli::Cli;
use crate::watch::verbs_with_reason;
use clap::{Command, CommandFactory};
use std::path::{Path, PathBuf};

/// The rooms that tell people what to type.
const ROOMS: [&str; 9] =
    ["engine", "manager", "hook", "api", "agent", "schedule", "store", "store-postgres", "tenantry"];
/// Stands for whatever a program fills in.
const ANY: &str = "2026-11-21T06:00:00Z";
/// The same where only an id will do.
const ANY_ID: &str = "0192f0c8-a7b3-7c3e-8f00-00000000abcd";

fn sources() -> Vec<(PathBuf, String)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<PathBuf> = ROOMS.iter().map(|room| crates.join(room).join("src")).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                // Samples of the conformance suite are nobody's remedy.
                folders.extend((name != "conformance").then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !["tests.rs", "remedies.rs"].contains(&name.as_str())
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\n#[allow").next().unwrap();
                let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
                found.push((path, code.to_owned()));
            }
        }
    }
    found
}

/// The string literals of Rust code, escapes undone.
fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = code.chars().peekable();
    let mut before = ' ';
    while let Some(c) = left.next() {
        match c {
            '/' if left.peek() == Some(&'/') => while left.next_if(|c| *c != '\n').is_some() {},
            // A character, not the beginning of a string.
            '"' if before == '\'' && left.peek() == Some(&'\'') => {}
            '"' => {
                let mut text = String::new();
                while let Some(c) = left.next() {
                    match c {
                        '"' => break,
                        '\\' => match left.next() {
                            Some('\n') => while left.next_if(|c| c.is_whitespace()).is_some() {},
                            Some('n') => text.push('\n'),
                            Some(other) => text.push(other),
                            None => {}
                        },
                        other => text.push(other),
                    }
                }
                found.push(text);
            }
            _ => {}
        }
        before = c;
    }
    found
}

/// The commands that a text names, as the words of a command line: each up to where the sentence goes on.
fn commands(text: &str, top: &Command) -> Vec<Vec<String>> {
    // A filled-in value is one word, whatever its format says.
    let (mut plain, mut left) = (String::new(), text);
    while let Some((before, after)) = left.split_once('{') {
        plain.push_str(before);
        left = after.split_once('}').map_or(after, |(_, rest)| {
            plain.push_str(ANY);
            rest
        });
    }
    plain.push_str(left);
    let mut found = Vec::new();
    for (at, _) in plain.match_indices("tenantry ") {
        if plain[..at].ends_with(|c: char| c.is_alphanumeric() || "-_/".contains(c)) {
            continue;
        }
        let mut words = Vec::new();
        let line = plain[at + "tenantry ".len()..].split('\n').next().unwrap_or_default();
        for word in line.split(' ').filter(|word| !word.is_empty()) {
            if word.starts_with('(') || word == "&&" {
                break;
            }
            let bare = word.trim_end_matches([')', ';', ',', ':', '.', '`', '"', '\'']);
            // `VALUE…` and `--reason …` stand for what a person says.
            words.push(bare.replace('…', ANY));
            if bare.len() != word.len() {
                break;
            }
        }
        if words.first().is_some_and(|word| top.find_subcommand(word).is_some()) {
            found.push(words);
        }
    }
    found
}

/// Whether the words begin with a whole command, up to the last flag at least: behind it the sentence may go on. One that is
/// only mentioned (`tenantry store import`) has names and no values: then they must exist.
fn parses(words: &[String]) -> Result<(), String> {
    let top = Cli::command();
    let (mut named, mut group) = (0, Some(&top));
    while let Some(next) = words.get(named).and_then(|word| group.and_then(|at| at.find_subcommand(word))) {
        (named, group) = (named + 1, Some(next));
    }
    if words[named..].iter().all(|word| word.starts_with("--")) {
        let known = |word: &&String| {
            let mut all = group.into_iter().flat_map(Command::get_arguments);
            all.any(|arg| arg.get_long_and_visible_aliases().is_some_and(|long| long.contains(&&word[2..])))
        };
        let unknown = words[named..].iter().find(|word| !known(word));
        return unknown.map_or(Ok(()), |unknown| Err(format!("there is no {unknown}")));
    }
    let last_flag = words.iter().rposition(|word| word.starts_with("--")).map_or(1, |at| at + 1);
    let mut why = String::new();
    for end in (last_flag..=words.len()).rev() {
        for filled in [ANY, ANY_ID] {
            let words = words[..end].iter().map(|word| word.replace(ANY, filled));
            match Cli::command().try_get_matches_from(std::iter::once("tenantry".to_owned()).chain(words)) {
                Ok(_) => return Ok(()),
                Err(error) if why.is_empty() => why = error.to_string(),
                Err(_) => {}
            }
        }
    }
    Err(why)
}

#[test]
fn every_command_that_a_person_is_told_to_type_is_one() {
    let top = Cli::command();
    let (mut checked, mut wrong) = (0, Vec::new());
    for (path, code) in sources() {
        for text in literals(&code).into_iter().filter(|text| text != "tenantry store") {
            for words in commands(&text, &top) {
                // Its verb is filled in, or stands for all of them.
                if words[0] == "op" && words.get(1).is_some_and(|word| word == ANY || word == "verb") {
                    continue;
                }
                checked += 1;
                let line = words.join(" ");
                if let Err(why) = parses(&words) {
                    wrong.push(format!("{}: tenantry {line}\n{why}", path.display()));
                }
                let verb = words.get(1).filter(|_| words[0] == "op");
                let needs = verb.is_some_and(|verb| verbs_with_reason().contains(&verb.as_str()));
                // A value that stands for the rest of the line may be the reason.
                let says =
                    words.iter().any(|word| word == "--reason") || text.contains('…') && words.len() > 3;
                if needs && !says {
                    wrong
                        .push(format!("{}: tenantry {line}: without a reason it is refused", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 50, "the sources name only {checked} commands");
}

#[test]
fn every_kind_of_attention_comes_with_a_command() {
    let top = Cli::command();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/src/attention.rs");
    let model = std::fs::read_to_string(model).unwrap();
    let kinds = model.split("pub enum AttentionKind {").nth(1).unwrap().split('}').next().unwrap();
    let kinds: Vec<&str> = kinds
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
        .filter_map(|line| line.strip_suffix(','))
        .collect();
    assert!(kinds.len() >= 23, "{kinds:?}");
    let sources = sources();
    // Attention is raised by a function that names the kind and the remedy.
    let raising: Vec<&str> = sources
        .iter()
        .flat_map(|(_, code)| code.split("fn "))
        .filter(|body| body.contains("Raised {") || body.contains("raised(") || body.contains("Attention {"))
        .collect();
    for kind in kinds {
        let word = format!("AttentionKind::{kind}");
        let bodies = raising.iter().filter(|body| {
            body.split(word.as_str()).skip(1).any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
        });
        let mut named = bodies.flat_map(|body| literals(body)).flat_map(|text| commands(&text, &top));
        let found = named.any(|words| parses(&words).is_ok());
        assert!(found, "{kind}: no function raises it with a command");
    }
}

#[test]
fn commands_are_found_in_sentences_and_wrong_ones_are_seen() {
    let top = Cli::command();
    let found = |text: &str| commands(text, &top);
    let line = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        found("bring {} back (or: tenantry op cancel {operation} --reason …); or wait"),
        [line(&["op", "cancel", ANY, "--reason", ANY])]
    );
    assert_eq!(found("`tenantry hold list` shows them"), [line(&["hold", "list"])]);
    assert_eq!(found("what tenantry brings along"), Vec::<Vec<String>>::new());
    for (words, right) in [
        (&["op", "cancel", "x", "--reason", "y"][..], true),
        (&["op", "get", "x", "shows", "it"][..], true),
        (&["op", "cancle", "x"][..], false),
        (&["op", "cancel", "x", "--because", "y"][..], false),
        (&["op", "kill", "x"][..], false),
        (&["store", "import"][..], true),
        (&["store", "improt"][..], false),
        (&["up", "--kubeconfig"][..], true),
        (&["up", "--kubeconfigs"][..], false),
    ] {
        assert_eq!(parses(&line(words)).is_ok(), right, "{words:?}");
    }
}
