//! An order workflow without findings, and versions of it with one mistake each, of the kind that loses money or hangs
//! and that passes a review. Each mistake is found, either by checking the definition or by exploring it.

use std::sync::Arc;

use crate::support::workflow;
use conductor::bounds::Bounds;
use conductor::graph::Graph;
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::parse::parse;
use conductor::language::validate::validate;
use conductor::rehearsal::explore::{Samples, explore};
use conductor::rehearsal::{Script, checked_parameters};
use serde_json::json;

const ORDER: &str = "parameters:
  type: object
  required: [order, amount, items]
  properties: {order: {type: integer}, amount: {type: number}, items: {type: array, items: {type: string}, minItems: 1}}
timeout: 7d
vars: [{approver: null}]
finally: tell
tasks:
  - name: charge
    action: pay.charge
    input: {order: '{{ parameters.order }}', amount: '{{ parameters.amount }}'}
    timeout: 1m
    retry: {count: 3, delay: 10s, when: \"{{ failed() and error().type != 'declined' }}\"}
    undo: {action: pay.refund, input: {order: '{{ input.order }}', payment: '{{ result().payment | default(none) }}'}, retry: {count: 10, delay: 1m}}
    on_success: [reserve, check]
  - name: reserve
    action: stock.reserve
    with_items: {items: '{{ parameters.items }}', concurrency: 3}
    input: {item: '{{ item }}'}
    undo: {action: stock.restock, input: {item: '{{ item }}'}}
    on_success: ready
  - {name: check, action: shop.fraud, input: {order: '{{ parameters.order }}'}, on_success: ready}
  - {name: ready, join: all, on_success: approve}
  - name: approve
    wait_for: {signal: approval, timeout: 2d}
    next:
      - {when: '{{ succeeded() and result().ok }}', publish: {approver: '{{ result().by }}'}, do: ship}
      - {when: '{{ succeeded() and not result().ok }}', do: fail, error: {type: refused, message: nobody wants it}}
  - {name: ship, action: post.ship, input: {order: '{{ parameters.order }}', by: '{{ vars.approver }}'}}
  - {name: tell, action: shop.mail, input: {order: '{{ parameters.order }}', verdict: '{{ system.verdict }}'}, on_failure: noop}
";

/// Possible answers of tasks.
const ANSWERS: &str = "workflow: order.yaml
default: {result: {}}
tests:
  - name: all that may happen
    answers:
      charge: [{result: {payment: P-1}}, {fail: {type: declined}}]
      reserve: {result: {shelf: 4}}
      check: [{result: {}}, {fail: {type: fraud}}]
      approve: [{signal: {ok: true, by: ann}}, {signal: {ok: false, by: bob}}]
    expect: {status: completed}
";

/// A mistake: its name, the original text, its replacement, and the finding of a check or of exploring.
const MISTAKES: [(&str, &str, &str, &str); 12] = [
    (
        "a charge is tried again after it has succeeded",
        "when: \"{{ failed() and error().type != 'declined' }}\"",
        "when: '{{ result().payment is undefined }}'",
        "WF207",
    ),
    (
        "a charge is repeated until it is captured",
        "    timeout: 1m\n    retry: {count: 3, delay: 10s, when: \"{{ failed() and error().type != 'declined' }}\"}\n",
        "    repeat: {until: '{{ result().captured }}', max: 5}\n",
        "WF208",
    ),
    (
        "the refund reads what only the charge publishes",
        "payment: '{{ result().payment | default(none) }}'}, retry: {count: 10, delay: 1m}}\n",
        "payment: '{{ vars.approver }}'}, retry: {count: 10, delay: 1m}}\n    publish: {approver: '{{ result().payment }}'}\n",
        "WF314",
    ),
    (
        "the refund reads what the charge never said",
        "payment: '{{ result().payment | default(none) }}'",
        "payment: '{{ result().payment }}'",
        "WF313",
    ),
    (
        "the refund reads the result of a task that may not have run",
        "payment: '{{ result().payment | default(none) }}'",
        "payment: '{{ task.reserve.result[0].shelf }}'",
        "WF304",
    ),
    (
        "the mail reads what a failure leaves unset",
        "verdict: '{{ system.verdict }}'",
        "parcel: '{{ task.ship.result.parcel }}'",
        "WF304",
    ),
    (
        "a verdict has another name",
        "verdict: '{{ system.verdict }}'",
        "good: \"{{ system.verdict == 'succeeded' }}\"",
        "WF308",
    ),
    (
        "a join waits for what a failure keeps away",
        "on_success: ready}\n  - {name: ready",
        "on_success: ready, on_failure: ship}\n  - {name: ready",
        "WF608",
    ),
    ("what comes after the branches runs once for each", "{name: ready, join: all, ", "{name: ready, ", "runs 2 times"),
    (
        "an answer is read that a timeout does not give",
        "next:\n      - {when: '{{ succeeded() and result().ok }}'",
        "next:\n      - {when: '{{ result().ok }}'",
        "WF604",
    ),
    (
        "only another branch has set what is read",
        "by: '{{ vars.approver }}'",
        "by: '{{ task.tell.result.by }}'",
        "WF304",
    ),
    (
        "a refused order is asked about for ever",
        "do: fail, error: {type: refused, message: nobody wants it}}",
        "do: approve}",
        "WF609",
    ),
];

fn runs() -> u64 {
    std::env::var("EXPLORE").ok().and_then(|runs| runs.parse().ok()).unwrap_or(5_000)
}

/// Returns the codes found by a check, and the flaws found by exploring.
fn found(rest: &str, runs: u64) -> Vec<String> {
    let bounds = Bounds::default();
    let source = workflow(rest);
    let parsed = parse(&source, &bounds);
    let mut found: Vec<String> =
        validate(&parsed, &EmptyCatalogue, &bounds).iter().map(|finding| finding.code.to_string()).collect();
    if found.is_empty() {
        let graph = Arc::new(Graph::compile(parsed.definition.as_ref().unwrap(), bounds).unwrap());
        let (script, wrong) = Script::read(ANSWERS, &bounds);
        assert_eq!(wrong, []);
        let parameters =
            checked_parameters(json!({"order": 7, "amount": 20, "items": ["pen", "ink"]}), &graph).unwrap();
        let explored = explore(&graph, &[parameters], &Samples::of(&script), runs, 1);
        found.extend(explored.flaws.into_iter().map(|flaw| flaw.message));
    }
    found
}

#[test]
fn nothing_is_found_in_the_order() {
    assert_eq!(found(ORDER, runs()), Vec::<String>::new());
}

#[test]
fn each_mistake_is_found() {
    for (mistake, right, wrong, expected) in MISTAKES {
        assert!(ORDER.contains(right), "{mistake}: {right}");
        let found = found(&ORDER.replacen(right, wrong, 1), runs());
        assert!(found.iter().any(|finding| finding.contains(expected)), "{mistake}: {found:?}");
    }
}
