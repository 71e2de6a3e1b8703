//! WF301 to WF314, and WF204 to WF207: what expressions read, depending on their location.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::facts::Facts;
use super::known_facts::Flow;
use super::parallel::Parallel;
use super::parameters::Parameters;
use super::shape::Shape;
use super::sites::{self, Phase, Site, SiteValue};
use super::text::Text;
use super::{Check, habits, undo};
use crate::expression::template::{self, FILTERS, FUNCTIONS, Named, TESTS};
use crate::finding::{MAX_FINDINGS, shorten};
use crate::interrupt;
use crate::language::definition::Assignment;
use crate::language::parse::Place;
use crate::language::parse::name::nearest;
use crate::source::NodeId;

/// Functions about the task that has just ended.
pub const OF_THE_END: [&str; 8] =
    ["result", "error", "succeeded", "failed", "timed_out", "completed", "cancelled", "skipped"];

pub fn check(check: &mut Check<'_>, shape: &Shape<'_>, parallel: &mut Parallel) {
    published_twice(check);
    let mut checker = Expressions {
        shape,
        parallel,
        variables: Flow::new(shape, Facts::of_variables(shape)),
        ended: None,
        parameters: Parameters::of(check.definition.parameters.as_ref()),
        ran: HashMap::new(),
        asked: HashMap::new(),
        sibling: HashMap::new(),
    };
    sites::visit(check.definition, &mut |site| checker.site(check, &site));
}

/// Reports names set twice in one list: only the second value remains.
fn published_twice(check: &mut Check<'_>) {
    let definition = check.definition;
    let mut twice = |list: &[Assignment], path: &str, task: Option<usize>| {
        let mut seen = HashSet::new();
        for (i, assignment) in list.iter().enumerate() {
            if !seen.insert(&assignment.name) {
                let message = format!("`{}` is set twice here", shorten(&assignment.name, 80));
                let hint = "only the last value is used; remove the others".to_owned();
                check.at(&format!("{path}[{i}].name")).task(task).warning(206, message, hint);
            }
        }
    };
    twice(&definition.vars, "vars", None);
    twice(&definition.output_map, "output_map", None);
    twice(&definition.attributes, "attributes", None);
    for (i, task) in definition.tasks.iter().enumerate() {
        twice(&task.publish, &format!("tasks[{i}].publish"), Some(i));
        for (j, next) in task.next.iter().enumerate() {
            twice(&next.publish, &format!("tasks[{i}].next[{j}].publish"), Some(i));
        }
    }
}

pub struct Expressions<'s> {
    pub shape: &'s Shape<'s>,
    pub parallel: &'s mut Parallel,
    /// Where each variable is set.
    pub variables: Flow,
    /// Where each task has ended; computed when first needed.
    pub ended: Option<Flow>,
    pub parameters: Parameters,
    /// By task: which tasks can run without it having run, and which come after it.
    pub ran: HashMap<usize, (Vec<bool>, Vec<bool>)>,
    /// By task: the tasks and parameters that its own condition mentions.
    pub asked: HashMap<usize, HashSet<String>>,
    /// By task and variable: a task on a parallel branch that sets it.
    pub sibling: HashMap<(usize, String), Option<usize>>,
}

