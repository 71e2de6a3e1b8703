//! Constructs familiar from other languages, with what to write instead.

use crate::expression::template::pure;

/// A construct of another language, and its hint.
type Habit = (&'static [&'static str], &'static str);

#[rustfmt::skip]
const VARIABLES: &[Habit] = &[
    (&["null", "NULL", "Null", "nil", "NONE", "undefined"], "write `none`"),
    (&["TRUE", "yes"], "write `true`"),
    (&["FALSE", "no"], "write `false`"),
    (&["params", "param", "inputs", "input", "args"], "write `parameters.NAME`"),
    (&["variables", "var", "env", "ctx", "context"], "write `vars.NAME` or `parameters.NAME`"),
    (&["tasks", "steps", "needs", "jobs", "nodes"], "write `task.NAME.result`"),
    (&["output", "outputs", "response", "data"], "write `result()` when the task ends, or `task.NAME.result` later"),
    (&["workflow", "execution", "run", "sys"], "write `system.workflow_ref` or `system.execution`"),
    (&["now", "today"], "write `system.now`"),
    (&["status"], "write `succeeded()` or `failed()` when the task ends, or `task.NAME.status` later"),
    (&["exception", "err"], "write `error()` when the task ends, or `task.NAME.error` later"),
];

#[rustfmt::skip]
const FUNCTIONS: &[Habit] = &[
    (&["len", "size", "length", "count"], "write `x | length`"),
    (&["int", "integer", "to_int", "parseInt", "Number"], "write `x | int`"),
    (&["float", "to_float", "parseFloat", "double"], "write `x | float`"),
    (&["str", "string", "to_string", "toString", "String"], "write `x | string`"),
    (&["bool", "boolean"], "write `x | bool`"),
    (&["list", "tuple", "keys"], "write `x | list`"),
    (&["items", "entries"], "write `x | items`"),
    (&["abs", "round", "min", "max", "sum", "first", "last", "join", "split", "replace", "upper", "lower", "title",
       "trim", "reverse", "unique", "map", "sort"], "write it as a filter: `x | NAME`"),
    (&["sorted"], "write `x | sort`"),
    (&["reversed"], "write `x | reverse`"),
    (&["default", "coalesce", "ifnull", "nvl", "get"], "write `x | default(…)`"),
    (&["defined", "exists", "isset", "has"], "write `x is defined`"),
    (&["contains", "includes"], "write `a in b`"),
    (&["startswith", "startsWith", "starts_with"], "write `x is startingwith('…')`"),
    (&["endswith", "endsWith", "ends_with"], "write `x is endingwith('…')`"),
    (&["concat"], "write `a ~ b`"),
    (&["filter"], "write `x | select(…)` or `x | selectattr(…)`"),
    (&["any", "all"], "write `x | select | list`, and compare its length"),
    (&["json", "tojson", "toJson", "toJSON", "to_json", "dumps"], "write `x | tojson`"),
    (&["fromjson", "fromJson", "fromJSON", "from_json", "loads", "parse_json"],
     "write `x | fromjson` if x is text; what tasks report is data already"),
    (&["now", "today", "utcnow", "timestamp"], "write `system.now`"),
    (&["success", "is_success"], "write `succeeded()`"),
    (&["failure", "is_failure", "errored"], "write `failed()`"),
    (&["always", "done", "finished", "ended"], "write `completed()`, or no condition at all"),
    (&["timeout", "timedout", "is_timeout"], "write `timed_out()`"),
    (&["canceled", "is_cancelled"], "write `cancelled()`"),
    (&["status"], "write `task_status('NAME')`"),
    (&["task"], "write `task.NAME.result`"),
    (&["outputs", "output"], "write `result()`"),
    (&["item"], "write `item`"),
    (&["ctx", "var", "vars"], "write `vars.NAME` or `parameters.NAME`"),
    (&["parameters", "params", "inputs"], "write `parameters.NAME`"),
    (&["env", "getenv", "secret", "secrets"], "declare it in `parameters`, or let the worker read it"),
    (&["if", "iif", "ternary"], "write `a if condition else b`"),
];

