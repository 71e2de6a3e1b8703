//! `defaults`, `jitter: full`, the error of `fail`, first tasks that lead to themselves, and filters of our own.

use crate::support::{error, hint, valid, workflow};
use conductor::bounds::Bounds;
use conductor::engine::status::{Status, TaskEnd};
use conductor::expression::Data;
use conductor::graph::Graph;
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::validate::check;
use conductor::rehearsal::memory_host::{Ledger, ReportedRow};
use serde_json::{Value, json};
use std::sync::Arc;

fn start(rest: &str) -> Ledger {
    let graph = Graph::compile(&valid(&workflow(rest)), Bounds::default()).expect("compiles");
    Ledger::start(Arc::new(graph), Data::from_pairs(Vec::<(String, Data)>::new()))
}

#[test]
fn defaults_are_given_to_tasks_with_an_action_and_to_undos() {
    let definition = valid(&workflow(
        "defaults: {retry: {count: 2, delay: 5}, timeout: 1m}
tasks:
  - {name: a, action: ci.a, undo: {action: ci.b}, on_success: b}
  - {name: b, action: ci.a, retry: {count: 0}, timeout: 5, on_success: c}
  - {name: c, wait_for: {signal: go}, on_success: d}
  - {name: d, action: ci.a, next: [{when: '{{ failed() }}', do: retry}]}",
    ));
    let of = |task: usize| {
        let task = &definition.tasks[task];
        (task.retry.as_ref().map(|retry| retry.count.clone()), task.timeout.clone())
    };
    assert_eq!(of(0), (Some(json!(2)), Some(json!(60))));
    assert_eq!(of(1), (Some(json!(0)), Some(json!(5))));
    assert_eq!(of(2), (None, None));
    assert_eq!(of(3), (None, Some(json!(60))), "the command retry is its rule");
    let undo = definition.tasks[0].undo.as_ref().unwrap();
    assert_eq!(
        (undo.retry.as_ref().map(|retry| retry.count.clone()), undo.timeout.clone()),
        (Some(json!(2)), Some(json!(60)))
    );
    let finding = error("WF003", &workflow("defaults: {§retries: 2}\ntasks: [{name: a}]"));
    assert_eq!(hint(&finding), "did you mean `retry`?");
}

#[test]
fn full_jitter_takes_any_part_of_the_delay() {
    let retry = |jitter: &str| {
        let mut ledger =
            start(&format!("tasks: [{{name: a, action: ci.a, retry: {{count: 1, delay: 100, jitter: {jitter}}}}}]"));
        ledger.claim(0).unwrap();
        ledger.report(0, TaskEnd::Failed, None).unwrap();
        ledger.rows[0].due
    };
    // The host draws the middle of every range.
    assert_eq!(retry("full"), Some(50.0));
    assert_eq!(retry("0.5"), Some(100.0));
    error("WF005", &workflow("tasks: [{name: a, action: ci.a, retry: {count: 1, jitter: §half}}]"));
}

#[test]
fn a_workflow_fails_with_the_error_that_its_transition_tells() {
    let mut ledger = start(
        "tasks:
  - name: charge
    action: ci.a
    next:
      - when: '{{ failed() }}'
        do: fail
        error: {type: unpaid, message: 'not paid: {{ error().type }}'}
  - {name: other, action: ci.a}",
    );
    for row in [0, 1] {
        ledger.claim(row).unwrap();
    }
    let declined = Data::from_pairs([("type", "declined")]);
    ledger.report_all(&[ReportedRow { row: 0, end: TaskEnd::Failed, result: None, error: Some(declined) }]).unwrap();
    ledger.report(1, TaskEnd::Completed, None).unwrap();
    assert_eq!(ledger.status(), Status::Failed);
    assert_eq!(ledger.error_message(), Some("task charge transitioned to fail: not paid: declined"));
    let cause = &ledger.errors[0].1;
    assert_eq!(json!(cause.error), json!({"type": "unpaid", "message": "not paid: declined"}));
    error("WF003", &workflow("tasks: [{name: a, action: ci.a, next: [{do: noop, error: §{type: x}}]}]"));
    error("WF005", &workflow("tasks: [{name: a, action: ci.a, next: [{do: fail, error: §broken}]}]"));
    error("WF302", &workflow("tasks: [{name: a, action: ci.a, next: [{do: fail, error: {message: '{{ §who }}'}}]}]"));
}

#[test]
fn a_first_task_may_lead_to_itself() {
    let rest = "tasks:
  - name: poll
    action: ci.a
    next:
      - {when: '{{ succeeded() and result() < 2 }}', do: poll}
      - {when: '{{ succeeded() and result() >= 2 }}', do: done}
  - {name: done, action: ci.b}";
    let mut ledger = start(rest);
    for (row, result) in [(0, 1), (1, 2), (2, 3)] {
        ledger.claim(row).unwrap();
        ledger.report(row, TaskEnd::Completed, Some(Data::from(result))).unwrap();
    }
    let ran: Vec<&str> = ledger.rows.iter().map(|row| ledger.name(row.key.node)).collect();
    assert_eq!((ledger.status(), ran), (Status::Completed, vec!["poll", "poll", "done"]));
}

/// Evaluates an expression.
fn evaluate(expression: &str) -> Result<Value, String> {
    let source =
        workflow(&format!("tasks:\n  - name: a\n    publish:\n      got: |-\n        {{{{ {expression} }}}}\n"));
    let checked = check(&source, &EmptyCatalogue, &Bounds::default());
    let definition = checked.definition.unwrap_or_else(|| panic!("{:?}", checked.findings));
    let graph = Graph::compile(&definition, Bounds::default()).expect("compiles");
    let ledger = Ledger::start(Arc::new(graph), Data::from_pairs(Vec::<(String, Data)>::new()));
    match ledger.status() {
        Status::Completed => Ok(json!(ledger.variables)["got"].clone()),
        _ => Err(ledger.error_message().unwrap_or_default().to_owned()),
    }
}

