//! The JSON Schema of the definition language, for editors. It is built from the words that the parser knows and kept
//! in `docs/workflow.schema.json`. What a schema can't express, such as what expressions may read, is checked by
//! `pg-workflow check`.

use serde_json::{Map, Value, json};

use crate::language::parse::limit::{MAX_CONCURRENCY, MAX_LIMITS};
use crate::language::parse::name::{MAX_LIMIT_NAME, MAX_NAME, MAX_REF};
use crate::language::parse::words::{
    BACKOFFS, FOREVER, ITEMS_REST, JOIN_REST, KEEP, ON_ITEM_FAILURE, POLICIES, RERUN_RULES, RETRY_EACH, UNDO_ON,
    UNDO_ORDERS, WHEN_FULL, WHEN_UNKNOWN, words,
};

/// A string that consists of one template.
const TEMPLATE: &str = r"^\s*\{\{[\s\S]*\}\}\s*$";
/// A string that contains a template.
const WITH_TEMPLATE: &str = r"\{\{|\{%";

/// Returns the schema, in draft 7, which has the best editor support.
pub fn schema() -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "pg_workflow definition",
        "description": "A workflow that PostgreSQL runs: see docs/language.md.",
        "type": "object",
        "required": ["ref", "label", "version", "tasks"],
        "additionalProperties": false,
        "properties": workflow(),
        "definitions": definitions(),
    })
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = description.into();
    schema
}

fn reference(name: &str, description: &str) -> Value {
    // Draft 7 ignores siblings of a $ref.
    described(json!({"allOf": [{"$ref": format!("#/definitions/{name}")}]}), description)
}

fn text(description: &str) -> Value {
    described(json!({"type": "string", "pattern": r"\S"}), description)
}

