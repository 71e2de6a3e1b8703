//! WF101 to WF114: each provoked, and each narrowly avoided.

use crate::support::{checked, codes, error, hint, valid, warning, workflow};

#[test]
fn wf101_no_tasks() {
    error("WF101", &workflow("tasks: §[]"));
    error("WF101", &workflow("tasks: §{}"));
    valid(&workflow("tasks: {a: }"));
}

#[test]
fn wf102_a_task_defined_twice() {
    let finding = error("WF102", &workflow("tasks:\n  - name: a\n  - {name: §a, action: ci.build}\n"));
    assert_eq!(finding.message, "the task `a` is defined twice, first on line 5");
    valid(&workflow("tasks: [{name: a}, {name: b}]"));
}

#[test]
fn wf102_tasks_that_differ_only_in_case_are_a_warning() {
    warning("WF102", &workflow("tasks: [{name: build}, {name: §Build}]"));
}

#[test]
fn wf103_a_command_as_name() {
    for name in ["continue", "noop", "fail", "retry"] {
        error("WF103", &workflow(&format!("tasks: [{{name: §{name}}}]")));
    }
    valid(&workflow("tasks: [{name: failed}, {name: Retry}]"));
}

#[test]
fn wf104_an_undefined_task_with_the_nearest_defined_one() {
    let finding = error("WF104", &workflow("tasks: [{name: build, next: [{do: [§depoly]}]}, {name: deploy}]"));
    assert_eq!(hint(&finding), "did you mean `deploy`?");
    error("WF104", &workflow("tasks: [{name: a, on_success: 'b, §c'}, {name: b}]"));
    error("WF104", &workflow("tasks: [{name: a, decision: [{default: true, next: §c}]}]"));
    error("WF104", &workflow("tasks: [{name: a}]\nfinally: §b\n"));
    valid(&workflow("tasks: [{name: a, next: [{do: 'b, fail'}, {do: noop}]}, {name: b}, {name: z}]\nfinally: z\n"));
}

#[test]
fn wf105_no_start_task() {
    let looped =
        "[{name: a, next: [{when: '{{ result() }}', do: b}]}, {name: b, next: [{when: '{{ result() }}', do: a}]}";
    error("WF105", &workflow(&format!("tasks: §{looped}]")));
    valid(&workflow(&format!("tasks: {looped}, {{name: s, on_success: a}}]")));
}

#[test]
fn wf106_an_unreachable_task() {
    let loop_back = "next: [{when: '{{ result() }}', do: b}]";
    let looped = workflow(&format!("tasks: [{{name: a}}, {{name: b, on_success: c}}, {{name: c, {loop_back}}}]"));
    let tasks: Vec<_> =
        checked(&looped).findings.into_iter().map(|finding| (finding.code.to_string(), finding.task)).collect();
    assert_eq!(tasks, ["b", "c"].map(|task| ("WF106".to_owned(), Some(task.to_owned()))));
    // A task that only leads to itself is a start task.
    valid(&workflow(&format!("tasks: [{{name: a}}, {{name: b, {loop_back}}}]")));
    valid(&workflow("tasks: [{name: a, on_success: b}, {name: b, next: [{when: '{{ result() }}', do: b}]}]"));
    valid(&workflow("tasks: [{name: a}, {name: tidy, on_success: report}, {name: report}]\nfinally: tidy\n"));
}

#[test]
fn wf107_a_join_of_more_than_lead_to_it() {
    let fork = "{name: a, on_success: [b, c]}, {name: b, on_success: j}, {name: c, on_success: j}";
    let finding = error("WF107", &workflow(&format!("tasks: [{fork}, {{name: j, join: §3}}]")));
    assert_eq!(hint(&finding), "write 2, or `all`");
    valid(&workflow(&format!("tasks: [{fork}, {{name: j, join: 2}}]")));
    // Two transitions of one task are one inbound task.
    error("WF107", &workflow("tasks: [{name: a, action: ci.a, on_success: j, on_failure: j}, {name: j, join: §2}]"));
}

#[test]
fn wf108_a_join_of_one_is_a_warning() {
    warning("WF108", &workflow("tasks: [{name: a, on_success: j}, {name: j, join: §all}]"));
    warning("WF108", &workflow("tasks: [{name: j, join: §1}]"));
    valid(&workflow("tasks: [{name: a, on_success: j}, {name: b, on_success: j}, {name: j, join: 1}]"));
}

#[test]
fn wf109_a_join_below_a_fork_that_only_one_side_has() {
    let above = "{name: a, on_success: [b, c, x]}, {name: b, on_success: d}, {name: c, on_success: d}";
    let finding = error(
        "WF109",
        &workflow(&format!(
            "tasks: [{above}, {{name: x, on_success: j}}, {{name: d, on_success: j}}, {{name: j, join: §all}}]"
        )),
    );
    assert!(hint(&finding).contains("make `d` a join"), "{finding:?}");
    valid(&workflow(&format!(
        "tasks: [{above}, {{name: x, on_success: j}}, {{name: d, join: all, on_success: j}}, {{name: j, join: all}}]"
    )));
    // Both sides come after the same fork: each path has a join of its own.
    valid(&workflow(
        "tasks: [{name: a, on_success: [b, c]}, {name: b, on_success: d}, {name: c, on_success: d}, \
         {name: d, on_success: [e, f]}, {name: e, on_success: j}, {name: f, on_success: j}, {name: j, join: all}]",
    ));
}

