//! WF201 to WF207 and WF301 to WF307: each provoked, and each narrowly avoided.

use crate::support::{error, hint, valid, warning, workflow};

/// A workflow with one action whose input has this value.
fn input(value: &str) -> String {
    workflow(&format!("tasks:\n  - name: a\n    action: ci.build\n    input: {{x: {value}}}\n"))
}

#[test]
fn wf201_an_action_is_missing() {
    error("WF201", &workflow("tasks: [{name: a, input: §{x: 1}}]"));
    error("WF201", &workflow("tasks: [{name: a, with_items: §[1]}]"));
    error("WF201", &workflow("tasks: [{name: a, retry: §{count: 1}}]"));
    valid(&workflow("tasks: [{name: a, delay: 5}, {name: b, wait_for: {signal: go}}]"));
}

#[test]
fn wf202_something_is_empty() {
    error("WF202", "ref: test.it\nlabel: §''\nversion: 1.0.0\ntasks: [{name: a}]");
    error("WF202", &workflow("tasks: [{name: §''}]"));
    error("WF202", &workflow("tasks: [{name: a, action: §' '}]"));
    error("WF202", &workflow("tasks: [{name: a, on_success: §''}]"));
    error("WF202", &workflow("tasks: [{name: a, when: §''}]"));
    error("WF202", &workflow("tasks: [{name: a, decision: §[]}]"));
    error("WF202", &workflow("tasks: [{name: a, wait_for: {signal: §''}}]"));
    valid(&workflow("description: ''\ntasks: [{name: a, action: ci.build, input: {x: ''}}]"));
}

#[test]
fn wf203_options_of_items_without_items() {
    let finding = error("WF203", &workflow("tasks: [{name: a, action: ci.build, §concurrency: 2}]"));
    assert_eq!(hint(&finding), "write with_items: {items: …, concurrency: 2}".replace('2', "…"));
    error("WF203", &workflow("tasks: [{name: a, action: ci.build, with_items: [1], §batch_size: 2}]"));
    valid(&workflow("tasks: [{name: a, action: ci.build, with_items: {items: [1], concurrency: 2, batch_size: 2}}]"));
}

#[test]
fn wf204_an_item_outside_of_items() {
    error("WF204", &input("'{{ §item }}'"));
    error("WF204", &input("'{{ §index + 1 }}'"));
    error("WF204", &workflow("vars: [{x: '{{ §item.y }}'}]\ntasks: [{name: a}]"));
    let items = |rest: &str| workflow(&format!("tasks: [{{name: a, action: ci.build, with_items: [1], {rest}}}]"));
    error("WF204", &items("when: '{{ §item > 1 }}'"));
    error("WF204", &items("publish: {x: '{{ §item }}'}"));
    valid(&items("input: {x: '{{ item }}', y: '{{ index }}'}"));
    valid(&items("action: '{{ item }}'").replacen("action: ci.build, ", "", 1));
    valid(&input("'{% for item in [1] %}{{ item }}{% endfor %}'"));
}

#[test]
fn wf205_a_result_before_any_task_has_ended() {
    for function in ["result", "error", "succeeded", "failed", "timed_out", "completed", "cancelled", "skipped"] {
        error("WF205", &input(&format!("'{{{{ §{function}() }}}}'")));
    }
    error("WF205", &workflow("vars: [{x: '{{ §result() }}'}]\ntasks: [{name: a}]"));
    error("WF205", &workflow("tasks: [{name: a, when: '{{ §succeeded() }}'}]"));
    valid(&workflow("tasks: [{name: a, action: ci.build, publish: {x: '{{ result() }}'}}]"));
    valid(&workflow("tasks: [{name: a, action: ci.build, retry: {count: 1, when: '{{ error().code == 7 }}'}}]"));
}

#[test]
fn wf205_in_the_output_is_a_warning() {
    warning("WF205", &workflow("tasks: [{name: a}]\noutput_map: [{x: '{{ §result() }}'}]"));
}

#[test]
fn wf206_set_twice_is_a_warning() {
    warning("WF206", &workflow("tasks: [{name: a, publish: [{x: 1}, {§x: 2}]}]"));
    warning("WF206", &workflow("tasks: [{name: a, next: [{publish: [{x: 1}, {y: 1}, {§x: 2}]}]}]"));
    warning("WF206", &workflow("vars: [{x: 1}, {§x: 2}]\ntasks: [{name: a}]"));
    valid(&workflow("tasks: [{name: a, next: [{publish: {x: 1}}, {publish: {x: 2}}]}]"));
}