#[test]
fn json_text_is_read_and_written() {
    assert_eq!(evaluate(r#"'{"a": [1, 2.5, null, "x"]}' | fromjson"#), Ok(json!({"a": [1, 2.5, null, "x"]})));
    assert_eq!(evaluate(r#"('{"a": 1}' | fromjson).a + 1"#), Ok(json!(2)));
    assert_eq!(evaluate(r#"'[1, {"b": true}]' | fromjson | tojson"#), Ok(json!("[1, {\"b\": true}]")));
    assert!(evaluate("'{a}' | fromjson").unwrap_err().contains("the text is not JSON"));
    assert!(evaluate("('[' * 70 ~ ']' * 70) | fromjson").unwrap_err().contains("nested deeper than 64"));
    assert!(evaluate("('[' * 1000 ~ ']' * 1000) | fromjson").is_err());
}

#[test]
fn yaml_text_is_read_and_written() {
    assert_eq!(evaluate(r#"'a: [1, 2.5, null, x]' | fromyaml"#), Ok(json!({"a": [1, 2.5, null, "x"]})));
    assert_eq!(evaluate(r#"('a: {b: 1}' | fromyaml).a.b + 1"#), Ok(json!(2)));
    let value =
        json!({"name": "a: b", "no": "yes", "a b": [], "list": [[1, "2"], {"c": null, "d": {}, "e": [true]}, "x\ny"]});
    let literal = value.to_string().replace("null", "none");
    let written = evaluate(&format!("{literal} | toyaml")).unwrap();
    let text = written.as_str().unwrap();
    assert_eq!(
        text,
        "name: \"a: b\"\n\"no\": \"yes\"\n\"a b\": []\nlist:\n  - - 1\n    - \"2\"\n  - c: null\n    d: {}\n    e:\n      - true\n  - \"x\\ny\"\n"
    );
    assert_eq!(evaluate(&format!("{literal} | toyaml | fromyaml")), Ok(value));
    assert_eq!(evaluate("'x' | toyaml"), Ok(json!("\"x\"\n")));
    for wrong in ["'a: [' | fromyaml", "'a: 1\\na: 2' | fromyaml", "'' | fromyaml"] {
        assert!(evaluate(wrong).unwrap_err().contains("the text is not YAML"), "{wrong}");
    }
    assert!(evaluate("('[' * 70 ~ ']' * 70) | fromyaml").is_err());
}

#[test]
fn regular_expressions_search_find_and_replace() {
    assert_eq!(
        evaluate("'order-17 of 2026' | regex_search('([a-z]+)-([0-9]+)')"),
        Ok(json!(["order-17", "order", "17"]))
    );
    assert_eq!(evaluate("'x' | regex_search('[0-9]')"), Ok(json!(null)));
    assert_eq!(evaluate("'a1b22' | regex_findall('[0-9]+')"), Ok(json!(["1", "22"])));
    assert_eq!(
        evaluate("'2026-11-29' | regex_replace('([0-9]+)-([0-9]+)-([0-9]+)', '$3.$2.$1')"),
        Ok(json!("29.11.2026"))
    );
    assert!(evaluate("'x' | regex_search('(')").unwrap_err().contains("the regular expression is invalid"));
    assert!(evaluate(r"'x' | regex_search('(?=x)')").unwrap_err().contains("look-around"));
    // Neither a pattern nor what it makes can take any amount of memory.
    assert!(evaluate("'x' | regex_search('(((a{1,100}){1,100}){1,100}){1,100}')").is_err());
    assert!(evaluate("('a' * 3000000) | regex_replace('a', 'bbbbbbbbbbbbbbbb')").is_err());
}

#[test]
fn attributes_are_a_map_or_a_list_and_keep_their_order() {
    let source = |attributes: &str| workflow(&format!("attributes: {attributes}\ntasks: [{{name: a, action: ci.a}}]"));
    for attributes in ["{b: 1, a: '{{ system.execution }}'}", "[{b: 1}, {a: '{{ system.execution }}'}]"] {
        let definition = valid(&source(attributes));
        let names: Vec<&str> = definition.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        let stored = serde_json::to_value(&definition).unwrap();
        assert_eq!(stored["attributes"][0], json!({"name": "b", "value": 1}));
    }
    let without = serde_json::to_value(valid(&workflow("tasks: [{name: a, action: ci.a}]"))).unwrap();
    assert!(without.get("attributes").is_none(), "stored definitions do not change");
    error("WF005", &source("§7"));
    assert_eq!(crate::support::codes(&source("{x: '{{ nothing }}'}")), ["WF302"]);
}

#[test]
fn attributes_see_parameters_and_variables_and_nothing_that_has_yet_to_come() {
    let rest = |attributes: &str| {
        workflow(&format!(
            "parameters: {{type: object, properties: {{t: {{type: string}}}}, required: [t]}}\nvars: [{{v: 1}}]\nattributes: {attributes}\ntasks: [{{name: a, action: ci.a}}]"
        ))
    };
    valid(&rest("{x: '{{ parameters.t }}', y: '{{ vars.v }}'}"));
    let checked = crate::support::checked(rest("{x: '{{ task.a.result }}'}"));
    assert!(!checked.findings.is_empty(), "no task has run by then");
}
