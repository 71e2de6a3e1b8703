//! The normal form of each spelling in the language.

use crate::support::{valid, workflow};
use conductor::language::definition::{Backoff, CancellationPolicy, Definition, ItemCount, Join, OnItemFailure, Task};
use serde_json::{Value, json};

/// Returns the only or first task of a workflow, which may have warnings.
fn task(fields: &str) -> Task {
    let source = workflow(&format!("tasks:\n  - {{name: a, {fields}}}\n  - {{name: b}}\n  - {{name: c}}\n"));
    let checked = crate::support::checked(&source);
    let definition = checked.definition.unwrap_or_else(|| panic!("{:#?}\n{source}", checked.findings));
    definition.tasks[0].clone()
}

/// Returns a task's transitions as JSON.
fn next(fields: &str) -> Value {
    serde_json::to_value(task(fields).next).unwrap()
}

#[test]
fn outcome_sugar_becomes_transitions_in_a_fixed_order() {
    assert_eq!(
        next("action: ci.a, on_failure: c, on_success: [b, c], on_complete: 'b, c'"),
        json!([
            {"when": "{{ succeeded() }}", "do": ["b", "c"]},
            {"when": "{{ failed() }}", "do": ["c"]},
            {"do": ["b", "c"]},
        ])
    );
}

#[test]
fn a_failure_covers_the_timeout_unless_the_timeout_has_its_own() {
    assert_eq!(
        next("action: ci.a, on_failure: b, on_timeout: c"),
        json!([{"when": "{{ failed() and not timed_out() }}", "do": ["b"]}, {"when": "{{ timed_out() }}", "do": ["c"]}])
    );
}

#[test]
fn a_skipped_task_has_its_own_way() {
    assert_eq!(next("when: true, on_skipped: b"), json!([{"when": "{{ skipped() }}", "do": ["b"]}]));
}

#[test]
fn a_decision_takes_the_first_match_of_a_task_that_succeeded() {
    assert_eq!(
        next(
            "decision: [{when: '{{ result() }}', next: b}, {when: '{{ system.now or true }}', next: [b, c]}, {default: true, next: c}]"
        ),
        json!([
            {"when": "{{ succeeded() and (result()) }}", "do": ["b"]},
            {"when": "{{ succeeded() and not (result()) and (system.now or true) }}", "do": ["b", "c"]},
            {"when": "{{ succeeded() and not (result()) and not (system.now or true) }}", "do": ["c"]},
        ])
    );
}

#[test]
fn do_takes_a_name_a_list_or_names_with_commas() {
    for targets in ["b", "'b'", "[b]", "' b '"] {
        assert_eq!(next(&format!("next: [{{do: {targets}}}]")), json!([{"do": ["b"]}]), "{targets}");
    }
    assert_eq!(next("next: [{do: 'b, c,fail'}]"), json!([{"do": ["b", "c", "fail"]}]));
    assert_eq!(next("next: [{publish: {x: 1}}]"), json!([{"publish": [{"name": "x", "value": 1}], "do": []}]));
}

#[test]
fn an_always_true_condition_is_omitted() {
    assert_eq!(next("next: [{when: true, do: b}]"), json!([{"do": ["b"]}]));
    assert_eq!(next("next: [{when: false, do: b}]"), json!([{"when": "{{ false }}", "do": ["b"]}]));
    assert_eq!(task("when: true").when, None);
}

#[test]
fn a_tasks_own_publish_stays_with_it() {
    let task = task("action: ci.a, publish: [{x: 1, y: 2}, {z: '{{ vars.x }}'}], on_success: b");
    let names: Vec<_> = task.publish.iter().map(|assignment| assignment.name.as_str()).collect();
    assert_eq!(names, ["x", "y", "z"]);
    assert!(task.next[0].publish.is_empty());
}

#[test]
fn tasks_are_a_list_or_a_map_in_the_order_written() {
    let list = valid(&workflow("tasks:\n  - {name: z, on_success: a}\n  - {name: a, action: ci.a}\n"));
    let map = valid(&workflow("tasks:\n  z: {on_success: a}\n  a: {action: ci.a}\n"));
    assert_eq!(list, map);
    assert_eq!(valid(&workflow("tasks:\n  z:\n  a:\n")).tasks.len(), 2);
}

#[test]
fn json_is_the_same_language() {
    let yaml =
        valid(&workflow("vars:\n  - x: 1\ntasks:\n  - name: a\n    action: ci.a\n    input: {x: '{{ vars.x }}'}\n"));
    let json = json!({"ref": "test.it", "label": "It", "version": "1.0.0", "vars": [{"x": 1}],
        "tasks": [{"name": "a", "action": "ci.a", "input": {"x": "{{ vars.x }}"}}]});
    assert_eq!(valid(&json.to_string()), yaml);
    assert_eq!(valid(&serde_json::to_string_pretty(&json).unwrap()), yaml);
}

#[test]
fn null_counts_as_omitted() {
    let source = workflow("description:\ntimeout: null\nvars: ~\ntasks: [{name: a, action: null, input:, next: null}]");
    assert_eq!(valid(&source), valid(&workflow("tasks: [{name: a}]")));
}

#[test]
fn durations_are_seconds() {
    let timeout = |text: &str| valid(&workflow(&format!("timeout: {text}\ntasks: [{{name: a}}]"))).timeout;
    for (text, seconds) in [("7200", 7200), ("90s", 90), ("5m", 300), ("2h", 7200), ("1h30m", 5400), ("PT1H30M", 5400)]
    {
        assert_eq!(timeout(text), Some(seconds), "{text}");
    }
    let task = task(
        "action: ci.a, delay: 1m, timeout: '{{ 5 }}', retry: {count: 1, delay: 1m, max_delay: 1h, max_elapsed: P1D}",
    );
    assert_eq!(task.delay, Some(json!(60)));
    assert_eq!(task.timeout, Some(json!("{{ 5 }}")));
    let retry = task.retry.unwrap();
    assert_eq!((retry.delay, retry.max_delay, retry.max_elapsed), (Some(json!(60)), Some(3600.0), Some(86_400)));
}

