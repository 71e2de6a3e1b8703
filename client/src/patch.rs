//! Updates of nullable columns.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Update of a nullable column: leave it, clear it, or set a value.
///
/// In JSON, these are a missing key, null, and a value; a field of this type needs `#[serde(default,
/// skip_serializing_if = "Patch::is_keep")]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// Leave the column as it is.
    #[default]
    Keep,
    /// Set it to NULL.
    Null,
    /// Write this value.
    Set(T),
}

impl<T> Patch<T> {
    /// Whether the column is left as it is.
    pub fn is_keep(&self) -> bool {
        matches!(self, Patch::Keep)
    }
}

impl<T> From<T> for Patch<T> {
    fn from(value: T) -> Patch<T> {
        Patch::Set(value)
    }
}

impl<T> From<Option<T>> for Patch<T> {
    /// Sets the column to a new value; `None` is NULL.
    fn from(value: Option<T>) -> Patch<T> {
        value.map_or(Patch::Null, Patch::Set)
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Patch::Set(value) => value.serialize(serializer),
            Patch::Keep | Patch::Null => serializer.serialize_none(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Patch<T>, D::Error> {
        Option::<T>::deserialize(deserializer).map(Patch::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Update {
        #[serde(skip_serializing_if = "Patch::is_keep")]
        a: Patch<i32>,
        #[serde(skip_serializing_if = "Patch::is_keep")]
        b: Patch<String>,
    }

    #[test]
    fn json_tells_missing_from_null() {
        for (update, text) in [
            (Update::default(), json!({})),
            (Update { a: Patch::Null, ..Default::default() }, json!({"a": null})),
            (Update { a: 1.into(), b: Patch::Null }, json!({"a": 1, "b": null})),
        ] {
            assert_eq!(serde_json::to_value(&update).unwrap(), text);
            assert_eq!(serde_json::from_value::<Update>(text).unwrap(), update);
        }
    }
}
