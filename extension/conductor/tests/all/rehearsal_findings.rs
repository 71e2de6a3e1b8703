//! Mistakes in a test file are found before anything is played.

use crate::support::hint;
use crate::support::rehearsal::{finds, read};
use conductor::bounds::Bounds;
use conductor::rehearsal::Script;

const TASKS: &str = "
parameters: {required: [order], properties: {order: {type: integer}}}
tasks:
  - {name: charge, action: shop.charge, on_success: approve}
  - {name: approve, wait_for: {signal: ok}, on_success: gate}
  - {name: gate, on_success: pack}
  - {name: pack, action: shop.pack, with_items: [1, 2]}
";

/// Expects one finding in a test, in which `§` marks its place.
#[track_caller]
fn in_test(code: &str, test: &str, text: &str) -> String {
    let script = format!("tests:\n  - {{name: it, parameters: {{order: 1}}, {test}}}\n");
    hint(&finds(code, TASKS, &script, text)).to_owned()
}

/// Expects one finding in an answer of the task `charge`.
#[track_caller]
fn in_answer(code: &str, answer: &str, text: &str) -> String {
    in_test(code, &format!("answers: {{charge: {answer}}}, expect: {{took: 0}}"), text)
}

/// Expects one finding in what is expected.
#[track_caller]
fn in_expect(code: &str, expect: &str, text: &str) -> String {
    in_test(code, &format!("expect: {{{expect}}}"), text)
}

#[test]
fn the_file_itself() {
    for (code, script, text) in [
        ("WF001", "§", "empty"),
        ("WF005", "§[]", "a test file must be a map"),
        ("WF004", "§workflow: a.yaml", "no `tests`"),
        ("WF005", "tests: §1", "`tests` must be a list"),
        ("WF202", "tests: §[]", "`tests` is empty"),
        ("WF005", "tests: [§1]", "a test must be a map"),
        ("WF003", "§test: 1\ntests: [{name: a, parameters: {order: 1}, expect: {took: 0}}]", "unknown field `test`"),
        ("WF001", "tests: [§{name: a", "unclosed bracket"),
        ("WF005", "workflow: §1\ntests: [{name: a, expect: {took: 0}}]", "`workflow` must be text"),
        ("WF006", "tests: [{name: a, expect: {took: 0}}, §{name: a, expect: {took: 0}}]", "two tests are called `a`"),
    ] {
        finds(code, TASKS, script, text);
    }
}

#[test]
fn a_test_needs_a_name_and_an_expectation() {
    finds("WF004", TASKS, "tests: [§{parameters: {order: 1}, expect: {took: 0}}]", "a test has no `name`");
    finds("WF004", TASKS, "tests: [§{name: a, parameters: {order: 1}}]", "a test has no `expect`");
    assert_eq!(in_test("WF003", "expect: {took: 0}, §answer: {}", "unknown field `answer`"), "did you mean `answers`?");
}

#[test]
fn answers() {
    in_test("WF005", "answers: §[], expect: {took: 0}", "`answers` must be a map");
    in_answer("WF005", "§1", "must be a map");
    in_answer("WF202", "§[]", "an empty list");
    in_answer("WF004", "§{after: 1s}", "does not say how the attempt ends");
    in_answer("WF006", "§{result: 1, fail: 2}", "says `result` and `fail`");
    assert_eq!(in_answer("WF003", "{result: 1, §aftr: 1s}", "unknown field `aftr`"), "did you mean `after`?");
    in_answer("WF006", "{nothing: §false}", "`nothing` can't be false");
    in_answer("WF005", "{worker_dies: §1}", "`worker_dies` must be a boolean");
    in_answer("WF006", "{result: 1, after: §soon}", "`after` can't be `soon`");
    in_answer("WF006", "{result: 1, after: §-1}", "`after` must be between");
    in_answer("WF006", "{nothing: true, after: §1s}", "`after` has no effect next to `nothing`");
    in_answer("WF006", "{result: 1, may_retry: §false}", "`may_retry` has no effect next to `result`");
    in_answer("WF005", "{fail: {}, may_retry: §1}", "`may_retry` must be a boolean");
    in_answer("WF006", "{fail: {}, retry_in: §x}", "`retry_in` can't be `x`");
}

#[test]
fn answers_that_do_not_fit_their_task() {
    let hint = in_test("WF701", "answers: {§chrage: {result: 1}}, expect: {took: 0}", "there is no task `chrage`");
    assert_eq!(hint, "did you mean `charge`?");
    in_test("WF702", "answers: {§gate: {result: 1}}, expect: {took: 0}", "neither an action nor");
    in_test("WF702", "answers: {§charge: {each: {result: 1}}}, expect: {took: 0}", "task charge has no items");
    in_test("WF702", "answers: {§pack: [{result: 1}]}, expect: {took: 0}", "task pack has items, but a list");
    in_test("WF702", "answers: {approve: §{result: 1}}, expect: {took: 0}", "task approve waits for a signal");
    in_test("WF702", "answers: {charge: [§{signal: 1}]}, expect: {took: 0}", "task charge does not wait");
    in_test("WF702", "answers: {approve: §{timeout: true}}, expect: {took: 0}", "task approve has no `timeout`");
    in_test(
        "WF702",
        "answers: {pack: {items: {1: [{result: 1}, §{timeout: true}]}}}, expect: {took: 0}",
        "no `timeout`",
    );
    in_test("WF005", "answers: {pack: {items: §[1]}}, expect: {took: 0}", "`items` must be a map");
    in_test("WF006", "answers: {pack: {items: {§first: {result: 1}}}}, expect: {took: 0}", "`first` is not the index");
    in_test("WF006", "answers: {pack: {items: {§-1: {result: 1}}}}, expect: {took: 0}", "`-1` is not the index");
}

