//! Limits on rendered output: each template has its own, and so does the output of many templates together.

use crate::support::{valid, workflow};
use conductor::bounds::Bounds;
use conductor::engine::status::{Status, TaskEnd};
use conductor::expression::Data;
use conductor::graph::Graph;
use conductor::testing::memory_host::Ledger;
use std::sync::Arc;

fn start(rest: &str, output_bytes: usize) -> Ledger {
    let bounds = Bounds { output_bytes, ..Bounds::default() };
    let graph = Graph::compile(&valid(&workflow(rest)), bounds).expect("compiles");
    Ledger::start(Arc::new(graph), Data::from_pairs(Vec::<(String, Data)>::new()))
}

#[track_caller]
fn fails_with(ledger: &Ledger, message: &str) {
    assert_eq!((ledger.status(), ledger.error_message()), (Status::Failed, Some(message)));
    assert!(ledger.over && ledger.rows.is_empty(), "nothing has begun");
}

#[test]
fn the_inputs_of_all_items_of_a_task_are_bounded_together() {
    let rest = "vars: [{text: '{{ \"x\" * 90 }}'}]
tasks: [{name: each, action: test.a, with_items: '{{ range(5) | list }}', input: {t: '{{ vars.text }}'}}]\n";
    // An input is {"t":"…"}: 8 bytes around the text. The action's name counts too.
    let together = 5 * (98 + "test.a".len());
    assert_eq!(start(rest, together).rows.len(), 5);
    let ledger = start(rest, together - 1);
    fails_with(
        &ledger,
        "WF614: with task each, the inputs of tasks that start together take 520 bytes, but at most 519 are allowed",
    );
}

#[test]
fn so_are_those_of_tasks_that_start_side_by_side_and_literal_ones() {
    let rest = "tasks: [{name: a, action: test.a, input: {x: 1234567890}}, {name: b, action: test.a, input: {x: 1234567890}}]\n";
    assert_eq!(start(rest, 44).rows.len(), 2);
    let ledger = start(rest, 43);
    fails_with(
        &ledger,
        "WF614: with task b, the inputs of tasks that start together take 44 bytes, but at most 43 are allowed",
    );
}

#[test]
fn what_starts_after_each_other_is_bounded_apart() {
    let rest = "tasks: [{name: a, action: test.a, input: {x: 1234567890}, on_success: b}, {name: b, action: test.a, input: {x: 1234567890}}]\n";
    let mut ledger = start(rest, 22);
    ledger.claim(0).expect("it is ready");
    ledger.report(0, TaskEnd::Completed, None).expect("it runs");
    assert_eq!(ledger.rows.len(), 2, "{:?}", ledger.error_message());
}

#[test]
fn the_templates_of_one_input_are_bounded_together() {
    let parts: String = (0..4).map(|n| format!("p{n}: 'a {{{{ \"x\" * 98 }}}}', ")).collect();
    let rest = format!("tasks: [{{name: a, action: test.a, input: {{{parts}}}}}]\n");
    let ledger = start(&rest, 399);
    let message = "WF602: input of task a failed to evaluate: the text is too long in a {{ \"x\" * 98 }}";
    fails_with(&ledger, message);
    assert_eq!(start(&rest, 500).rows.len(), 1);
}

#[test]
fn the_output_is_bounded_as_a_whole_and_keeps_what_fits() {
    let rest = "tasks: [{name: a}]\noutput_map: [{x: '{{ \"x\" * 100 }}'}, {y: '{{ \"y\" * 100 }}'}]\n";
    // Each entry is "x":"…" and a comma: 107 bytes.
    assert_eq!(start(rest, 214).status(), Status::Completed);
    let ledger = start(rest, 213);
    assert_eq!(
        (ledger.status(), ledger.error_message()),
        (Status::Failed, Some("WF614: with output y, the output takes 214 bytes, but at most 213 are allowed"))
    );
    assert_eq!(serde_json::json!(ledger.output).as_object().map(|output| output.len()), Some(1));
}
