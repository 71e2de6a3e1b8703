//! YAML text, read within the bounds of definitions and written in block style.

use crate::bounds::Bounds;
use crate::expression::template::metered::MAX_TEXT;
use crate::interrupt;
use crate::source::Source;
use serde_json::Value;

/// Reads YAML text that is nested no deeper than `depth`.
pub fn read(text: &str, depth: usize) -> Result<Value, String> {
    let bounds = Bounds { depth, source_bytes: MAX_TEXT, ..Bounds::default() };
    let (source, defects) = Source::read(text.as_bytes(), &bounds);
    match (defects.first(), source.root()) {
        (None, Some(root)) => Ok(source.value(root)),
        (Some(defect), _) => Err(defect.message.clone()),
        (None, None) => Err("it is empty".to_owned()),
    }
}

/// Writes a value: lists and maps with one line per element, everything else as in JSON, and keys without quotes if
/// they mean the same without them.
pub fn write(value: &Value) -> String {
    let mut text = String::new();
    write_below(&mut text, value, 0);
    text.push('\n');
    text
}

/// Writes a value with each element on a line of its own, with this indentation.
fn write_below(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Array(list) if !list.is_empty() => {
            for (number, element) in interrupt::checked(list).enumerate() {
                begin_line(text, number, indent);
                text.push_str("- ");
                write_below(text, element, indent + 2);
            }
        }
        Value::Object(map) if !map.is_empty() => {
            for (number, (key, element)) in interrupt::checked(map).enumerate() {
                begin_line(text, number, indent);
                match is_plain(key) {
                    true => text.push_str(key),
                    false => text.push_str(&Value::from(key.as_str()).to_string()),
                }
                text.push(':');
                match has_elements(element) {
                    true => begin_line(text, 1, indent + 2),
                    false => text.push(' '),
                }
                write_below(text, element, indent + 2);
            }
        }
        other => text.push_str(&other.to_string()),
    }
}

fn has_elements(value: &Value) -> bool {
    value.as_array().is_some_and(|list| !list.is_empty()) || value.as_object().is_some_and(|map| !map.is_empty())
}

/// Begins the line of an element. The first element goes on the current line.
fn begin_line(text: &mut String, number: usize, indent: usize) {
    if number > 0 {
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', indent));
    }
}

/// Whether a key means the same without quotes: it does not resolve to another kind of scalar, and contains no
/// indicator characters.
fn is_plain(key: &str) -> bool {
    let word = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let other = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    word && !other.contains(&key.to_ascii_lowercase().as_str())
}
