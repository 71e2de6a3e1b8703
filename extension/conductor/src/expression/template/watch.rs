//! A large value passed to a library function: it behaves like the same value, but every step of a walk through it
//! checks whether the host wants to stop.

use super::watched::{Watched, is_watched};
use crate::expression::opaque;
use crate::expression::overlay;
use crate::interrupt;
use indexmap::IndexMap;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use std::fmt;
use std::sync::Arc;

/// Returns the same list or map, watched, or any other value unchanged.
pub fn watched(value: Value) -> Value {
    let can_be = match value.kind() {
        // A tuple must remain a tuple. It is never lazy, and was paid for slot by slot when it was made.
        ValueKind::Seq | ValueKind::Iterable => !value.is_tuple(),
        // A namespace must remain a namespace, and is small.
        ValueKind::Map => is_plain_map(&value) || opaque::any_source(&value).is_some() || overlay::is_overlay(&value),
        _ => false,
    };
    match value.as_object().cloned().filter(|_| can_be && !is_watched(&value)) {
        Some(object) => Value::from_object(Watched { value, object }),
        None => value,
    }
}

/// Whether it is a map made by MiniJinja, rather than an object that looks like one.
pub fn is_plain_map(value: &Value) -> bool {
    value.downcast_object_ref::<IndexMap<Value, Value>>().is_some()
}

impl Object for Watched {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        self.object.repr()
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        interrupt::check();
        self.object.get_value(key).map(watched)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        interrupt::check();
        self.object.get_value_by_str(key).map(watched)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.object.try_iter() {
            Some(items) => Enumerator::Iter(Box::new(items.inspect(|_| interrupt::check()).map(watched))),
            None => Enumerator::NonEnumerable,
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        self.object.enumerator_len()
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.object.is_true()
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = || self.object.try_iter().into_iter().flatten().map(watched);
        match self.object.repr() {
            ObjectRepr::Map => {
                let entries = items().map(|key| {
                    interrupt::check();
                    let value = self.object.get_value(&key).map(watched).unwrap_or_default();
                    (key, value)
                });
                f.debug_map().entries(entries).finish()
            }
            _ => f.debug_list().entries(interrupt::checked(items())).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::watched::unwatched;
    use super::*;

    #[test]
    fn maps_that_are_made_are_told_from_other_objects() {
        assert!(is_plain_map(&Value::from_pairs([("a", 1)])));
        let mut environment = minijinja::Environment::new();
        environment.add_filter("it", |value: Value| is_plain_map(&value) || is_watched(&watched(value)));
        let namespace = environment.compile_expression_owned("namespace(a=1) | it").unwrap();
        assert!(!namespace.eval(()).unwrap().is_true());
    }

    #[test]
    fn what_is_watched_looks_as_before() {
        let list = crate::expression::data(&serde_json::json!([[1, 2], {"a": "x"}, "y"]));
        for value in [list.clone(), Value::from_pairs([("a", list.clone()), ("b", Value::from(1))])] {
            let same = watched(value.clone());
            assert!(is_watched(&same));
            assert_eq!(same, value);
            assert_eq!(same.to_string(), value.to_string());
            assert_eq!(format!("{same:?} {same:#?}"), format!("{value:?} {value:#?}"));
            assert_eq!(serde_json::to_string(&same).unwrap(), serde_json::to_string(&value).unwrap());
            assert_eq!((same.kind(), same.len(), same.is_true()), (value.kind(), value.len(), value.is_true()));
            assert!(!is_watched(unwatched(&same)));
        }
        assert!(!is_watched(&watched(Value::from("text"))));
    }
}
