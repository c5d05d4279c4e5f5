//! Copies of an example's templates, changed for a test.

use super::Example;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// A step's first attempt in all operations of a name fails before its work or after it, if the environment is named so.
const WRAP: &str = r#"
marks=$1 name=$2; shift 2
planted() {
  mark=$marks/$LIFECYCLE_TENANT_ENV_ID-$LIFECYCLE_OPERATION_NAME
  grep -q "'$1-$name'" "$LIFECYCLE_TENANT_ENV_FILE" && [ ! -e "$mark" ] && touch "$mark"
}
if planted before; then echo "planted: nothing is done"; exit 7; fi
"$@" || exit $?
if planted after; then echo "planted: done, and failed"; exit 7; fi
"#;

impl Example {
    /// Copies the templates; each hook goes through `change` with its `namespace-name`. Answers these names.
    fn copy(
        &self,
        folder: &Path,
        change: impl Fn(&mut Value, &str) -> Result<()>,
    ) -> Result<BTreeSet<String>> {
        let templates = self.templates();
        let place = |file: &str| -> Result<_> {
            let to = folder.join(file);
            std::fs::create_dir_all(to.parent().context("a folder")?)?;
            Ok(to)
        };
        for file in self.others {
            std::fs::copy(templates.join(file), place(file)?)?;
        }
        let mut names = BTreeSet::new();
        for file in self.hooks {
            let mut documents = Vec::new();
            for document in std::fs::read_to_string(templates.join(file))?.split("\n---\n") {
                let mut hook: Value = serde_saphyr::from_str(document)?;
                let word = |key: &str| hook["metadata"][key].as_str().context("a name");
                let name = format!("{}-{}", word("namespace")?, word("name")?);
                change(&mut hook, &name)?;
                documents.push(hook.to_string());
                names.insert(name);
            }
            std::fs::write(place(file)?, documents.join("\n---\n"))?;
        }
        Ok(names)
    }
}

/// The templates as they are; answers the hooks' names (`namespace-name`).
pub fn copied(example: &Example, folder: &Path) -> Result<BTreeSet<String>> {
    example.copy(folder, |_, _| Ok(()))
}

/// The templates with each hook in [`WRAP`]; answers the hooks' names (`namespace-name`).
pub fn wrapped(example: &Example, folder: &Path, marks: &Path) -> Result<BTreeSet<String>> {
    let marks = marks.display().to_string();
    example.copy(folder, |hook, name| {
        let command = &mut hook["spec"]["template"]["spec"]["containers"][0]["command"];
        let mut words: Vec<String> = ["sh", "-c", WRAP, "wrap", &marks, name].map(str::to_owned).into();
        words.extend(serde_json::from_value::<Vec<String>>(command.clone())?);
        *command = words.into();
        Ok(())
    })
}
