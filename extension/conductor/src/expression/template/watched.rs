//! The type of a large value passed to a library function. [`watch`](super::watch) says how it behaves.

use minijinja::value::{DynObject, Value};

/// A list or map. Values taken out of it are watched, too.
pub struct Watched {
    pub(super) value: Value,
    pub(super) object: DynObject,
}

/// Whether a value is watched.
pub fn is_watched(value: &Value) -> bool {
    value.downcast_object_ref::<Watched>().is_some()
}

/// Returns the value that is watched, or the given one.
pub fn unwatched(value: &Value) -> &Value {
    value.downcast_object_ref::<Watched>().map_or(value, |watched| &watched.value)
}