#[rustfmt::skip]
const FILTERS: &[Habit] = &[
    (&["json", "to_json", "toJson", "toJSON", "dumps", "to_nice_json"], "write `| tojson`"),
    (&["from_json", "fromJSON", "loads"], "write `| fromjson` if it is text; what tasks report is data already"),
    (&["len", "size"], "write `| length`"),
    (&["str", "to_string", "tostring"], "write `| string`"),
    (&["to_int", "integer", "number"], "write `| int`"),
    (&["to_float"], "write `| float`"),
    (&["strip", "lstrip", "rstrip"], "write `| trim`"),
    (&["lowercase", "downcase", "toLowerCase"], "write `| lower`"),
    (&["uppercase", "upcase", "toUpperCase"], "write `| upper`"),
    (&["keys"], "write `| list`"),
    (&["values"], "write `| items | map('last')`"),
    (&["dict2items"], "write `| items`"),
    (&["filter"], "write `| select(…)` or `| selectattr(…)`"),
    (&["ternary"], "write `a if condition else b`"),
    (&["defined"], "write `is defined`"),
    (&["contains"], "write `a in b`"),
    (&["startswith", "starts_with"], "write `is startingwith('…')`"),
    (&["endswith", "ends_with"], "write `is endingwith('…')`"),
];

#[rustfmt::skip]
const TESTS: &[Habit] = &[
    (&["null", "nil", "Null", "NULL"], "write `is none`"),
    (&["empty"], "write `not x`"),
    (&["True"], "write `is true`"),
    (&["False"], "write `is false`"),
    (&["list", "array"], "write `is sequence`"),
    (&["dict", "map", "object"], "write `is mapping`"),
    (&["str", "text"], "write `is string`"),
    (&["bool"], "write `is boolean`"),
    (&["exists", "present", "set"], "write `is defined`"),
    (&["containing", "contains"], "write `a in b`"),
    (&["success", "succeeded", "successful"], "write `succeeded()`, or `task.NAME.status == 'completed'`"),
    (&["failed", "failure"], "write `failed()`, or `task.NAME.status == 'failed'`"),
    (&["skipped"], "write `skipped()`, or `task.NAME.status == 'skipped'`"),
];

#[rustfmt::skip]
const METHODS: &[Habit] = &[
    (&["strip", "lstrip", "rstrip"], "use the filter `| trim`"),
    (&["toLowerCase", "casefold", "downcase"], "use the filter `| lower`"),
    (&["toUpperCase", "upcase"], "use the filter `| upper`"),
    (&["get"], "write `x.NAME | default(…)`"),
    (&["keys"], "use the filter `| list`"),
    (&["values"], "use the filters `| items | map('last')`"),
    (&["append", "push", "extend", "concat"], "write `x + [ … ]`"),
    (&["startswith", "startsWith"], "write `x is startingwith('…')`"),
    (&["endswith", "endsWith"], "write `x is endingwith('…')`"),
    (&["includes", "contains", "has", "has_key", "__contains__"], "write `a in x`"),
    (&["toString", "to_s"], "use the filter `| string`"),
    (&["toJSON", "to_json", "json"], "use the filter `| tojson`"),
    (&["size", "len", "length"], "use the filter `| length`"),
    (&["filter"], "use the filter `| select(…)` or `| selectattr(…)`"),
    (&["isoformat", "strftime"], "times are text in ISO 8601 already"),
];

#[rustfmt::skip]
const FIELDS: &[Habit] = &[
    (&["output", "outputs", "response", "value", "data", "stdout"], "write `result`"),
    (&["state", "outcome", "conclusion"], "write `status`"),
    (&["exception", "message", "failure"], "write `error`"),
    (&["start", "started", "start_time", "begin"], "write `started_at`"),
    (&["end", "ended", "ended_at", "finished", "finished_at", "end_time"], "write `completed_at`"),
    (&["tries", "attempt", "retries"], "write `attempts`"),
    (&["items", "results"], "write `result`: the list of the items' results"),
];

#[rustfmt::skip]
const STATUSES: &[Habit] = &[
    (&["succeeded", "success", "successful", "ok", "passed", "done", "finished", "complete", "SUCCESS", "SUCCEEDED"],
     "did you mean `completed`?"),
    (&["timeout", "timed_out", "abandoned", "error", "errored", "failure", "fail", "FAILURE", "ERROR"],
     "write `failed`, which includes timeouts; the functions `failed()` and `timed_out()` tell them apart"),
    (&["canceled", "cancel", "canceling", "cancelling", "aborted", "stopped"], "did you mean `cancelled`?"),
    (&["skip", "ignored"], "did you mean `skipped`?"),
    (&["pending", "ready", "queued", "waiting", "delayed", "scheduled", "running", "claimed", "started", "created"],
     "a task that has not ended has no status: write `task_status('NAME') is none`"),
];

