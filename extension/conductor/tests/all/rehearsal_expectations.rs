//! Each expectation in a test file passes when it is met, and says what differs when it is not.

use crate::support::rehearsal::{differs, passes, play};

const ORDER: &str = "
parameters: {properties: {order: {type: integer, default: 42}}}
vars: [{receipt: null}]
tasks:
  - name: charge
    action: shop.charge
    input: {order: '{{ parameters.order }}', deep: {list: [1, {a: 2}]}}
    next:
      - {when: '{{ succeeded() }}', publish: {receipt: '{{ result() }}'}, do: [ship, thank]}
      - {when: '{{ failed() }}', do: [apologise, fail]}
  - {name: ship, action: shop.ship, input: {order: '{{ parameters.order }}'}}
  - {name: thank, action: shop.mail}
  - {name: apologise, action: shop.mail, input: {text: 'Order {{ parameters.order }}'}}
output_map: [{receipt: '{{ vars.receipt }}'}]
";

const GOOD: &str = "{charge: {result: {id: 7, at: noon}}, ship: {result: 1}, thank: {result: 1}}";
const BAD: &str = "{charge: {fail: {type: declined, message: no money}}, apologise: {result: 1}}";

#[test]
fn status() {
    passes(ORDER, GOOD, "{status: completed}");
    passes(ORDER, BAD, "{status: failed}");
    differs(ORDER, GOOD, "{status: failed}", "status: failed, got completed");
    let why = "status: completed, got failed: task charge transitioned to fail: no money";
    differs(ORDER, BAD, "{status: completed}", why);
}

#[test]
fn output() {
    passes(ORDER, GOOD, "{output: {receipt: {id: 7}}}");
    passes(ORDER, GOOD, "{output: {}}");
    differs(ORDER, GOOD, "{output: {receipt: {id: 8}}}", "output.receipt.id: 8, got 7");
    differs(ORDER, GOOD, "{output: {total: 1}}", "output.total: 1, got nothing");
    differs("tasks: [{name: a}]", "{}", "{output: {a: 1}}", "output: {\"a\":1}, got nothing");
}

#[test]
fn ran() {
    passes(ORDER, GOOD, "{ran: [charge, ship, thank]}");
    differs(ORDER, GOOD, "{ran: [charge, thank, ship]}", "ran: [charge, thank, ship], got [charge, ship, thank]");
    differs(ORDER, GOOD, "{ran: [charge]}", "ran: [charge], got [charge, ship, thank]");
    passes("tasks: [{name: a}]", "{}", "{ran: []}");
}

#[test]
fn ran_any_order() {
    passes(ORDER, GOOD, "{ran_any_order: [thank, ship, charge]}");
    let got = "ran_any_order: [charge, charge, ship], got [charge, ship, thank]";
    differs(ORDER, GOOD, "{ran_any_order: [ship, charge, charge]}", got);
}

#[test]
fn not_ran() {
    passes(ORDER, GOOD, "{not_ran: [apologise]}");
    differs(ORDER, BAD, "{not_ran: [ship, apologise]}", "not_ran: apologise does not run, got it ran");
    let twice = "tasks: [{name: a, action: shop.a, retry: {count: 1}}]";
    differs(twice, "{a: {fail: 1}}", "{not_ran: a}", "not_ran: a does not run, got it ran 2 times");
}

#[test]
fn inputs() {
    passes(ORDER, GOOD, "{inputs: {charge: {order: 42, deep: {list: [1, {}]}}, ship: {order: 42}}}");
    differs(ORDER, GOOD, "{inputs: {ship: {order: 43}}}", "inputs.ship.order: 43, got 42");
    differs(ORDER, GOOD, "{inputs: {charge: {deep: {list: [1]}}}}", "inputs.charge.deep.list: [1], got [1,{\"a\":2}]");
    differs(ORDER, GOOD, "{inputs: {apologise: {}}}", "inputs.apologise: {}, got it did not run");
    differs(ORDER, GOOD, "{inputs: {thank: {a: 1}}}", "inputs.thank: {\"a\":1}, got null");
}