impl Expressions<'_> {
    fn site(&mut self, check: &mut Check<'_>, site: &Site<'_>) {
        interrupt::check();
        let place = check.locate(&site.path);
        match site.value {
            SiteValue::Any(value) => self.value(check, site, value, place),
            SiteValue::Text(text) | SiteValue::Condition(text) => {
                // For expanded sugar, check what was written.
                let written = place.filter(|place| place.sugar);
                let places = check.places;
                let text = match written {
                    Some(place) => places.source().str(place.node).unwrap_or_default(),
                    None => text,
                };
                self.text(check, &Text { site, text, place });
            }
        }
    }

    /// Checks the texts in a value. The parser has limited its depth.
    fn value(&mut self, check: &mut Check<'_>, site: &Site<'_>, value: &Value, place: Option<Place>) {
        interrupt::check();
        let places = check.places;
        let child = |node: Option<NodeId>| place.and(node).map(|node| Place { node, offset: 0, sugar: false });
        let source = places.source();
        match value {
            Value::String(text) => self.text(check, &Text { site, text, place }),
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    let node = place.and_then(|place| source.at(place.node, i));
                    self.value(check, site, item, child(node));
                }
            }
            Value::Object(map) => {
                // The value was made from the node, in the same order.
                let nodes = place.map_or(&[][..], |place| source.entries(place.node));
                for (i, (_, item)) in map.iter().enumerate() {
                    self.value(check, site, item, child(nodes.get(i).map(|(_, node)| *node)));
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, check: &mut Check<'_>, text: &Text<'_>) {
        if check.findings.len() >= MAX_FINDINGS {
            return;
        }
        if template::is_yaql(text.text) {
            self.yaql(check, text);
        }
        if !template::is_template(text.text) {
            return;
        }
        let references = match template::references(text.text, check.bounds) {
            Ok(references) => references,
            Err(error) => {
                let (message, hint) = match error.code {
                    301 => {
                        let message = format!("the expression does not parse: {}", error.message);
                        (message, habits::syntax(text.text, error.at).map(str::to_owned))
                    }
                    _ => (error.message, None),
                };
                text.spot(check, error.at).error(error.code, message, hint);
                return;
            }
        };
        if let Some(at) = habits::dollar(text.text) {
            let message = "`$` before `{{` is part of the text".to_owned();
            text.spot(check, at).warning(312, message, "write {{ … }} without `$`".to_owned());
        }
        for named in references.bound.iter().filter(|named| named.name.starts_with("__")) {
            private(check, text, &named.name, named.at);
        }
        for read in &references.reads {
            self.read(check, text, read);
        }
        for compared in &references.compared {
            self.compared(check, text, compared);
        }
        undo::results(check, text, &references);
        for function in &references.functions {
            self.function(check, text, function);
        }
        for (kind, list, used) in [("filter", FILTERS, &references.filters), ("test", TESTS, &references.tests)] {
            for named in used.iter().filter(|named| !list.contains(&named.name.as_str())) {
                unknown(check, text, kind, named, list);
            }
        }
        for method in &references.methods {
            let message = format!("values have no methods, such as `{}()`", shorten(&method.name, 80));
            let hint = match (habits::method(&method.name), nearest_or_same(&method.name, FILTERS)) {
                (Some(hint), _) => hint.to_owned(),
                (None, Some(filter)) => format!("use the filter `| {filter}`"),
                (None, None) => "use a filter".to_owned(),
            };
            text.spot(check, method.at).error(305, message, hint);
        }
    }

    fn yaql(&mut self, check: &mut Check<'_>, text: &Text<'_>) {
        let at = text.text.find("<%").unwrap_or_default();
        let message = "YAQL expressions <% … %> are not supported".to_owned();
        let trimmed = text.text.trim();
        let whole = trimmed.starts_with("<%") && trimmed.ends_with("%>");
        let hint = "write {{ … }}".to_owned();
        match whole || matches!(text.site.value, SiteValue::Condition(_)) {
            true => text.spot(check, at).error(307, message, hint),
            // In the middle of a text it may be intended literally.
            false => text.spot(check, at).warning(307, message, hint),
        }
    }

    fn function(&mut self, check: &mut Check<'_>, text: &Text<'_>, function: &Named) {
        let name = function.name.as_str();
        if name.starts_with("__") {
            return private(check, text, name, function.at);
        }
        if !FUNCTIONS.contains(&name) {
            return unknown(check, text, "function", function, FUNCTIONS);
        }
        let phase = text.site.phase;
        if OF_THE_END.contains(&name) && !phase.is_after_end() && !(name == "result" && repeats_input(check, text)) {
            let message = format!("`{name}()` is used before any task has ended");
            let hint = match name {
                "result" | "error" => format!("write `task.NAME.{name}`, or publish it when the task ends"),
                _ => "write `task_status('NAME')`".to_owned(),
            };
            let spot = text.spot(check, function.at);
            match phase {
                // An output that can't be rendered does not prevent anything from running.
                Phase::Output => spot.warning(205, message, hint),
                _ => spot.error(205, message, hint),
            }
        }
        if let (true, Some((task, at))) = (name == "task_status", &function.argument) {
            self.no_such_task(check, text, task, *at);
        }
    }
}

/// Whether a text is in the input of a task that is rendered again for each repetition.
fn repeats_input(check: &Check<'_>, text: &Text<'_>) -> bool {
    let task = text.site.task.map(|task| &check.definition.tasks[task]);
    let is_input = text.site.phase == Phase::Item && text.site.path.ends_with(".input");
    is_input && task.is_some_and(|task| task.repeat.is_some() && task.with_items.is_none())
}

pub fn private(check: &mut Check<'_>, text: &Text<'_>, name: &str, at: usize) {
    let message = format!("`{}`: names that start with __ are private", shorten(name, 80));
    text.spot(check, at).error(306, message, "choose another name".to_owned());
}

fn unknown(check: &mut Check<'_>, text: &Text<'_>, kind: &str, named: &Named, valid: &[&str]) {
    let message = format!("unknown {kind} `{}`", shorten(&named.name, 80));
    let meant = match kind {
        "function" => habits::function(&named.name),
        "filter" => habits::filter(&named.name),
        _ => habits::test(&named.name),
    };
    let hint = match (meant, nearest(&named.name, valid.iter().copied())) {
        (Some(hint), _) => hint.to_owned(),
        (None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None) => format!("valid: {}", valid.join(", ")),
    };
    text.spot(check, named.at).error(305, message, hint);
}

fn nearest_or_same<'c>(word: &str, valid: &[&'c str]) -> Option<&'c str> {
    valid.iter().find(|candidate| **candidate == word).copied().or_else(|| nearest(word, valid.iter().copied()))
}
