//! Folders of manifests as a cluster would show them: templates as events, `ConfigMaps` by name.
//!
//! A file that cannot be read leaves what it held before in force. It must never judge a template.

use crate::executors::TemplateEvent;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};
use tenantry_hook::{AnnotationDomains, read_manifest};
use tenantry_model::{HookPath, Problem};

/// Larger files are no manifests.
const MAX_FILE: u64 = 8 * 1024 * 1024;
/// Deeper folders are not looked at, which also ends circles of links.
const MAX_DEPTH: usize = 8;
/// More files than this are not looked at.
const MAX_FILES: usize = 10_000;
/// The namespace of a manifest that names none, as for a kubectl without a context.
const DEFAULT_NAMESPACE: &str = "default";

/// Keys and contents of one `ConfigMap`.
pub(super) type Data = BTreeMap<String, Vec<u8>>;
/// Namespace and name.
type Named = (String, String);

/// The `ConfigMap`s of all manifests, as they are now; nothing before the first look at the folders.
#[derive(Clone, Debug, Default)]
pub(super) struct ConfigMaps(Arc<RwLock<Option<BTreeMap<Named, Data>>>>);

impl ConfigMaps {
    /// One of them, if it is there. An error while nobody knows: an agent that has just begun may be given an order
    /// before it has looked, and must not take what it has not seen for missing.
    pub fn get(&self, namespace: &str, name: &str) -> std::io::Result<Option<Data>> {
        let maps = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let maps =
            maps.as_ref().ok_or_else(|| std::io::Error::other("the manifests have not been read yet"))?;
        Ok(maps.get(&(namespace.to_owned(), name.to_owned())).cloned())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Signature {
    length: u64,
    modified: Option<SystemTime>,
}

struct Manifest {
    signature: Signature,
    templates: Vec<(HookPath, Value)>,
    config_maps: Vec<(Named, Data)>,
    problem: Option<Problem>,
}

/// Reads the folders again and again; [`Folders::look`] tells what has changed.
pub(super) struct Folders {
    roots: Vec<PathBuf>,
    domains: AnnotationDomains,
    config_maps: ConfigMaps,
    files: BTreeMap<PathBuf, Manifest>,
    told: BTreeMap<HookPath, TemplateEvent>,
    complete: bool,
}

impl Folders {
    pub fn new(roots: Vec<PathBuf>, domains: AnnotationDomains, config_maps: ConfigMaps) -> Self {
        Self { roots, domains, config_maps, files: BTreeMap::new(), told: BTreeMap::new(), complete: false }
    }

    /// One round. Blocks on the file system.
    pub fn look(&mut self) -> Vec<TemplateEvent> {
        let mut found = BTreeMap::new();
        for root in &self.roots {
            if let Err(error) = walk(root, 0, &mut found) {
                // Nothing is taken for gone while it cannot be looked at.
                tracing::warn!(folder = %root.display(), %error, "the folder of manifests cannot be read");
                return Vec::new();
            }
        }
        let mut changed = !self.complete || self.files.len() != found.len();
        self.files.retain(|path, _| found.contains_key(path));
        for (path, signature) in found {
            if self.files.get(&path).is_none_or(|known| known.signature != signature) {
                changed = true;
                self.read(path, signature);
            }
        }
        if changed { self.events() } else { Vec::new() }
    }

    fn read(&mut self, path: PathBuf, signature: Signature) {
        let before = self.files.remove(&path);
        let manifest = match load(&path, signature, &self.domains) {
            Ok(manifest) => manifest,
            Err(problem) => {
                tracing::warn!(file = %path.display(), problem = problem.message, "a manifest cannot be read");
                let (templates, config_maps) =
                    before.map_or_else(Default::default, |m| (m.templates, m.config_maps));
                Manifest { signature, templates, config_maps, problem: Some(problem) }
            }
        };
        self.files.insert(path, manifest);
    }

    fn events(&mut self) -> Vec<TemplateEvent> {
        let mut wanted: BTreeMap<HookPath, (TemplateEvent, &Path)> = BTreeMap::new();
        for (file, manifest) in &self.files {
            for (path, template) in &manifest.templates {
                let mut event = match &manifest.problem {
                    None => TemplateEvent::Present { path: path.clone(), manifest: template.clone() },
                    Some(problem) => {
                        TemplateEvent::Unreadable { path: path.clone(), problems: vec![problem.clone()] }
                    }
                };
                if let Some((_, other)) = wanted.get(path) {
                    let message = format!("{path} is in {} and in {}", other.display(), file.display());
                    event = TemplateEvent::Unreadable {
                        path: path.clone(),
                        problems: vec![trouble("manifest-twice", message, "remove one of them")],
                    };
                }
                wanted.insert(path.clone(), (event, file));
            }
        }
        let mut events = Vec::new();
        if !self.complete {
            events.push(TemplateEvent::Begin);
        }
        for path in self.told.keys().filter(|path| !wanted.contains_key(*path)) {
            events.push(TemplateEvent::Absent { path: path.clone() });
        }
        for (path, (event, _)) in &wanted {
            if self.told.get(path) != Some(event) {
                events.push(event.clone());
            }
        }
        if !self.complete {
            events.push(TemplateEvent::Complete);
            self.complete = true;
        }
        self.told = wanted.into_iter().map(|(path, (event, _))| (path, event)).collect();
        let maps = self.files.values().flat_map(|manifest| manifest.config_maps.iter().cloned()).collect();
        *self.config_maps.0.write().unwrap_or_else(PoisonError::into_inner) = Some(maps);
        events
    }
}

fn walk(folder: &Path, depth: usize, found: &mut BTreeMap<PathBuf, Signature>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        // Gone in between, or a link to nowhere.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if metadata.is_dir() && depth < MAX_DEPTH {
            walk(&path, depth + 1, found)?;
        }
        let is_manifest =
            path.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e == *known));
        if metadata.is_file() && is_manifest && found.len() < MAX_FILES {
            found.insert(path, Signature { length: metadata.len(), modified: metadata.modified().ok() });
        }
    }
    Ok(())
}

