//! Reads definitions and test files that are to be played.

use std::path::Path;
use std::sync::Arc;

use conductor::graph::Graph;
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::finding::{Finding, Severity};
use conductor::language::limits::Limits;
use conductor::language::parse::{Parsed, parse};
use conductor::language::validate::validate;
use conductor::rehearsal::Script;

use crate::show::{self, count};

/// A definition that can be played.
pub struct Loaded {
    /// The path of its file.
    pub name: String,
    pub parsed: Parsed,
    pub graph: Arc<Graph>,
}

/// Reads a definition. The error says why it can't be played; its errors have been printed.
pub fn definition(path: &Path) -> Result<Loaded, String> {
    let limits = Limits::default();
    let name = path.display().to_string();
    let source = crate::read(&name).map_err(|error| error.to_string())?;
    let parsed = parse(&source, &limits);
    let findings = validate(&parsed, &EmptyCatalogue, &limits);
    let errors: Vec<Finding> = findings.into_iter().filter(|finding| finding.severity == Severity::Error).collect();
    refuse(&name, &source, &errors)?;
    let compiled = parsed.definition.as_ref().map(|definition| Graph::compile(definition, limits));
    let graph = compiled.ok_or("it is empty")?.map_err(|error| error.to_string())?;
    Ok(Loaded { name, parsed, graph: Arc::new(graph) })
}

/// Reads a test file, and returns its text too. The error says why it can't be used; its errors have been printed.
pub fn script(file: &str) -> Result<(Vec<u8>, Script), String> {
    let source = crate::read(file).map_err(|error| error.to_string())?;
    let (script, findings) = Script::read(&source, &Limits::default());
    refuse(file, &source, &findings)?;
    Ok((source, script))
}

/// Prints errors; if there are any, the file can't be used.
pub fn refuse(file: &str, source: &[u8], errors: &[Finding]) -> Result<(), String> {
    show::findings(file, source, errors);
    if errors.is_empty() { Ok(()) } else { Err(count(errors.len(), "error")) }
}
