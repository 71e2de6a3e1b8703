//! Exploration finds possible problems, and reduces each to a test that shows it.

use std::sync::Arc;

use crate::support::rehearsal::{graph, read};
use conductor::bounds::Bounds;
use conductor::graph::Graph;
use conductor::rehearsal::explore::{Flaw, Samples, explore};
use conductor::rehearsal::{Script, checked_parameters, rehearse};
use serde_json::{Value, json};

fn found(rest: &str, parameters: Value, samples: &Samples) -> Vec<Flaw> {
    let graph = graph(rest);
    let parameters = checked_parameters(parameters, &graph).unwrap();
    explore(&graph, &[parameters], samples, 300, 7).flaws
}

/// Expects one flaw, and the test that shows it.
#[track_caller]
fn finds(rest: &str, samples: &Samples, expected: &str) {
    let flaws = found(rest, json!({}), samples);
    let tests: String = flaws.iter().map(|flaw| flaw.test.as_str()).collect();
    assert_eq!(tests, expected);
    assert_replays(&graph(rest), &flaws);
}

/// Every test that was printed can be read, and passes.
#[track_caller]
fn assert_replays(graph: &Arc<Graph>, flaws: &[Flaw]) {
    let tests: String = flaws.iter().map(|flaw| flaw.test.as_str()).collect();
    let bounds = Bounds::default();
    let (script, findings) = Script::read(format!("tests:\n{tests}"), &bounds);
    assert_eq!(findings, [], "{tests}");
    assert_eq!(script.check(graph, &bounds), [], "{tests}");
    for test in &script.tests {
        let verdict = rehearse(&script, test, graph);
        assert!(verdict.passed(), "{:#?}\n{tests}", verdict.differences);
    }
}

/// Returns the answers in the tests of a file.
fn samples(rest: &str, script: &str) -> Samples {
    let (script, findings) = read(rest, script);
    assert_eq!(findings, []);
    Samples::of(&script)
}

#[test]
fn an_error_after_a_failure_only() {
    let rest = "
tasks:
  - {name: a, action: shop.a, on_complete: b}
  - {name: b, action: shop.b, on_success: c, input: {was: '{{ task.a.status }}'}}
  - {name: c, action: shop.c, input: {why: '{{ task.a.error.type if task.a.error else task.a.result.id }}'}}
";
    let well = samples(rest, "default: {result: {id: 1}}\ntests: [{name: a, expect: {took: 0}}]");
    assert_eq!(found(rest, json!({}), &well), []);
    let bad = samples(
        rest,
        "default: {result: {id: 1}}\nanswers: {a: {fail: {code: 7}}}\ntests: [{name: a, expect: {took: 0}}]",
    );
    finds(
        rest,
        &bad,
        "  - name: \"1: WF602: input of task c failed to evaluate: undefined value in {{ task.a.error.type if task.a.error else \
         task.a.result.id }}\"
    default: {result: {id: 1}}
    answers:
      a: {fail: {code: 7}}
    expect: {status: failed, ran: [a, b]}
",
    );
}

#[test]
fn a_task_that_two_branches_reach() {
    let rest = "
tasks:
  - {name: a, action: shop.a, on_failure: tell}
  - {name: b, action: shop.b, timeout: 1m, on_timeout: tell}
  - {name: tell, action: shop.tell}
";
    finds(
        rest,
        &Samples::default(),
        "  - name: \"1: task tell runs 2 times, once for each branch that reaches it: it has no `join`\"
    default: {result: null}
    answers:
      a: {fail: {type: explored, message: explored}}
      b: {timeout: true}
    expect: {status: completed, ran: [a, b, tell, tell]}
",
    );
}

#[test]
fn a_join_that_can_not_fire() {
    let rest = "
tasks:
  - {name: a, action: shop.a, with_items: [1, 2], on_success: gate, on_failure: noop}
  - {name: b, wait_for: {signal: go}, on_success: gate}
  - {name: gate, join: all}
";
    let flaws = found(rest, json!({}), &Samples::default());
    let [flaw] = &flaws[..] else { panic!("{flaws:#?}") };
    assert_eq!(flaw.message, "WF608: join gate can no longer fire: only 1 of 2 inbound tasks arrived (b)");
    assert!(flaw.test.contains("b: {signal: null}\n"), "{}", flaw.test);
    assert_replays(&graph(rest), &flaws);
}

#[test]
fn a_schedule_matters_as_well() {
    // If `slow` ends first, the input of `next` divides by zero.
    let rest = "
tasks:
  - {name: fast, action: shop.a, on_success: next}
  - {name: next, action: shop.b, input: {n: '{{ 1 / (0 if task.slow is defined else 1) }}'}}
  - {name: slow, action: shop.c}
";
    let flaws = found(rest, json!({}), &Samples::default());
    assert!(flaws.iter().all(|flaw| flaw.message.starts_with("WF602")) && flaws.len() == 1, "{flaws:#?}");
    assert!(flaws[0].test.contains("fast: {result: null, after: "), "{flaws:#?}");
    assert_replays(&graph(rest), &flaws);
}

