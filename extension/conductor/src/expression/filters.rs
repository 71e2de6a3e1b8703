//! Filters that MiniJinja does not have: reading JSON, reading and writing YAML, and regular expressions.
//!
//! Regular expressions are those of the `regex` crate: they take time linear in the text. Patterns are limited in size,
//! and so is the result of a replacement.

use crate::expression::template::metered::MAX_TEXT;
use crate::expression::{Data, data};
use crate::interrupt;
use minijinja::{Environment, Error, ErrorKind, Value};
use regex::{Captures, Regex, RegexBuilder};
use serde_json::Value as Json;

mod yaml;

/// Maximum size of a compiled pattern, in bytes.
const MAX_PATTERN: usize = 1 << 20;

/// Registers the filters with an environment whose values may be nested this deep.
pub fn register(environment: &mut Environment<'static>, depth: usize) {
    environment.add_filter("fromjson", move |text: &str| from_json(text, depth));
    environment.add_filter("fromyaml", move |text: &str| from_yaml(text, depth));
    environment.add_filter("toyaml", to_yaml);
    environment.add_filter("regex_search", search);
    environment.add_filter("regex_findall", find_all);
    environment.add_filter("regex_replace", replace);
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

fn from_json(text: &str, depth: usize) -> Result<Data, Error> {
    let value =
        crate::json::from_text::<Json>(text).map_err(|error| invalid(format!("the text is not JSON: {error}")))?;
    if is_deeper(&value, depth) {
        return Err(invalid(format!("the JSON is nested deeper than {depth} levels")));
    }
    Ok(data(&value))
}

fn from_yaml(text: &str, depth: usize) -> Result<Data, Error> {
    let value = yaml::read(text, depth).map_err(|error| invalid(format!("the text is not YAML: {error}")))?;
    Ok(data(&value))
}

fn to_yaml(value: Value) -> Result<String, Error> {
    let value: Json = serde_json::to_value(&value).map_err(|error| invalid(format!("cannot write YAML: {error}")))?;
    let text = yaml::write(&value);
    match text.len() > MAX_TEXT {
        true => Err(invalid(format!("the YAML is longer than the {MAX_TEXT} bytes allowed here"))),
        false => Ok(text),
    }
}

/// Whether a value is nested deeper than this. The parser does not read more than 128 levels.
fn is_deeper(value: &Json, depth: usize) -> bool {
    let below = |value: &Json| depth == 0 || is_deeper(value, depth - 1);
    match value {
        Json::Array(list) => interrupt::checked(list).any(below),
        Json::Object(map) => interrupt::checked(map).any(|(_, value)| below(value)),
        _ => false,
    }
}

fn compiled(pattern: &str) -> Result<Regex, Error> {
    let built = RegexBuilder::new(pattern).size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN).build();
    built.map_err(|error| invalid(format!("the regular expression is invalid: {error}")))
}

/// Returns the groups of the first match, starting with the whole match, or null if there is no match.
fn search(text: &str, pattern: &str) -> Result<Data, Error> {
    let found = compiled(pattern)?.captures(text).map(|found| Data::from(groups(&found)));
    Ok(found.unwrap_or_else(|| Data::from(())))
}

/// Returns all matches.
fn find_all(text: &str, pattern: &str) -> Result<Data, Error> {
    let pattern = compiled(pattern)?;
    let found = interrupt::checked(pattern.find_iter(text)).map(|found| Data::from(found.as_str()));
    Ok(Data::from(found.collect::<Vec<_>>()))
}

/// Replaces all matches; `$1` and `${name}` stand for groups.
fn replace(text: &str, pattern: &str, replacement: &str) -> Result<String, Error> {
    let pattern = compiled(pattern)?;
    let (mut replaced, mut end) = (String::new(), 0);
    for found in interrupt::checked(pattern.captures_iter(text)) {
        let Some(whole) = found.get(0) else { continue };
        replaced.push_str(&text[end..whole.start()]);
        found.expand(replacement, &mut replaced);
        end = whole.end();
        if replaced.len() > MAX_TEXT {
            return Err(invalid(format!("the replacement is longer than the {MAX_TEXT} bytes allowed here")));
        }
    }
    replaced.push_str(&text[end..]);
    Ok(replaced)
}

fn groups(found: &Captures) -> Vec<Data> {
    found.iter().map(|group| group.map_or_else(|| Data::from(()), |group| Data::from(group.as_str()))).collect()
}