#[test]
fn a_cancel_needs_a_time() {
    in_test("WF005", "cancel: §1h, expect: {took: 0}", "`cancel` must be a map");
    in_test("WF004", "cancel: §{force: true}, expect: {took: 0}", "`cancel` has no `after`");
    in_test("WF006", "cancel: {after: §soon}, expect: {took: 0}", "`after` can't be `soon`");
    in_test("WF005", "cancel: {after: 1h, force: §1}, expect: {took: 0}", "`force` must be a boolean");
    in_test("WF003", "cancel: {after: 1h, §hard: true}, expect: {took: 0}", "unknown field `hard` of `cancel`");
}

#[test]
fn a_default_is_for_every_worker() {
    in_test("WF006", "default: §{signal: 1}, expect: {took: 0}", "`default` can't be `signal`");
    in_test("WF006", "default: §{timeout: true}, expect: {took: 0}", "`default` can't be `timeout`");
}

#[test]
fn expectations() {
    in_test("WF005", "expect: §1", "`expect` must be a map");
    in_test("WF202", "expect: §{}", "`expect` is empty");
    assert_eq!(in_expect("WF003", "took: 0, §statsu: failed", "unknown field"), "did you mean `status`?");
    assert_eq!(in_expect("WF006", "status: §complete", "`status` can't be"), "did you mean `completed`?");
    in_expect("WF005", "ran: §1", "`ran` must be a name or a list");
    in_expect("WF005", "inputs: §[]", "`inputs` must be a map");
    in_expect("WF005", "errors: §1", "`errors` must be a list");
    in_expect("WF005", "errors: [§1]", "an expected error must be text");
    in_expect("WF003", "errors: [{§kind: 1}]", "unknown field `kind` of an expected error");
    in_expect("WF006", "took: §ages", "`took` can't be `ages`");
}

#[test]
fn expectations_of_tasks_that_do_not_exist() {
    for expect in [
        "ran: [§chrage]",
        "ran_any_order: [§chrage]",
        "not_ran: [§chrage]",
        "inputs: {chrage: §{}}",
        "errors: [{task: §chrage}]",
    ] {
        assert_eq!(in_expect("WF701", expect, "there is no task `chrage`"), "did you mean `charge`?");
    }
    for expect in ["ran: [§gate]", "not_ran: [§gate]", "inputs: {gate: §{}}"] {
        in_expect("WF703", expect, "task gate has neither an action nor");
    }
}

#[test]
fn parameters_that_the_workflow_refuses() {
    let script = |parameters: &str| format!("tests:\n  - {{name: it, {parameters}, expect: {{took: 0}}}}");
    finds("WF601", TASKS, &script("parameters: {order: §x}"), "is not of type \"integer\" at /order");
    finds("WF601", TASKS, &script("parameters: §{}"), "\"order\" is a required property");
    finds("WF005", TASKS, &script("parameters: §1"), "`parameters` must be a map");
    finds("WF601", TASKS, "tests: [§{name: it, expect: {took: 0}}]", "required property");
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let script =
        "tests:\n  - {name: it, parameters: {order: x}, answers: {a: {result: 1}}, expect: {ran: [b], not_ran: [c]}}\n";
    let codes: Vec<String> = read(TASKS, script).1.iter().map(|finding| finding.code.to_string()).collect();
    assert_eq!(codes, ["WF601", "WF701", "WF701", "WF701"]);
}

#[test]
fn a_test_file_is_bounded_like_a_definition() {
    let codes = |script: &str| -> Vec<String> {
        let findings = Script::read(script, &Bounds::default()).1;
        findings.iter().map(|finding| finding.code.to_string()).collect()
    };
    assert_eq!(codes(&"[".repeat(1000)), ["WF009"]);
    assert_eq!(codes(&" ".repeat(2 << 20)), ["WF009"]);
    let tests = "{name: a, expect: {took: 0}}, ".repeat(1001);
    assert!(codes(&format!("tests: [{tests}]")).contains(&"WF009".to_owned()));
}

#[test]
fn many_unknown_names_are_reported_soon() {
    let rest =
        format!("tasks:\n{}", (0..200).map(|n| format!("  - {{name: {}{n}}}\n", "x".repeat(110))).collect::<String>());
    let names: Vec<String> = (0..5_000).map(|n| format!("{}{n}", "y".repeat(110))).collect();
    let script = format!("tests: [{{name: a, expect: {{not_ran: [{}]}}}}]", names.join(", "));
    let (_, findings) = read(&rest, &script);
    assert_eq!(findings.len(), 1000);
    assert!(findings.iter().all(|finding| finding.code.0 == 701));
}
