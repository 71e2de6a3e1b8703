//! Forms made from a JSON Schema, and the value that such a form sends.

use super::form::Fields;
use super::page;
use super::problem::Problem;
use super::refused::Sent;
use maud::{Markup, html};
use serde_json::{Map, Value};

/// A field for one property.
enum Kind<'s> {
    Choice(&'s Vec<Value>),
    Text,
    Number,
    Flag,
    Json,
}

/// Returns the properties for which a form has fields; `None` if the user types the value as a whole.
fn properties(schema: Option<&Value>) -> Option<&Map<String, Value>> {
    let schema = schema?.as_object()?;
    let plain = ["anyOf", "oneOf", "allOf", "$ref", "patternProperties"].iter().all(|word| !schema.contains_key(*word));
    schema.get("properties")?.as_object().filter(|properties| plain && !properties.is_empty())
}

fn kind(property: &Value) -> Kind<'_> {
    if let Some(choices) = property.get("enum").and_then(Value::as_array) {
        return Kind::Choice(choices);
    }
    match property.get("type").and_then(Value::as_str) {
        Some("string") => Kind::Text,
        Some("integer" | "number") => Kind::Number,
        Some("boolean") => Kind::Flag,
        _ => Kind::Json,
    }
}

fn is_required(schema: Option<&Value>, name: &str) -> bool {
    let required = schema.and_then(|schema| schema.get("required")?.as_array());
    required.is_some_and(|names| names.iter().any(|required| required == name))
}

/// Returns the fields of a form, with what was typed into them.
pub fn fields(schema: Option<&Value>, prefix: &str, sent: Sent) -> Markup {
    let Some(properties) = properties(schema) else {
        // What is sent is what is shown: an empty object, if nothing says what it has to be.
        let value = sent.value(prefix, schema.is_none().then(|| "{}".to_owned())).unwrap_or_default();
        return html! { label {
            "Value (JSON)" textarea name=(prefix) rows="4" spellcheck="false" { "\n" (value) }
            span.dim { @if schema.is_none() { "Any JSON value that the workflow understands. " } "Left empty, it is null." }
        } };
    };
    html! { @for (name, property) in properties {
        @let field = format!("{prefix}.{name}");
        @let required = is_required(schema, name);
        @let label = property.get("title").and_then(Value::as_str).unwrap_or(name);
        @let value = sent.value(&field, property.get("default").map(plain));
        @match kind(property) {
            Kind::Flag => label.check { input type="checkbox" name=(field) value="true" checked[sent.chose(&field, "true", property.get("default") == Some(&Value::Bool(true)))]; (page::text(label)) },
            kind => label {
                span { (page::text(label)) @if required { span.dim { " (required)" } } }
                @match kind {
                    Kind::Choice(choices) => select name=(field) required[required] {
                        @if !required { option value="" { "" } }
                        @for choice in choices { option value=(choice.to_string()) selected[sent.chose(&field, &choice.to_string(), property.get("default") == Some(choice))] { (plain(choice)) } }
                    },
                    Kind::Number => input name=(field) type="number" step=(if property.get("type").and_then(Value::as_str) == Some("integer") { "1" } else { "any" })
                        min=[property.get("minimum").map(plain)] max=[property.get("maximum").map(plain)] value=[value] required[required];,
                    Kind::Text => input name=(field) value=[value] required[required];,
                    _ => textarea name=(field) rows="2" required[required] placeholder="JSON" spellcheck="false" { "\n" (value.unwrap_or_default()) },
                }
                @if let Some(about) = property.get("description").and_then(Value::as_str) { span.dim { (page::text(about)) } }
            },
        }
    } }
}

/// Returns a value as text, without quotes if it is text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns the value that a form has sent.
pub fn read(schema: Option<&Value>, prefix: &str, sent: &Fields) -> Result<Option<Value>, Problem> {
    let Some(properties) = properties(schema) else { return sent.json(prefix) };
    let mut object = Map::new();
    for (name, property) in properties {
        let field = format!("{prefix}.{name}");
        let value = match (kind(property), sent.get(&field)) {
            (Kind::Flag, given) => Some(Value::Bool(given.is_some())),
            (_, None) => None,
            (Kind::Text, Some(text)) => Some(Value::from(text)),
            (Kind::Choice(_) | Kind::Number | Kind::Json, Some(text)) => Some(
                serde_json::from_str(text.trim())
                    .map_err(|_| Problem::invalid(format!("{name} has no valid value")))?,
            ),
        };
        object.extend(value.map(|value| (name.clone(), value)));
    }
    Ok(Some(Value::Object(object)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_form_has_a_field_for_each_property_and_sends_their_types() {
        let schema = json!({"type": "object", "required": ["ok"], "properties": {
            "ok": {"type": "boolean"}, "note": {"type": "string", "title": "<b>"}, "level": {"enum": ["low", 2]},
            "amount": {"type": "number", "minimum": 0}, "more": {"type": "array"}}});
        let form = fields(Some(&schema), "p", Sent::nothing()).into_string();
        assert!(form.contains("name=\"p.amount\"") && form.contains("&lt;b&gt;") && !form.contains("<b>"), "{form}");
        let sent =
            |pairs: &[(&str, &str)]| Fields(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        let given =
            sent(&[("p.ok", "true"), ("p.note", "7"), ("p.level", "\"low\""), ("p.amount", "1.5"), ("p.more", "[1]")]);
        let value = read(Some(&schema), "p", &given).unwrap();
        assert_eq!(value, Some(json!({"ok": true, "note": "7", "level": "low", "amount": 1.5, "more": [1]})));
        assert_eq!(read(Some(&schema), "p", &sent(&[])).unwrap(), Some(json!({"ok": false})));
        assert!(read(Some(&schema), "p", &sent(&[("p.amount", "x")])).unwrap_err().message.contains("amount"));
        assert_eq!(read(None, "p", &sent(&[("p", "[1]")])).unwrap(), Some(json!([1])));
    }
}
