//! WF116 and WF311: what parallel branches do to each other.

use crate::support::{error, hint, valid, warning, workflow};

#[test]
fn wf116_failures_of_parallel_branches_lead_to_one_handler() {
    let fork = |left: &str, right: &str, handler: &str| {
        workflow(&format!(
            "tasks:\n  - {{name: s, on_success: [l, r]}}\n  - {{name: l, action: ci.l, {left}}}\n  \
             - {{name: r, action: ci.r, {right}}}\n  - {{name: {handler}}}\n"
        ))
    };
    let finding = warning("WF116", &fork("on_failure: h", "on_failure: h", "§h, action: ci.h"));
    assert!(finding.message.contains("both `l` and `r` may fail"), "{finding:?}");
    assert!(hint(&finding).contains("`join: 1`"), "{finding:?}");
    assert_eq!((finding.task.as_deref(), finding.path.as_str()), (Some("h"), "tasks[3].name"));
    warning("WF116", &fork("on_failure: [h, fail]", "on_timeout: h", "§h"));
    warning("WF116", &fork("next: [{when: '{{ failed() and error().x }}', do: h}]", "on_failure: h", "§h"));
    valid(&fork("on_failure: h", "on_failure: h", "h, join: 1"));
    valid(&fork("on_failure: h", "on_success: h", "h"));
    valid(&fork("on_complete: h", "on_complete: h", "h"));
    valid(&fork("on_failure: h, on_timeout: h", "priority: 1", "h"));
}

#[test]
fn wf116_tasks_that_start_together_are_parallel() {
    let two = |first: &str| {
        workflow(&format!(
            "tasks: [{{name: a, action: ci.a, {first}on_failure: h}}, {{name: b, action: ci.b, on_failure: h}}, {{name: §h}}]"
        ))
    };
    warning("WF116", &two(""));
    // One after the other, only one of them can fail.
    valid(&two("on_success: b, ").replace('§', ""));
}

#[test]
fn wf116_branches_of_which_one_is_chosen_are_not_parallel() {
    let chosen = |next: &str| {
        workflow(&format!(
            "parameters: {{required: [p], properties: {{p: {{}}}}}}\ntasks:\n  - {{name: s, {next}}}\n  \
             - {{name: l, action: ci.l, on_failure: h}}\n  - {{name: r, action: ci.r, on_failure: h}}\n  - {{name: §h}}\n"
        ))
    };
    valid(&chosen("decision: [{when: '{{ parameters.p }}', next: l}, {default: true, next: r}]").replace('§', ""));
    valid(
        &chosen("next: [{when: '{{ parameters.p == 1 }}', do: l}, {when: '{{ parameters.p == 2 }}', do: r}]")
            .replace('§', ""),
    );
    valid(&chosen("action: ci.s, on_success: l, on_failure: r").replace('§', ""));
    warning("WF116", &chosen("next: [{when: '{{ parameters.p == 1 }}', do: l}, {do: r}]"));
    warning("WF116", &chosen("next: [{when: '{{ parameters.p == 1 }}', do: [l, r]}]"));
    warning("WF116", &chosen("action: ci.s, on_success: l, on_complete: r"));
}

#[test]
fn wf116_after_a_join_the_branches_are_one() {
    valid(&workflow(
        "tasks:\n  - {name: s, on_success: [a, b]}\n  - {name: a, on_success: j}\n  - {name: b, on_success: j}\n  \
         - {name: j, join: all, on_success: c}\n  - {name: c, action: ci.c, on_success: d, on_failure: h}\n  \
         - {name: d, action: ci.d, on_failure: h}\n  - {name: h}\n",
    ));
}

#[test]
fn wf311_a_variable_that_only_a_parallel_branch_sets() {
    let fork = |vars: &str, value: &str| {
        workflow(&format!(
            "{vars}tasks:\n  - {{name: s, on_success: [b, c]}}\n  - {{name: b, action: ci.b, publish: {{x: 1}}}}\n  \
             - {{name: c, action: ci.c, input: {{x: '{value}'}}}}\n"
        ))
    };
    let finding = error("WF311", &fork("", "{{ vars.§x }}"));
    assert_eq!(finding.message, "`c` does not see the variable `x` of `b`, which is on a parallel branch");
    assert!(hint(&finding).contains("`join: all`"), "{finding:?}");
    warning("WF311", &fork("vars: {x: 0}\n", "{{ vars.§x }}"));
    valid(&fork("", "{{ vars.x | default(1) }}"));
    let joined = fork("", "{{ vars.x }}").replace("publish: {x: 1}}", "publish: {x: 1}, on_success: c}");
    valid(&joined.replace("[b, c]", "[b, d]").replace("name: c,", "name: d, on_success: c}\n  - {name: c, join: all,"));
}

#[test]
fn wf311_a_variable_that_this_branch_sets_as_well_is_its_own() {
    valid(&workflow(
        "vars: {x: 0}\ntasks:\n  - {name: s, on_success: [a, c]}\n  - {name: a, publish: {x: 1}, on_success: b}\n  \
         - {name: b, action: ci.b, input: {x: '{{ vars.x }}'}}\n  - {name: c, publish: {x: 2}}\n",
    ));
    // Only one of two paths is taken.
    valid(&workflow(
        "vars: {x: 0}\nparameters: {required: [p], properties: {p: {}}}\ntasks:\n  - name: s\n    decision:\n      \
         - {when: '{{ parameters.p }}', next: a}\n      - {default: true, next: b}\n  - {name: a, publish: {x: 1}}\n  \
         - {name: b, action: ci.b, input: {x: '{{ vars.x }}'}}\n",
    ));
}

#[test]
fn wf311_what_both_branches_add_to_one_variable_is_lost() {
    warning(
        "WF311",
        &workflow(
            "vars: {urls: []}\ntasks:\n  - {name: a, action: ci.a, publish: {urls: '{{ vars.§urls + [1] }}'}}\n  \
             - {name: b, action: ci.b, publish: {urls: [2]}}\n",
        ),
    );
}
