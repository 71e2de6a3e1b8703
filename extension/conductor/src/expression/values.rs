//! JSON as expressions see it, and conversions.

use crate::interrupt;
use crate::json;
use minijinja::value::{Value, ValueKind};
use serde::Deserialize;

/// JSON as expressions see it: cheap to clone.
pub type Data = Value;

/// Converts JSON to data. Its producer has limited its depth.
pub fn data(value: &serde_json::Value) -> Data {
    use serde_json::Value as Json;
    match value {
        Json::Array(list) => Value::from(interrupt::checked(list).map(data).collect::<Vec<_>>()),
        Json::Object(map) => Value::from_pairs(interrupt::checked(map).map(|(key, value)| (key.as_str(), data(value)))),
        // Any JSON is data: nothing in it can be rejected.
        scalar => Value::deserialize(scalar).unwrap_or_default(),
    }
}

/// Converts data to JSON. Settled data has a limited depth.
pub fn json(data: &Data) -> serde_json::Value {
    use serde_json::Value as Json;
    interrupt::check();
    match data.kind() {
        ValueKind::Seq => data.try_iter().into_iter().flatten().map(|item| json(&item)).collect(),
        ValueKind::Map => {
            let pairs = data.as_object().and_then(|object| object.try_iter_pairs()).into_iter().flatten();
            Json::Object(
                pairs.map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), json(&value))).collect(),
            )
        }
        _ => serde_json::to_value(data).unwrap_or_default(),
    }
}

/// Converts data to JSON text, as the database stores it.
pub fn json_text(data: &Data) -> String {
    // Settled data always serializes: its keys are text, and it contains no functions.
    json::to_text(data).unwrap_or_else(|_| "null".to_owned())
}

/// Parses JSON text into data. The error says why that failed.
pub fn parse_json(text: &str) -> Result<Data, String> {
    json::from_text(text).map_err(|error| error.to_string())
}

/// Returns a placeholder for a stored value that cannot be read: only expressions that use it fail.
pub fn unreadable(message: String) -> Data {
    Value::from(minijinja::Error::new(minijinja::ErrorKind::BadSerialization, message))
}
