//! Shared by the tests of rehearsals.

use std::sync::Arc;

use conductor::bounds::Bounds;
use conductor::finding::Finding;
use conductor::graph::Graph;
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::validate::{Checked, check};
use conductor::rehearsal::{Script, Verdict, rehearse};

use super::{unmarked, workflow};

/// Returns the graph of a workflow with these tasks, or other fields.
pub fn graph(rest: &str) -> Arc<Graph> {
    let Checked { definition, findings } = check(workflow(rest), &EmptyCatalogue, &Bounds::default());
    let definition = definition.unwrap_or_else(|| panic!("{findings:#?}"));
    Arc::new(Graph::compile(&definition, Bounds::default()).unwrap())
}

/// Returns all findings about a test file, and the script.
pub fn read(rest: &str, script: &str) -> (Script, Vec<Finding>) {
    let bounds = Bounds::default();
    let (script, mut findings) = Script::read(script, &bounds);
    if findings.is_empty() {
        findings = script.check(&graph(rest), &bounds);
    }
    (script, findings)
}

/// Plays a test file in which nothing is wrong.
#[track_caller]
pub fn play(rest: &str, script: &str) -> Vec<Verdict> {
    let (script, findings) = read(rest, script);
    assert!(findings.is_empty(), "{findings:#?}");
    script.tests.iter().map(|test| rehearse(&script, test, &graph(rest))).collect()
}

/// Returns a test file with one test: its answers and what it expects.
pub fn one_test(answers: &str, expect: &str) -> String {
    format!("tests:\n  - name: it\n    answers: {answers}\n    expect: {expect}\n")
}

/// Expects a test to pass.
#[track_caller]
pub fn passes(rest: &str, answers: &str, expect: &str) {
    let verdicts = play(rest, &one_test(answers, expect));
    assert!(verdicts[0].passed(), "{:#?}", verdicts[0].differences);
}

/// Expects a test to fail with one difference, `what: expected, got`.
#[track_caller]
pub fn differs(rest: &str, answers: &str, expect: &str, difference: &str) {
    let verdicts = play(rest, &one_test(answers, expect));
    let found = verdicts[0].differences.iter();
    let found: Vec<String> = found.map(|one| format!("{}: {}, got {}", one.what, one.expected, one.got)).collect();
    assert_eq!(found, [difference]);
}

/// Expects one finding with this code, at the place marked with §, whose message contains a text.
#[track_caller]
pub fn finds(code: &str, rest: &str, marked: &str, text: &str) -> Finding {
    let (script, line, column) = unmarked(marked);
    let (_, findings) = read(rest, &script);
    let found: Vec<String> = findings.iter().map(|finding| finding.code.to_string()).collect();
    assert_eq!(found, [code], "{findings:#?}");
    assert_eq!((findings[0].line, findings[0].column), (line, column), "{findings:#?}");
    assert!(findings[0].message.contains(text), "{findings:#?}");
    findings[0].clone()
}
