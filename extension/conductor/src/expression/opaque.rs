//! A stored value that is read only when an expression looks into it: most values are passed on unread.

use crate::expression::template::watched::unwatched;
use crate::expression::values::Data;
use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Value};
use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// An object or list in storage. Other values are read immediately.
pub trait Source: Any + Send + Sync {
    /// Reads the value; [`unreadable`](crate::expression::values::unreadable) if it cannot be read.
    fn read(&self) -> Data;
    /// Whether it is a list.
    fn is_list(&self) -> bool;
    /// Returns its size in bytes.
    fn bytes(&self) -> usize;
    /// Whether it is nested deeper than this many levels.
    fn is_deeper_than(&self, levels: usize) -> bool;
}

/// A stored value that may not have been read yet.
struct Stored {
    source: Box<dyn Source>,
    read: OnceLock<Data>,
}

/// Returns the value of a source.
pub fn data(source: impl Source) -> Data {
    Value::from_object(Stored { source: Box::new(source), read: OnceLock::new() })
}

/// Returns the source of a value that is stored unchanged, or `None` if the value is new.
pub fn source<S: Source>(data: &Data) -> Option<&S> {
    let source: &dyn Any = any_source(data)?;
    source.downcast_ref()
}

/// Returns the source, whatever its type.
pub(crate) fn any_source(data: &Data) -> Option<&dyn Source> {
    unwatched(data).downcast_object_ref::<Stored>().map(|stored| &*stored.source)
}

impl Stored {
    fn read(&self) -> &Data {
        self.read.get_or_init(|| self.source.read())
    }

    /// Returns the object that was read, or `None` if it cannot be read.
    fn object(&self) -> Option<&DynObject> {
        self.read().as_object()
    }
}

impl Object for Stored {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        if self.source.is_list() { ObjectRepr::Seq } else { ObjectRepr::Map }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match self.object() {
            Some(object) => object.get_value(key),
            None => Some(self.read().clone()),
        }
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match self.object() {
            Some(object) => object.get_value_by_str(key),
            None => Some(self.read().clone()),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.object().map_or(Enumerator::NonEnumerable, |object| object.enumerate())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        self.object()?.enumerator_len()
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}
