//! The contents of files, checked and in the order in which they can be applied.

use crate::check::load::pack_findings;
use crate::check::show;
use crate::exit_status::Failure;
use crate::files::{self, Kind};
use crate::output::{self, count};
use crate::pack;
use conductor::bounds::Bounds;
use conductor::code::Code;
use conductor::finding::{Finding, Severity};
use conductor::language::catalogue::{EmptyCatalogue, calls};
use conductor::language::validate::check;
use pg_workflow_client::Error;
pub use pg_workflow_client::RegisterActionInput as ActionInput;
pub use pg_workflow_client::model::CreatePackInput as PackInput;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Everything that is to be applied.
#[derive(Default)]
pub struct Plan {
    pub packs: Vec<PackInput>,
    pub actions: Vec<ActionInput>,
    /// The files of the packs and of the actions, in the same order.
    pack_files: Vec<String>,
    action_files: Vec<String>,
    /// Definitions, each after those that it calls.
    pub definitions: Vec<Definition>,
}

/// A definition and its file.
pub struct Definition {
    pub path: PathBuf,
    pub source: String,
    pub reference: String,
    pub enabled: bool,
    calls: BTreeSet<String>,
}

impl Plan {
    /// Reads files. Returns nothing if they have errors, which have been printed.
    pub fn read(paths: &[PathBuf]) -> Result<Option<Plan>, Failure> {
        let mut plan = Plan::default();
        let mut errors = 0;
        for path in files::collect(paths, &[Kind::Pack, Kind::Definition])? {
            let source = files::read(&path).map_err(|error| Failure::unusable(error).about(path.display()))?;
            let findings = match Kind::of_named(&path) {
                Kind::Pack => plan.add_pack(&path, &source),
                _ => plan.add_definition(&path, source.clone()),
            };
            let wrong: Vec<Finding> =
                findings.into_iter().filter(|finding| finding.severity == Severity::Error).collect();
            show::findings(&files::shown(&path), &source, &wrong);
            errors += wrong.len();
        }
        if errors > 0 {
            output::error(&format!("nothing was applied: {}", count(errors, "error")));
            return Ok(None);
        }
        plan.refuse_duplicates()?;
        plan.definitions = in_order(std::mem::take(&mut plan.definitions));
        Ok(Some(plan))
    }

    fn add_pack(&mut self, path: &Path, source: &[u8]) -> Vec<Finding> {
        let (pack, _) = pack::read(path, source);
        let file = files::shown(path);
        self.pack_files.extend(pack.pack.iter().map(|_| file.clone()));
        self.action_files.extend(pack.actions.iter().map(|_| file.clone()));
        self.packs.extend(pack.pack);
        self.actions.extend(pack.actions);
        pack_findings(path, source)
    }

    fn add_definition(&mut self, path: &Path, source: Vec<u8>) -> Vec<Finding> {
        let checked = check(&source, &EmptyCatalogue, &Bounds::default());
        if let Some(definition) = checked.definition {
            let undone = definition.tasks.iter().filter_map(|task| task.undo.as_ref()).map(|undo| undo.action.clone());
            self.definitions.push(Definition {
                path: path.to_path_buf(),
                source: String::from_utf8_lossy(&source).into_owned(),
                calls: calls(&definition).into_iter().map(str::to_owned).chain(undone).collect(),
                reference: definition.reference,
                enabled: definition.enabled,
            });
        }
        checked.findings
    }