fn workflow() -> Value {
    json!({
        "ref": reference("ref", "pack.name, lower case."),
        "label": text("Display name."),
        "version": {"description": "The author's version.", "anyOf": [{"type": "string", "pattern": r"\S"}, {"type": "number"}]},
        "description": {"type": "string", "description": "What it is for."},
        "tags": {"type": "array", "items": text("A keyword to find it by."), "description": "Keywords to find it by."},
        "enabled": {"type": "boolean", "default": true, "description": "Whether it can be started."},
        "parameters": reference("json_schema", "JSON Schema of the parameters; defaults apply."),
        "output": reference("json_schema", "JSON Schema of the output."),
        "vars": reference("variables", "Variables set at the start, each seeing those before it."),
        "tasks": {
            "description": "The tasks: a list, or a map by name.",
            "anyOf": [
                {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/task"}},
                {
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": {"$ref": "#/definitions/name"},
                    "additionalProperties": {"anyOf": [{"type": "null"}, {"$ref": "#/definitions/task_of_map"}]},
                },
            ],
        },
        "output_map": reference("assignments", "The output, rendered at the end in this order."),
        "attributes": reference("assignments", "Attributes of an execution to find it by, rendered at the start."),
        "timeout": reference("timeout", "Seconds that the whole workflow may take."),
        "cancellation_policy": {
            "enum": words(POLICIES), "default": "allow_finish", "description": "What a cancel does to running tasks.",
        },
        "max_visits": {
            "type": "integer", "minimum": 1, "default": crate::language::definition::DEFAULT_MAX_VISITS,
            "description": "How often one task may run in a cycle.",
        },
        "defaults": {
            "type": "object", "additionalProperties": false,
            "properties": {
                "retry": reference("retry", "Retry policy of tasks with an action, and of undos, without a `retry` of their own."),
                "timeout": reference("timeout_or_template", "Seconds that one attempt of such a task may run."),
            },
            "description": "Defaults of tasks.",
        },
        "finally": reference("name", "The task that runs once at the end, whatever the outcome."),
        "rerun": {
            "enum": words(RERUN_RULES), "default": "always",
            "description": "Whether an execution that ended without success may be rerun.",
        },
        "undo_on": {
            "type": "array", "items": {"enum": words(UNDO_ON)}, "default": words(UNDO_ON),
            "description": "The outcomes after which completed tasks are undone.",
        },
        "undo_order": {
            "enum": words(UNDO_ORDERS), "default": "reverse", "description": "In which order tasks are undone.",
        },
        "fair_by": text("The key by which executions share the queue, such as a tenant."),
        "concurrency": {
            "type": "object", "additionalProperties": false, "required": ["max"],
            "properties": {
                "key": described(json!({"type": ["string", "number", "boolean"]}), "The key by which executions are counted, such as a tenant; without it, all are counted together."),
                "max": {"type": "integer", "minimum": 1, "maximum": MAX_CONCURRENCY, "description": "How many executions of a key run at once."},
                "when_full": {"enum": words(WHEN_FULL), "default": "wait", "description": "What a start does when the maximum has been reached."},
            },
            "description": "How many executions run at once.",
        },
        "keep": {
            "type": "object", "additionalProperties": false, "properties": keep(),
            "description": "Seconds after which executions that have ended are deleted, by status.",
        },
    })
}

fn keep() -> Map<String, Value> {
    let duration = json!({"anyOf": [{"const": FOREVER}, {"$ref": "#/definitions/timeout"}]});
    let described = |status: &&str| {
        let description = format!("How long executions that ended as {status} are kept.");
        ((*status).to_owned(), described(duration.clone(), &description))
    };
    KEEP.iter().map(described).collect()
}

fn task() -> Map<String, Value> {
    let task = json!({
        "name": reference("name", "Name, unique within the workflow."),
        "action": {
            "description": "The ref of an action or workflow, or a template that yields one; none: a routing task.",
            "anyOf": [{"$ref": "#/definitions/ref"}, {"$ref": "#/definitions/with_template"}],
        },
        "input": {
            "description": "The action's input.",
            "anyOf": [{"type": "object"}, {"$ref": "#/definitions/template"}],
        },
        "when": reference("condition", "Condition; if false, the task is skipped."),
        "delay": reference("delay_or_template", "Seconds before it can be claimed."),
        "timeout": reference("timeout_or_template", "Seconds that one attempt may run."),
        "join": {
            "description": "Waits for all, or this many, of the tasks that lead here.",
            "anyOf": [
                {"const": "all"},
                {"type": "integer", "minimum": 1},
                {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["count"],
                    "properties": {
                        "count": {"anyOf": [{"const": "all"}, {"type": "integer", "minimum": 1}]},
                        "rest": {
                            "enum": words(JOIN_REST), "default": "allow_finish",
                            "description": "What happens to tasks that have not arrived when enough have.",
                        },
                    },
                },
            ],
        },
        "with_items": {
            "description": "Runs the task once per item.",
            "anyOf": [
                {"type": "array"},
                {"$ref": "#/definitions/template"},
                {"$ref": "#/definitions/with_items"},
            ],
        },
        "retry": reference("retry", "Retries the task after a failure."),
        "repeat": reference("repeat", "Runs the task again after a success, until its result is right."),
        "wait_for": reference("wait_for", "Waits for a signal instead of a worker."),
        "priority": {"type": "integer", "description": "Higher goes first."},
        "max_lost_leases": {
            "type": "integer", "minimum": 1, "maximum": 1000,
            "description": "How many workers may lose the task before it ends as abandoned.",
        },
        "limit": {
            "description": "The limits that apply to each attempt.",
            "anyOf": [
                {"$ref": "#/definitions/limit"},
                {"type": "array", "maxItems": MAX_LIMITS, "items": {"$ref": "#/definitions/limit"}},
            ],
        },
        "undo": reference("undo", "Undoes the task if the workflow fails, times out or is cancelled after it has completed."),
        "next": {
            "type": "array", "items": {"$ref": "#/definitions/transition"},
            "description": "The transitions: every one whose condition is true fires, in order.",
        },
        "publish": reference("variables", "Published on success, before any transition is tested."),
        "on_success": reference("targets", "Where it continues after success."),
        "on_failure": reference(
            "targets",
            "Where it continues after a failure, and after a timeout unless on_timeout is given.",
        ),
        "on_timeout": reference("targets", "Where it continues after a timeout."),
        "on_complete": reference("targets", "Where it continues however it ends, including when skipped."),
        "on_skipped": reference("targets", "Where it continues when skipped."),
        "decision": {
            "type": "array", "minItems": 1, "items": {"$ref": "#/definitions/decision_entry"},
            "description": "After success, the first matching entry is taken.",
        },
    });
    match task {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Returns the schema of a task; `next` excludes its sugar.
fn task_schema(fields: Map<String, Value>, required: Value) -> Value {
    let sugar = fields.keys().filter(|name| name.starts_with("on_") || matches!(name.as_str(), "decision" | "publish"));
    let without: Map<String, Value> = sugar.map(|name| (name.clone(), Value::Bool(false))).collect();
    json!({
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": fields,
        "if": {"required": ["next"]},
        "then": {"properties": without},
    })
}

fn definitions() -> Value {
    let fields = task();
    let mut of_map = fields.clone();
    of_map.remove("name");
    let mut definitions = json!({
        "ref": {"type": "string", "maxLength": MAX_REF, "pattern": r"^[a-z][a-z0-9_-]+(\.[a-z0-9_-]+)+$"},
        "name": {"type": "string", "maxLength": MAX_NAME, "pattern": r"^[A-Za-z_][A-Za-z0-9_-]*$"},
        "template": {"type": "string", "pattern": TEMPLATE},
        "with_template": {"type": "string", "pattern": WITH_TEMPLATE},
        "condition": {"anyOf": [{"type": "boolean"}, {"$ref": "#/definitions/template"}]},
        "json_schema": {"type": "object", "allOf": [{"$ref": "http://json-schema.org/draft-07/schema#"}]},
        "duration": {"type": "string", "pattern": r"^\s*(([0-9]+[wdhms]?)+|P([0-9]+[WD])*(T([0-9]+[HMS])+)?)\s*$"},
        "timeout": {"anyOf": [{"type": "integer", "minimum": 1}, {"$ref": "#/definitions/duration"}]},
        "delay": {"anyOf": [{"type": "number", "minimum": 0}, {"$ref": "#/definitions/duration"}]},
        "timeout_or_template": {"anyOf": [{"$ref": "#/definitions/timeout"}, {"$ref": "#/definitions/with_template"}]},
        "delay_or_template": {"anyOf": [{"$ref": "#/definitions/delay"}, {"$ref": "#/definitions/with_template"}]},
        "count_or_template": {"anyOf": [{"type": "integer", "minimum": 0}, {"$ref": "#/definitions/with_template"}]},
        "assignments": {"anyOf": [{"type": "array", "items": {"type": "object"}}, {"type": "object"}]},
        "variable_map": {"type": "object", "propertyNames": {"$ref": "#/definitions/name"}},
        "variables": {
            "anyOf": [
                {"type": "array", "items": {"$ref": "#/definitions/variable_map"}},
                {"$ref": "#/definitions/variable_map"},
            ],
        },
        "targets": {
            "anyOf": [{"type": "string", "pattern": r"\S"}, {"type": "array", "items": {"type": "string", "pattern": r"\S"}}],
        },
    });
    for (name, part) in [
        ("transition", transition()),
        ("decision_entry", decision_entry()),
        ("with_items", with_items()),
        ("retry", retry()),
        ("repeat", repeat()),
        ("wait_for", wait_for()),
        ("undo", undo()),
        ("limit", limit()),
        ("task", task_schema(fields, json!(["name"]))),
        ("task_of_map", task_schema(of_map, json!([]))),
    ] {
        definitions[name] = part;
    }
    definitions
}

fn limit() -> Value {
    let name = json!({"type": "string", "maxLength": MAX_LIMIT_NAME, "pattern": r"^[a-z][a-z0-9_.-]*$"});
    json!({
        "anyOf": [
            name,
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["name"],
                "properties": {
                    "name": name,
                    "key": {
                        "type": ["string", "number", "boolean"],
                        "description": "The key by which the limit counts; none: everything together.",
                    },
                },
            },
        ],
    })
}

fn transition() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "when": reference("condition", "Fires if true; none: always."),
            "publish": reference("variables", "Published when it fires."),
            "do": reference("targets", "Task names, and the commands continue, noop, fail and retry."),
            "error": {"type": "object", "description": "The error that the workflow fails with, if `do` has `fail`."},
        },
    })
}

