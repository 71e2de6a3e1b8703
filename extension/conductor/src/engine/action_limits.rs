//! The limits that apply to all tasks of an action.

use crate::bounds::Bounds;
use crate::engine::ready::limit_key;
use crate::expression::{Data, ExpressionError, Programs, Rendering, Sources};
use crate::finding::shorten;
use crate::language::definition::LimitUse;
use crate::language::parse::limit::MAX_LIMITS;
use crate::language::parse::name::is_limit_name;
use serde_json::Value;

/// Maximum number of characters of a value that a message shows.
const SHOWN: usize = 100;

/// Limits whose keys are rendered from a task's input.
pub struct ActionLimits {
    programs: Programs,
    limits: Vec<(String, Option<Rendering>)>,
}

impl ActionLimits {
    /// Compiles the keys.
    pub fn compile(uses: &[LimitUse], bounds: Bounds) -> Result<ActionLimits, ExpressionError> {
        let mut sources = Sources::default();
        let key =
            |limit: &LimitUse, sources: &mut Sources| (!limit.key.is_null()).then(|| sources.rendering(&limit.key));
        let named = uses.iter().map(|limit| (limit.name.clone(), key(limit, &mut sources))).collect();
        Ok(ActionLimits { programs: sources.compile(bounds)?, limits: named })
    }

    /// Returns names and keys for a task with this input. If a key cannot be rendered, or is not text, a number or a
    /// boolean, the limit counts the task together with all tasks without a key.
    pub fn keys(&self, input: &Data) -> Vec<(String, String)> {
        let scope = Data::from_pairs([("input", input.clone())]);
        let render = |key: &Rendering| limit_key(&self.programs.render(key, &scope).ok()?).ok();
        let keys =
            self.limits.iter().map(|(name, key)| (name.clone(), key.as_ref().and_then(render).unwrap_or_default()));
        keys.collect()
    }
}

/// Reads the limits of an action: a list of names, or of objects with `name` and `key`. The error says what is wrong.
pub fn read(value: &Value) -> Result<Vec<LimitUse>, String> {
    let Value::Array(list) = value else { return Err("limits must be an array".to_owned()) };
    if list.len() > MAX_LIMITS {
        return Err(format!("there are {} limits, but at most {MAX_LIMITS} are allowed", list.len()));
    }
    list.iter().map(read_one).collect()
}

fn read_one(value: &Value) -> Result<LimitUse, String> {
    let limit: LimitUse = match value {
        Value::String(name) => LimitUse { name: name.clone(), key: Value::Null },
        Value::Object(fields) if fields.keys().all(|field| field == "name" || field == "key") => {
            serde_json::from_value(value.clone()).map_err(|_| "a limit has no name".to_owned())?
        }
        _ => return Err(format!("a limit must be a name, or an object with name and key, not {}", shown(value))),
    };
    if !is_limit_name(&limit.name) {
        return Err(format!("{} is not a valid limit name", shown(&Value::from(limit.name))));
    }
    if limit.key.is_array() || limit.key.is_object() {
        return Err(format!(
            "the key of a limit must be text, a number, a boolean or a template, not {}",
            shown(&limit.key)
        ));
    }
    Ok(limit)
}

fn shown(value: &Value) -> String {
    shorten(&value.to_string(), SHOWN).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keys(limits: Value, input: Value) -> Vec<(String, String)> {
        let limits = ActionLimits::compile(&read(&limits).unwrap(), Bounds::default()).unwrap();
        limits.keys(&crate::json::from_text(&input.to_string()).unwrap())
    }

    #[test]
    fn keys_are_rendered_from_the_input() {
        let limits = json!(["all", {"name": "by-tenant", "key": "{{ input.tenant }}"}, {"name": "fixed", "key": 7}]);
        let pair = |name: &str, key: &str| (name.to_owned(), key.to_owned());
        assert_eq!(
            keys(limits.clone(), json!({"tenant": "acme"})),
            [pair("all", ""), pair("by-tenant", "acme"), pair("fixed", "7")]
        );
        assert_eq!(keys(limits.clone(), json!({}))[1], pair("by-tenant", ""));
        assert_eq!(keys(limits, json!({"tenant": {"a": 1}}))[1], pair("by-tenant", ""));
    }

    #[test]
    fn an_invalid_list_of_limits_is_refused() {
        for wrong in [
            json!("payments"),
            json!([3]),
            json!([{"key": "a"}]),
            json!([{"name": "A"}]),
            json!([{"name": "a", "key": []}]),
            json!([{"name": "a", "kee": "b"}]),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }
}