    fn refuse_duplicates(&self) -> Result<(), Failure> {
        let mut seen: BTreeMap<(&str, &str), String> = BTreeMap::new();
        let packs = self.packs.iter().zip(&self.pack_files);
        let packs = packs.map(|(pack, file)| ("pack", pack.r#ref.as_str(), file.clone()));
        let actions = self.actions.iter().zip(&self.action_files);
        let actions = actions.map(|(action, file)| ("action", action.r#ref.as_str(), file.clone()));
        // A workflow is an action too.
        let definitions = self.definitions.iter();
        let definitions =
            definitions.map(|definition| ("action", definition.reference.as_str(), files::shown(&definition.path)));
        for (what, reference, file) in packs.chain(actions).chain(definitions) {
            if let Some(other) = seen.insert((what, reference), file.clone()) {
                let hint = match other == file {
                    true => format!("It is in {file} twice, or the file is given twice."),
                    false => format!("See {other} and {file}."),
                };
                return Err(Failure::refused(format!("duplicate ref {reference}")).hint(hint));
            }
        }
        Ok(())
    }

    /// Returns the packs of which the plan contains anything.
    pub fn pack_refs(&self) -> BTreeSet<&str> {
        let of = |reference: &'_ str| reference.split_once('.').map_or(reference.len(), |(pack, _)| pack.len());
        let actions = self.actions.iter().map(|action| &action.r#ref[..of(&action.r#ref)]);
        let definitions = self.definitions.iter().map(|one| &one.reference[..of(&one.reference)]);
        self.packs.iter().map(|pack| pack.r#ref.as_str()).chain(actions).chain(definitions).collect()
    }

    /// Returns a workflow of the plan that calls this action.
    pub fn caller_of(&self, reference: &str) -> Option<&str> {
        let caller = self.definitions.iter().find(|definition| definition.calls.contains(reference));
        caller.map(|definition| definition.reference.as_str())
    }

    /// Whether the plan has an action or a workflow with this ref.
    pub fn has(&self, reference: &str) -> bool {
        self.actions.iter().any(|action| action.r#ref == reference)
            || self.definitions.iter().any(|definition| definition.reference == reference)
    }
}

/// Sorts definitions so that each comes after the ones that it calls. In a cycle of calls, the first file comes first.
fn in_order(mut rest: Vec<Definition>) -> Vec<Definition> {
    let mut sorted: Vec<Definition> = Vec::new();
    while !rest.is_empty() {
        let waiting: BTreeSet<String> = rest.iter().map(|definition| definition.reference.clone()).collect();
        let ready = |definition: &Definition| {
            definition.calls.iter().all(|call| *call == definition.reference || !waiting.contains(call))
        };
        let next = rest.iter().position(ready).unwrap_or(0);
        sorted.push(rest.remove(next));
    }
    sorted
}

impl Definition {
    /// Prints the findings in the detail of the server's refusal, with their source.
    pub fn show_findings(&self, error: &Error) {
        let detail = error.refusal().and_then(|refusal| refusal.detail.as_deref()).unwrap_or_default();
        let Ok(Value::Array(findings)) = serde_json::from_str(detail) else { return };
        let findings: Vec<Finding> = findings.iter().filter_map(finding).collect();
        show::findings(&files::shown(&self.path), self.source.as_bytes(), &findings);
    }
}

fn finding(value: &Value) -> Option<Finding> {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let number = |key: &str| value[key].as_u64().and_then(|number| u32::try_from(number).ok());
    Some(Finding {
        code: Code(text("code")?.strip_prefix("WF")?.parse().ok()?),
        severity: if value["severity"] == "warning" { Severity::Warning } else { Severity::Error },
        message: text("message")?,
        hint: text("hint"),
        path: text("path").unwrap_or_default(),
        task: text("task"),
        expression: text("expression"),
        line: number("line").unwrap_or(0),
        column: number("column").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_come_after_what_they_call_and_circles_end() {
        let one = |name: &str, calls: &[&str]| Definition {
            path: PathBuf::new(),
            source: String::new(),
            reference: name.to_owned(),
            enabled: true,
            calls: calls.iter().map(|call| (*call).to_owned()).collect(),
        };
        let sorted = in_order(vec![one("a", &["b", "x"]), one("b", &["c", "b"]), one("c", &[])]);
        let names: Vec<&str> = sorted.iter().map(|definition| definition.reference.as_str()).collect();
        assert_eq!(names, ["c", "b", "a"]);
        assert_eq!(in_order(vec![one("a", &["b"]), one("b", &["a"])]).len(), 2);
    }
}
