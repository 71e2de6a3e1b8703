//! Whether a value is as expected.

use crate::interrupt;
use crate::source::push_key;
use serde_json::Value;

/// The first place where a value differs from what is expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// The path to it; empty for the value as a whole.
    pub path: String,
    /// What is expected there.
    pub expected: Value,
    /// What is there; `None` if nothing is.
    pub got: Option<Value>,
}

/// Returns where a value differs from what is expected, or `None` if it does not. A map needs the expected keys and may
/// have others, a list needs exactly the expected elements, and numbers are compared by value. What is expected to be
/// null may be absent.
///
/// The depth of what is expected has been limited, and therefore the depth of this recursion.
pub fn mismatch(expected: &Value, got: Option<&Value>) -> Option<Mismatch> {
    interrupt::check();
    let here = || Some(Mismatch { path: String::new(), expected: expected.clone(), got: got.cloned() });
    let inside = |step: &dyn Fn(&mut String), expected, got| {
        mismatch(expected, got).map(|found| {
            let mut path = String::new();
            step(&mut path);
            if !found.path.is_empty() && !found.path.starts_with('[') {
                path.push('.');
            }
            Mismatch { path: path + &found.path, ..found }
        })
    };
    match (expected, got) {
        (Value::Null, None | Some(Value::Null)) => None,
        (Value::Object(wanted), Some(Value::Object(given))) => wanted
            .iter()
            .find_map(|(key, value)| inside(&|path: &mut String| push_key(path, key), value, given.get(key))),
        (Value::Array(wanted), Some(Value::Array(given))) if wanted.len() == given.len() => {
            wanted.iter().zip(given).enumerate().find_map(|(index, (wanted, given))| {
                inside(&|path: &mut String| path.push_str(&format!("[{index}]")), wanted, Some(given))
            })
        }
        (Value::Number(wanted), Some(Value::Number(given)))
            if (wanted.is_f64() || given.is_f64()) && wanted.as_f64() == given.as_f64() =>
        {
            None
        }
        (wanted, Some(given)) if wanted == given => None,
        _ => here(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_map_may_have_more_and_a_list_may_not() {
        for (expected, got) in [
            (json!({}), json!({"a": 1})),
            (json!({"a": {"b": 1}}), json!({"a": {"b": 1.0, "c": 2}, "d": 3})),
            (json!([1, {"a": 2}]), json!([1, {"a": 2, "b": 3}])),
            (json!({"a": null}), json!({})),
            (json!(null), json!(null)),
            (json!("1"), json!("1")),
        ] {
            assert_eq!(mismatch(&expected, Some(&got)), None, "{expected} {got}");
        }
    }

    #[test]
    fn the_first_mismatch_has_a_path() {
        for (expected, got, path) in [
            (json!({"a": [{"b c": 1}]}), json!({"a": [{"b c": 2}]}), "a[0][\"b c\"]"),
            (json!({"a": {"b": [1]}}), json!({"a": {"b": [1, 2]}}), "a.b"),
            (json!([[0, 1]]), json!([[0, 2]]), "[0][1]"),
            (json!({"a": 1}), json!({"b": 1}), "a"),
            (json!({"a": null}), json!({"a": false}), "a"),
            (json!(1), json!("1"), ""),
            (json!({}), json!([]), ""),
        ] {
            assert_eq!(
                mismatch(&expected, Some(&got)).map(|found| found.path).as_deref(),
                Some(path),
                "{expected} {got}"
            );
        }
        assert_eq!(mismatch(&json!(1), None).and_then(|found| found.got), None);
    }
}
