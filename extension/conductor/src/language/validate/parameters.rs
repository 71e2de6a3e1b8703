//! Which parameters exist, according to their schema.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// The parameters that expressions can read.
#[derive(Default)]
pub struct Parameters {
    /// All declared parameters; `None` if the schema may allow others in ways that can't be listed.
    pub declared: Option<HashSet<String>>,
    /// Those that may be missing: neither required nor with a default.
    pub optional: HashSet<String>,
}

impl Parameters {
    /// Reads a schema.
    pub fn of(schema: Option<&Value>) -> Parameters {
        let Some(schema) = schema else {
            return Parameters { declared: Some(HashSet::new()), ..Parameters::default() };
        };
        let Some(schema) = schema.as_object().filter(|schema| is_listable(schema)) else {
            return Parameters::default();
        };
        let nothing = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&nothing);
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let required: HashSet<&str> = required.filter_map(Value::as_str).collect();
        let demands_more = ["dependentRequired", "minProperties", "not"].iter().any(|key| schema.contains_key(*key));
        let optional = properties.iter().filter(|(name, property)| {
            !demands_more && !required.contains(name.as_str()) && !may_have_default(property)
        });
        Parameters {
            declared: Some(properties.keys().cloned().collect()),
            optional: optional.map(|(name, _)| name.clone()).collect(),
        }
    }
}

fn is_listable(schema: &Map<String, Value>) -> bool {
    schema.iter().all(|(key, value)| match key.as_str() {
        "additionalProperties" | "unevaluatedProperties" => value == &Value::Bool(false),
        "patternProperties" | "propertyNames" | "dependentSchemas" | "dependencies" | "if" | "$ref" | "$dynamicRef" => {
            false
        }
        "allOf" | "anyOf" | "oneOf" => false,
        _ => true,
    })
}

/// Whether a property has a default, either itself or possibly through another schema.
fn may_have_default(property: &Value) -> bool {
    ["default", "$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if"].iter().any(|key| property.get(key).is_some())
}
