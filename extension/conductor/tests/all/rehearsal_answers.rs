//! Each kind of answer in a test file does what it says.

use crate::support::rehearsal::{differs, passes, play};

/// A task that is retried once, and a handler of its failure.
const CHARGE: &str = "
tasks:
  - {name: charge, action: shop.charge, timeout: 10m, retry: {count: 1, delay: 1m}, on_failure: apologise}
  - {name: apologise, action: shop.mail, input: {error: '{{ task.charge.error.type }}'}}
";

const APPROVAL: &str = "
tasks:
  - {name: approve, wait_for: {signal: ok, timeout: 2d}, on_success: ship, on_timeout: fail}
  - {name: ship, action: shop.ship, input: {by: '{{ task.approve.result.by }}'}}
";

const ITEMS: &str = "
tasks:
  - {name: pack, action: shop.pack, with_items: [a, b, c], input: {item: '{{ item }}'}, retry: {count: 1},
     publish: {boxes: '{{ result() }}'}}
output_map: [{boxes: '{{ vars.boxes }}'}]
vars: [{boxes: null}]
";

#[test]
fn a_result_completes_the_task_after_the_time_that_it_takes() {
    passes(CHARGE, "{charge: {result: {id: 1}}}", "{status: completed, ran: [charge], took: 0}");
    passes(CHARGE, "{charge: {result: null, after: 9m}}", "{status: completed, took: 9m}");
    passes(CHARGE, "{charge: {result: 1, after: 10m}}", "{status: completed, took: 10m}");
}

#[test]
fn a_failure_is_retried_and_handled_as_the_definition_says() {
    passes(
        CHARGE,
        "{charge: [{fail: {type: net}}, {result: 1}]}",
        "{status: completed, ran: [charge, charge], took: 1m}",
    );
    passes(
        CHARGE,
        "{charge: {fail: {type: declined}, after: 1s}, apologise: {result: null}}",
        "{status: completed, ran: [charge, charge, apologise], inputs: {apologise: {error: declined}}, took: 62s}",
    );
}

#[test]
fn a_worker_may_forbid_a_retry_or_set_its_delay() {
    let rest = "{apologise: {result: 1}, charge: ";
    let expect = "{ran: [charge, apologise], took: 0}";
    passes(CHARGE, &format!("{rest}{{fail: {{type: declined}}, may_retry: false}}}}"), expect);
    let expect = "{ran: [charge, charge], took: 5m}";
    passes(CHARGE, &format!("{rest}[{{fail: {{}}, retry_in: 5m}}, {{result: 1}}]}}"), expect);
}

#[test]
fn advice_is_for_the_report_that_it_came_with() {
    let rest = "
tasks:
  - {name: charge, action: shop.charge, timeout: 10m, retry: {count: 2, delay: 1m}}
";
    let answers = "{charge: [{fail: {}, retry_in: 5m}, {timeout: true}, {result: 1}]}";
    passes(rest, answers, "{status: completed, took: 16m}");
}

#[test]
fn a_timeout_takes_as_long_as_the_limit() {
    passes(CHARGE, "{charge: [{timeout: true}, {result: 1}]}", "{status: completed, took: 11m}");
    // The answer comes too late.
    let late = "{charge: [{result: 1, after: 11m}, {result: 1}]}";
    passes(CHARGE, late, "{status: completed, ran: [charge, charge], took: 11m}");
}

#[test]
fn a_worker_that_dies_is_replaced_without_a_retry() {
    passes(CHARGE, "{charge: [{worker_dies: true}, {result: 1}]}", "{ran: [charge, charge], took: 0}");
    passes(CHARGE, "{charge: [{worker_dies: true, after: 30s}, {result: 1}]}", "{ran: [charge, charge], took: 30s}");
}

#[test]
fn too_many_dead_workers_abandon_the_task() {
    let rest = "tasks: [{name: a, action: shop.a, max_lost_leases: 2}]";
    passes(
        rest,
        "{a: {worker_dies: true}}",
        "{status: failed, ran: [a, a], errors: [{task: a, error: {type: abandoned}}]}",
    );
    let five = "tasks: [{name: a, action: shop.a}]";
    passes(five, "{a: {worker_dies: true}}", "{status: failed, ran: [a, a, a, a, a], errors: [abandoned]}");
}

#[test]
fn a_worker_that_dies_in_a_failed_execution_is_not_replaced() {
    let rest = "tasks: [{name: a, action: shop.a}, {name: b, action: shop.b}]";
    let answers = "{a: {fail: {}}, b: {worker_dies: true, after: 1s}}";
    passes(rest, answers, "{status: failed, ran: [a, b], errors: [task a, task b ended as abandoned]}");
}

