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

    /// The value with the defaults of its schema's properties, those of nested objects too.
    pub fn with_defaults(&self, value: Value) -> Value {
        with_defaults(&self.source, value)
    }
}

/// The parser has bounded the depth of the schema, and so of this.
fn with_defaults(schema: &Value, value: Value) -> Value {
    let (Value::Object(mut object), Some(properties)) = (value.clone(), schema["properties"].as_object()) else {
        return value;
    };
    for (name, property) in properties {
        let given = object.remove(name).or_else(|| property.get("default").cloned());
        if let Some(given) = given {
            object.insert(name.clone(), with_defaults(property, given));
        }
    }
    Value::Object(object)
}