fn load(path: &Path, signature: Signature, domains: &AnnotationDomains) -> Result<Manifest, Problem> {
    let file = path.display().to_string();
    if signature.length > MAX_FILE {
        let message = format!("{file} is larger than {MAX_FILE} bytes");
        return Err(trouble("manifest-size", message, "split it, or keep it out of the folder"));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|e| trouble("manifest-file", format!("{file}: {e}"), "make it a readable UTF-8 file"))?;
    let hooks = read_manifest(&text, &file, domains).map_err(|findings| {
        let first = findings.into_iter().next();
        let message = first.map_or_else(
            || format!("{file} cannot be read"),
            |f| format!("{file}, line {}: {}", f.line, f.message),
        );
        trouble("manifest-syntax", message, "correct the file")
    })?;
    let mut templates = Vec::new();
    for (line, mut template) in hooks {
        let namespace = namespace_of(&mut template);
        let name = template.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let path = format!("{namespace}/{name}").parse::<HookPath>().map_err(|e| {
            trouble(
                "manifest-name",
                format!("{file}, line {line}: {e}"),
                "correct metadata.namespace and metadata.name",
            )
        })?;
        templates.push((path, template));
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
        .map_err(|e| trouble("manifest-syntax", format!("{file}: {e}"), "correct the file"))?;
    let config_maps = documents.into_iter().flat_map(members).filter_map(config_map).collect();
    Ok(Manifest { signature, templates, config_maps, problem: None })
}

/// The items of a `List`, else the document itself.
fn members(document: Value) -> Vec<Value> {
    match document.get("items").and_then(Value::as_array) {
        Some(items) if document.get("kind").is_some_and(|kind| kind == "List") => items.clone(),
        _ => vec![document],
    }
}

fn config_map(mut document: Value) -> Option<(Named, Data)> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    if document.get("kind")? != "ConfigMap" {
        return None;
    }
    let namespace = namespace_of(&mut document);
    let name = document.pointer("/metadata/name")?.as_str()?.to_owned();
    let texts = document.get("data").and_then(Value::as_object).into_iter().flatten();
    let binaries = document.get("binaryData").and_then(Value::as_object).into_iter().flatten();
    let data = texts
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.as_bytes().to_vec())))
        .chain(
            binaries.filter_map(|(key, value)| Some((key.clone(), STANDARD.decode(value.as_str()?).ok()?))),
        )
        .collect();
    Some(((namespace, name), data))
}

/// Writes the default into the document, as an API server would.
fn namespace_of(document: &mut Value) -> String {
    if let Some(namespace) = document.pointer("/metadata/namespace").and_then(Value::as_str) {
        return namespace.to_owned();
    }
    if let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".to_owned(), DEFAULT_NAMESPACE.into());
    }
    DEFAULT_NAMESPACE.to_owned()
}

fn trouble(code: &str, message: String, remedy: &str) -> Problem {
    Problem { code: code.to_owned(), pointer: String::new(), message, remedy: remedy.to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    const HOOK: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a, namespace: crm, annotations: {tenantry.io/tenant.lifecycle: lifecycle.upsert}}\nspec: {suspend: true}\n";

    fn folders(root: &Path) -> Folders {
        Folders::new(vec![root.to_owned()], AnnotationDomains::default(), ConfigMaps::default())
    }

    #[test]
    fn a_file_that_breaks_keeps_its_hooks_and_says_what_is_wrong() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("crm.yaml");
        std::fs::write(&file, HOOK).unwrap();
        let mut folders = folders(root.path());
        let events = folders.look();
        assert!(matches!(
            events.as_slice(),
            [TemplateEvent::Begin, TemplateEvent::Present { .. }, TemplateEvent::Complete]
        ));
        assert_eq!(folders.look(), []);

        std::fs::write(&file, "kind: [unclosed").unwrap();
        let events = folders.look();
        assert!(
            matches!(events.as_slice(), [TemplateEvent::Unreadable { problems, .. }] if problems[0].code == "manifest-syntax"),
            "{events:?}"
        );
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(folders.look().as_slice(), [TemplateEvent::Absent { .. }]));
    }

    #[test]
    fn config_maps_beside_the_hooks_are_found_by_namespace_and_name() {
        let root = tempfile::tempdir().unwrap();
        let map = "kind: ConfigMap\nmetadata: {name: scripts}\ndata: {a.sh: echo}\nbinaryData: {b: AAE=}\n";
        std::fs::write(root.path().join("all.yml"), format!("{HOOK}---\n{map}")).unwrap();
        let mut folders = folders(root.path());
        // An order that comes before the first look waits.
        assert!(folders.config_maps.get("default", "scripts").is_err());
        folders.look();
        let found = folders.config_maps.get("default", "scripts").unwrap().unwrap();
        assert_eq!(found["a.sh"], b"echo");
        assert_eq!(found["b"], [0, 1]);
        assert!(folders.config_maps.get("crm", "scripts").unwrap().is_none());
    }

    #[test]
    fn a_hook_that_is_in_two_files_is_in_neither() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("a.yaml"), HOOK).unwrap();
        std::fs::write(root.path().join("b.yaml"), HOOK).unwrap();
        let events = folders(root.path()).look();
        assert!(
            matches!(&events[1], TemplateEvent::Unreadable { problems, .. } if problems[0].code == "manifest-twice"),
            "{events:?}"
        );
    }
}
