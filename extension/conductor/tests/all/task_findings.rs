//! WF304, WF308 and WF309: what expressions read of other tasks and of their ends.

use crate::support::{error, hint, valid, warning, workflow};
use conductor::engine::status::TaskEnd;

/// A task `a`, and then a task `b` whose input has this value.
fn after(value: &str) -> String {
    workflow(&format!(
        "tasks:\n  - {{name: a, action: ci.a, on_success: b}}\n  - {{name: b, action: ci.b, input: {{x: \"{value}\"}}}}\n"
    ))
}

/// A task `a` that leads to `b` or to `c`, both of which lead to `d`, whose input has this value.
fn choice(value: &str) -> String {
    workflow(&format!(
        "parameters: {{required: [p], properties: {{p: {{}}}}}}\ntasks:\n  - name: a\n    decision:\n      \
         - {{when: '{{{{ parameters.p }}}}', next: b}}\n      - {{default: true, next: c}}\n  \
         - {{name: b, action: ci.b, on_success: d}}\n  - {{name: c, action: ci.c, on_success: d}}\n  \
         - {{name: d, action: ci.d, input: {{x: \"{value}\"}}}}\n"
    ))
}

#[test]
fn wf304_a_task_of_one_way_read_where_the_ways_meet() {
    let finding = warning("WF304", &choice("{{ task.§b.result }}"));
    assert_eq!(finding.message, "the task `b` may not have run before `d`: it is not on every path there");
    assert_eq!(hint(&finding), "write `… if task.b is defined else …`, or end it with `| default(…)`");
    assert_eq!((finding.task.as_deref(), finding.path.as_str()), (Some("d"), "tasks[3].input.x"));
    assert_eq!(finding.expression.as_deref(), Some("{{ task.b.result }}"));
    warning("WF304", &choice("{{ task.§b.status }}"));
    warning("WF304", &choice("{{ (task.§b.result ~ 1) | default(1) }}"));
    for right in [
        "{{ task.b.result.x | default(1) }}",
        "{{ task.a.result }}",
        "{{ task.b.result if task.b is defined else task.c.result }}",
        "{{ (task.b | default({})).result | default(1) }}",
        "{{ task_status('b') }}",
        "{{ task_status('b') == 'completed' and task.b.result }}",
        "{{ 'b' in task and task.b.result }}",
        "{% if task.b is defined %}{{ task.b.result }}{% endif %}",
    ] {
        valid(&choice(right));
    }
}

#[test]
fn wf304_a_condition_on_the_way_may_know() {
    valid(&choice("{{ task.b.result }}").replace("name: d, ", "name: d, when: \"{{ task.b is defined }}\", "));
    valid(
        &choice("{{ task.b.result }}")
            .replace("name: d, ", "name: d, when: \"{{ task_status('b') == 'completed' }}\", "),
    );
    let asked = |when: &str| {
        workflow(&format!(
            "parameters: {{required: [p], properties: {{p: {{}}}}}}\ntasks:\n  - name: a\n    decision:\n      \
             - {{when: '{{{{ parameters.p }}}}', next: b}}\n      - {{default: true, next: c}}\n  \
             - {{name: b, action: ci.b, on_success: c}}\n  - {{name: c, next: [{{when: \"{when}\", do: d}}]}}\n  \
             - {{name: d, action: ci.d, input: {{x: '{{{{ task.§b.result }}}}'}}}}\n"
        ))
    };
    valid(&asked("{{ task.b is defined }}").replace('§', ""));
    valid(&asked("{{ task_status('b') == 'completed' }}").replace('§', ""));
    warning("WF304", &asked("{{ parameters.p }}"));
    // A condition is not protected by its own tests.
    warning("WF304", &choice("1").replace("name: d, ", "name: d, when: \"{{ task.§b.result }}\", "));
}

