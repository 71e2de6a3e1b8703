//! JSON Schemas of parameters and outputs: compiled once with a graph, no references fetched, defaults applied.

use crate::schema_cost::affordable;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// How many violations one answer names.
const MOST_VIOLATIONS: usize = 100;

/// A compiled schema.
pub struct Schema {
    source: Value,
    validator: Validator,
}

/// Where a value breaks a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// A JSON pointer; empty: the whole.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl Schema {
    /// Compiles a schema; the error says why it is none.
    pub fn compile(source: &Value) -> Result<Schema, String> {
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .offline()
            .build(source)
            .map_err(|error| error.to_string())?;
        Ok(Schema { source: source.clone(), validator })
    }

    /// Everything that is wrong with a value.
    pub fn violations(&self, value: &Value) -> Vec<Violation> {
        // The validator recurses, and may branch without end.
        if !affordable(&self.source, value) {
            let message = "too deep or too large to be checked against its schema".to_owned();
            return vec![Violation { path: String::new(), message }];
        }
        let errors = self.validator.iter_errors(value).take(MOST_VIOLATIONS);
        errors.map(|error| Violation { path: error.instance_path().to_string(), message: error.to_string() }).collect()
    }

    /// Adds the defaults of the schema's properties, those of nested objects too. Was there any to add?
    pub fn add_defaults(&self, value: &mut Value) -> bool {
        add_defaults(&self.source, value)
    }
}

/// The parser has bounded the depth of the schema, and so of this.
fn add_defaults(schema: &Value, value: &mut Value) -> bool {
    let (Value::Object(object), Some(properties)) = (value, schema["properties"].as_object()) else { return false };
    let mut added = false;
    for (name, property) in properties {
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
