//! WF501 to WF509: a definition's use of actions and limits, checked against the catalogue.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{Check, schemas};
use crate::expression::template;
use crate::finding::shorten;
use crate::language::catalogue::Action;
use crate::language::definition::Task;
use crate::language::parse::name::{is_ref, suggest};

/// Maximum number of workflows searched for a call back to this one.
const MAX_WORKFLOWS: usize = 1000;

pub fn check(check: &mut Check<'_>) {
    let definition = check.definition;
    let pack = definition.reference.split('.').next().unwrap_or_default();
    if let Some(target) = check.catalogue.target_pack().filter(|target| target != pack) {
        let message =
            format!("the ref `{}` does not belong to the pack `{target}`", shorten(&definition.reference, 80));
        check.at("ref").error(508, message, format!("start it with `{}.`", shorten(&target, 80)));
    }
    if !check.catalogue.known() {
        return;
    }
    let mut known: HashMap<&str, Option<Action>> = HashMap::new();
    for (i, task) in definition.tasks.iter().enumerate() {
        one(check, &mut known, i, "", task.action.as_deref(), &task.input);
        if let Some(undo) = &task.undo {
            one(check, &mut known, i, "undo.", Some(&undo.action), &undo.input);
        }
        bounds(check, i, task);
    }
}

/// Checks that the limits of a task exist.
fn bounds(check: &mut Check<'_>, task: usize, of: &Task) {
    for (number, limit) in of.limit.iter().enumerate() {
        if !check.catalogue.has_limit(&limit.name) {
            let hint = format!("SELECT workflow_set_limit('{}', max_running => 5), or correct the name", limit.name);
            let place = format!("tasks[{task}].limit[{number}]");
            check.at(&place).task(task).error(509, format!("unknown limit `{}`", limit.name), hint);
        }
    }
}

/// Checks the action of a task, or of its undo.
fn one<'d>(
    check: &mut Check<'d>,
    known: &mut HashMap<&'d str, Option<Action>>,
    task: usize,
    of: &str,
    action: Option<&'d str>,
    given: &Value,
) {
    let Some(reference) = action.filter(|text| is_ref(text)) else { return };
    if reference == check.definition.reference {
        let message = "the workflow calls itself".to_owned();
        return check.at(&format!("tasks[{task}].{of}action")).task(task).warning(507, message, None);
    }
    let catalogue = check.catalogue;
    match known.entry(reference).or_insert_with(|| catalogue.action(reference)) {
        None => unknown(check, task, of, reference),
        Some(action) => {
            call(check, task, of, reference, action);
            input(check, task, of, action, given);
        }
    }
}

fn unknown(check: &mut Check<'_>, task: usize, of: &str, reference: &str) {
    let place = format!("tasks[{task}].{of}action");
    let pack = reference.split('.').next().unwrap_or_default();
    if check.catalogue.has_pack(pack) {
        let hint = "register it with workflow_register_action, or correct the ref".to_owned();
        check.at(&place).task(task).error(501, format!("unknown action `{reference}`"), hint);
    } else {
        let hint = "register the action with workflow_register_action, which also creates its pack, or correct the ref";
        let message = format!("unknown pack `{pack}` of the action `{reference}`");
        check.at(&place).task(task).error(502, message, hint.to_owned());
    }
}

fn call(check: &mut Check<'_>, task: usize, of: &str, reference: &str, action: &Action) {
    let place = format!("tasks[{task}].{of}action");
    if !action.enabled {
        check.at(&place).task(task).error(506, format!("the workflow `{reference}` is disabled"), None);
    }
    let mut seen: HashSet<String> = HashSet::new();
    let mut open = action.calls.clone();
    while let Some(next) = open.pop() {
        if next == check.definition.reference {
            let message = format!("`{reference}` calls this workflow, directly or indirectly");
            return check.at(&place).task(task).warning(507, message, None);
        }
        if seen.len() < MAX_WORKFLOWS && seen.insert(next.clone()) {
            open.extend(check.catalogue.action(&next).map(|action| action.calls).unwrap_or_default());
        }
    }
}

/// Checks literal input against the action's schema.
fn input(check: &mut Check<'_>, task: usize, of: &str, action: &Action, input: &Value) {
    let (Some(schema), false) = (&action.param_schema, input.is_string()) else { return };
    let nothing = Map::new();
    let given = input.as_object().unwrap_or(&nothing);
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&nothing);
    let names: Vec<&str> = properties.keys().map(String::as_str).collect();
    let path = format!("tasks[{task}].{of}input");
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for name in required.filter(|name| !given.contains_key(*name)) {
        let has_default = properties.get(name).is_some_and(|property| property.get("default").is_some());
        if !has_default {
            let message = format!("the input `{}` is missing", shorten(name, 80));
            check.at(&path).task(task).error(503, message, format!("add `{}:`", shorten(name, 80)));
        }
    }
    let closed =
        schema.get("additionalProperties") == Some(&Value::Bool(false)) && schema.get("patternProperties").is_none();
    let node = check.places.find(&path).map(|place| place.node);
    let source = check.places.source();
    if closed {
        for name in given.keys().filter(|name| !properties.contains_key(*name)) {
            let message = format!("the action has no input `{}`", shorten(name, 80));
            let key = node.and_then(|node| source.key(node, name));
            check.at(&path).node(key).task(task).error(504, message, suggest(name, &names));
        }
    }
    let literal = |(name, value): &(&String, &Value)| properties.contains_key(*name) && is_literal(value);
    let literals: Map<String, Value> =
        given.iter().filter(literal).map(|(name, value)| (name.clone(), value.clone())).collect();
    for violation in schemas::violations(schema, &Value::Object(literals)) {
        // Missing members of the whole input have been reported above.
        if !violation.pointer.is_empty() {
            let place = node.map(|node| source.pointer(node, &violation.pointer));
            check.at(&path).node(place).task(task).error(505, violation.message, None);
        }
    }
}

/// Whether it contains no template. The parser has limited its depth.
fn is_literal(value: &Value) -> bool {
    match value {
        Value::String(text) => !template::is_template(text),
        Value::Array(items) => items.iter().all(is_literal),
        Value::Object(map) => map.values().all(is_literal),
        _ => true,
    }
}
