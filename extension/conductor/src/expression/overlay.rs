//! Maps with changes laid over them, which look like plain maps to expressions.

use crate::expression::values::Data;
use indexmap::IndexMap;
use minijinja::value::{Enumerator, Object, Value};
use std::sync::Arc;

/// Names and their new values, in order.
pub type Changes = IndexMap<String, Data>;

/// A map with changes laid over it.
#[derive(Debug)]
struct Overlay {
    base: Data,
    changes: Changes,
}

impl Object for Overlay {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        self.changes.get(name).cloned().or_else(|| known(&self.base, name))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let fresh = self.changes.keys().filter(|name| known(&self.base, name).is_none());
        let fresh = fresh.map(|name| Value::from(name.as_str()));
        Enumerator::Values(self.base.try_iter().into_iter().flatten().chain(fresh).collect())
    }
}

/// Whether a value is a map seen through changes.
pub(crate) fn is_overlay(value: &Data) -> bool {
    value.downcast_object_ref::<Overlay>().is_some()
}

/// Returns a map as seen through changes, without copying it.
pub fn seen_through(base: &Data, changes: &Changes) -> Data {
    if changes.is_empty() {
        base.clone()
    } else {
        Value::from_object(Overlay { base: base.clone(), changes: changes.clone() })
    }
}

/// Returns a variable, if there is one with this name.
pub(crate) fn known(variables: &Data, name: &str) -> Option<Data> {
    variables.get_item(&Value::from(name)).ok().filter(|value| !value.is_undefined())
}
