//! WF401 to WF404 and WF501 to WF508: each provoked, and each narrowly avoided.

use crate::support::{error, finds_with, hint, valid, workflow};
use conductor::bounds::Bounds;
use conductor::finding::Severity;
use conductor::language::catalogue::{Action, Catalogue};
use conductor::language::validate::check;
use serde_json::{Value, json};

fn parameters(schema: &str) -> String {
    workflow(&format!("parameters:\n  {schema}\ntasks: [{{name: a}}]\n"))
}

#[test]
fn wf401_parameters_that_are_not_a_schema() {
    let finding = error("WF401", &parameters("properties: {x: {type: §strin}}"));
    assert!(hint(&finding).contains("string"));
    error("WF401", &parameters("properties: §[x]"));
    error("WF401", &parameters("required: §x"));
    error("WF401", &parameters("properties: {x: {type: string, pattern: §'('}}"));
    error("WF401", &parameters("$schema: §'https://example.com/unknown'"));
    valid(&parameters("$schema: 'http://json-schema.org/draft-07/schema#'"));
    valid(&parameters("properties: {x: {type: [string, 'null'], pattern: '^[a-z]+$'}}"));
}

#[test]
fn wf402_an_output_that_is_not_a_schema() {
    error("WF402", &workflow("output: {type: §objekt}\ntasks: [{name: a}]"));
    valid(&workflow("output: {type: object}\ntasks: [{name: a}]"));
}

#[test]
fn wf401_a_reference_that_leads_back_to_itself() {
    error("WF401", &workflow("parameters: §{$ref: '#'}\ntasks: [{name: a}]"));
    error("WF401", &parameters("$defs: {a: {$ref: '#/$defs/b'}, b: §{anyOf: [{$ref: '#/$defs/a'}]}}"));
    // A tree is recursive too, but each step looks deeper into the value.
    valid(&parameters(
        "$defs: {n: {properties: {l: {$ref: '#/$defs/n'}, r: {$ref: '#/$defs/n'}}}}\n  properties: {t: {$ref: '#/$defs/n'}}",
    ));
}

#[test]
fn wf401_a_reference_to_nowhere() {
    let source = parameters("properties: {x: {$ref: '#/$defs/nothing'}}");
    assert_eq!(crate::support::codes(&source), ["WF401"]);
}

#[test]
fn wf403_a_remote_reference() {
    error("WF403", &parameters("properties: {x: {$ref: §'https://example.com/schema.json'}}"));
    error("WF403", &parameters("properties: {x: {$ref: §'other.json#/a'}}"));
    valid(&parameters("$defs: {x: {type: string}}\n  properties: {x: {$ref: '#/$defs/x'}}"));
}

#[test]
fn wf404_a_default_that_violates_its_schema() {
    error("WF404", &parameters("properties: {n: {type: integer, default: §many}}"));
    error("WF404", &parameters("properties: {o: {properties: {e: {enum: [dev, prod], default: §test}}}}"));
    error(
        "WF404",
        &parameters("properties: {x: {$ref: '#/$defs/p', default: §0}}\n  $defs: {p: {type: integer, minimum: 1}}"),
    );
    valid(&parameters(
        "properties: {n: {type: integer, default: 3}, o: {type: object, required: [x], properties: {e: {default: 1}}}}",
    ));
}

#[test]
fn a_schema_that_would_take_exponential_time_is_answered_at_once() {
    let levels =
        (0..40).map(|i| format!("d{i}: {{allOf: [{{$ref: '#/$defs/d{}'}}, {{$ref: '#/$defs/d{}'}}]}}", i + 1, i + 1));
    let defs: Vec<String> = levels.chain(["d40: {type: string}".to_owned()]).collect();
    let schema = format!("$defs: {{{}}}\n  properties: {{x: {{$ref: '#/$defs/d0', default: 1}}}}", defs.join(", "));
    let started = std::time::Instant::now();
    crate::support::codes(&parameters(&schema));
    assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());
}

struct Registry;