fn decision_entry() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["next"],
        "properties": {
            "when": reference("condition", "Taken if true and no earlier entry is."),
            "default": {"const": true, "description": "Taken if no earlier entry is; must be the last entry."},
            "next": reference("targets", "Task names, and the commands continue, noop and fail."),
        },
        "oneOf": [{"required": ["when"]}, {"required": ["default"]}],
    })
}

fn with_items() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["items"],
        "properties": {
            "items": {
                "description": "A list, or a template that yields one.",
                "anyOf": [{"type": "array"}, {"$ref": "#/definitions/template"}],
            },
            "as": reference("targets", "Names of an item's parts: [x, y] over zip(xs, ys)."),
            "label": text("The name under which an item is shown to people; usually a template."),
            "concurrency": reference("count_or_template", "How many items may be claimable or running at once."),
            "batch_size": reference("count_or_template", "Items grouped into one task, whose item is then an array."),
            "on_item_failure": {
                "enum": words(ON_ITEM_FAILURE), "default": "fail_fast", "description": "What a failed item does to the rest.",
            },
            "max_failures": {
                "description": "How many failures are tolerated, as a number or a percentage; implies `continue`.",
                "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\s*[0-9.]+\s*%$"}],
            },
            "min_successes": {
                "description": "How many successes are enough, as a number or a percentage; implies `continue`.",
                "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\s*[0-9.]+\s*%$"}],
            },
            "rest": {
                "enum": words(ITEMS_REST), "default": "allow_finish",
                "description": "What happens to running items once enough have succeeded; others never start.",
            },
        },
    })
}