#[test]
fn an_execution_without_end() {
    let rest = "tasks: [{name: a, action: shop.a, retry: {count: 1000000, when: '{{ completed() }}'}}]";
    let flaws = explore(&graph(rest), &[json!({})], &Samples::default(), 1000, 7).flaws;
    assert_eq!(flaws.len(), 1);
    assert!(flaws[0].test.contains("    default: {result: null}\n    expect: {status: completed}\n"), "{flaws:#?}");
    assert!(flaws[0].message.starts_with("the execution does not end"), "{flaws:#?}");
}

#[test]
fn parameters_are_part_of_the_test() {
    let rest = "
parameters: {required: [n], properties: {n: {type: integer}, other: {default: 'yes'}}}
tasks: [{name: a, action: shop.a, input: {n: '{{ result_of.n }}'}}]
"
    .replace("result_of.n", "1 / parameters.n");
    assert_eq!(found(&rest, json!({"n": 1}), &Samples::default()), []);
    let flaws = found(&rest, json!({"n": 0}), &Samples::default());
    assert!(flaws[0].test.contains("parameters: {\"n\": 0, other: \"yes\"}\n"), "{flaws:#?}");
    assert_replays(&graph(&rest), &flaws);
    assert!(checked_parameters(json!({}), &graph(&rest)).unwrap_err().contains("required property"));
    assert!(checked_parameters(json!([]), &graph(&rest)).unwrap_err().contains("must be a map"));
}

#[test]
fn the_same_seed_finds_the_same() {
    let rest = "tasks: [{name: a, action: shop.a, publish: {b: '{{ result().b }}'}, on_failure: c}, {name: c, action: shop.c}]";
    let explored = |seed| explore(&graph(rest), &[json!({})], &Samples::default(), 50, seed).flaws;
    assert_eq!(explored(1), explored(1));
    assert_eq!(explored(1).len(), 1);
    assert_eq!(explore(&graph(rest), &[json!({})], &Samples::default(), 0, 1).flaws, []);
}

#[test]
fn a_cancel_may_be_what_goes_wrong() {
    let rest = "
finally: last
tasks:
  - {name: a, action: shop.a, on_success: b, on_failure: noop}
  - {name: b, action: shop.b, on_failure: noop}
  - {name: last, action: shop.c, input: {n: '{{ 1 / (0 if system.verdict == \"cancelled\" else 1) }}'}}
";
    finds(
        rest,
        &Samples::default(),
        "  - name: \"1: WF602: input of task last failed to evaluate: invalid operation: unable to calculate 1 / 0 in {{ 1 / \
         (0 if system.verdict == \\\"cancelled\\\" else 1) }}\"
    cancel: {after: 0s}
    default: {result: null, after: 1s}
    expect: {status: cancelled, ran: [a]}
",
    );
}

#[test]
fn a_final_task_that_cannot_begin_is_found_even_if_its_failure_is_handled() {
    let rest = "finally: mail
tasks:
  - {name: ship, action: ci.ship}
  - {name: mail, action: ci.mail, input: {t: '{{ task.ship.result.tracking }}'}, on_failure: noop}";
    let found = messages(rest);
    assert!(found.iter().any(|message| message.contains("WF602: input of task mail")), "{found:?}");
}

#[test]
fn a_loop_that_only_ends_by_chance_is_found() {
    let rest = "tasks:
  - {name: a, action: ci.a, on_success: b}
  - name: b
    action: ci.b
    next: [{when: '{{ succeeded() and not (result().ok | default(false)) }}', do: b}, {when: '{{ failed() }}', do: noop}]";
    let found = messages(rest);
    assert!(found.iter().any(|message| message.contains("WF609")), "{found:?}");
}

#[test]
fn the_same_flaw_is_shown_once_and_slow_tasks_are_none() {
    let rest = "tasks:
  - {name: a, action: ci.a, on_success: [s, t]}
  - {name: s, action: ci.s, on_success: r, undo: {action: ci.u, input: {x: '{{ task.t.result.x }}'}}}
  - {name: t, action: ci.t, on_success: r}
  - {name: r, join: all, action: ci.r}";
    let found = messages(rest);
    assert!(!found.is_empty());
    let mut once = found.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), found.len(), "{found:?}");
    let slow = "timeout: 2h\ntasks: [{name: a, action: ci.a, on_success: b}, {name: b, action: ci.b, on_success: c}, {name: c, action: ci.c}]";
    assert_eq!(messages(slow), Vec::<String>::new());
}

/// Returns the flaws found in a workflow, in 2000 runs.
fn messages(rest: &str) -> Vec<String> {
    let explored = explore(&graph(rest), &[json!({})], &Samples::default(), 2000, 7);
    explored.flaws.into_iter().map(|flaw| flaw.message).collect()
}
