//! Writes values as YAML, one entry per line.

use serde_json::Value;
use std::fmt::Write;

/// Returns a map as YAML.
pub fn text(value: &Value) -> String {
    let mut text = String::new();
    block(&mut text, value, 0);
    text
}

fn block(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let _ = write!(text, "{indent}{}:", scalar(&Value::from(key.as_str())));
                entry(text, value, depth);
            }
        }
        Value::Array(list) => {
            for value in list {
                let _ = write!(text, "{indent}-");
                match value {
                    Value::Object(map) if !map.is_empty() => {
                        let mut inner = String::new();
                        block(&mut inner, value, depth + 1);
                        // The first line follows the dash.
                        let _ = write!(text, " {}", inner.trim_start());
                    }
                    value => entry(text, value, depth),
                }
            }
        }
        value => drop(writeln!(text, "{indent}{}", scalar(value))),
    }
}

fn entry(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            text.push('\n');
            block(text, value, depth + 1);
        }
        Value::Array(list) if !list.is_empty() => {
            text.push('\n');
            block(text, value, depth + 1);
        }
        value => drop(writeln!(text, " {}", scalar(value))),
    }
}

/// Returns a scalar: as it is if that is unambiguous, otherwise as JSON, which is also YAML.
fn scalar(value: &Value) -> String {
    let Some(text) = value.as_str() else { return value.to_string() };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ' | ',');
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(plain)
        && !text.ends_with(' ')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_lowercase().as_str());
    if is_word { text.to_owned() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_can_be_read() {
        let value = json!({
            "ref": "a.b", "label": "yes", "n": 1, "none": null, "empty": [], "version": "1.0",
            "tasks": [{"name": "a", "do": ["b", "c d"], "input": {"x": "{{ y }}", "z": [[1], {}]}}, 3, "- x"],
        });
        let written = text(&value);
        assert_eq!(crate::explore::value(written.as_bytes()), Ok(value), "{written}");
    }
}
