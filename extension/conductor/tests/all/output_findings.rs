//! WF302 and WF304 in `output_map`: what may be missing although the workflow completes.

use crate::support::{valid, warning, workflow};

/// These tasks, and an output with this expression.
fn output(tasks: &str, expression: &str) -> String {
    workflow(&format!("tasks:\n{tasks}output_map: [{{x: \"{{{{ {expression} }}}}\"}}]\n"))
}

const LINE: &str =
    "  - {name: a, action: ci.a, publish: {v: 1}, on_success: b}\n  - {name: b, action: ci.b, publish: {w: 1}}\n";

#[test]
fn what_every_successful_end_has_is_certain() {
    for certain in ["task.a.result", "task.b.result", "vars.v", "vars.w"] {
        valid(&output(LINE, certain));
    }
    let fork = "  - {name: s, on_success: [a, b]}\n  - {name: a, action: ci.a, publish: {v: 1}, on_success: j}\n  \
                - {name: b, action: ci.b, on_success: j}\n  - {name: j, join: all, on_success: c}\n  - {name: c, action: ci.c}\n";
    for certain in ["task.a.result", "task.c.result", "vars.v"] {
        valid(&output(fork, certain));
    }
    let cycle = "  - {name: s, on_success: a}\n  - name: a\n    action: ci.a\n    next:\n      \
                 - {when: '{{ succeeded() and not result().done }}', do: a}\n      \
                 - {when: '{{ succeeded() and result().done }}', publish: {v: 1}, do: b}\n  - {name: b, action: ci.b}\n";
    for certain in ["task.b.result", "vars.v"] {
        valid(&output(cycle, certain));
    }
}

#[test]
fn an_unhandled_failure_is_not_a_successful_end() {
    valid(&output(
        &LINE
            .replace("on_success: b", "on_success: b, on_failure: [h, fail]")
            .replace("w: 1}}\n", "w: 1}}\n  - {name: h}\n"),
        "task.b.result",
    ));
    let handled =
        LINE.replace("on_success: b", "on_success: b, on_failure: h").replace("w: 1}}\n", "w: 1}}\n  - {name: h}\n");
    let finding = warning("WF304", &output(&handled, "task.§b.result"));
    assert_eq!(finding.message, "the task `b` may not have run when the workflow completes");
    assert_eq!((finding.path.as_str(), finding.task.as_deref()), ("output_map[0].x", None));
    valid(&output(&handled, "task.a.status"));
    let finding = warning("WF302", &output(&handled, "vars.§w"));
    assert_eq!(finding.message, "the variable `w` may be unset when the workflow completes");
    warning("WF302", &output(&LINE.replace("on_success: b", "on_success: b, on_failure: noop"), "vars.§w"));
}

#[test]
fn what_only_one_of_several_ways_has_is_not_certain() {
    let choice = "  - name: a\n    action: ci.a\n    decision:\n      - {when: '{{ result().x }}', next: b}\n      \
                  - {default: true, next: c}\n  - {name: b, action: ci.b, publish: {v: 1, w: 1}}\n  - {name: c, publish: {v: 2}}\n";
    warning("WF304", &output(choice, "task.§b.result"));
    warning("WF302", &output(choice, "vars.§w"));
    for right in [
        "vars.v",
        "vars.w | default(0)",
        "task.b.result if task.b is defined else none",
        "task_status('b')",
        "vars.v == 1 and task.b.result",
    ] {
        valid(&output(choice, right));
    }
    let single = "  - name: a\n    action: ci.a\n    next: [{when: '{{ succeeded() and result().x }}', do: b}]\n  - {name: b, action: ci.b}\n";
    warning("WF304", &output(single, "task.§b.result"));
    let skipped = LINE.replace("name: b, ", "name: b, when: '{{ task.a.result.x }}', ");
    valid(&output(&skipped, "task.b.result"));
    warning("WF302", &output(&skipped, "vars.§w"));
}

#[test]
fn the_last_task_has_run_as_well() {
    let last = output("  - {name: a, action: ci.a}\n  - {name: z, action: ci.z, publish: {v: 1}}\n", "task.z.result");
    valid(&format!("{last}finally: z\n"));
}
