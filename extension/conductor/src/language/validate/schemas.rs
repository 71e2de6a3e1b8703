//! WF401 to WF405: the JSON Schemas of parameters, output and signals.

use serde_json::{Map, Value};

use super::Check;
use crate::language::schema::{bound, message, options};
use crate::language::schema_cost::{affordable, endless, escape, remote};

/// Maximum number of errors reported per schema or value.
const MAX_ERRORS: usize = 100;

/// A violation of a schema by a value.
pub struct Violation {
    /// JSON pointer into the value.
    pub pointer: String,
    /// JSON pointer of the path through the schema.
    pub through: String,
    pub message: String,
}

/// Returns the violations by a value; empty if they can't be determined within limits.
pub fn violations(schema: &Value, value: &Value) -> Vec<Violation> {
    if bound(schema).is_err() || endless(schema).is_some() || !remote(schema).is_empty() || !affordable(schema, value) {
        return Vec::new();
    }
    let Ok(validator) = options().build(schema) else { return Vec::new() };
    let violation = |error: jsonschema::ValidationError<'_>| Violation {
        pointer: error.instance_path().to_string(),
        through: error.evaluation_path().to_string(),
        message: message(&error),
    };
    validator.iter_errors(value).take(MAX_ERRORS).map(violation).collect()
}

pub fn check(check: &mut Check<'_>) {
    let definition = check.definition;
    for (code, name, schema) in [(401, "parameters", &definition.parameters), (402, "output", &definition.output)] {
        if let Some(schema) = schema {
            self::schema(check, code, name, schema);
        }
    }
    for (i, task) in definition.tasks.iter().enumerate() {
        if let Some(schema) = task.wait_for.as_ref().and_then(|wait| wait.schema.as_ref()) {
            self::schema(check, 405, &format!("tasks[{i}].wait_for.schema"), schema);
        }
    }
}

fn schema(check: &mut Check<'_>, code: u16, name: &str, schema: &Value) {
    let source = check.places.source();
    let node = check.places.find(name).map(|place| place.node);
    let at = |pointer: &str| node.map(|node| source.pointer(node, pointer));
    if let Err(message) = bound(schema) {
        let hint = "split the workflow, or check parts of the value in a task".to_owned();
        check.at(name).error(9, format!("`{name}`: {message}"), hint);
        return;
    }
    let mut sound = true;
    for pointer in remote(schema) {
        sound = false;
        let hint = "copy the schema under `$defs` and refer to it as `#/$defs/…`".to_owned();
        check.at(name).node(at(&pointer)).error(403, "a schema can't refer to another document".to_owned(), hint);
    }
    for error in broken(schema) {
        sound = false;
        let message = format!("`{name}` is not a valid JSON Schema: {}", error.message);
        let hint = error
            .pointer
            .ends_with("/type")
            .then(|| "types are string, number, integer, boolean, array, object and null".to_owned());
        check.at(name).node(at(&error.pointer)).error(code, message, hint);
    }
    if !sound {
        return;
    }
    if let Some(pointer) = endless(schema) {
        let message = format!("`{name}` is not a valid JSON Schema: a $ref leads back to itself");
        check.at(name).node(at(&pointer)).error(code, message, None);
        return;
    }
    if let Err(error) = options().build(schema) {
        let message = format!("`{name}` is not a valid JSON Schema: {}", message(&error));
        let pointer = error.instance_path().to_string();
        check.at(name).node(at(&pointer)).error(code, message, None);
        return;
    }
    defaults(check, name, schema);
}

/// Returns the violations of the meta-schema.
fn broken(schema: &Value) -> Vec<Violation> {
    let error = |error: jsonschema::ValidationError<'_>| Violation {
        pointer: error.instance_path().to_string(),
        through: String::new(),
        message: message(&error),
    };
    match jsonschema::meta::validator_for(schema) {
        Ok(validator) => validator.iter_errors(schema).take(MAX_ERRORS).map(error).collect(),
        // Only `$schema` can name a meta-schema that does not exist.
        Err(failure) => vec![Violation { pointer: "/$schema".to_owned(), ..error(failure) }],
    }
}

/// Checks all defaults at once, in an object that contains nothing else.
fn defaults(check: &mut Check<'_>, name: &str, schema: &Value) {
    let mut found = Vec::new();
    let Some(value) = default_of(schema, String::new(), String::new(), &mut found) else { return };
    let source = check.places.source();
    let node = check.places.find(name).map(|place| place.node);
    for violation in violations(schema, &value) {
        let below =
            |path: &str, top: &str| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let of =
            found.iter().find(|(pointer, way)| below(&violation.pointer, pointer) && below(&violation.through, way));
        if let Some((_, way)) = of {
            let place = node.map(|node| source.pointer(node, &format!("{way}/default")));
            let message = format!("the default violates its own schema: {}", violation.message);
            check.at(name).node(place).error(404, message, None);
        }
    }
}

/// Returns the default of a schema, or else of its properties. The parser has limited the depth.
fn default_of(schema: &Value, pointer: String, way: String, found: &mut Vec<(String, String)>) -> Option<Value> {
    if let Some(default) = schema.get("default") {
        found.push((pointer, way));
        return Some(default.clone());
    }
    let properties = schema.get("properties").and_then(Value::as_object)?;
    let mut object = Map::new();
    for (name, property) in properties {
        let key = escape(name);
        let (pointer, way) = (format!("{pointer}/{key}"), format!("{way}/properties/{key}"));
        if let Some(value) = default_of(property, pointer, way, found) {
            object.insert(name.clone(), value);
        }
    }
    (!object.is_empty()).then_some(Value::Object(object))
}
