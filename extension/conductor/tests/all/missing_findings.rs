//! WF302 and WF310: variables and parameters that may be missing.

use crate::support::{error, hint, valid, warning, workflow};

#[test]
fn wf310_a_parameter_that_may_be_missing() {
    let with = |schema: &str, value: &str| {
        workflow(&format!("parameters: {{{schema}}}\ntasks: [{{name: a, action: ci.a, input: {{x: \"{value}\"}}}}]"))
    };
    let optional = "properties: {note: {type: string}}";
    let finding = warning("WF310", &with(optional, "{{ parameters.§note }}"));
    assert_eq!(hint(&finding), "write `parameters.note | default(…)`, or add it to `required`");
    warning("WF310", &with(optional, "a {{ parameters['§note'] }}"));
    let finding = warning("WF310", &with(optional, "{{ (parameters.§note ~ 1) | default(1) }}"));
    assert!(hint(&finding).starts_with("`default` applies to a name, not"), "{finding:?}");
    for guarded in [
        "{{ parameters.note.x | default(1) }}",
        "{{ parameters.note.x if parameters.note.x is defined else 1 }}",
        "{{ parameters.note | default('') }}",
        "{{ (parameters.note | default({})).x | default(1) }}",
        "{{ parameters.note if parameters.note is defined else '' }}",
        "{{ parameters.note if 'note' in parameters else '' }}",
        "{% if parameters.note is defined %}{{ parameters.note }}{% endif %}",
        "{{ parameters }}",
    ] {
        valid(&with(optional, guarded));
    }
    for schema in [
        "required: [note], properties: {note: {type: string}}",
        "properties: {note: {type: string, default: ''}}",
        "properties: {note: {$ref: '#/$defs/note'}}, $defs: {note: {type: string}}",
        "properties: {note: {type: string}}, anyOf: [{required: [note]}]",
        "properties: {note: {type: string}}, minProperties: 1",
    ] {
        valid(&with(schema, "{{ parameters.note }}"));
    }
}

#[test]
fn wf310_a_condition_may_know_that_the_parameter_is_there() {
    let asked = |fields: &str| {
        workflow(&format!(
            "parameters: {{properties: {{note: {{}}}}}}\ntasks:\n  - {{name: a, {fields}}}\n  \
             - {{name: b, action: ci.b, input: {{x: '{{{{ parameters.§note }}}}'}}}}\n"
        ))
    };
    valid(&asked("next: [{when: '{{ parameters.note is defined }}', do: b}]").replace('§', ""));
    valid(&asked("decision: [{when: \"{{ 'note' in parameters }}\", next: b}]").replace('§', ""));
    warning("WF310", &asked("on_success: b"));
    let own = asked("on_success: b").replace("name: b, ", "name: b, when: '{{ parameters.note is defined }}', ");
    valid(&own.replace('§', ""));
}

#[test]
fn wf302_a_default_covers_every_name_before_it() {
    let choice = |value: &str| {
        workflow(&format!(
            "tasks:\n  - name: a\n    action: ci.a\n    decision:\n      - {{when: '{{{{ result().x }}}}', next: b}}\n      \
             - {{default: true, next: c}}\n  - {{name: b, publish: {{x: {{y: 1}}}}, on_success: c}}\n  \
             - {{name: c, action: ci.c, input: {{x: '{{{{ {value} }}}}'}}}}\n"
        ))
    };
    let finding = warning("WF302", &choice("(vars.§x ~ 1) | default(1)"));
    assert_eq!(
        hint(&finding),
        "`default` applies to a name, not to what is computed from it: write `vars.x | default(…)`"
    );
    error("WF302", &choice("vars.§x.y"));
    valid(&choice("vars.x.y | default(1)"));
    valid(&choice("(vars.x | default({})).y | default(1)"));
    valid(&choice("vars.x | default(1)"));
    valid(&choice("vars.x.y if vars.x is defined else 1"));
}