#[test]
fn wf304_a_join_waits_for_all_of_its_tasks() {
    let fork = |join: &str| {
        workflow(&format!(
            "tasks:\n  - {{name: a, on_success: [b, c]}}\n  - {{name: b, action: ci.b, on_complete: d}}\n  \
             - {{name: c, action: ci.c, on_complete: d}}\n  \
             - {{name: d, {join}action: ci.d, input: {{x: '{{{{ task.§b.result }}}}'}}}}\n"
        ))
    };
    valid(&fork("join: all, ").replace('§', ""));
    valid(&fork("join: 2, ").replace('§', ""));
    warning("WF304", &fork("join: 1, "));
    warning("WF304", &fork(""));
}

#[test]
fn wf304_a_task_that_was_skipped_has_ended() {
    valid(
        &after("{{ task.a.result }}")
            .replace("name: a, ", "name: a, when: '{{ true }}', ")
            .replace("on_success", "on_complete"),
    );
}

#[test]
fn wf304_after_a_failure_what_would_have_followed_is_missing() {
    let handled = |value: &str| {
        workflow(&format!(
            "tasks:\n  - {{name: a, action: ci.a, on_success: b, on_failure: alert}}\n  \
             - {{name: b, action: ci.b, on_failure: alert}}\n  - {{name: alert, action: ci.c, input: {{x: '{value}'}}}}\n"
        ))
    };
    let finding = warning("WF304", &handled("{{ task.§b.error }}"));
    assert!(finding.message.contains("may not have run before `alert`"), "{finding:?}");
    valid(&handled("{{ task.a.error }}"));
    valid(&handled("{{ task.b.error if task.b is defined else task.a.error }}"));
}

#[test]
fn wf304_at_the_end_nothing_is_certain_to_have_run() {
    let last = |value: &str| {
        workflow(&format!(
            "finally: z\ntasks:\n  - {{name: a, action: ci.a}}\n  - {{name: z, action: ci.z, input: {{x: \"{value}\"}}, on_success: y}}\n  \
             - {{name: y, action: ci.y, input: {{x: '{{{{ task.z.result }}}}'}}}}\n"
        ))
    };
    let finding = warning("WF304", &last("{{ task.§a.result }}"));
    assert_eq!(finding.message, "the task `a` may not have run when the workflow ends");
    error("WF304", &last("{{ task.§z.result }}"));
    valid(&last("{{ task_status('a') }}"));
    valid(&last("{{ task.a.result if task.a is defined else none }}"));
    warning("WF302", &last("{{ vars.§v }}").replace("action: ci.a", "action: ci.a, publish: {v: 1}"));
    valid(
        &last("{{ vars.v }}")
            .replace("finally", "vars: {v: 0}\nfinally")
            .replace("action: ci.a", "action: ci.a, publish: {v: 1}"),
    );
}

#[test]
fn wf304_in_a_cycle_the_first_round_counts() {
    let cycle = |read: &str| {
        workflow(&format!(
            "tasks:\n  - {{name: s, action: ci.s, on_success: a}}\n  - {{name: a, action: ci.a, input: {{x: '{{{{ task.{read}.result }}}}'}}, on_success: b}}\n  \
             - name: b\n    action: ci.b\n    next: [{{when: '{{{{ succeeded() and result().more }}}}', do: a}}]\n"
        ))
    };
    warning("WF304", &cycle("§b"));
    valid(&cycle("s"));
}

#[test]
fn wf304_consequences_of_a_misspelt_transition_are_not_reported_again() {
    error("WF104", &after("{{ task.a.result }}").replace("on_success: b", "on_success: §bb"));
}