fn retry() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["count"],
        "properties": {
            "count": reference("count_or_template", "Maximum number of retries."),
            "delay": reference("delay_or_template", "Seconds before the first retry."),
            "backoff": {"enum": words(BACKOFFS), "default": "constant", "description": "How the delay grows."},
            "factor": {"type": "number", "minimum": 0, "default": 2, "description": "Base of exponential growth."},
            "max_delay": reference("delay", "Maximum delay."),
            "jitter": {
                "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"const": "full"}],
                "description": "Fraction by which the delay varies either way; full: anything from 0 to the whole delay.",
            },
            "when": reference("condition", "Condition for a retry; none: after failure, timeout or abandonment."),
            "max_elapsed": reference("timeout", "Time after the first attempt past which no retry starts."),
            "each": {
                "enum": words(RETRY_EACH), "default": "item",
                "description": "What the count applies to in a task with items: each item, or all of them together.",
            },
        },
    })
}

fn repeat() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["until"],
        "properties": {
            "until": reference("condition", "Condition that ends the repetition; evaluated after each success."),
            "delay": reference("delay_or_template", "Seconds before the first repetition."),
            "backoff": {"enum": words(BACKOFFS), "default": "constant", "description": "How the delay grows."},
            "factor": {"type": "number", "minimum": 0, "default": 2, "description": "Base of exponential growth."},
            "max_delay": reference("delay", "Maximum delay."),
            "max": reference("count_or_template", "Maximum number of repetitions; 1000 if not given."),
            "timeout": reference("timeout", "Time after the first attempt past which no repetition starts."),
        },
    })
}

fn undo() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["action"],
        "properties": {
            "action": {
                "description": "The ref of an action or workflow, or a template that yields one.",
                "anyOf": [{"$ref": "#/definitions/ref"}, {"$ref": "#/definitions/with_template"}],
            },
            "input": {
                "description": "The action's input, rendered when the task completes.",
                "anyOf": [{"type": "object"}, {"$ref": "#/definitions/template"}],
            },
            "timeout": reference("timeout_or_template", "Seconds that one attempt may run."),
            "retry": reference("retry", "Retries it after a failure."),
            "when_unknown": {
                "enum": words(WHEN_UNKNOWN), "default": "undo",
                "description": "Whether to undo a task that timed out or was abandoned, so that it is unknown whether its work was done.",
            },
            "priority": {"type": "integer", "description": "Higher goes first."},
            "max_lost_leases": {
                "type": "integer", "minimum": 1, "maximum": 1000,
                "description": "How many workers may lose it before it ends as abandoned.",
            },
        },
    })
}

fn wait_for() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["signal"],
        "properties": {
            "signal": text("The signal's name, or a template that yields it."),
            "timeout": reference("timeout_or_template", "Seconds until the task times out."),
            "heartbeat": reference("timeout", "Seconds until the task times out unless the wait is extended."),
            "schema": reference("json_schema", "JSON Schema of the signal's payload."),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::parse::words;

    #[track_caller]
    fn same_names(pointer: &str, known: &[&str]) {
        let schema = schema();
        let mut described: Vec<&str> =
            schema.pointer(pointer).unwrap().as_object().unwrap().keys().map(String::as_str).collect();
        let mut known = known.to_vec();
        described.sort_unstable();
        known.sort_unstable();
        assert_eq!(described, known);
    }

    #[test]
    fn it_has_the_fields_that_the_parser_knows() {
        same_names("/properties", words::WORKFLOW);
        same_names("/definitions/task/properties", words::TASK);
        same_names("/definitions/transition/properties", words::TRANSITION);
        same_names("/definitions/decision_entry/properties", words::DECISION);
        same_names("/definitions/with_items/properties", words::WITH_ITEMS);
        same_names("/definitions/retry/properties", words::RETRY);
        same_names("/definitions/repeat/properties", words::REPEAT);
        same_names("/definitions/undo/properties", words::UNDO);
        same_names("/definitions/wait_for/properties", words::WAIT_FOR);
    }

    #[test]
    fn it_is_itself_a_valid_schema() {
        assert!(jsonschema::meta::is_valid(&schema()));
    }
}
