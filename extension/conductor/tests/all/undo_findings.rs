//! What can be wrong with an `undo`: each finding with its place and its hint.

use crate::support::workflow;
use conductor::bounds::Bounds;
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::definition::{UndoOn, UndoOrder, WhenUnknown};
use conductor::language::validate::check;

/// Returns code, path and hint of each finding.
fn findings(tasks: &str) -> Vec<(String, String, String)> {
    let found = check(workflow(tasks), &EmptyCatalogue, &Bounds::default()).findings;
    found.into_iter().map(|f| (f.code.to_string(), f.path, f.hint.unwrap_or_default())).collect()
}

#[track_caller]
fn one(tasks: &str, code: &str, path: &str) -> String {
    let mut found = findings(tasks);
    assert_eq!(found.len(), 1, "{found:?}");
    let (found_code, found_path, hint) = found.remove(0);
    assert_eq!((found_code.as_str(), found_path.as_str()), (code, path));
    hint
}

#[test]
fn its_fields_are_read() {
    let source = workflow(
        "undo_on: [failed, timeout]\nundo_order: parallel\ntasks:\n  - {name: a, action: ci.a, undo: {action: ci.b, \
         input: {x: '{{ input.x }} {{ result() }}'}, timeout: 1m, retry: {count: 2}, when_unknown: skip, priority: 3}}",
    );
    let definition = check(&source, &EmptyCatalogue, &Bounds::default()).definition.unwrap();
    let undo = definition.tasks[0].undo.as_ref().unwrap();
    assert_eq!((undo.action.as_str(), undo.when_unknown, undo.priority), ("ci.b", WhenUnknown::Skip, 3));
    assert_eq!(definition.undo_on, Some(vec![UndoOn::Failed, UndoOn::Timeout]));
    assert_eq!(definition.undo_order, UndoOrder::Parallel);
    // The normal form keeps it.
    let text = serde_json::to_string(&definition).unwrap();
    assert_eq!(serde_json::from_str::<conductor::language::definition::Definition>(&text).unwrap(), definition);
}

#[test]
fn it_belongs_to_tasks_that_do_something() {
    let hint = one("tasks: [{name: a, undo: {action: ci.b}}]", "WF201", "tasks[0].undo");
    assert_eq!(hint, "add `action:`");
    one("tasks: [{name: a, action: ci.a, undo: {input: {}}}]", "WF004", "tasks[0].undo");
    one("tasks: [{name: a, action: ci.a, undo: ci.b}]", "WF005", "tasks[0].undo");
    one("tasks: [{name: a, action: ci.a, undo: {action: b}}]", "WF007", "tasks[0].undo.action");
}

#[test]
fn it_has_no_undo_of_its_own() {
    one("tasks: [{name: a, action: ci.a, undo: {action: ci.b, undo: {action: ci.c}}}]", "WF003", "tasks[0].undo.undo");
    one("tasks: [{name: a, action: ci.a, undo: {action: ci.b, on_failure: x}}]", "WF003", "tasks[0].undo.on_failure");
}

#[test]
fn its_words_are_known() {
    let hint = one("undo_on: [fail]\ntasks: [{name: a, action: ci.a}]", "WF006", "undo_on[0]");
    assert_eq!(hint, "did you mean `failed`?");
    one("undo_on: failed\ntasks: [{name: a, action: ci.a}]", "WF005", "undo_on");
    one("undo_order: sequential\ntasks: [{name: a, action: ci.a}]", "WF006", "undo_order");
    one(
        "tasks: [{name: a, action: ci.a, undo: {action: ci.b, when_unknown: ask}}]",
        "WF006",
        "tasks[0].undo.when_unknown",
    );
}

#[test]
fn its_input_reads_what_is_known_when_the_task_has_completed() {
    let undo = |input: &str, rest: &str| {
        format!(
            "tasks: [{{name: a, action: ci.a, undo: {{action: ci.b, input: {{x: '{input}'}}}}{rest}}}, {{name: b, action: ci.c}}]"
        )
    };
    assert!(findings(&undo("{{ result() }} {{ input }}", ", on_success: b")).is_empty());
    assert!(findings(&undo("{{ item }} {{ index }}", ", on_success: b, with_items: [1]")).is_empty());
    // A later task cannot have run.
    one(&undo("{{ task.b.result }}", ", on_success: b"), "WF304", "tasks[0].undo.input.x");
    one(&undo("{{ item }}", ", on_success: b"), "WF204", "tasks[0].undo.input.x");
    let hint = one(&undo("{{ result().id }}", ", on_success: b"), "WF313", "tasks[0].undo.input.x");
    assert!(hint.starts_with("add `| default(none)`"), "{hint}");
    // Elsewhere there is no such name.
    one("tasks: [{name: a, action: ci.a, input: {x: '{{ input }}'}}]", "WF302", "tasks[0].input.x");
}