#[test]
fn wf110_a_cycle_that_only_turns_is_an_error() {
    error(
        "WF110",
        &workflow("tasks: [{name: s, on_success: a}, §{name: a, on_success: b}, {name: b, on_complete: a}]"),
    );
    valid(&workflow(
        "vars: {n: 0}\ntasks:\n  - {name: s, on_success: a}\n  - {name: a, next: [{when: '{{ vars.n < 3 }}', \
         publish: {n: '{{ vars.n + 1 }}'}, do: a}]}\n",
    ));
}

#[test]
fn wf110_a_cycle_of_actions_without_exit_is_a_warning() {
    let cycle = |second: &str| {
        workflow(&format!(
            "tasks: [{{name: s, on_success: a}}, §{{name: a, action: ci.poll, on_success: b}}, {{name: b, action: ci.wait, {second}}}]"
        ))
    };
    warning("WF110", &cycle("on_success: a"));
    warning("WF110", &cycle("on_complete: a"));
    for exit in [
        "on_success: a, on_failure: noop",
        "on_failure: a",
        "when: '{{ parameters is defined }}', on_success: a",
        "next: [{when: '{{ succeeded() and result().again }}', do: a}]",
    ] {
        valid(&cycle(exit).replace('§', ""));
    }
}

#[test]
fn wf111_next_beside_sugar() {
    for sugar in ["on_success: b", "on_failure: b", "on_complete: b", "on_timeout: b", "publish: {x: 1}"] {
        error(
            "WF111",
            &workflow(
                &format!("tasks: [{{name: a, action: ci.build, next: [{{do: b}}], §{sugar}}}, {{name: b}}]")
                    .replace(&format!("§{sugar}"), &sugar.replacen(": ", ": §", 1)),
            ),
        );
    }
    error("WF111", &workflow("tasks: [{name: a, decision: §[{default: true, next: b}], next: [{do: b}]}, {name: b}]"));
    valid(&workflow("tasks: [{name: a, action: ci.b, on_success: b, on_failure: b, publish: {x: 1}}, {name: b}]"));
}

#[test]
fn wf112_a_wrong_default() {
    let decision = |entries: &str| workflow(&format!("tasks: [{{name: a, decision: [{entries}]}}, {{name: b}}]"));
    error("WF112", &decision("{default: §true, next: b}, {when: '{{ result() }}', next: b}"));
    error("WF112", &decision("{default: §true, when: '{{ result() }}', next: b}"));
    error("WF112", &decision("{default: §false, next: b}"));
    error("WF112", &decision("§{next: b}"));
    valid(&decision("{when: '{{ result() }}', next: b}, {default: true, next: b}"));
}

#[test]
fn wf113_retries_said_twice() {
    let task = |rest: &str| workflow(&format!("tasks: [{{name: a, action: ci.build, {rest}}}]"));
    error("WF113", &task("retry: {count: 1}, next: [{when: '{{ failed() }}', do: [§retry]}]"));
    error("WF113", &task("next: [{when: '{{ failed() }}', do: retry}, {when: '{{ result() }}', do: [§retry]}]"));
    valid(&task("next: [{when: '{{ failed() }}', do: [retry]}]"));
    valid(&task("retry: {count: 1}, next: [{when: '{{ failed() }}', do: [fail]}]"));
}

#[test]
fn wf114_a_transition_that_never_fires_is_a_warning() {
    warning("WF114", &workflow("tasks: [{name: a, next: [§{when: false, do: b}]}, {name: b}]"));
    warning(
        "WF114",
        &workflow("tasks: [{name: a, next: [§{when: '{{ failed() and succeeded() }}', do: b}]}, {name: b}]"),
    );
    warning("WF114", &workflow("tasks: [{name: a, on_skipped: §b}, {name: b}]"));
    warning("WF114", &workflow("tasks: [{name: a, on_failure: §b}, {name: b}]"));
    valid(&workflow("tasks: [{name: a, when: '{{ parameters is defined }}', on_skipped: b}, {name: b}]"));
    valid(&workflow("tasks: [{name: a, action: ci.build, on_failure: b}, {name: b}]"));
}

#[test]
fn a_task_that_several_transitions_reach_needs_no_join() {
    valid(&workflow("tasks: [{name: a, on_success: c}, {name: b, on_success: c}, {name: c}]"));
}

#[test]
fn consequences_of_a_missing_start_task_are_not_reported_again() {
    assert_eq!(codes(&workflow("tasks: [{name: a, on_success: b}, {name: b, on_success: a}]")), ["WF105"]);
}
