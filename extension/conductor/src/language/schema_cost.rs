//! The maximum cost of validating a value against a schema.
//!
//! A validator recurses over schema and value together: a `$ref` that leads back to itself never ends, and a few that
//! branch take exponential time. This module walks the same paths beforehand, without recursion and within a budget;
//! only what it lets through may be given to a validator.

use std::collections::{HashMap, HashSet};

use crate::interrupt;
use serde_json::Value;

/// Maximum number of pairs of a schema and a value that may have to be examined.
const MAX_STEPS: usize = 500_000;
/// Maximum depth at which schemas may be applied within each other.
const MAX_DEPTH: usize = 200;

/// Keywords whose value is a schema for the same value.
const SAME: [&str; 4] = ["not", "if", "then", "else"];
/// Keywords whose value is a list of schemas for the same value.
const SAME_LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
/// Keywords whose value maps names to schemas for the same value.
const SAME_MAPS: [&str; 2] = ["dependentSchemas", "dependencies"];
/// Keywords that refer to a schema for the same value.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// Keywords whose value, a schema or a list of schemas, applies to what is inside the value.
const INSIDE: [&str; 8] = [
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "items",
    "prefixItems",
    "additionalItems",
    "contains",
    "unevaluatedItems",
];
/// Keywords whose value does not contain schemas.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];

/// Maximum length of a text that may be matched against a pattern or format: matching cannot be interrupted.
const MAX_MATCHED: usize = 64 << 10;
/// Keywords that match a text.
const MATCHING: [&str; 4] = ["pattern", "format", "contentEncoding", "contentMediaType"];

/// Returns the size of a schema: its number of values, plus its text, of which eight bytes count as one value.
pub fn size(schema: &Value) -> usize {
    let (mut open, mut size) = (vec![schema], 0);
    while let Some(value) = open.pop() {
        interrupt::check();
        size += 1;
        match value {
            Value::String(text) => size += text.len() / 8,
            Value::Array(list) => open.extend(list),
            Value::Object(map) => {
                size += map.keys().map(|key| key.len() / 8).sum::<usize>();
                open.extend(map.values());
            }
            _ => {}
        }
    }
    size
}

/// Whether the value can be validated within limits.
pub fn affordable(schema: &Value, value: &Value) -> bool {
    let references = References::new(schema);
    let mut open = vec![(schema, value, 0)];
    let mut steps = 0;
    while let Some((schema, value, depth)) = open.pop() {
        interrupt::check();
        steps += 1 + at_once(schema, value);
        if steps + open.len() > MAX_STEPS || depth > MAX_DEPTH || is_long_match(schema, value) {
            return false;
        }
        let Some(same) = references.same(schema) else { return false };
        open.extend(same.into_iter().map(|(_, schema)| (schema, value, depth + 1)));
        inside(schema, value, &mut |schema, value| open.push((schema, value, depth + 1)));
    }
    true
}

/// Returns the number of items that are compared with each other without interruption.
fn at_once(schema: &Value, value: &Value) -> usize {
    let unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
    value.as_array().filter(|_| unique).map_or(0, Vec::len)
}

/// Whether a long text would be matched.
fn is_long_match(schema: &Value, value: &Value) -> bool {
    let is_long = |text: &str| text.len() > MAX_MATCHED;
    let matches = |keywords: &[&str]| keywords.iter().any(|keyword| schema.get(keyword).is_some());
    match value {
        Value::String(text) => is_long(text) && matches(&MATCHING),
        Value::Object(map) => matches(&["patternProperties", "propertyNames"]) && map.keys().any(|key| is_long(key)),
        _ => false,
    }
}

/// Visits the schemas for the parts of a value.
fn inside<'v>(schema: &'v Value, value: &'v Value, visit: &mut impl FnMut(&'v Value, &'v Value)) {
    let Some(keywords) = schema.as_object() else { return };
    let parts: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => return,
    };
    if let (Some(properties), Some(map)) = (keywords.get("properties").and_then(Value::as_object), value.as_object()) {
        map.iter().filter_map(|(name, part)| Some((properties.get(name)?, part))).for_each(|(s, part)| visit(s, part));
    }
    let patterns = keywords.get("patternProperties").and_then(Value::as_object);
    let each = patterns.into_iter().flat_map(|patterns| patterns.values());
    let lists = INSIDE.iter().filter_map(|keyword| keywords.get(*keyword)).flat_map(|schema| match schema {
        Value::Array(schemas) => schemas.iter().collect(),
        _ => vec![schema],
    });
    for schema in each.chain(lists).filter(|schema| schema.is_object()) {
        parts.iter().for_each(|part| visit(schema, part));
    }
}

