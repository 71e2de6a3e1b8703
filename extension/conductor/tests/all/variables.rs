//! Variables while branches are active: which branch sees which, and how large all of them may be.

use crate::support::{valid, workflow};
use conductor::bounds::Bounds;
use conductor::engine::status::{Status, TaskEnd};
use conductor::expression::{Data, json_text};
use conductor::graph::Graph;
use conductor::testing::memory_host::Ledger;
use std::sync::Arc;

fn start(rest: &str, context_bytes: usize) -> Ledger {
    let bounds = Bounds { context_bytes, ..Bounds::default() };
    let graph = Graph::compile(&valid(&workflow(rest)), bounds).expect("compiles");
    Ledger::start(Arc::new(graph), Data::from_pairs(Vec::<(String, Data)>::new()))
}

#[track_caller]
fn complete(ledger: &mut Ledger, task: &str, result: &str) {
    let row = ledger.find(task, 0, None).unwrap_or_else(|| panic!("{task} has not begun"));
    ledger.claim(row).expect("it can be claimed");
    ledger.report(row, TaskEnd::Completed, Some(Data::from(result))).expect("it runs");
    assert_eq!(ledger.check(), Vec::<String>::new());
}

fn input(ledger: &Ledger, task: &str) -> String {
    let row = ledger.find(task, 0, None).unwrap_or_else(|| panic!("{task} has not begun"));
    json_text(ledger.rows[row].input.as_ref().expect("it has input"))
}

