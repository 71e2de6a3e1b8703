//! The walk over a source: typed reads that report what is missing or wrong and continue.

use std::collections::HashMap;

use serde_json::{Number, Value};

use super::Place;
use super::duration::{self, MAX_SECONDS};
use super::foreign;
use super::name;
use crate::bounds::Bounds;
use crate::code::Code;
use crate::expression::template;
use crate::finding::{Finding, MAX_FINDINGS, Severity, shorten};
use crate::interrupt;
use crate::source::{Content, Defect, NodeId, Source};

/// Maximum number of task names that a definition may mention in total; this also limits its transitions.
const MAX_NAMES: usize = 100_000;

/// A reader that turns a [`Source`] into a definition.
pub struct Walk<'a> {
    pub source: &'a Source,
    pub bounds: &'a Bounds,
    /// The task being read.
    pub task: Option<String>,
    findings: Vec<Finding>,
    places: HashMap<String, Place>,
    /// Number of names read from lists of names so far.
    names: usize,
}

/// The known fields of a map. Fields that are null count as missing.
pub struct Fields {
    /// The map.
    pub node: NodeId,
    given: Vec<(&'static str, NodeId)>,
}

impl Fields {
    /// Returns an empty set of fields.
    pub fn none(node: NodeId) -> Fields {
        Fields { node, given: Vec::new() }
    }

    pub fn get(&self, key: &str) -> Option<NodeId> {
        self.given.iter().find(|(name, _)| *name == key).map(|(_, id)| *id)
    }
}

/// The range of a number.
#[derive(Clone, Copy)]
pub struct Range {
    pub min: f64,
    pub max: f64,
    pub whole: bool,
}

impl Range {
    pub const fn whole(min: u32, max: u32) -> Range {
        Range { min: min as f64, max: max as f64, whole: true }
    }

    pub const fn real(min: f64, max: f64) -> Range {
        Range { min, max, whole: false }
    }

    /// Whole seconds, at least one.
    pub const TIMEOUT: Range = Range { min: 1.0, max: MAX_SECONDS as f64, whole: true };
    /// Seconds.
    pub const DELAY: Range = Range { min: 0.0, max: MAX_SECONDS as f64, whole: false };
}

impl<'a> Walk<'a> {
    pub fn new(source: &'a Source, bounds: &'a Bounds) -> Self {
        Walk { source, bounds, task: None, findings: Vec::new(), places: HashMap::new(), names: 0 }
    }

    pub fn finish(self) -> (Vec<Finding>, HashMap<String, Place>) {
        (self.findings, self.places)
    }

    /// Reports what is wrong with a node.
    pub fn report(&mut self, code: u16, node: NodeId, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.report_at(code, Some(node), self.source.node(node).start, message.into(), hint.into());
    }

    pub fn defect(&mut self, defect: Defect) {
        self.report_at(defect.code.0, defect.node, defect.at, defect.message, defect.hint);
    }

    fn report_at(&mut self, code: u16, node: Option<NodeId>, at: usize, message: String, hint: Option<String>) {
        if self.findings.len() >= MAX_FINDINGS {
            return;
        }
        let (line, column) = self.source.line_and_column(at);
        self.findings.push(Finding {
            code: Code(code),
            severity: Severity::Error,
            message,
            hint,
            path: node.map(|node| self.source.path(node)).unwrap_or_default(),
            task: self.task.clone(),
            expression: None,
            line,
            column,
        });
    }

    /// Remembers where a part of the normal form is written.
    pub fn place(&mut self, path: String, node: NodeId) {
        interrupt::check();
        self.places.insert(path, Place { node, offset: 0, sugar: false });
    }

    /// Returns the node of a part.
    pub fn placed(&self, path: &str) -> Option<NodeId> {
        self.places.get(path).map(|place| place.node)
    }

    /// Remembers what a part of the normal form was made from.
    pub fn place_sugar(&mut self, path: String, node: NodeId) {
        self.places.insert(path, Place { node, offset: 0, sugar: true });
    }

    /// Remembers where a name is in a text.
    pub fn place_name(&mut self, path: String, name: &Name) {
        self.places.insert(path, Place { node: name.node, offset: name.offset, sugar: false });
    }

    /// Reports that a node has the wrong type.
    pub fn wrong_type(&mut self, node: NodeId, what: &str, expected: &str) {
        let found = self.source.content(node).kind();
        self.report(5, node, format!("{what} must be {expected}, not {found}"), None);
    }

