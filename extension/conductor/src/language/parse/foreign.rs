//! Fields of other workflow languages, with what to write instead.

/// Fields, and their hint.
type Foreign = (&'static [&'static str], &'static str);

#[rustfmt::skip]
const WORKFLOW: &[Foreign] = &[
    (&["steps", "jobs", "states", "nodes", "activities", "stages"], "write `tasks:`"),
    (&["name", "id", "title"], "write `ref: pack.name`, and `label:` for people"),
    (&["input", "inputs", "params", "args", "arguments"], "write `parameters:`, a JSON Schema"),
    (&["outputs", "returns", "result"], "write `output_map:`; `output:` is its JSON Schema"),
    (&["env", "variables", "context"], "write `vars:`"),
    (&["on", "schedule", "triggers", "cron"], "remove it, and call the function workflow_schedule to start the workflow on a schedule"),
    (&["on_exit", "onExit", "always", "ensure"], "write `finally:` with the name of a task"),
    (&["on_error", "on_failure", "catch"], "write `on_failure:` in the tasks that may fail, or `finally:`"),
    (&["start", "start_at", "StartAt", "entrypoint"], "remove it: tasks that no transition leads to start first"),
    (&["timeout_seconds", "timeout_minutes", "timeout-minutes", "deadline"], "write `timeout:`, such as 90s or 2h"),
];

#[rustfmt::skip]
const TASK: &[Foreign] = &[
    (&["needs", "depends_on", "dependsOn", "depends-on", "depends", "dependencies", "after", "requires", "upstream"],
     "write `on_success:` with this task's name in the task before it; if there are several, also `join: all` here"),
    (&["run", "uses", "script", "command", "cmd", "exec", "image", "type", "call", "activity", "operator", "template",
       "workflow", "function"], "write `action: pack.name`"),
    (&["if", "condition", "only_if"], "write `when: \"{{ … }}\"`"),
    (&["with", "args", "arguments", "params", "parameters", "inputs", "env", "body", "payload"], "write `input:`"),
    (&["foreach", "forEach", "for_each", "for-each", "loop", "for", "matrix", "map", "with_list", "withItems",
       "with-items", "parallel", "withParam"], "write `with_items:`"),
    (&["while", "until", "poll"], "write `repeat: {until: …}`"),
    (&["on_error", "onError", "on-error", "on_fail", "catch", "rescue", "except", "onFailure"], "write `on_failure:`"),
    (&["onSuccess", "on-success", "then", "goto", "to", "downstream"],
     "write `on_success:`, or `next:` with conditions"),
    (&["always", "on_exit", "on_end", "on_finish", "finally"],
     "write `on_complete:` here, or `finally:` beside `tasks:`"),
    (&["switch", "choices", "case", "branches"], "write `decision:`"),
    (&["retries", "max_retries", "attempts", "max_attempts", "retryStrategy"], "write `retry: {count: …}`"),
    (&["register", "outputs", "output", "save_as", "set"], "write `publish: [{NAME: \"{{ result() }}\"}]`"),
    (&["id", "ref", "label", "key"], "write `name:`"),
    (&["do"], "write `on_success:`, or `next: [{do: …}]`"),
    (&["sleep", "wait", "start_delay"], "write `delay:`; to wait for a signal, `wait_for:`"),
    (&["signal", "event"], "write `wait_for: {signal: …}`"),
    (&["timeout_seconds", "timeout_minutes", "timeout-minutes", "timeoutSeconds", "deadline"],
     "write `timeout:`, such as 90s or 2h"),
    (&["continue_on_error", "continue-on-error", "ignore_errors", "allow_failure"],
     "write `on_complete:` instead of `on_success:`, or `on_failure: noop`"),
    (&["vars", "variables"], "write `vars:` beside `tasks:`, or `publish:`"),
];

#[rustfmt::skip]
const TRANSITION: &[Foreign] = &[
    (&["if", "condition", "on", "case"], "write `when: \"{{ … }}\"`"),
    (&["to", "then", "goto", "next", "task", "target", "tasks"], "write `do:`"),
    (&["set", "vars", "output"], "write `publish:`"),
];

#[rustfmt::skip]
const DECISION: &[Foreign] = &[
    (&["if", "condition", "case"], "write `when: \"{{ … }}\"`"),
    (&["to", "then", "goto", "do", "task", "target"], "write `next:`"),
    (&["else", "otherwise"], "write `{default: true, next: …}`"),
];

#[rustfmt::skip]
const RETRY: &[Foreign] = &[
    (&["max_attempts", "attempts", "limit", "times", "max", "retries", "max_retries", "maximum_attempts"],
     "write `count:`, the number of retries after the first attempt"),
    (&["interval", "wait", "sleep", "initial_interval", "seconds"], "write `delay:`"),
    (&["multiplier", "backoff_rate", "backoff_coefficient", "rate"], "write `backoff: exponential, factor: …`"),
    (&["max_interval", "maximum_interval", "cap"], "write `max_delay:`"),
    (&["if", "condition", "until", "on"], "write `when: \"{{ … }}\"`; to wait for a result, the task's `repeat:`"),
    (&["timeout", "deadline"], "write `max_elapsed:`"),
];

#[rustfmt::skip]
const WITH_ITEMS: &[Foreign] = &[
    (&["list", "in", "values", "from"], "write `items:`"),
    (&["parallel", "parallelism", "max_parallel", "max-parallel", "limit"], "write `concurrency:`"),
    (&["fail_fast", "fail-fast"], "write `on_item_failure: fail_fast` or `continue`"),
];

/// Returns the hint for an unknown field; `what` is the object that contains it, as messages call it.
pub fn hint(what: &str, field: &str) -> Option<&'static str> {
    let known = match what {
        "a workflow" => WORKFLOW,
        "a task" => TASK,
        "a transition" => TRANSITION,
        "a decision entry" => DECISION,
        "`retry`" => RETRY,
        "`with_items`" => WITH_ITEMS,
        _ => &[],
    };
    known.iter().find(|(fields, _)| fields.contains(&field)).map(|(_, hint)| *hint)
}
