//! What the conductor says about an execution's tasks at its end without looking at their rows, and when it says
//! nothing.

use crate::support::{valid, workflow};
use conductor::bounds::Bounds;
use conductor::engine::status::TaskEnd;
use conductor::expression::Data;
use conductor::graph::Graph;
use conductor::testing::memory_host::{Ledger, RowStatus};
use conductor::view::task_lists::TaskLists;
use std::sync::Arc;

/// How tasks end, by name.
type Ends = &'static [(&'static str, TaskEnd)];

/// Completes everything, with each task ending as given here; all others succeed.
fn work(ledger: &mut Ledger, ends: &[(&str, TaskEnd)]) {
    while let Some(row) = (0..ledger.rows.len()).find(|row| ledger.rows[*row].status == RowStatus::Ready) {
        let name = ledger.name(ledger.rows[row].key.node).to_owned();
        let end = ends.iter().find(|(task, _)| *task == name).map_or(TaskEnd::Completed, |(_, end)| *end);
        ledger.claim(row).expect("it is ready");
        ledger.report(row, end, Some(Data::from(1))).expect("it runs");
    }
    assert!(ledger.over);
    assert_eq!(ledger.check(), Vec::<String>::new());
}

fn run(tasks: &str, ends: &[(&str, TaskEnd)]) -> Ledger {
    let definition = valid(&workflow(&format!("tasks:\n{tasks}")));
    let graph = Graph::compile(&definition, Bounds::default()).expect("compiles");
    let mut ledger = Ledger::start(Arc::new(graph), Data::from_pairs(Vec::<(String, Data)>::new()));
    work(&mut ledger, ends);
    ledger
}

fn lists(completed: &[&str], failed: &[&str]) -> Option<TaskLists> {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    Some(TaskLists { completed: names(completed), failed: names(failed), ..TaskLists::default() })
}

const CHAIN: &str = "  - {name: a, action: test.a, on_success: b}\n  - {name: b, action: test.a, on_success: c}\n  \
                     - {name: c, action: test.a}\n";

#[test]
fn in_a_chain_all_tasks_but_the_last_have_succeeded() {
    assert_eq!(run("  - {name: a, action: test.a}\n", &[]).known_lists, lists(&["a"], &[]));
    assert_eq!(run(CHAIN, &[]).known_lists, lists(&["a", "b", "c"], &[]));
    assert_eq!(run(CHAIN, &[("b", TaskEnd::Timeout)]).known_lists, lists(&["a"], &["b"]));
    assert_eq!(run(CHAIN, &[("c", TaskEnd::Cancelled)]).known_lists, lists(&["a", "b"], &[]));
}

#[test]
fn a_rerun_chain_is_not_a_linear_path() {
    let mut ledger = run(CHAIN, &[("b", TaskEnd::Failed)]);
    ledger.rerun(&[], false).expect("it failed");
    work(&mut ledger, &[]);
    assert_eq!((ledger.known_lists.clone(), Some(ledger.task_lists())), (None, lists(&["a", "b", "c"], &[])));
}

#[test]
fn unlisted_possibilities_must_be_explored() {
    const FAILED: Ends = &[("a", TaskEnd::Failed)];
    let cases: [(&str, &str, Ends); 8] = [
        ("any end leads on", "  - {name: a, action: test.a, next: [{do: b}]}\n  - {name: b, action: test.a}\n", FAILED),
        ("a failure leads on", "  - {name: a, action: test.a, on_failure: b}\n  - {name: b, action: test.a}\n", FAILED),
        (
            "a task may be skipped",
            "  - {name: a, action: test.a, when: '{{ 1 > 2 }}', on_success: b}\n  - {name: b, action: test.a}\n",
            &[],
        ),
        (
            "some items may fail",
            "  - {name: a, action: test.a, with_items: {items: '{{ [1, 2] }}', on_item_failure: continue, max_failures: 1}, on_success: b}\n  - {name: b, action: test.a}\n",
            &[],
        ),
        ("a task has items", "  - {name: a, action: test.a, with_items: '{{ [1] }}'}\n", &[]),
        (
            "another branch has ended",
            "  - {name: a, action: test.a, on_success: [b, c]}\n  - {name: b, action: test.a}\n  - {name: c, action: test.a}\n",
            &[],
        ),
        ("another start has ended", "  - {name: a, action: test.a}\n  - {name: b, action: test.a}\n", &[]),
        ("the engine goes on", "  - {name: a, action: test.a, on_success: b}\n  - {name: b}\n", &[]),
    ];
    for (case, tasks, ends) in cases {
        assert_eq!(run(tasks, ends).known_lists, None, "{case}");
    }
}
