//! Every code of the table in `docs/language.md`, WF001 to WF509, with a source that has this finding only, and a
//! similar one without findings. The other tests check each code's location, wording and hint.

use crate::support::workflow;
use conductor::bounds::Bounds;
use conductor::expression::template::MAX_BRACKETS;
use conductor::language::catalogue::{Action, Catalogue};
use conductor::language::validate::check;
use serde_json::json;
use std::collections::BTreeSet;

/// A small catalogue to look up actions in.
struct World;

impl Catalogue for World {
    fn action(&self, reference: &str) -> Option<Action> {
        let action = Action { enabled: true, ..Action::default() };
        let schema = json!({
            "type": "object", "required": ["app"], "additionalProperties": false,
            "properties": {"app": {"type": "string"}}
        });
        match reference {
            "ci.any" => Some(action),
            "ci.strict" => Some(Action { param_schema: Some(schema), ..action }),
            "ci.off" => Some(Action { enabled: false, is_workflow: true, ..action }),
            "ci.there" => Some(Action { is_workflow: true, calls: vec!["ci.any".to_owned()], ..action }),
            "ci.back" => Some(Action { is_workflow: true, calls: vec!["test.it".to_owned()], ..action }),
            _ => None,
        }
    }

    fn has_pack(&self, pack: &str) -> bool {
        pack == "ci"
    }

    fn has_limit(&self, name: &str) -> bool {
        name == "payments"
    }

    fn target_pack(&self) -> Option<String> {
        Some("test".to_owned())
    }
}

fn found(source: &str) -> Vec<String> {
    let whole = if source.starts_with("ref:") { source.to_owned() } else { workflow(source) };
    check(&whole, &World, &Bounds::default()).findings.iter().map(|finding| finding.code.to_string()).collect()
}