/// Returns the JSON pointer of a schema that leads back to itself without descending into the value.
pub fn endless(schema: &Value) -> Option<String> {
    let references = References::new(schema);
    let all = schemas(schema);
    let pointers: HashMap<*const Value, &str> =
        interrupt::checked(&all).map(|(at, s)| (std::ptr::from_ref(*s), at.as_str())).collect();
    let mut done: HashSet<*const Value> = HashSet::new();
    for (_, start) in &all {
        // The current path of unfinished schemas, each with those that remain to be examined.
        let mut way: Vec<(&Value, Vec<&Value>)> = Vec::new();
        let mut on_way: HashSet<*const Value> = HashSet::new();
        let mut next = Some(*start);
        loop {
            interrupt::check();
            if let Some(schema) = next.take() {
                let key = std::ptr::from_ref(schema);
                if on_way.contains(&key) {
                    return Some(pointers.get(&key).map_or(String::new(), |pointer| (*pointer).to_owned()));
                }
                if !done.contains(&key) {
                    on_way.insert(key);
                    let same = references.same(schema).unwrap_or_default();
                    way.push((schema, same.into_iter().map(|(_, schema)| schema).collect()));
                }
            }
            let Some((schema, rest)) = way.last_mut() else { break };
            next = rest.pop();
            if next.is_none() {
                let key = std::ptr::from_ref(*schema);
                done.insert(key);
                on_way.remove(&key);
                way.pop();
            }
        }
    }
    None
}

/// Returns JSON pointers of references that lead out of the schema, and of identifiers inside it that could make them.
pub fn remote(schema: &Value) -> Vec<String> {
    let references = References::new(schema);
    let mut found = Vec::new();
    for (pointer, schema) in interrupt::checked(schemas(schema)) {
        let Some(keywords) = schema.as_object() else { continue };
        for keyword in REFERENCES {
            if keywords.get(keyword).and_then(Value::as_str).is_some_and(|target| !target.starts_with('#')) {
                found.push(format!("{pointer}/{keyword}"));
            }
        }
        let is_root = std::ptr::eq(schema, references.root);
        if !is_root && keywords.get("$id").and_then(Value::as_str).is_some_and(|id| !id.starts_with('#')) {
            found.push(format!("{pointer}/$id"));
        }
    }
    found
}

/// Returns all schemas in a schema, with their JSON pointers.
fn schemas(root: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), root)];
    while let Some((pointer, schema)) = open.pop() {
        interrupt::check();
        match schema {
            Value::Object(keywords) => {
                let below = keywords.iter().filter(|(keyword, _)| !DATA.contains(&keyword.as_str()));
                open.extend(below.map(|(keyword, part)| (format!("{pointer}/{}", escape(keyword)), part)));
                found.push((pointer, schema));
            }
            Value::Array(parts) => {
                open.extend(parts.iter().enumerate().map(|(i, part)| (format!("{pointer}/{i}"), part)));
            }
            _ => {}
        }
    }
    found
}

/// Escapes a key for a JSON pointer.
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Resolver of references.
struct References<'s> {
    root: &'s Value,
    anchors: HashMap<&'s str, &'s Value>,
}

impl<'s> References<'s> {
    fn new(root: &'s Value) -> Self {
        let mut anchors = HashMap::new();
        let mut open = vec![root];
        while let Some(schema) = open.pop() {
            interrupt::check();
            match schema {
                Value::Object(keywords) => {
                    for keyword in ["$anchor", "$dynamicAnchor", "$id"] {
                        if let Some(name) = keywords.get(keyword).and_then(Value::as_str) {
                            anchors.insert(name.trim_start_matches('#'), schema);
                        }
                    }
                    open.extend(
                        keywords.iter().filter(|(keyword, _)| !DATA.contains(&keyword.as_str())).map(|(_, s)| s),
                    );
                }
                Value::Array(parts) => open.extend(parts),
                _ => {}
            }
        }
        References { root, anchors }
    }

    /// Returns the schemas that a schema applies to the same value, or `None` if one can't be resolved.
    fn same(&self, schema: &'s Value) -> Option<Vec<(&'s str, &'s Value)>> {
        let Some(keywords) = schema.as_object() else { return Some(Vec::new()) };
        let mut found = Vec::new();
        for (keyword, value) in keywords {
            let keyword = keyword.as_str();
            match value {
                Value::Object(_) if SAME.contains(&keyword) => found.push((keyword, value)),
                Value::Array(list) if SAME_LISTS.contains(&keyword) => found.extend(list.iter().map(|s| (keyword, s))),
                Value::Object(map) if SAME_MAPS.contains(&keyword) => found.extend(map.values().map(|s| (keyword, s))),
                Value::String(target) if REFERENCES.contains(&keyword) => found.push((keyword, self.find(target)?)),
                _ => {}
            }
        }
        Some(found)
    }

    fn find(&self, target: &str) -> Option<&'s Value> {
        let fragment = target.strip_prefix('#')?;
        let fragment = decode(fragment)?;
        match fragment.as_str() {
            "" => Some(self.root),
            pointer if pointer.starts_with('/') => self.root.pointer(pointer),
            name => self.anchors.get(name).copied(),
        }
    }
}

/// Decodes `%xx`.
fn decode(fragment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}