#[rustfmt::skip]
const VERDICTS: &[Habit] = &[
    (&["succeeded", "success", "successful", "ok", "passed", "done", "finished", "complete", "SUCCESS", "SUCCEEDED"],
     "did you mean `completed`?"),
    (&["timed_out", "timedout", "expired"], "did you mean `timeout`?"),
    (&["error", "errored", "failure", "fail", "abandoned", "FAILURE", "ERROR"], "did you mean `failed`?"),
    (&["canceled", "cancel", "canceling", "cancelling", "aborted", "stopped"], "did you mean `cancelled`?"),
    (&["running", "paused", "pending", "requested", "scheduled"], "while it is running: `system.verdict is none`"),
];

/// Text that does not parse: the text from the error on, the text right before it, and the hint. The first match
/// counts.
const SYNTAX: &[(&str, &str, &str)] = &[
    ("&", "", "write `and`"),
    ("|", "|", "write `or`"),
    ("=", "!=", "write `!=`"),
    ("=", "=", "write `==`"),
    ("~", "=", "write `==`, or a test such as `is startingwith('…')`"),
    (">", "<", "write `!=`"),
    ("=>", "", "write `>=`"),
    ("=", "", "write `==` to compare"),
    ("!", "", "write `not`"),
    ("??", "", "write `x | default(…)`"),
    ("?.", "", "write `x.y | default(…)`, or test `x is defined`"),
    ("?", "", "write `a if condition else b`"),
    ("$", "", "write the name without `$`: `vars.NAME`, `parameters.NAME`"),
    ("@", "", "write the name without `@`"),
    ("`", "", "put text in single or double quotes"),
    (";", "", "remove the semicolon"),
    ("for ", "", "write filters: `x | map(attribute='…') | list`, `x | selectattr(…) | list`"),
    ("contains ", "", "write `a in b`"),
    ("startswith ", "", "write `x is startingwith('…')`"),
    ("matches ", "", "write a test: `x is startingwith('…')`, `a in x`"),
    ("then ", "", "write `a if condition else b`"),
    ("AND ", "", "write `and`"),
    ("OR ", "", "write `or`"),
    ("+", "+", "write `x + 1`"),
];

fn find(habits: &[Habit], word: &str) -> Option<&'static str> {
    habits.iter().find(|(words, _)| words.contains(&word)).map(|(_, hint)| *hint)
}

/// Returns the hint for an unknown variable.
pub fn variable(name: &str) -> Option<&'static str> {
    find(VARIABLES, name)
}

/// Returns the hint for an unknown function.
pub fn function(name: &str) -> Option<&'static str> {
    find(FUNCTIONS, name)
}

/// Returns the hint for an unknown filter.
pub fn filter(name: &str) -> Option<&'static str> {
    find(FILTERS, name)
}

/// Returns the hint for an unknown test.
pub fn test(name: &str) -> Option<&'static str> {
    find(TESTS, name)
}

/// Returns the hint for a method.
pub fn method(name: &str) -> Option<&'static str> {
    find(METHODS, name)
}

/// Returns the hint for an unknown field of a task.
pub fn field(name: &str) -> Option<&'static str> {
    find(FIELDS, name)
}

/// Returns the hint for a value that is not a task's status.
pub fn status(value: &str) -> Option<&'static str> {
    find(STATUSES, value)
}

/// Returns the hint for a value that is not a verdict.
pub fn verdict(value: &str) -> Option<&'static str> {
    find(VERDICTS, value)
}

/// Returns the hint for a template that can't be parsed; `at` is the byte of the error.
pub fn syntax(text: &str, at: usize) -> Option<&'static str> {
    let (before, rest) = text.split_at_checked(at)?;
    if before.trim_end().ends_with("{{ if") || before.trim_end().ends_with("{{if") {
        return Some("write `a if condition else b`, or {% if condition %} … {% endif %}");
    }
    if before.matches("{{").count() > 1 && rest.starts_with('}') {
        return Some("remove the inner braces: inside {{ … }}, names are written as they are");
    }
    let matches = |(here, ends, _): &&(&str, &str, &str)| rest.starts_with(here) && before.ends_with(ends);
    SYNTAX.iter().find(matches).map(|(.., hint)| *hint)
}

/// Returns the byte of the dollar sign if a text consists of one `${{ … }}`.
pub fn dollar(text: &str) -> Option<usize> {
    let at = text.len() - text.trim_start().len();
    pure(text[at..].strip_prefix('$')?).map(|_| at)
}
