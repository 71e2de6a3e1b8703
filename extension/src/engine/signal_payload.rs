//! Payloads of signals, and whether tasks accept them.

use crate::error::Error;
use conductor::code::Code;
use conductor::graph::Node;
use serde_json::Value;

/// Returns a payload as a value; null if there is none.
pub fn payload_value(text: Option<&str>) -> Result<Value, Error> {
    let value = text.map(conductor::json::from_text::<Value>).transpose();
    value.map(Option::unwrap_or_default).map_err(|error| {
        Error::refused(Code::INVALID_ARGUMENT, "the payload cannot be used", "Send JSON without NUL characters.")
            .with_detail(error.to_string())
    })
}

/// Returns why a task cannot accept a payload; `None` if it can.
pub fn violation(node: &Node, payload: &Value) -> Option<String> {
    let violations = node.signal_schema.as_ref()?.violations(payload);
    let first = violations.list.first()?;
    let place = if first.path.is_empty() { String::new() } else { format!(" at {}", first.path) };
    Some(format!("{}{place}", first.message))
}