    /// Returns the fields of a map and reports unknown ones.
    pub fn fields(&mut self, node: NodeId, what: &str, known: &[&'static str]) -> Option<Fields> {
        self.fields_but(node, what, known, known)
    }

    /// Like [`Walk::fields`], but suggests only some of them.
    pub fn fields_but(
        &mut self,
        node: NodeId,
        what: &str,
        known: &[&'static str],
        suggested: &[&'static str],
    ) -> Option<Fields> {
        let Content::Map(entries) = self.source.content(node) else {
            let message = format!("{what} must be a map, not {}", self.source.content(node).kind());
            self.report(5, node, message, suggested.first().map(|field| format!("write {{{field}: …}}")));
            return None;
        };
        let mut given = Vec::new();
        for (key, value) in interrupt::checked(entries) {
            let key_text = self.source.str(*key).unwrap_or_default();
            match known.iter().find(|name| **name == key_text) {
                Some(name) if !matches!(self.source.content(*value), Content::Null) => given.push((*name, *value)),
                Some(_) => {}
                None if self.findings.len() >= MAX_FINDINGS => {}
                None => {
                    let message = format!("unknown field `{}` of {what}", shorten(key_text, 80));
                    let hint = foreign::hint(what, key_text).map(str::to_owned);
                    self.report(3, *key, message, hint.unwrap_or_else(|| name::suggest(key_text, suggested)));
                }
            }
        }
        Some(Fields { node, given })
    }

    pub fn missing(&mut self, node: NodeId, what: &str, field: &str) {
        self.report(4, node, format!("{what} has no `{field}`"), format!("add `{field}:`"));
    }

    /// Reads a text that must not be empty. `what` names it in messages.
    pub fn text(&mut self, node: NodeId, what: &str) -> Option<String> {
        match self.source.content(node) {
            Content::Text(text) if text.trim().is_empty() => {
                self.report(202, node, format!("{what} is empty"), None);
                None
            }
            Content::Text(text) => Some(text.clone()),
            Content::Bool(_) | Content::Number(_) => {
                let hint = format!("put it in quotes: \"{}\"", shorten(self.source.literal(node), 60));
                let found = self.source.content(node).kind();
                self.report(5, node, format!("{what} must be text, not {found}"), hint);
                None
            }
            _ => {
                self.wrong_type(node, what, "text");
                None
            }
        }
    }

    pub fn flag(&mut self, node: NodeId, what: &str) -> Option<bool> {
        match self.source.content(node) {
            Content::Bool(flag) => Some(*flag),
            _ => {
                let found = self.source.content(node).kind();
                let hint = "write true or false, without quotes".to_owned();
                self.report(5, node, format!("{what} must be a boolean, not {found}"), hint);
                None
            }
        }
    }

    /// Reads one of several words.
    pub fn word<T: Copy>(&mut self, node: NodeId, what: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, what)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let valid: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("{what} can't be `{}`", shorten(&text, 80));
            self.report(6, node, message, name::suggest(&text, &valid));
        }
        found.map(|(_, value)| *value)
    }

    pub fn number(&mut self, node: NodeId, what: &str, range: Range) -> Option<Number> {
        match self.source.content(node) {
            Content::Number(number) => self.within(node, what, range, number.clone()),
            Content::Text(text) if text.trim().parse::<f64>().is_ok() => {
                let hint = "remove the quotes".to_owned();
                self.report(5, node, format!("{what} must be a number, not text"), hint);
                None
            }
            _ => {
                self.wrong_type(node, what, "a number");
                None
            }
        }
    }

    fn within(&mut self, node: NodeId, what: &str, range: Range, number: Number) -> Option<Number> {
        let real = number.as_f64().unwrap_or(f64::NAN);
        let message = if range.whole && !(number.is_i64() || number.is_u64()) {
            format!("{what} must be a whole number, not {number}")
        } else if !(range.min..=range.max).contains(&real) {
            format!("{what} must be between {} and {}, not {number}", range.min, range.max)
        } else {
            return Some(number);
        };
        self.report(6, node, message, None);
        None
    }

    pub fn whole(&mut self, node: NodeId, what: &str, range: Range) -> Option<u64> {
        self.number(node, what, range)?.as_u64()
    }

    pub fn real(&mut self, node: NodeId, what: &str, range: Range) -> Option<f64> {
        self.number(node, what, range)?.as_f64()
    }

    /// Reads seconds, from a number or a duration's text.
    pub fn duration(&mut self, node: NodeId, what: &str, range: Range) -> Option<Number> {
        match self.source.str(node) {
            Some(text) => match duration::seconds(text) {
                Some(seconds) => self.within(node, what, range, Number::from(seconds)),
                None => {
                    let message = format!("{what} can't be `{}`", shorten(text, 80));
                    let hint = "write seconds as a number, or 90s, 5m, 2h, 1h30m, 1d, or PT1H30M".to_owned();
                    self.report(6, node, message, hint);
                    None
                }
            },
            None => self.number(node, what, range),
        }
    }

    /// Reads a duration, or a template that yields one.
    pub fn duration_or_template(&mut self, node: NodeId, path: String, what: &str, range: Range) -> Option<Value> {
        match self.template(node, path) {
            Some(template) => Some(template),
            None => self.duration(node, what, range).map(Value::Number),
        }
    }

    /// Reads a number, or a template that yields one.
    pub fn number_or_template(&mut self, node: NodeId, path: String, what: &str, range: Range) -> Option<Value> {
        match self.template(node, path) {
            Some(template) => Some(template),
            None => self.number(node, what, range).map(Value::Number),
        }
    }

    /// Reads a text with a template in it.
    pub fn template(&mut self, node: NodeId, path: String) -> Option<Value> {
        let text = self.source.str(node).filter(|text| template::is_template(text))?;
        self.place(path, node);
        Some(Value::String(text.to_owned()))
    }

    /// Reads any value.
    pub fn value(&mut self, node: NodeId, path: String) -> Value {
        self.place(path, node);
        self.source.value(node)
    }

    /// Reads a boolean or one template. `Some(None)` means always true.
    pub fn condition(&mut self, node: NodeId, path: String, what: &str) -> Option<Option<String>> {
        self.place(path, node);
        match self.source.content(node) {
            Content::Bool(true) => Some(None),
            Content::Bool(false) => Some(Some("{{ false }}".to_owned())),
            Content::Text(text) if template::pure(text).is_some() || template::is_yaql(text) => {
                Some(Some(text.clone()))
            }
            Content::Text(text) if text.trim().is_empty() => {
                self.report(202, node, format!("{what} is empty"), "remove it, or write a condition".to_owned());
                None
            }
            Content::Text(text) => {
                let bare: String = text.replace("${{", "").replace("{{", "").replace("}}", "");
                let hint = format!("write \"{{{{ {} }}}}\"", shorten(bare.trim(), 200));
                self.report(6, node, format!("{what} must be a boolean or one {{{{ … }}}} template"), hint);
                None
            }
            _ => {
                self.wrong_type(node, what, "a boolean or one {{ … }} template");
                None
            }
        }
    }

    /// Reads names, as a list or as comma-separated text.
    pub fn names(&mut self, node: NodeId, what: &str) -> Vec<Name> {
        let names = self.all_names(node, what);
        self.names += names.len();
        if self.names <= MAX_NAMES {
            return names;
        }
        let message = format!("there are more than {MAX_NAMES} task names in total");
        self.report(9, node, message, "move some of its tasks into a sub-workflow".to_owned());
        Vec::new()
    }

    fn all_names(&mut self, node: NodeId, what: &str) -> Vec<Name> {
        match self.source.content(node) {
            Content::Text(_) => {
                let Some(text) = self.text(node, what) else { return Vec::new() };
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                let offset = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
                interrupt::checked(parts)
                    .map(|part| Name { text: part.to_owned(), node, offset: offset(part) })
                    .collect()
            }
            Content::List(items) => {
                interrupt::checked(items).filter_map(|item| self.name_in_list(*item, what)).collect()
            }
            _ => {
                self.wrong_type(node, what, "a name or a list of names");
                Vec::new()
            }
        }
    }

    fn name_in_list(&mut self, node: NodeId, what: &str) -> Option<Name> {
        let text = self.text(node, what)?;
        let offset = text.len() - text.trim_start().len();
        Some(Name { text: text.trim().to_owned(), node, offset })
    }
}

/// A name that a definition mentions.
pub struct Name {
    pub text: String,
    pub node: NodeId,
    /// Where it starts in the node's value.
    pub offset: usize,
}