#[test]
fn wf207_a_retry_condition_that_is_evaluated_after_a_success() {
    let retry = |when: &str| {
        workflow(&format!("tasks: [{{name: a, action: ci.a, retry: {{count: 1, when: \"{{{{ {when} }}}}\"}}}}]"))
    };
    let finding = warning("WF207", &retry("§result().busy"));
    assert!(hint(&finding).contains("repeat: {until: …}"), "{finding:?}");
    assert_eq!((finding.path.as_str(), finding.task.as_deref()), ("tasks[0].retry.when", Some("a")));
    warning("WF207", &retry("error().code == 7 or §result().busy"));
    for clear in [
        "failed() and result().busy",
        "succeeded() and result().busy",
        "completed() and result().busy",
        "timed_out() or result().busy",
        "error().code == 7",
    ] {
        valid(&retry(clear));
    }
    valid(&workflow("tasks: [{name: a, action: ci.a, repeat: {until: '{{ result().done }}'}}]"));
}

#[test]
fn wf301_an_expression_that_does_not_parse() {
    error("WF301", &input("'{{ 1 + §}}'"));
    error("WF301", &input("'{{ parameters. §}}'"));
    error("WF301", &input("'{% if true §%}'"));
    error("WF301", &input("'{{ (1 §}}'"));
    error("WF301", &workflow("tasks: [{name: a, when: '{{ not §}}'}]"));
    valid(&input("'{{ 1 + 1 }}'"));
    valid(&input("'{ not a template }'"));
}

#[test]
fn wf302_a_variable_that_is_never_set() {
    let finding = error(
        "WF302",
        &workflow("vars: {image: 1}\ntasks: [{name: a, action: ci.b, input: {x: '{{ vars.§imgae }}'}}]"),
    );
    assert_eq!(hint(&finding), "did you mean `vars.image`?");
    assert_eq!(finding.expression.as_deref(), Some("{{ vars.imgae }}"));
    error("WF302", &input("'{{ vars[\"§x\"] }}'"));
    error("WF302", &workflow("tasks: [{name: a}]\noutput_map: [{x: '{{ vars.§x }}'}]"));
    valid(&workflow("tasks: [{name: a, publish: {x: 1}}]\noutput_map: [{x: '{{ vars.x }}'}, {y: '{{ vars.x }}'}]"));
}

#[test]
fn wf302_a_variable_before_it_is_set() {
    error("WF302", &workflow("vars: [{x: '{{ vars.§y }}'}, {y: 1}]\ntasks: [{name: a}]"));
    valid(&workflow("vars: [{y: 1}, {x: '{{ vars.y }}'}]\ntasks: [{name: a}]"));
    let published = |first: &str, second: &str| {
        workflow(&format!(
            "tasks:\n  - {{name: a, action: ci.a, input: {{x: {first}}}, publish: {{x: 1}}, on_success: b}}\n  \
             - {{name: b, action: ci.b, input: {{x: {second}}}}}\n"
        ))
    };
    error("WF302", &published("'{{ vars.§x }}'", "1"));
    valid(&published("1", "'{{ vars.x }}'"));
    error("WF302", &workflow("tasks: [{name: a, next: [{publish: [{x: '{{ vars.§y }}'}, {y: 1}]}]}]"));
    valid(&workflow("tasks: [{name: a, next: [{publish: [{y: 1}, {x: '{{ vars.y }}'}]}]}]"));
}

#[test]
fn wf302_a_variable_of_one_branch_read_where_the_branches_meet() {
    let branches = |one: &str, other: &str| {
        workflow(&format!(
            "parameters: {{required: [p], properties: {{p: {{}}}}}}\ntasks:\n  - name: a\n    decision:\n      - {{when: '{{{{ parameters.p }}}}', \
             next: b}}\n      - {{default: true, next: c}}\n  - {{name: b, {one}on_success: d}}\n  - {{name: c, {other}on_success: d}}\n  \
             - {{name: d, action: ci.d, input: {{x: '{{{{ vars.§x }}}}'}}}}\n"
        ))
    };
    let finding = error("WF302", &branches("publish: {x: 1}, ", ""));
    assert_eq!(finding.message, "the variable `x` is not set on every path to `d`");
    assert_eq!(hint(&finding), "give it an initial value: `vars: [{x: …}]`");
    valid(&branches("publish: {x: 1}, ", "publish: {x: 2}, ").replace('§', ""));
    let guarded = branches("publish: {x: 1}, ", "").replace("vars.§x", "vars.x | default(1)");
    valid(&guarded);
}