#[test]
fn wf308_a_status_that_no_task_has() {
    let finding = error("WF308", &after("{{ task.a.status == '§succeeded' }}"));
    assert_eq!(finding.message, "a task's status is never `succeeded`");
    assert_eq!(hint(&finding), "did you mean `completed`?");
    assert_eq!((finding.path.as_str(), finding.task.as_deref()), ("tasks[1].input.x", Some("b")));
    for (expression, meant) in [
        ("task.a.status != '§success'", "completed"),
        ("'§ok' == task.a.status", "completed"),
        ("task['a'].status == '§complted'", "completed"),
        ("task_status('a') == '§done'", "completed"),
        ("task_status('a') in ['completed', '§timeout']", "failed"),
        ("task_status('a') not in ['§abandoned']", "failed"),
        ("task_status('a') in ('§error', 'skipped')", "failed"),
        ("task_status('a') == '§canceled'", "cancelled"),
        ("task_status('a') == '§running'", "is none"),
        ("system.verdict == '§succeeded'", "completed"),
        ("system.verdict == '§timed_out'", "timeout"),
        ("system.verdict == '§running'", "is none"),
    ] {
        let finding = error("WF308", &after(&format!("{{{{ {expression} }}}}")));
        assert!(hint(&finding).contains(meant), "{finding:?}");
    }
    for right in [
        "task.a.status == 'completed'",
        "task_status('a') in ['completed', 'failed', 'skipped', 'cancelled']",
        "system.verdict in ['completed', 'failed', 'timeout', 'cancelled']",
        "task_status('a') == none",
        "task.a.result.status == 'succeeded'",
        "task.a.result == 'succeeded'",
        "task.a.status in 'completed or ok'",
        "'comp' in task.a.status",
        "(task.a.result | default('ok')) == 'ok'",
        "system.workflow_ref == 'ok'",
    ] {
        valid(&after(&format!("{{{{ {right} }}}}")));
    }
    valid(&after("{% set task = {'a': {'status': 'ok'}} %}{{ task.a.status == 'ok' }}"));
}

#[test]
fn wf308_accepts_every_status_that_there_is() {
    use TaskEnd::{Abandoned, Cancelled, Completed, Failed, Skipped, Timeout};
    for end in [Completed, Failed, Timeout, Abandoned, Cancelled, Skipped] {
        valid(&after(&format!("{{{{ task.a.status == '{}' }}}}", end.summary())));
    }
}

#[test]
fn wf308_in_a_decision_is_where_it_was_written() {
    let decision = "tasks:\n  - {name: a, action: ci.a, on_complete: b}\n  - name: b\n    decision:\n      \
                    - {when: \"{{ task.a.status == '§succeeded' }}\", next: noop}\n      - {default: true, next: noop}\n";
    error("WF308", &workflow(decision));
    valid(&workflow(&decision.replace("§succeeded", "completed")));
}

#[test]
fn wf309_a_field_that_no_task_has() {
    let finding = error("WF309", &after("{{ task.a.§reslt }}"));
    assert_eq!(finding.message, "`task.a` has no `reslt`");
    assert!(hint(&finding).contains("`result`"), "{finding:?}");
    assert_eq!(hint(&error("WF309", &after("{{ task.a.§output.x }}"))), "write `result`");
    assert_eq!(hint(&error("WF309", &after("{{ task['a']['§state'] }}"))), "write `status`");
    let finding = error("WF309", &after("{{ task.a.§image }}"));
    assert!(hint(&finding).starts_with("what it reported is in `task.a.result`"), "{finding:?}");
    warning("WF309", &after("{{ task.a.§reslt | default(1) }}"));
    for field in ["status", "result", "error", "started_at", "completed_at", "attempts", "result.reslt", "error.x"] {
        valid(&after(&format!("{{{{ task.a.{field} }}}}")));
    }
}

#[test]
fn wf309_a_field_that_only_tasks_with_items_have() {
    for field in ["errors", "counts", "ended_by"] {
        let finding = error("WF309", &after(&format!("{{{{ task.a.§{field} }}}}")));
        assert_eq!(hint(&finding), "only a task with `with_items` has it");
        valid(&after(&format!("{{{{ task.a.{field} }}}}")).replace("action: ci.a", "action: ci.a, with_items: [1]"));
    }
}
