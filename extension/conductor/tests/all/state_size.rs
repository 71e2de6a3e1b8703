//! The conductor's state is read and written with every event, so it must not grow with the number of finished tasks.

use conductor::engine::state::State;

use crate::support::{valid, workflow};
use conductor::bounds::Bounds;
use conductor::engine::status::{Status, TaskEnd};
use conductor::expression::Data;
use conductor::graph::Graph;
use conductor::testing::memory_host::{Ledger, RowStatus};
use std::sync::Arc;

fn start(tasks: &str) -> Ledger {
    let definition = valid(&workflow(&format!("tasks:\n{tasks}")));
    let graph = Graph::compile(&definition, Bounds::default()).expect("compiles");
    Ledger::start(Arc::new(graph), Data::from_pairs(Vec::<(String, Data)>::new()))
}

/// Completes everything, always the first ready task. Returns the largest size of its state as JSON, in bytes.
fn most_bytes(mut ledger: Ledger) -> usize {
    let mut most = 0;
    while let Some(row) = (0..ledger.rows.len()).find(|row| ledger.rows[*row].status == RowStatus::Ready) {
        ledger.claim(row).expect("it is ready");
        ledger.report(row, TaskEnd::Completed, None).expect("it runs");
        most = most.max(serde_json::to_string(&ledger.execution.state).expect("it can be stored").len());
    }
    assert_eq!(ledger.status(), Status::Completed);
    most
}

/// Forks in sequence, each with two sides that meet in a join.
fn diamonds(count: usize) -> String {
    let diamond = |n: usize| {
        let next = if n + 1 < count { format!(", on_success: fork{}", n + 1) } else { String::new() };
        format!(
            "  - {{name: fork{n}, on_success: [left{n}, right{n}]}}\n  - {{name: left{n}, action: test.a, on_success: meet{n}}}\n  \
             - {{name: right{n}, action: test.a, on_success: meet{n}}}\n  - {{name: meet{n}, join: all{next}}}\n"
        )
    };
    (0..count).map(diamond).collect()
}

#[test]
fn joins_that_have_fired_take_a_bit_each() {
    let (few, many) = (most_bytes(start(&diamonds(10))), most_bytes(start(&diamonds(250))));
    // Joins that have fired and joins that wait; a 32-bit word has at most ten digits and a comma.
    assert!(many <= few + 2 * (1000 / 32 * 11), "{few} bytes with 10 diamonds, {many} with 250");
}

#[test]
fn what_goes_without_saying_is_not_written() {
    let mut ledger = start("  - {name: each, action: test.a, with_items: '{{ [1, 2, 3] }}'}\n");
    let json = |ledger: &Ledger| serde_json::to_string(&ledger.execution.state).expect("it can be stored");
    let none_ended = r#"{"live":1,"items":[{"node":0,"total":3,"released":3,"tolerated":0}]}"#;
    assert_eq!(json(&ledger), none_ended);
    (0..3).for_each(|row| ledger.claim(row).expect("it is ready"));
    assert_eq!(ledger.report(0, TaskEnd::Completed, None), Ok("completed"));
    assert_eq!(ledger.report(2, TaskEnd::Completed, None), Ok("completed"));
    let stored = json(&ledger);
    assert_eq!(stored, r#"{"live":1,"items":[{"node":0,"total":3,"released":3,"ended":2,"tolerated":0}]}"#);
    assert_eq!(serde_json::from_str::<State>(&stored).expect("it can be read"), ledger.execution.state);
}

#[test]
fn routes_that_were_left_behind_take_nothing() {
    // One of two paths each time, which meet without a join.
    let choices = |count: usize| {
        let choice = |n: usize| {
            let next = if n + 1 < count { format!(", on_success: choose{}", n + 1) } else { String::new() };
            format!(
                "  - {{name: choose{n}, decision: [{{when: '{{{{ result() }}}}', next: left{n}}}, {{default: true, next: right{n}}}]}}\n  \
                 - {{name: left{n}, action: test.a, on_success: meet{n}}}\n  - {{name: right{n}, action: test.a, on_success: meet{n}}}\n  \
                 - {{name: meet{n}{next}}}\n"
            )
        };
        (0..count).map(choice).collect::<String>()
    };
    let (few, many) = (most_bytes(start(&choices(10))), most_bytes(start(&choices(250))));
    assert!(many <= few + 5, "{few} bytes with 10 choices, {many} with 250");
}

#[test]
fn a_join_of_a_thousand_knows_who_has_arrived_by_a_bit_each() {
    let fan = |count: usize| {
        let tasks: String =
            (0..count).map(|n| format!("  - {{name: t{n}, action: test.a, on_success: meet}}\n")).collect();
        format!("{tasks}  - {{name: meet, join: all}}\n")
    };
    let (few, many) = (most_bytes(start(&fan(10))), most_bytes(start(&fan(999))));
    assert!(many <= few + 1000 / 32 * 11, "{few} bytes with 10 tasks, {many} with 999");
}

#[test]
fn items_that_have_ended_take_nothing() {
    let items = |count: usize| {
        let range = format!("'{{{{ range({count}) | list }}}}'");
        start(&format!("  - {{name: each, action: test.a, with_items: {{items: {range}, concurrency: 3}}}}\n"))
    };
    let (few, many) = (most_bytes(items(10)), most_bytes(items(2000)));
    assert!(many <= few + 10, "{few} bytes with 10 items, {many} with 2000");
}