#[test]
fn wf302_a_join_of_all_brings_the_variables_of_every_branch() {
    let fork = |join: &str| {
        workflow(&format!(
            "tasks:\n  - {{name: a, on_success: [b, c]}}\n  - {{name: b, publish: {{x: 1}}, on_success: d}}\n  \
             - {{name: c, on_success: d}}\n  - {{name: d, join: {join}, action: ci.d, input: {{x: '{{{{ vars.§x }}}}'}}}}\n"
        ))
    };
    valid(&fork("all").replace('§', ""));
    valid(&fork("2").replace('§', ""));
    error("WF302", &fork("1"));
}

#[test]
fn wf302_a_branch_that_may_be_skipped_sets_nothing_for_sure() {
    let scan = |when: &str| {
        workflow(&format!(
            "parameters: {{required: [p], properties: {{p: {{}}}}}}\ntasks:\n  - {{name: scan, action: ci.scan, {when}publish: {{x: 1}}, on_complete: gate}}\n  \
             - {{name: gate, action: ci.g, input: {{x: '{{{{ vars.§x }}}}'}}}}\n"
        ))
    };
    error("WF302", &scan("when: '{{ parameters.p }}', "));
    warning("WF302", &scan(""));
    valid(&scan("").replace("on_complete", "on_success").replace('§', ""));
}

#[test]
fn wf302_after_a_failure_is_a_warning() {
    let finding = warning(
        "WF302",
        &workflow(
            "tasks:\n  - {name: a, action: ci.a, publish: {x: 1}, on_success: b, on_failure: alert}\n  \
             - {name: b, action: ci.b, on_success: alert}\n  - {name: alert, action: ci.alert, input: {x: '{{ vars.§x }}'}}\n",
        ),
    );
    assert!(finding.message.contains("after a failure"));
}

#[test]
fn wf302_in_a_cycle_the_first_round_counts() {
    let cycle = |vars: &str| {
        workflow(&format!(
            "{vars}tasks:\n  - {{name: s, on_success: a}}\n  - name: a\n    action: ci.a\n    input: {{n: '{{{{ vars.§n }}}}'}}\n    next:\n      \
             - {{when: '{{{{ succeeded() and result().more }}}}', publish: {{n: '{{{{ result().n }}}}'}}, do: a}}\n"
        ))
    };
    error("WF302", &cycle(""));
    valid(&cycle("vars: {n: 0}\n").replace('§', ""));
}

#[test]
fn wf302_an_unknown_name_says_where_it_may_be_meant() {
    let finding =
        error("WF302", &workflow("vars: {image: 1}\ntasks: [{name: a, action: ci.b, input: {x: '{{ §image }}'}}]"));
    assert_eq!(hint(&finding), "write `vars.image`");
    let finding = error("WF302", &input("'{{ §parametes.x }}'"));
    assert_eq!(hint(&finding), "did you mean `parameters`?");
    let finding = error("WF302", &workflow("tasks: [{name: a, next: [{when: '{{ §failed }}', do: b}]}, {name: b}]"));
    assert_eq!(hint(&finding), "write `failed()`");
    error("WF302", &input("'{{ system.§nwo }}'"));
    valid(&input("'{{ system.now }}'"));
}

#[test]
fn wf303_an_undeclared_parameter() {
    let with = |schema: &str| {
        workflow(&format!("{schema}tasks: [{{name: a, action: ci.b, input: {{x: '{{{{ parameters.§regoin }}}}'}}}}]"))
    };
    let finding = error("WF303", &with("parameters: {properties: {region: {}}}\n"));
    assert_eq!(hint(&finding), "did you mean `parameters.region`?");
    error("WF303", &with(""));
    valid(&with("parameters: {required: [regoin], properties: {regoin: {}}}\n").replace('§', ""));
    valid(&with("parameters: {additionalProperties: {type: string}}\n").replace('§', ""));
    valid(&with("").replace("parameters.§regoin", "parameters.x | default(1)"));
}

#[test]
fn wf304_a_task_that_can_not_have_run() {
    let two = |first: &str, second: &str| {
        workflow(&format!(
            "tasks:\n  - {{name: one, action: ci.a, input: {{x: {first}}}, on_success: two}}\n  - {{name: two, action: ci.b, input: {{x: {second}}}}}\n"
        ))
    };
    error("WF304", &two("'{{ task.§two.result }}'", "1"));
    error("WF304", &two("'{{ task.§one.result }}'", "1"));
    let finding = error("WF304", &two("1", "'{{ task.§noe.result }}'"));
    assert_eq!(hint(&finding), "did you mean `task.one`?");
    error("WF304", &two("1", "\"{{ task_status('§three') }}\""));
    error("WF304", &workflow("vars: [{x: '{{ task.§a.result }}'}]\ntasks: [{name: a}]"));
    valid(&two("1", "'{{ task.one.result }}'"));
    valid(&workflow("tasks: [{name: a, action: ci.a, publish: {x: '{{ task.a.status }}'}}]"));
}