#[test]
fn the_fields_of_retry() {
    let retry = task("action: ci.a, retry: {count: 3, delay: 0.5, backoff: exponential, factor: 3, jitter: 0.2, when: '{{ failed() }}'}")
        .retry
        .unwrap();
    assert_eq!((retry.count, retry.delay), (json!(3), Some(json!(0.5))));
    assert_eq!((retry.backoff, retry.factor, retry.jitter), (Backoff::Exponential, 3.0, 0.2));
    assert_eq!(retry.when.as_deref(), Some("{{ failed() }}"));
    let plain = task("action: ci.a, retry: {count: '{{ 2 }}'}").retry.unwrap();
    assert_eq!(
        (plain.count, plain.backoff, plain.factor, plain.when),
        (json!("{{ 2 }}"), Backoff::Constant, 2.0, None)
    );
}

#[test]
fn the_fields_of_with_items() {
    let of = |items: &str| task(&format!("action: ci.a, with_items: {items}")).with_items.unwrap();
    assert_eq!(of("'{{ [1] }}'").items, json!("{{ [1] }}"));
    assert_eq!(of("[1, '{{ 2 }}']").items, json!([1, "{{ 2 }}"]));
    let full = of(
        "{items: [1], as: [x, y], concurrency: 2, batch_size: '{{ 5 }}', on_item_failure: continue, max_failures: 10%}",
    );
    assert_eq!(full.names, ["x", "y"]);
    assert_eq!((full.concurrency, full.batch_size), (Some(json!(2)), Some(json!("{{ 5 }}"))));
    assert_eq!((full.on_item_failure, full.max_failures), (OnItemFailure::Continue, Some(ItemCount::Percent(10.0))));
    assert_eq!(of("{items: [1], as: 'x, y'}").names, ["x", "y"]);
    assert_eq!(of("{items: [1], max_failures: 3}").max_failures, Some(ItemCount::Count(3)));
    assert_eq!(of("{items: [1]}").on_item_failure, OnItemFailure::FailFast);
}

#[test]
fn the_other_fields_of_a_task() {
    assert_eq!(task("join: all").join, Some(Join::All));
    let wait = task("wait_for: {signal: 'go {{ 1 }}', timeout: 1h}").wait_for.unwrap();
    assert_eq!((wait.signal.as_str(), wait.timeout), ("go {{ 1 }}", Some(json!(3600))));
    assert_eq!(task("priority: -3").priority, -3);
    assert_eq!(task("action: ci.a, input: '{{ parameters }}'").input, json!("{{ parameters }}"));
}

#[test]
fn the_fields_of_a_workflow() {
    let definition = valid(
        "ref: test.it\nlabel: It\nversion: 1.10\ndescription: d\ntags: [a, b]\nenabled: false\nmax_visits: 5\n\
         cancellation_policy: cancel_running\nfinally: z\ntasks: [{name: a}, {name: z}]\n\
         parameters: {type: object}\noutput: {type: object}\noutput_map: {z: 1, a: '{{ vars.z }}'}\n",
    );
    assert_eq!(definition.version, "1.10");
    assert_eq!((definition.tags.len(), definition.enabled, definition.max_visits), (2, false, 5));
    assert_eq!(definition.cancellation_policy, CancellationPolicy::CancelRunning);
    assert_eq!(definition.finally.as_deref(), Some("z"));
    let order: Vec<_> = definition.output_map.iter().map(|assignment| assignment.name.as_str()).collect();
    assert_eq!(order, ["z", "a"]);
}

#[test]
fn a_definition_survives_jsonb() {
    let source = workflow(
        "timeout: 2h\nvars: [{b: 1}, {a: {z: 1, y: 2}}]\nparameters: {type: object, properties: {z: {}, a: {}}}\n\
         finally: z\nmax_visits: 3\ncancellation_policy: cancel_running\noutput_map: [{z: 1}]\ntasks:\n  \
         - {name: s, on_success: [b, c], priority: 2, delay: 1}\n  \
         - {name: b, action: ci.b, on_complete: j, timeout: 5, retry: {count: 1, jitter: 0.1, max_delay: 5, factor: 1.5}}\n  \
         - {name: c, action: ci.c, with_items: {items: [1], as: x, max_failures: 2.5%}, publish: {x: 1}, on_complete: j}\n  \
         - {name: j, join: all, on_success: k}\n  - {name: k, join: 1, wait_for: {signal: go, timeout: 5}}\n  - {name: z}\n",
    );
    let checked = crate::support::checked(&source);
    let definition = checked.definition.unwrap_or_else(|| panic!("{:#?}", checked.findings));
    // jsonb sorts keys; serde_json's text of a sorted value stands in for it.
    let stored = sorted(&serde_json::to_value(&definition).unwrap());
    let again: Definition = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(again, definition);
    assert_eq!(sorted(&serde_json::to_value(&again).unwrap()), stored);
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_by_key(|key| (key.len(), key.to_string()));
            Value::Object(keys.into_iter().map(|key| (key.clone(), sorted(&map[key]))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[test]
fn every_recorded_definition_is_valid() {
    let folder = std::env::var("CONFORMANCE_DIR")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/conformance").to_owned());
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: no conformance cases in {folder}");
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "json"))
    {
        let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for case in cases {
            let checked = crate::support::checked(case["definition"].to_string());
            assert!(checked.definition.is_some(), "{}: {:#?}", case["id"], checked.findings);
        }
    }
}
