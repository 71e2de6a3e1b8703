//! JSON Schemas of parameters and outputs: compiled once with a graph, no references fetched, defaults applied.
//!
//! A validation can be stopped at every step (`checked`). Where the library works uninterrupted, its input is limited
//! in size.

mod checked;

use std::fmt::{self, Write};
use std::sync::Arc;

use crate::interrupt;
use crate::language::schema_cost::{affordable, size};
use checked::Checked;
use jsonschema::{PatternOptions, Retrieve, ValidationError, ValidationOptions};
use serde_json::Value;

/// Maximum number of violations named in one answer.
const MAX_VIOLATIONS: usize = 100;
/// Maximum total size of their paths and messages, in bytes.
const MAX_BYTES: usize = 16 << 10;
/// Maximum size of a violation's path and of its message, in bytes: they may quote the whole value.
const MAX_MESSAGE: usize = 300;
/// Maximum size of a schema's compiled pattern, in bytes.
const MAX_PATTERN: usize = 1 << 20;
/// Maximum size of a schema, counting each value and every eight bytes of text as one: compiling it cannot be stopped.
const MAX_SIZE: usize = 20_000;

/// A validator that the host can interrupt.
pub(crate) type Validator = jsonschema::Validator<Checked>;

/// A compiled schema.
pub struct Schema {
    source: Value,
    validator: Validator,
}

/// Violations by a value, limited in number and size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations {
    /// The first violations.
    pub list: Vec<Violation>,
    /// Number of further violations.
    pub more: usize,
}

/// A violation of a schema by a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// A JSON pointer; empty for the whole value.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl Schema {
    /// Compiles a schema. The error says why it is invalid.
    pub fn compile(source: &Value) -> Result<Schema, String> {
        bound(source)?;
        let validator = options().build(source).map_err(|error| message(&error))?;
        Ok(Schema { source: source.clone(), validator })
    }

    /// Returns the violations by a value; empty if it is valid.
    pub fn violations(&self, value: &Value) -> Violations {
        // The validator is recursive and may branch endlessly.
        if !affordable(&self.source, value) {
            let message = "too deeply nested or too large to be checked against its schema".to_owned();
            return Violations { list: vec![Violation { path: String::new(), message }], more: 0 };
        }
        let mut violations = Violations::default();
        let mut bytes = 0;
        for error in interrupt::checked(self.validator.iter_errors(value)) {
            if violations.list.len() < MAX_VIOLATIONS && bytes < MAX_BYTES {
                let violation = Violation { path: short(error.instance_path()), message: message(&error) };
                bytes += violation.path.len() + violation.message.len();
                violations.list.push(violation);
            } else {
                violations.more += 1;
            }
        }
        violations
    }

    /// Adds the defaults of the schema's properties, including those of nested objects. Returns whether there were any
    /// to add.
    pub fn add_defaults(&self, value: &mut Value) -> bool {
        add_defaults(&self.source, value)
    }
}

/// Returns the options that all schemas are compiled with.
pub(crate) fn options() -> ValidationOptions<'static, Arc<dyn Retrieve>, Checked> {
    let patterns = PatternOptions::regex().size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN);
    jsonschema::options_for().with_pattern_options(patterns).offline()
}

/// Rejects a schema that would take too long to compile.
pub(crate) fn bound(schema: &Value) -> Result<(), String> {
    match size(schema) {
        size if size > MAX_SIZE => {
            Err(format!("the schema is too large: its size is {size}, but at most {MAX_SIZE} is allowed"))
        }
        _ => Ok(()),
    }
}

/// Returns the text of an error, shortened: it may quote the whole value.
pub(crate) fn message(error: &ValidationError<'_>) -> String {
    short(error)
}

fn short(text: impl fmt::Display) -> String {
    let mut short = Short(String::new());
    if write!(short, "{text}").is_err() {
        short.0.push('…');
    }
    short.0
}

/// Writer that accepts text up to a maximum length.
struct Short(String);

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_MESSAGE - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}

/// Adds missing defaults, and returns whether there were any. The parser has limited the depth of the schema, and
/// therefore of this recursion.
fn add_defaults(schema: &Value, value: &mut Value) -> bool {
    let (Value::Object(object), Some(properties)) = (value, schema["properties"].as_object()) else { return false };
    let mut added = false;
    for (name, property) in interrupt::checked(properties) {
        if let Some(given) = object.get_mut(name) {
            added |= add_defaults(property, given);
        } else if let Some(default) = property.get("default") {
            let mut given = default.clone();
            add_defaults(property, &mut given);
            object.insert(name.clone(), given);
            added = true;
        }
    }
    added
}