#[test]
fn wf304_a_task_of_another_branch_is_a_warning() {
    let fork = |value: &str| {
        workflow(&format!(
            "tasks:\n  - {{name: a, on_success: [b, c]}}\n  - {{name: b}}\n  - {{name: c, action: ci.c, input: {{x: {value}}}}}\n"
        ))
    };
    warning("WF304", &fork("'{{ task.§b.result }}'"));
    valid(&fork("'{{ task.b.result | default(0) }}'"));
    valid(&fork("'{{ (task.b | default({})).result | default(0) }}'"));
    valid(&fork("'{{ task.b.result if task.b is defined else 0 }}'"));
    valid(&fork("'{{ task.a.result }}'"));
}

#[test]
fn wf305_an_unknown_function_filter_or_test() {
    let finding = error("WF305", &input("'{{ §rangee(3) }}'"));
    assert_eq!(hint(&finding), "did you mean `range`?");
    let finding = error("WF305", &input("'{{ \"a\" | §uper }}'"));
    assert_eq!(hint(&finding), "did you mean `upper`?");
    let finding = error("WF305", &input("'{{ 1 is §numbr }}'"));
    assert_eq!(hint(&finding), "did you mean `number`?");
    error("WF305", &input("'{{ §ctx().x }}'"));
    let finding = error("WF305", &input("'{{ system.now.§upper() }}'"));
    assert_eq!(hint(&finding), "use the filter `| upper`");
    valid(&input("'{{ range(3) | list | length is number }}'"));
    valid(&input("'{% macro shout(x) %}{{ x | upper }}{% endmacro %}{{ shout(1) }}'"));
}

#[test]
fn wf306_a_private_name() {
    error("WF306", &input("'{{ §__outcome.status }}'"));
    error("WF306", &input("'{% set §__outcome = 1 %}'"));
    error("WF306", &input("'{{ vars.§__x }}'"));
    error("WF306", &workflow("vars: [{§__x: 1}]\ntasks: [{name: a}]"));
    error("WF306", &workflow("tasks: [{name: §__a}]"));
    valid(&workflow(
        "vars: [{_x: 1}]\ntasks: [{name: a, action: ci.b, input: {x: '{{ vars._x }}'}, publish: {t: '{{ result().__typename }}'}}]",
    ));
}

#[test]
fn wf307_yaql() {
    error("WF307", &input("'§<% ctx().x %>'"));
    error("WF307", &workflow("tasks: [{name: a, next: [{when: §<% succeeded() %>, do: b}]}, {name: b}]"));
    warning("WF307", &input("'text with §<% x %> in it'"));
    valid(&input("'1 <% 2'"));
}

#[test]
fn every_field_that_takes_expressions_is_checked() {
    for field in [
        "action: '{{ vars.§x }}'",
        "delay: '{{ vars.§x }}'",
        "timeout: '{{ vars.§x }}'",
        "when: '{{ vars.§x }}'",
        "with_items: '{{ vars.§x }}'",
        "with_items: {items: [1, '{{ vars.§x }}']}",
        "with_items: {items: [1], concurrency: '{{ vars.§x }}'}",
        "with_items: {items: [1], batch_size: '{{ vars.§x }}'}",
        "retry: {count: '{{ vars.§x }}'}",
        "retry: {count: 1, delay: '{{ vars.§x }}'}",
        "retry: {count: 1, when: '{{ vars.§x }}'}",
        "wait_for: {signal: '{{ vars.§x }}'}",
        "wait_for: {signal: s, timeout: '{{ vars.§x }}'}",
        "input: '{{ vars.§x }}'",
        "input: {a: [{b: 'text {{ vars.§x }}'}]}",
        "publish: {a: '{{ vars.§x }}'}",
        "next: [{when: '{{ vars.§x }}'}]",
        "next: [{publish: {a: {b: '{{ vars.§x }}'}}}]",
        "decision: [{when: '{{ vars.§x }}', next: noop}]",
    ] {
        let action = if field.starts_with("action") || field.starts_with("wait_for") { "" } else { "action: ci.a, " };
        error("WF302", &workflow(&format!("tasks: [{{name: a, {action}{field}}}]")));
    }
}
