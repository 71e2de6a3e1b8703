//! JSON as seen by a validator that the host can interrupt: the same as `serde_json`'s representation, except that it
//! checks for interrupts whenever the validator enters a value or takes its next part.

use std::borrow::Cow;

use jsonschema::json::{Array, Json, Node, NodeIdentity, Object, SerdeJson};
use jsonschema::types::JsonType;
use serde_json::{Map, Number, Value};

use crate::interrupt;

/// The representation.
pub struct Checked;

/// Delegates to `serde_json`'s representation of the same value.
macro_rules! plainly {
    ($value:expr, $trait:ident, $method:ident $(, $argument:expr)*) => {
        $trait::<'a, SerdeJson>::$method($value $(, $argument)*)
    };
}

impl Json for Checked {
    type Node<'a> = &'a Value;
    type PreparedKey = String;
    type StringBuffer = ();

    const KEYS_PER_LOOKUP: usize = SerdeJson::KEYS_PER_LOOKUP;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(&Value) -> T) -> T {
        interrupt::check();
        f(&Value::String(string.to_owned()))
    }
}

impl<'a> Node<'a, Checked> for &'a Value {
    type Object = &'a Map<String, Value>;
    type Array = &'a [Value];
    type Number = &'a Number;

    fn as_object(&self) -> Option<&'a Map<String, Value>> {
        plainly!(self, Node, as_object)
    }

    fn as_array(&self) -> Option<&'a [Value]> {
        plainly!(self, Node, as_array)
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        // Callers examine the whole value.
        interrupt::check();
        plainly!(self, Node, as_string)
    }

    fn as_number(&self) -> Option<&'a Number> {
        plainly!(self, Node, as_number)
    }

    fn as_boolean(&self) -> Option<bool> {
        plainly!(self, Node, as_boolean)
    }

    fn is_null(&self) -> bool {
        plainly!(self, Node, is_null)
    }

    fn json_type(&self) -> JsonType {
        interrupt::check();
        plainly!(self, Node, json_type)
    }

    fn string_length(&self) -> Option<u64> {
        interrupt::check();
        plainly!(self, Node, string_length)
    }

    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        interrupt::check();
        plainly!(self, Node, string_length_within, min, max)
    }

    fn equals_value(&self, expected: &Value) -> bool {
        interrupt::check();
        plainly!(self, Node, equals_value, expected)
    }

    fn to_value(&self) -> Cow<'a, Value> {
        plainly!(self, Node, to_value)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        plainly!(self, Node, identity)
    }
}

impl<'a> Object<'a, Checked> for &'a Map<String, Value> {
    type Node = &'a Value;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        plainly!(self, Object, len)
    }

    fn get(&self, key: &String) -> Option<&'a Value> {
        interrupt::check();
        plainly!(self, Object, get, key)
    }

    fn members(&self) -> Members<'a> {
        Members(self.iter())
    }
}

/// The members of an object.
pub struct Members<'a>(serde_json::map::Iter<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a Value);

    fn next(&mut self) -> Option<Self::Item> {
        interrupt::check();
        self.0.next().map(|(name, value)| (name.as_str(), value))
    }
}

impl<'a> Array<'a, Checked> for &'a [Value] {
    type Node = &'a Value;
    type ElementsIter = Elements<'a>;

    fn len(&self) -> usize {
        plainly!(self, Array, len)
    }

    fn elements(&self) -> Elements<'a> {
        Elements(self.iter())
    }

    fn is_unique(&self) -> bool {
        interrupt::check();
        plainly!(self, Array, is_unique)
    }
}

/// The elements of an array.
pub struct Elements<'a>(std::slice::Iter<'a, Value>);

impl<'a> Iterator for Elements<'a> {
    type Item = &'a Value;

    fn next(&mut self) -> Option<Self::Item> {
        interrupt::check();
        self.0.next()
    }
}