#[test]
fn what_one_way_publishes_the_other_does_not_see() {
    // `b` has published in its own branch before it forks: anything that it adds then goes to each path separately.
    let mut ledger = start(
        "vars: [{x: 0}]
tasks:
  - {name: a, action: test.a}
  - {name: b, action: test.a, publish: [{x: 1}], on_success: c}
  - name: c
    action: test.a
    next:
      - {publish: [{x: 2}], do: d}
      - {publish: [{y: 3}], do: e}
  - {name: d, action: test.a, input: {x: '{{ vars.x }}', y: \"{{ vars.y | default('none') }}\"}}
  - {name: e, action: test.a, input: {x: '{{ vars.x }}', y: \"{{ vars.y | default('none') }}\"}}
",
        1000,
    );
    complete(&mut ledger, "b", "");
    complete(&mut ledger, "c", "");
    assert_eq!(input(&ledger, "d"), r#"{"x":2,"y":"none"}"#);
    assert_eq!(input(&ledger, "e"), r#"{"x":1,"y":3}"#);
}

/// Two tasks in sequence, the first of which publishes a given value.
const LINE: &str = "
vars: [{kept: abcdef}]
tasks:
  - {name: a, action: test.a, publish: [{text: '{{ result() }}'}], on_success: b}
  - {name: b, action: test.a, publish: [{text: '{{ result() }}'}]}
";

/// Two branches that publish given values, and their join.
const FORK: &str = "
vars: [{kept: abcdef}]
tasks:
  - {name: a, action: test.a, publish: [{text: '{{ result() }}'}], on_success: c}
  - {name: b, action: test.a, publish: [{text: '{{ result() }}'}], on_success: c}
  - {name: c, action: test.a, join: all, publish: [{text: '{{ result() }}'}], on_success: d}
  - {name: d, action: test.a}
";

/// Size in bytes of `kept`, and of `text` without its value.
const KEPT: usize = r#""kept":"abcdef","#.len();
const NAME: usize = r#""text":"","#.len();

fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

#[track_caller]
fn failed(ledger: &Ledger, message: &str) {
    assert_eq!(ledger.status(), Status::Failed);
    assert_eq!(ledger.error_message(), Some(message));
}

#[test]
fn variables_may_fill_their_bound_and_no_more() {
    let limit = KEPT + NAME + 100;
    let mut ledger = start(LINE, limit);
    complete(&mut ledger, "a", &text(100));
    assert_eq!((ledger.status(), ledger.execution.state.bytes), (Status::Running, limit as u64));
    // A value that replaces another counts instead of it.
    complete(&mut ledger, "b", &text(100));
    assert_eq!(ledger.status(), Status::Completed, "{:?}", ledger.error_message());

    let mut ledger = start(LINE, limit);
    complete(&mut ledger, "a", &text(101));
    failed(
        &ledger,
        "WF614: with variable text, published by task a, the variables take 127 bytes, but at most 126 are allowed",
    );
    // What exceeded the limit is not kept.
    assert_eq!(json_text(&ledger.variables), r#"{"kept":"abcdef"}"#);
}

#[test]
fn the_variables_of_branches_count_together() {
    let limit = KEPT + 2 * NAME + 100;
    let mut ledger = start(FORK, limit);
    complete(&mut ledger, "a", &text(50));
    complete(&mut ledger, "b", &text(50));
    assert_eq!(ledger.execution.state.bytes, limit as u64);
    // Once the branches have joined, a value that one of them replaced no longer counts.
    complete(&mut ledger, "c", &text(100 + NAME));
    assert_eq!((ledger.status(), ledger.execution.state.bytes), (Status::Running, limit as u64));

    let mut ledger = start(FORK, limit);
    complete(&mut ledger, "a", &text(50));
    complete(&mut ledger, "b", &text(51));
    assert_eq!(ledger.status(), Status::Failed);
    assert!(ledger.error_message().unwrap().contains("variable text, published by task b,"));
}

#[test]
fn one_report_cannot_publish_more_than_the_bound_before_it_is_refused() {
    let entries: String = (0..100).map(|number| format!("{{v{number}: '{{{{ result() }}}}'}}, ")).collect();
    let mut ledger = start(&format!("tasks: [{{name: a, action: test.a, publish: [{entries}]}}]"), 1000);
    complete(&mut ledger, "a", &text(100));
    let message = ledger.error_message().unwrap();
    assert!(message.contains("variable v9, published by task a,"), "{message}");
}

#[test]
fn the_variables_at_the_start_keep_to_the_bound_too() {
    let rest = "vars: [{a: abc}, {b: '{{ vars.a * 10 }}'}]\ntasks: [{name: t, action: test.a}]\n";
    let used = r#""a":"abc","b":"abcabcabcabcabcabcabcabcabcabc","#.len();
    assert_eq!(start(rest, used).status(), Status::Running);
    let ledger = start(rest, used - 1);
    failed(&ledger, "WF614: with variable b, the variables take 47 bytes, but at most 46 are allowed");
    assert!(ledger.over && ledger.rows.is_empty());
}

/// Branches that publish a variable of their own, and one that they share, and their join.
fn wide(branches: usize) -> Ledger {
    let task = |number| {
        let name = if number % 2 == 0 { format!("first{number}") } else { format!("b{number}") };
        let own = format!("{{publish: [{{v{number}: '{{{{ result() }}}}'}}, {{last: {number}}}]");
        match number % 2 {
            0 => format!(
                "  - {{name: {name}, action: test.a, next: [{own}, do: b{number}}}]}}\n  - {{name: b{number}, action: test.a, on_success: join}}\n"
            ),
            _ => format!("  - {{name: {name}, action: test.a, next: [{own}, do: join}}]}}\n"),
        }
    };
    let tasks: String = (0..branches).map(task).collect();
    let join = "  - {name: join, join: all, action: test.a, input: {all: '{{ vars }}'}, next: [{publish: {after: 1}, do: end}]}
  - {name: end, action: test.a, input: {all: '{{ vars }}'}}\n";
    start(&format!("tasks:\n{tasks}{join}"), 1_000_000)
}

#[test]
fn a_wide_join_sees_all_branches_in_the_order_of_their_arrival() {
    let mut ledger = wide(40);
    (0..20).map(|half| 2 * half).for_each(|number| complete(&mut ledger, &format!("first{number}"), "even"));
    // Those with an odd number arrive as they publish, backwards; the others afterwards, the 7th last.
    (0..20).rev().map(|half| 2 * half + 1).for_each(|number| complete(&mut ledger, &format!("b{number}"), "odd"));
    let even = (0..20).map(|half| 2 * half).filter(|number| *number != 14).chain([14]);
    even.for_each(|number| complete(&mut ledger, &format!("b{number}"), "ignored"));
    let seen: serde_json::Value = serde_json::from_str(&input(&ledger, "join")).unwrap();
    assert_eq!(seen["all"]["last"], 14);
    for number in 0..40 {
        assert_eq!(seen["all"][format!("v{number}")], if number % 2 == 0 { "even" } else { "odd" });
    }
    // What was joined becomes the variables again.
    complete(&mut ledger, "join", "");
    let after: serde_json::Value = serde_json::from_str(&input(&ledger, "end")).unwrap();
    assert_eq!((&after["all"]["last"], &after["all"]["after"]), (&14.into(), &1.into()));
    assert_eq!(ledger.execution.state.base, None);
}

#[test]
fn what_the_conductor_remembers_does_not_grow_with_what_branches_publish() {
    let size = |branches: usize| {
        let mut ledger = wide(branches);
        (0..branches / 2).for_each(|half| complete(&mut ledger, &format!("first{}", 2 * half), "even"));
        (1..branches / 2).for_each(|half| complete(&mut ledger, &format!("b{}", 2 * half + 1), "odd"));
        conductor::json::to_text(&ledger.execution.state).expect("it can be written").len()
    };
    // One bit for each of 600 tasks, in words of 32.
    let (few, many) = (size(20), size(400));
    assert!(many < few + 600 / 32 * 12, "{few} {many}");
}

#[test]
fn a_large_variable_is_not_rewritten_when_another_changes() {
    let mut ledger = start(
        "vars: [{n: 0}]
tasks:
  - {name: a, action: test.a, publish: [{text: '{{ result() }}'}], on_success: b}
  - {name: b, action: test.a, publish: [{n: 1}], on_success: c}
  - {name: c, action: test.a, publish: [{n: 2}], on_success: d}
  - {name: d, action: test.a, input: {n: '{{ vars.n }}', bytes: '{{ vars.text | length }}'}}
",
        1_000_000,
    );
    complete(&mut ledger, "a", &text(100_000));
    for task in ["b", "c"] {
        complete(&mut ledger, task, "");
        assert!(ledger.execution.state.base.is_some(), "{task} has rewritten the variables");
    }
    assert_eq!(input(&ledger, "d"), r#"{"n":2,"bytes":100000}"#);
    assert_eq!(json_text(ledger.variables.get_attr("n").as_ref().unwrap()), "2");
}