#[test]
fn inputs_of_several_runs() {
    let rest =
        "tasks: [{name: a, action: shop.a, with_items: [x, y], input: {is: '{{ item }}', all: 1}, retry: {count: 1}}]";
    let answers = "{a: {each: [{fail: 1}, {result: 1}]}}";
    passes(rest, answers, "{ran: [a, a, a, a], inputs: {a: {all: 1}}}");
    passes(rest, answers, "{inputs: {a: [{is: x}, {is: y}]}}");
    differs(rest, answers, "{inputs: {a: {is: x}}}", "inputs.a.is: \"x\", got \"y\"");
    differs(rest, answers, "{inputs: {a: [{is: x}, {is: z}]}}", "inputs.a[1].is: \"z\", got \"y\"");
    differs(rest, answers, "{inputs: {a: [{is: x}]}}", "inputs.a: 1 run, got 2 runs");
}

#[test]
fn errors() {
    passes(ORDER, GOOD, "{errors: []}");
    passes(ORDER, BAD, "{errors: [no money]}");
    passes(ORDER, BAD, "{errors: [{task: charge, message: transitioned, error: {type: declined}}]}");
    let all = "task charge transitioned to fail: no money";
    differs(ORDER, BAD, "{errors: [too late]}", &format!("errors[0]: … too late …, got {all}"));
    differs(ORDER, BAD, "{errors: []}", &format!("errors: 0 errors, got 1 error: {all}"));
    differs(ORDER, GOOD, "{errors: [WF602]}", "errors: 1 error, got 0 errors: none");
    differs(ORDER, BAD, "{errors: [{task: ship}]}", "errors[0].task: \"ship\", got \"charge\"");
    differs(ORDER, BAD, "{errors: [{message: late}]}", &format!("errors[0].message: … late …, got {all}"));
    let rest = "tasks: [{name: a, action: shop.a, publish: {b: '{{ result().c }}'}}]";
    passes(rest, "{a: {result: {}}}", "{status: failed, errors: [{code: WF605, task: a}]}");
    passes(rest, "{a: {result: {}}}", "{errors: [WF605]}");
}

#[test]
fn took() {
    let rest = "tasks: [{name: a, action: shop.a, delay: 90s}]";
    passes(rest, "{a: {result: 1, after: 0.25}}", "{took: 90.25}");
    passes(rest, "{a: {result: 1}}", "{took: 1m30s}");
    differs(rest, "{a: {result: 1}}", "{took: 1m}", "took: 1m, got 1m30s");
}

#[test]
fn every_difference_has_the_line_of_its_expectation() {
    let script = "tests:
  - name: it
    answers: {charge: {result: 1}, ship: {result: 1}, thank: {result: 1}}
    expect:
      status: failed
      ran: [charge]
      not_ran:
        - apologise
        - ship
      inputs:
        ship: {order: 1}
      output: {receipt: 2}
      errors:
        []
      took: 1s
";
    let verdicts = play(ORDER, script);
    let found: Vec<(&str, u32)> = verdicts[0].differences.iter().map(|one| (one.what.as_str(), one.line)).collect();
    let expected =
        [("status", 5), ("ran", 6), ("not_ran", 9), ("inputs.ship.order", 11), ("output.receipt", 12), ("took", 15)];
    assert_eq!(found, expected);
}

#[test]
fn parameters_get_their_defaults() {
    let script = "tests:
  - {name: default, default: {result: 1}, expect: {inputs: {ship: {order: 42}}}}
  - {name: own, parameters: {order: 7}, default: {result: 1}, expect: {inputs: {ship: {order: 7}}}}
";
    assert!(play(ORDER, script).iter().all(|verdict| verdict.passed()));
}