#[test]
fn a_signal_comes_after_a_while_or_not_at_all() {
    let answers = "{approve: {signal: {by: ann}, after: 2h}, ship: {result: 1}}";
    passes(APPROVAL, answers, "{status: completed, ran: [approve, ship], inputs: {ship: {by: ann}}, took: 2h}");
    passes(APPROVAL, "{approve: {timeout: true}}", "{status: failed, took: 2d, not_ran: [ship]}");
    passes(APPROVAL, "{approve: {nothing: true}}", "{status: failed, took: 2d}");
    passes(APPROVAL, "{approve: {signal: {by: ann}, after: 3d}}", "{status: failed, took: 2d}");
}

#[test]
fn two_waits_for_one_signal_take_it_in_their_order() {
    let rest = "
tasks:
  - {name: a, wait_for: {signal: go}, on_success: after_a}
  - {name: b, wait_for: {signal: go}, on_success: after_b}
  - {name: after_a, action: shop.a}
  - {name: after_b, action: shop.b}
";
    let answers = "{a: {signal: 1, after: 2h}, b: {signal: 2, after: 1h}, after_a: {result: 1}, after_b: {result: 1}}";
    passes(rest, answers, "{status: completed, ran: [a, b, after_a, after_b], took: 2h}");
}

#[test]
fn a_wait_that_is_retried_is_another_attempt() {
    let rest = "tasks: [{name: a, wait_for: {signal: go, timeout: 1h}, retry: {count: 1, delay: 1m}}]";
    passes(rest, "{a: [{timeout: true}, {signal: 1, after: 5m}]}", "{status: completed, ran: [a, a], took: 66m}");
}

#[test]
fn a_task_that_nobody_serves_keeps_the_execution_waiting() {
    let got = "play: the execution ends, got it is still waiting for a worker for task a";
    differs("tasks: [{name: a, action: shop.a}]", "{a: {nothing: true}}", "{status: completed}", got);
    let got = "play: the execution ends, got it is still waiting for signal go (task a)";
    differs("tasks: [{name: a, wait_for: {signal: go}}]", "{a: {nothing: true}}", "{took: 0}", got);
}

#[test]
fn waiting_can_be_what_is_expected() {
    let rest = "tasks: [{name: a, wait_for: {signal: go}, on_success: b}, {name: b, action: shop.b}]";
    passes(rest, "{a: {nothing: true}}", "{status: running, not_ran: [b]}");
    differs(rest, "{a: {signal: 1}, b: {result: 1}}", "{status: running}", "status: running, got completed");
}

#[test]
fn a_list_answers_attempts_in_the_order_of_their_starts() {
    let rest = "
tasks:
  - {name: start, on_success: poll}
  - name: poll
    action: shop.poll
    delay: 30s
    next:
      - {when: '{{ succeeded() and not result() }}', do: poll}
";
    passes(rest, "{poll: [{result: false}, {result: false}, {result: true}]}", "{ran: [poll, poll, poll], took: 90s}");
    let got = "play: the execution ends, got attempt 3 of task poll has no answer";
    differs(rest, "{poll: [{result: false}, {result: false}]}", "{status: completed}", got);
}

#[test]
fn items_are_answered_one_by_one_or_all_alike() {
    passes(ITEMS, "{pack: {each: {result: 1}}}", "{ran: [pack, pack, pack], output: {boxes: [1, 1, 1]}}");
    passes(ITEMS, "{pack: {result: 1}}", "{output: {boxes: [1, 1, 1]}}");
    let mixed = "{pack: {items: {0: {result: 7}, 2: [{fail: {}}, {result: 9}]}, each: [{fail: {}}, {result: 8}]}}";
    passes(ITEMS, mixed, "{ran: [pack, pack, pack, pack, pack], output: {boxes: [7, 8, 9]}}");
    let got = "play: the execution ends, got task pack, item 1, has no answer";
    differs(ITEMS, "{pack: {items: {0: {result: 7}}}}", "{status: completed}", got);
    let got = "play: the execution ends, got attempt 2 of task pack, item 0, has no answer";
    differs(ITEMS, "{pack: {each: [{fail: {}}]}}", "{status: completed}", got);
}

#[test]
fn the_default_answers_for_workers_only() {
    let with = |file: &str, test: &str| {
        let script = format!("{file}tests: [{{name: it, {test}expect: {{status: completed, ran: [charge]}}}}]");
        play(CHARGE, &script)[0].passed()
    };
    assert!(with("default: {result: {}}\n", ""));
    assert!(with("", "default: {result: {}}, "));
    assert!(with("answers: {charge: {result: {}}}\n", ""));
    assert!(with("default: {fail: {}}\n", "default: {result: {}}, "));
    assert!(with("answers: {charge: {fail: {}}}\n", "answers: {charge: {result: {}}}, "));
    assert!(!with("", ""));
    let verdicts = play(APPROVAL, "default: {result: {}}\ntests: [{name: it, expect: {status: completed}}]");
    assert!(verdicts[0].differences[0].got.contains("waits for a signal"), "{verdicts:#?}");
}