impl Catalogue for Registry {
    fn action(&self, reference: &str) -> Option<Action> {
        let action = Action { enabled: true, ..Action::default() };
        match reference {
            "ci.any" => Some(action),
            "ci.strict" => Some(Action { param_schema: Some(strict()), ..action }),
            "ci.off" => Some(Action { enabled: false, is_workflow: true, ..action }),
            "ci.loop" => Some(Action { is_workflow: true, calls: vec!["ci.again".to_owned()], ..action }),
            "ci.again" => {
                Some(Action { is_workflow: true, calls: vec!["test.it".to_owned(), "ci.loop".to_owned()], ..action })
            }
            _ => None,
        }
    }

    fn has_pack(&self, pack: &str) -> bool {
        pack == "ci"
    }
}

struct InPack(&'static str);

impl Catalogue for InPack {
    fn known(&self) -> bool {
        false
    }

    fn action(&self, _: &str) -> Option<Action> {
        None
    }

    fn has_pack(&self, _: &str) -> bool {
        false
    }

    fn target_pack(&self) -> Option<String> {
        Some(self.0.to_owned())
    }
}

fn strict() -> Value {
    json!({
        "type": "object",
        "required": ["app", "mode"],
        "properties": {"app": {"type": "string"}, "mode": {"type": "string", "default": "fast"}, "n": {"type": "integer", "minimum": 1}},
        "additionalProperties": false
    })
}

fn call(action: &str, rest: &str) -> String {
    workflow(&format!("tasks: [{{name: a, action: {action}{rest}}}]"))
}

#[track_caller]
fn accepted(source: &str) {
    let findings = check(source, &Registry, &Bounds::default()).findings;
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn wf501_an_unknown_action() {
    finds_with("WF501", &call("§ci.nothing", ""), &Registry);
    accepted(&call("ci.any", ""));
    accepted(&call("'{{ \"ci.nothing\" }}'", ""));
    valid(&call("ci.nothing", ""));
}

#[test]
fn wf502_an_unknown_pack() {
    finds_with("WF502", &call("§nowhere.build", ""), &Registry);
}

#[test]
fn wf503_a_missing_input() {
    finds_with("WF503", &call("ci.strict", ", input: §{n: 1}"), &Registry);
    finds_with("WF503", &workflow("tasks: [§{name: a, action: ci.strict}]"), &Registry);
    accepted(&call("ci.strict", ", input: {app: x}"));
    accepted(&call("ci.strict", ", input: '{{ parameters | default({}) }}'"));
}

#[test]
fn wf504_an_unexpected_input() {
    let finding = finds_with("WF504", &call("ci.strict", ", input: {app: x, §mod: 1}"), &Registry);
    assert_eq!(hint(&finding), "did you mean `mode`?");
    accepted(&call("ci.strict", ", input: {app: x, mode: slow}"));
}

#[test]
fn wf505_an_input_that_the_schema_rejects() {
    finds_with("WF505", &call("ci.strict", ", input: {app: §7}"), &Registry);
    finds_with("WF505", &call("ci.strict", ", input: {app: x, n: §0}"), &Registry);
    accepted(&call("ci.strict", ", input: {app: x, n: 1}"));
    accepted(&call("ci.strict", ", input: {app: x, n: '{{ 1 }}'}"));
}

#[test]
fn wf506_a_disabled_workflow() {
    finds_with("WF506", &call("§ci.off", ""), &Registry);
}

#[test]
fn wf507_a_workflow_that_comes_back_to_itself_is_a_warning() {
    for source in [call("§test.it", ""), call("§ci.loop", "")] {
        assert_eq!(finds_with("WF507", &source, &Registry).severity, Severity::Warning);
    }
}

#[test]
fn wf508_a_ref_of_another_pack() {
    finds_with("WF508", "ref: §test.it\nlabel: It\nversion: 1.0.0\ntasks: [{name: a}]", &InPack("ci"));
    let source = workflow("tasks: [{name: a}]");
    assert!(check(&source, &InPack("test"), &Bounds::default()).findings.is_empty());
}
