//! Shared by the tests of the language.

pub mod rehearsal;

use conductor::bounds::Bounds;
use conductor::finding::{Finding, Severity};
use conductor::language::catalogue::{Catalogue, EmptyCatalogue};
use conductor::language::definition::Definition;
use conductor::language::validate::{Checked, check};

/// The fields that every workflow has.
pub const HEAD: &str = "ref: test.it\nlabel: It\nversion: 1.0.0\n";

/// Returns a workflow with these tasks, or other fields, in YAML.
pub fn workflow(rest: &str) -> String {
    format!("{HEAD}{rest}")
}

/// Parses and validates a source, without a catalogue.
pub fn checked(source: impl AsRef<[u8]>) -> Checked {
    check(source, &EmptyCatalogue, &Bounds::default())
}

/// Returns the codes found, in order.
pub fn codes(source: &str) -> Vec<String> {
    checked(source).findings.iter().map(|finding| finding.code.to_string()).collect()
}

/// Returns the definition of a source in which nothing is wrong.
#[track_caller]
pub fn valid(source: &str) -> Definition {
    let checked = checked(source);
    assert!(checked.findings.is_empty(), "{:#?}\n{source}", checked.findings);
    checked.definition.expect("a source without findings has a definition")
}

/// Expects exactly one finding, with this code, at the place marked with §, which is not part of the source.
#[track_caller]
pub fn finds(code: &str, marked: &str) -> Finding {
    finds_with(code, marked, &EmptyCatalogue)
}

/// Like [`finds`], with a catalogue.
#[track_caller]
pub fn finds_with(code: &str, marked: &str, catalogue: &dyn Catalogue) -> Finding {
    let (source, line, column) = unmarked(marked);
    let findings = check(&source, catalogue, &Bounds::default()).findings;
    let found: Vec<String> = findings.iter().map(|finding| finding.code.to_string()).collect();
    assert_eq!(found, [code], "{findings:#?}\n{source}");
    assert_eq!((findings[0].line, findings[0].column), (line, column), "{findings:#?}\n{source}");
    findings[0].clone()
}

/// Expects one error and no other finding.
#[track_caller]
pub fn error(code: &str, marked: &str) -> Finding {
    let finding = finds(code, marked);
    assert_eq!(finding.severity, Severity::Error, "{finding:#?}");
    finding
}

/// Expects one warning and no other finding.
#[track_caller]
pub fn warning(code: &str, marked: &str) -> Finding {
    let finding = finds(code, marked);
    assert_eq!(finding.severity, Severity::Warning, "{finding:#?}");
    finding
}

/// Returns the source without its mark, and the mark's line and column.
pub fn unmarked(marked: &str) -> (String, u32, u32) {
    let at = marked.find('§').expect("the source has a mark");
    let before = &marked[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (marked.replacen('§', "", 1), line as u32, column as u32)
}

/// Returns the hint of a finding.
pub fn hint(finding: &Finding) -> &str {
    finding.hint.as_deref().unwrap_or_default()
}
