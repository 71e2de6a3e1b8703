//! Reads definitions, test files and packs.

use crate::check::show;
use crate::files;
use crate::output::count;
use crate::pack::{self, Pack};
use conductor::bounds::Bounds;
use conductor::code::Code;
use conductor::finding::{Finding, Severity};
use conductor::graph::Graph;
use conductor::language::catalogue::{Action, Catalogue, EmptyCatalogue, calls};
use conductor::language::parse::{Parsed, parse};
use conductor::language::validate::validate;
use conductor::rehearsal::Script;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A definition that can be run in memory.
pub struct Loaded {
    /// The path of its file.
    pub name: String,
    pub parsed: Parsed,
    pub graph: Arc<Graph>,
}

/// Why a file can't be used.
pub enum Unusable {
    /// In words.
    Why(String),
    /// Its errors, and its source.
    Errors(Vec<u8>, Vec<Finding>),
}

impl Unusable {
    /// Returns the reason in a few words.
    pub fn message(&self) -> String {
        match self {
            Unusable::Why(why) => why.clone(),
            Unusable::Errors(_, errors) => count(errors.len(), "error"),
        }
    }

    /// Returns the reason with each error and its place.
    pub fn told(&self) -> String {
        match self {
            Unusable::Why(why) => why.clone(),
            Unusable::Errors(_, errors) => errors.iter().map(told).collect::<Vec<_>>().join("; "),
        }
    }

    /// Prints its errors, and returns the reason in a few words.
    pub fn show(&self, file: &str) -> String {
        if let Unusable::Errors(source, errors) = self {
            show::findings(file, source, errors);
        }
        self.message()
    }
}

fn told(error: &Finding) -> String {
    format!("{}:{}: {}: {}", error.line, error.column, error.code, error.message)
}

/// Reads a definition.
pub fn definition(path: &Path) -> Result<Loaded, Unusable> {
    let source = files::read(path).map_err(|error| Unusable::Why(error.to_string()))?;
    definition_of(files::shown(path), source)
}

/// Reads a definition from its text.
pub fn definition_of(name: String, source: Vec<u8>) -> Result<Loaded, Unusable> {
    let bounds = Bounds::default();
    let parsed = parse(&source, &bounds);
    let findings = validate(&parsed, &EmptyCatalogue, &bounds);
    let errors: Vec<Finding> = findings.into_iter().filter(|finding| finding.severity == Severity::Error).collect();
    if !errors.is_empty() {
        return Err(Unusable::Errors(source, errors));
    }
    let compiled = parsed.definition.as_ref().map(|definition| Graph::compile(definition, bounds));
    let compiled = compiled.ok_or_else(|| Unusable::Why("it is empty".to_owned()))?;
    let graph = compiled.map_err(|error| Unusable::Why(error.to_string()))?;
    Ok(Loaded { name, parsed, graph: Arc::new(graph) })
}

/// Reads a test file, and returns its text too.
pub fn script(path: &Path) -> Result<(Vec<u8>, Script), Unusable> {
    let source = files::read(path).map_err(|error| Unusable::Why(error.to_string()))?;
    let (script, findings) = Script::read(&source, &Bounds::default());
    if findings.is_empty() { Ok((source, script)) } else { Err(Unusable::Errors(source, findings)) }
}

/// Returns the path of the definition that a test file tests.
pub fn workflow_of(file: &Path, script: &Script) -> Result<PathBuf, Box<Finding>> {
    let workflow = script.workflow.as_ref().ok_or_else(|| Box::new(no_workflow()))?;
    Ok(file.parent().unwrap_or(Path::new("")).join(workflow))
}

/// Returns the findings in a test file. The error says why it can't be read.
pub fn test_findings(path: &Path) -> Result<Vec<Finding>, String> {
    let (_, script) = match script(path) {
        Ok(read) => read,
        Err(Unusable::Why(why)) => return Err(why),
        Err(Unusable::Errors(_, findings)) => return Ok(findings),
    };
    let workflow = match workflow_of(path, &script) {
        Ok(workflow) => workflow,
        Err(finding) => return Ok(vec![*finding]),
    };
    match definition(&workflow) {
        Ok(loaded) => Ok(script.check(&loaded.graph, &Bounds::default())),
        Err(why) => Err(format!("its workflow {} can't be used: {}", workflow.display(), why.told())),
    }
}

fn no_workflow() -> Finding {
    at_start(
        4,
        "a test file has no `workflow`".to_owned(),
        "add `workflow:` with the path of the definition, relative to this file",
    )
}

fn at_start(code: u16, message: String, hint: &str) -> Finding {
    Finding {
        code: Code(code),
        severity: Severity::Error,
        message,
        hint: Some(hint.to_owned()),
        path: String::new(),
        task: None,
        expression: None,
        line: 1,
        column: 1,
    }
}

/// Returns the findings in a `pack.yaml` or an `actions.yaml`.
pub fn pack_findings(path: &Path, source: &[u8]) -> Vec<Finding> {
    pack::read(path, source).1
}

/// The actions declared by the packs in the directories of definitions.
#[derive(Default)]
pub struct Catalogues {
    by_folder: BTreeMap<PathBuf, Option<Declared>>,
}

impl Catalogues {
    /// Returns the actions known in the directory of a definition.
    pub fn of(&mut self, path: &Path) -> &dyn Catalogue {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let declared = self.by_folder.entry(folder.clone()).or_insert_with(|| Declared::read(&folder));
        match declared {
            Some(declared) => declared,
            None => &EmptyCatalogue,
        }
    }
}

/// The actions of one directory's `actions.yaml` and its workflows.
struct Declared {
    actions: BTreeMap<String, Action>,
}

impl Declared {
    fn read(folder: &Path) -> Option<Declared> {
        let file = pack::actions_file(folder)?;
        let Pack { actions, .. } = pack::read(&file, &files::read(&file).ok()?).0;
        let known = actions.into_iter().map(|action| {
            (action.r#ref, Action { param_schema: action.param_schema, enabled: true, ..Action::default() })
        });
        let mut actions: BTreeMap<String, Action> = known.collect();
        for path in files::definitions_of(folder) {
            let Ok(source) = files::read(&path) else { continue };
            let parsed = parse(&source, &Bounds::default());
            let Some(definition) = &parsed.definition else { continue };
            let called = calls(definition).into_iter().map(str::to_owned).collect();
            let action = Action {
                param_schema: definition.parameters.clone(),
                is_workflow: true,
                enabled: definition.enabled,
                calls: called,
            };
            actions.insert(definition.reference.clone(), action);
        }
        Some(Declared { actions })
    }

    fn declares(&self, pack: &str) -> bool {
        self.actions.keys().any(|action| action.split_once('.').is_some_and(|(of, _)| of == pack))
    }
}

impl Catalogue for Declared {
    fn action(&self, reference: &str) -> Option<Action> {
        let pack = reference.split_once('.').map_or(reference, |(pack, _)| pack);
        match self.declares(pack) {
            true => self.actions.get(reference).cloned(),
            // Only the database knows the actions of other packs.
            false => Some(Action { enabled: true, ..Action::default() }),
        }
    }

    fn has_pack(&self, _pack: &str) -> bool {
        true
    }
}