/// A code, a source that has the finding, and a similar one that does not.
const FINDINGS: &[(&str, &str, &str)] = &[
    ("WF001", "tasks: [{name: a}", "tasks: [{name: a}]"),
    ("WF002", "tasks: [{name: a}]\nlabel: Other", "tasks: [{name: a}]\ndescription: Other"),
    ("WF003", "tasks: [{name: a, actoin: ci.any}]", "tasks: [{name: a, action: ci.any}]"),
    ("WF004", "tasks: [{action: ci.any}]", "tasks: [{name: a, action: ci.any}]"),
    ("WF005", "tasks: [{name: a, priority: '5'}]", "tasks: [{name: a, priority: 5}]"),
    ("WF006", "tasks: [{name: a}]\nmax_visits: 0", "tasks: [{name: a}]\nmax_visits: 1"),
    ("WF003", "tasks: [{name: a}]\nconcurrency: {max: 1, limit: 2}", "tasks: [{name: a}]\nconcurrency: {max: 1}"),
    ("WF004", "tasks: [{name: a}]\nconcurrency: {key: x}", "tasks: [{name: a}]\nconcurrency: {key: x, max: 1}"),
    (
        "WF005",
        "tasks: [{name: a}]\nconcurrency: {max: 1, key: [x]}",
        "tasks: [{name: a}]\nconcurrency: {max: 1, key: x}",
    ),
    ("WF006", "tasks: [{name: a}]\nconcurrency: {max: 0}", "tasks: [{name: a}]\nconcurrency: {max: 100000}"),
    (
        "WF006",
        "tasks: [{name: a}]\nconcurrency: {max: 1, when_full: queue}",
        "tasks: [{name: a}]\nconcurrency: {max: 1, when_full: cancel_oldest}",
    ),
    (
        "WF303",
        "parameters: {properties: {x: {default: 1}}}\ntasks: [{name: a}]\nconcurrency: {max: 1, key: '{{ parameters.y }}'}",
        "parameters: {properties: {x: {default: 1}}}\ntasks: [{name: a}]\nconcurrency: {max: 1, key: '{{ parameters.x }}'}",
    ),
    ("WF007", "tasks: [{name: a, action: any}]", "tasks: [{name: a, action: ci.any}]"),
    ("WF008", "tasks: [{name: a.b}]", "tasks: [{name: a-b}]"),
    ("WF101", "tasks: []", "tasks: [{name: a}]"),
    ("WF102", "tasks: [{name: a}, {name: a}]", "tasks: [{name: a}, {name: b}]"),
    ("WF103", "tasks: [{name: retry}]", "tasks: [{name: Retry}]"),
    ("WF104", "tasks: [{name: a, on_success: c}, {name: b}]", "tasks: [{name: a, on_success: b}, {name: b}]"),
    (
        "WF105",
        "tasks: [{name: a, on_success: b}, {name: b, next: [{when: '{{ result() }}', do: a}]}]",
        "tasks: [{name: s, on_success: a}, {name: a, on_success: b}, {name: b, next: [{when: '{{ result() }}', do: a}]}]",
    ),
    (
        "WF106",
        "tasks: [{name: a}, {name: b, next: [{when: '{{ result() }}', do: c}]}, {name: c, on_success: b}]",
        "tasks: [{name: a, on_success: b}, {name: b, next: [{when: '{{ result() }}', do: b}]}]",
    ),
    (
        "WF107",
        "tasks: [{name: a, on_success: j}, {name: b, on_success: j}, {name: j, join: 3}]",
        "tasks: [{name: a, on_success: j}, {name: b, on_success: j}, {name: j, join: 2}]",
    ),
    (
        "WF108",
        "tasks: [{name: a, on_success: j}, {name: j, join: all}]",
        "tasks: [{name: a, on_success: j}, {name: b, on_success: j}, {name: j, join: all}]",
    ),
    (
        "WF109",
        "tasks: [{name: a, on_success: [b, c, x]}, {name: b, on_success: d}, {name: c, on_success: d}, \
         {name: x, on_success: j}, {name: d, on_success: j}, {name: j, join: all}]",
        "tasks: [{name: a, on_success: [b, c, x]}, {name: b, on_success: d}, {name: c, on_success: d}, \
         {name: x, on_success: j}, {name: d, join: all, on_success: j}, {name: j, join: all}]",
    ),
    (
        "WF110",
        "tasks: [{name: s, on_success: a}, {name: a, on_success: b}, {name: b, on_complete: a}]",
        "tasks: [{name: s, on_success: a}, {name: a, on_success: b}, {name: b, next: [{when: '{{ result() }}', do: a}]}]",
    ),
    (
        "WF111",
        "tasks: [{name: a, next: [{do: b}], on_success: b}, {name: b}]",
        "tasks: [{name: a, publish: {x: 1}, on_success: b}, {name: b}]",
    ),
    (
        "WF112",
        "tasks: [{name: a, decision: [{default: true, next: b}, {when: '{{ result() }}', next: b}]}, {name: b}]",
        "tasks: [{name: a, decision: [{when: '{{ result() }}', next: b}, {default: true, next: b}]}, {name: b}]",
    ),
    (
        "WF113",
        "tasks: [{name: a, action: ci.any, retry: {count: 1}, next: [{when: '{{ failed() }}', do: retry}]}]",
        "tasks: [{name: a, action: ci.any, next: [{when: '{{ failed() }}', do: retry}]}]",
    ),
    (
        "WF114",
        "tasks: [{name: a, next: [{when: false, do: b}]}, {name: b}]",
        "tasks: [{name: a, next: [{when: true, do: b}]}, {name: b}]",
    ),
    (
        "WF115",
        "finally: b\ntasks: [{name: a, action: ci.any, on_success: b}, {name: b, action: ci.any}]",
        "finally: b\ntasks: [{name: a, action: ci.any}, {name: b, action: ci.any}]",
    ),
    (
        "WF116",
        "tasks: [{name: a, action: ci.any, on_failure: h}, {name: b, action: ci.any, on_failure: h}, {name: h}]",
        "tasks: [{name: a, action: ci.any, on_failure: h}, {name: b, action: ci.any, on_failure: h}, {name: h, join: 1}]",
    ),
    (
        "WF118",
        "tasks: [{name: a, action: ci.any, next: [{when: '{{ result() }}', do: a}, {do: c}]}, {name: b, on_success: c}, {name: c, join: {count: 1, rest: cancel}}]",
        "tasks: [{name: a, action: ci.any, on_success: c}, {name: b, on_success: c}, {name: c, join: {count: 1, rest: cancel}}]",
    ),
    (
        "WF117",
        "tasks: [{name: a, action: ci.any}, {name: b, action: ci.any, undo: {action: ci.any}}]\nfinally: b",
        "tasks: [{name: a, action: ci.any, undo: {action: ci.any}}, {name: b, action: ci.any}]\nfinally: b",
    ),
    ("WF201", "tasks: [{name: a, input: {x: 1}}]", "tasks: [{name: a, action: ci.any, input: {x: 1}}]"),
    ("WF202", "tasks: [{name: a, when: ''}]", "tasks: [{name: a, when: true}]"),
    (
        "WF203",
        "tasks: [{name: a, action: ci.any, with_items: [1], concurrency: 2}]",
        "tasks: [{name: a, action: ci.any, with_items: {items: [1], concurrency: 2}}]",
    ),
    (
        "WF204",
        "tasks: [{name: a, action: ci.any, input: {x: '{{ item }}'}}]",
        "tasks: [{name: a, action: ci.any, with_items: [1], input: {x: '{{ item }}'}}]",
    ),
    (
        "WF205",
        "tasks: [{name: a, action: ci.any, input: {x: '{{ result() }}'}}]",
        "tasks: [{name: a, action: ci.any, publish: {x: '{{ result() }}'}}]",
    ),
    ("WF206", "vars: [{x: 1}, {x: 2}]\ntasks: [{name: a}]", "vars: [{x: 1}, {y: 2}]\ntasks: [{name: a}]"),
    (
        "WF207",
        "tasks: [{name: a, action: ci.any, retry: {count: 1, when: '{{ result().busy }}'}}]",
        "tasks: [{name: a, action: ci.any, retry: {count: 1, when: '{{ failed() and result().busy }}'}}]",
    ),
    ("WF301", "tasks: [{name: a, when: '{{ 1 < }}'}]", "tasks: [{name: a, when: '{{ 1 < 2 }}'}]"),
    (
        "WF302",
        "tasks: [{name: a}]\noutput_map: [{x: '{{ vars.x }}'}]",
        "tasks: [{name: a, publish: {x: 1}}]\noutput_map: [{x: '{{ vars.x }}'}]",
    ),
    (
        "WF303",
        "parameters: {properties: {y: {}}}\ntasks: [{name: a}]\noutput_map: [{x: '{{ parameters.x }}'}]",
        "parameters: {properties: {x: {default: 1}}}\ntasks: [{name: a}]\noutput_map: [{x: '{{ parameters.x }}'}]",
    ),
    (
        "WF304",
        "tasks: [{name: a, action: ci.any, input: {x: '{{ task.b.result }}'}, on_success: b}, {name: b}]",
        "tasks: [{name: b, on_success: a}, {name: a, action: ci.any, input: {x: '{{ task.b.result }}'}}]",
    ),
    ("WF305", "tasks: [{name: a, when: '{{ 1 | abz }}'}]", "tasks: [{name: a, when: '{{ 1 | abs }}'}]"),
    ("WF306", "vars: [{__x: 1}]\ntasks: [{name: a}]", "vars: [{_x: 1}]\ntasks: [{name: a}]"),
    (
        "WF307",
        "tasks: [{name: a, action: ci.any, input: {x: '<% ctx().x %>'}}]",
        "tasks: [{name: a, action: ci.any, input: {x: '1 <% 2'}}]",
    ),
    (
        "WF308",
        "tasks: [{name: a}]\noutput_map: [{x: \"{{ task.a.status == 'succeeded' }}\"}]",
        "tasks: [{name: a}]\noutput_map: [{x: \"{{ task.a.status == 'completed' }}\"}]",
    ),
    (
        "WF309",
        "tasks: [{name: a}]\noutput_map: [{x: '{{ task.a.reslt }}'}]",
        "tasks: [{name: a}]\noutput_map: [{x: '{{ task.a.result }}'}]",
    ),
    (
        "WF310",
        "parameters: {properties: {x: {}}}\ntasks: [{name: a}]\noutput_map: [{x: '{{ parameters.x }}'}]",
        "parameters: {required: [x], properties: {x: {}}}\ntasks: [{name: a}]\noutput_map: [{x: '{{ parameters.x }}'}]",
    ),
    (
        "WF311",
        "tasks: [{name: a, publish: {x: 1}}, {name: b, action: ci.any, input: {x: '{{ vars.x }}'}}]",
        "tasks: [{name: a, publish: {x: 1}, on_success: b}, {name: b, action: ci.any, input: {x: '{{ vars.x }}'}}]",
    ),
    (
        "WF312",
        "tasks: [{name: a, action: ci.any, input: {x: '${{ 1 }}'}}]",
        "tasks: [{name: a, action: ci.any, input: {x: 'for ${{ 1 }}'}}]",
    ),
    (
        "WF208",
        "tasks: [{name: a, action: ci.any, undo: {action: ci.any}, repeat: {until: '{{ result().done }}'}}]",
        "tasks: [{name: a, action: ci.any, undo: {action: ci.any}, retry: {count: 2, when: '{{ failed() }}'}}]",
    ),
    (
        "WF314",
        "vars: [{id: null}]\ntasks: [{name: a, action: ci.any, undo: {action: ci.any, input: {id: '{{ vars.id }}'}}, publish: {id: '{{ result() }}'}}]",
        "vars: [{id: null}]\ntasks: [{name: a, action: ci.any, undo: {action: ci.any, input: {id: '{{ vars.id }}'}}, on_success: b}, {name: b, publish: {id: 1}}]",
    ),
    (
        "WF313",
        "tasks: [{name: a, action: ci.any, undo: {action: ci.any, input: {p: '{{ result().id }}'}}}]",
        "tasks: [{name: a, action: ci.any, undo: {action: ci.any, input: {p: '{{ result().id | default(none) }}'}}}]",
    ),
    ("WF401", "parameters: {type: objekt}\ntasks: [{name: a}]", "parameters: {type: object}\ntasks: [{name: a}]"),
    ("WF402", "output: {type: objekt}\ntasks: [{name: a}]", "output: {type: object}\ntasks: [{name: a}]"),
    (
        "WF403",
        "parameters: {properties: {x: {$ref: 'x.json'}}, $defs: {x: {}}}\ntasks: [{name: a}]",
        "parameters: {properties: {x: {$ref: '#/$defs/x'}}, $defs: {x: {}}}\ntasks: [{name: a}]",
    ),
    (
        "WF404",
        "parameters: {properties: {n: {type: integer, default: many}}}\ntasks: [{name: a}]",
        "parameters: {properties: {n: {type: integer, default: 1}}}\ntasks: [{name: a}]",
    ),
    (
        "WF405",
        "tasks: [{name: a, wait_for: {signal: go, schema: {type: objet}}}]",
        "tasks: [{name: a, wait_for: {signal: go, schema: {type: object}}}]",
    ),
    ("WF501", "tasks: [{name: a, action: ci.none}]", "tasks: [{name: a, action: ci.any}]"),
    ("WF502", "tasks: [{name: a, action: no.any}]", "tasks: [{name: a, action: ci.any}]"),
    ("WF503", "tasks: [{name: a, action: ci.strict}]", "tasks: [{name: a, action: ci.strict, input: {app: x}}]"),
    (
        "WF504",
        "tasks: [{name: a, action: ci.strict, input: {app: x, b: 1}}]",
        "tasks: [{name: a, action: ci.strict, input: {app: x}}]",
    ),
    (
        "WF505",
        "tasks: [{name: a, action: ci.strict, input: {app: 1}}]",
        "tasks: [{name: a, action: ci.strict, input: {app: '1'}}]",
    ),
    ("WF506", "tasks: [{name: a, action: ci.off}]", "tasks: [{name: a, action: ci.there}]"),
    ("WF507", "tasks: [{name: a, action: ci.back}]", "tasks: [{name: a, action: ci.there}]"),
    (
        "WF508",
        "ref: other.it\nlabel: It\nversion: 1.0.0\ntasks: [{name: a}]",
        "ref: test.it\nlabel: It\nversion: 1.0.0\ntasks: [{name: a}]",
    ),
    (
        "WF509",
        "tasks: [{name: a, action: ci.any, limit: payment}]",
        "tasks: [{name: a, action: ci.any, limit: {name: payments, key: x}}]",
    ),
];