#[test]
fn the_time_limit_of_the_workflow_counts_too() {
    let rest = "timeout: 1h\ntasks: [{name: a, action: shop.a}]";
    passes(rest, "{a: {nothing: true}}", "{status: timeout, took: 1h}");
    passes(rest, "{a: {result: 1, after: 59m}}", "{status: completed, took: 59m}");
}

#[test]
fn backoff_takes_the_middle_of_its_jitter() {
    let rest = "tasks: [{name: a, action: shop.a, retry: {count: 3, delay: 10s, backoff: exponential, jitter: 0.5}}]";
    passes(rest, "{a: [{fail: {}}, {fail: {}}, {fail: {}}, {result: 1}]}", "{status: completed, took: 70s}");
}

#[test]
fn an_execution_without_end_is_stopped() {
    let rest = "tasks: [{name: a, action: shop.a, retry: {count: 1000000, delay: 1s}}]";
    let verdicts = play(rest, "tests: [{name: it, answers: {a: {fail: {}}}, expect: {status: failed}}]");
    assert!(verdicts[0].differences[0].got.starts_with("the execution does not end"), "{verdicts:#?}");
}

#[test]
fn a_task_that_should_time_out_needs_a_limit_when_it_runs() {
    let rest = "vars: [{limit: null}]\ntasks: [{name: a, action: shop.a, timeout: '{{ vars.limit }}'}]";
    let got = "play: the execution ends, got the test lets task a time out, but it has no timeout here";
    differs(rest, "{a: {timeout: true}}", "{status: completed}", got);
}

#[test]
fn ten_thousand_items_are_played() {
    let rest = "tasks: [{name: a, action: shop.a, with_items: '{{ range(10000) | list }}'}]";
    passes(rest, "{a: {result: 1}}", "{status: completed, errors: []}");
}

#[test]
fn somebody_may_cancel() {
    let rest = "
finally: last
tasks:
  - {name: a, action: shop.a, timeout: 1d, on_success: b}
  - {name: b, action: shop.b}
  - {name: last, action: shop.c, input: {verdict: '{{ system.verdict }}'}}
";
    let test = |cancel: &str, expect: &str| {
        let answers = "{a: {result: 1, after: 2h}, b: {result: 1, after: 1s}, last: {result: 1}}";
        let script = format!("tests: [{{name: it, cancel: {cancel}, answers: {answers}, expect: {expect}}}]");
        let verdicts = play(rest, &script);
        assert!(verdicts[0].passed(), "{:#?}", verdicts[0].differences);
    };
    test("{after: 1h}", "{status: cancelled, ran: [a, last], inputs: {last: {verdict: cancelled}}, took: 2h}");
    test("{after: 1h, force: true}", "{status: cancelled, ran: [a], took: 1h}");
    // A task that ends at the same moment has ended.
    test("{after: 2h}", "{status: cancelled, ran: [a, b, last]}");
    test("{after: 3h}", "{status: completed, ran: [a, b, last], took: 7201}");
}

#[test]
fn repetitions_are_attempts_too() {
    let rest = "tasks: [{name: a, action: shop.a, repeat: {until: '{{ result() }}', delay: 30s, max: 2}}]";
    passes(rest, "{a: [{result: false}, {fail: 1}]}", "{status: failed, ran: [a, a], took: 30s}");
    passes(rest, "{a: {result: false}}", "{status: failed, ran: [a, a, a], errors: [{error: {type: repeat}}]}");
}

#[test]
fn inputs_that_take_too_much_memory_end_the_play() {
    let big = "x".repeat(900_000);
    let rest = format!(
        "
max_visits: 1000000
vars: [{{big: {big}}}]
tasks:
  - {{name: start, on_success: a}}
  - name: a
    action: shop.a
    input: {{big: '{{{{ vars.big }}}}'}}
    next: [{{when: '{{{{ succeeded() and result() }}}}', do: a}}]
"
    );
    let verdicts = play(&rest, "tests: [{name: it, answers: {a: {result: true}}, expect: {status: completed}}]");
    assert!(verdicts[0].differences[0].got.starts_with("the execution does not end"), "{verdicts:#?}");
}

#[test]
fn an_answer_to_an_attempt_that_has_ended_does_not_take_time() {
    let rest = "
tasks:
  - {name: a, action: shop.a, timeout: 10m, on_timeout: b}
  - {name: b, wait_for: {signal: go}}
";
    passes(rest, "{a: {result: 1, after: 2h}, b: {nothing: true}}", "{status: running, ran: [a, b], took: 10m}");
}

#[test]
fn what_is_cancelled_at_once_does_not_count_as_answered() {
    let rest = "
cancellation_policy: cancel_running
tasks: [{name: a, action: shop.a}]
";
    let script = "tests: [{name: it, cancel: {after: 1h}, answers: {a: {result: 1, after: 2h}}, expect: {status: cancelled, took: 1h}}]";
    assert!(play(rest, script)[0].passed());
}