/// An expression with this many brackets.
fn brackets(count: usize) -> String {
    let expression = format!("{}1{}", "(".repeat(count), ")".repeat(count));
    format!("tasks: [{{name: a, action: ci.any, input: {{x: '{{{{ {expression} }}}}'}}}}]")
}

#[test]
fn every_code_is_found_alone_and_not_found_beside_it() {
    let none: [&str; 0] = [];
    for (code, with, without) in FINDINGS {
        let mut codes = found(with);
        // Tasks that lead to each other are found one by one.
        codes.dedup();
        assert_eq!(codes, [*code], "{with}");
        assert_eq!(found(without), none, "{code} is not in {without}");
    }
    assert_eq!(found(&brackets(MAX_BRACKETS + 1)), ["WF009"]);
    assert_eq!(found(&brackets(MAX_BRACKETS)), none);
}

#[test]
fn no_code_is_left_out() {
    let tried: BTreeSet<&str> = FINDINGS.iter().map(|(code, ..)| *code).chain(["WF009"]).collect();
    let documented = include_str!("../../../../docs/language.md").lines();
    let documented: BTreeSet<&str> =
        documented.filter(|line| line.starts_with("| WF")).map(|line| &line[2..7]).collect();
    assert_eq!(tried, documented);
    let ranges = [1..=9, 101..=118, 201..=208, 301..=314, 401..=405, 501..=509];
    let all = ranges.into_iter().flatten().map(|code| format!("WF{code:03}")).collect::<Vec<_>>();
    assert_eq!(tried.into_iter().collect::<Vec<_>>(), all);
}
