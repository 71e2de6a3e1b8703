//! WF301 to WF307, and WF204 to WF206: what expressions read, depending on where they are.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::flow::{Flow, Known};
use super::shape::Shape;
use super::sites::{self, Phase, Site, SiteValue};
use super::{Check, Spot};
use crate::expression::template::{self, FILTERS, FUNCTIONS, Named, Read, TESTS};
use crate::interrupt;
use crate::language::definition::Assignment;
use crate::language::finding::{MAX_FINDINGS, shorten};
use crate::language::parse::Place;
use crate::language::parse::name::{list, nearest};
use crate::language::source::NodeId;

/// Maximum number of transitions followed to find out which task comes after which.
const MAX_STEPS: usize = 20_000_000;

/// Variables of the scope.
const ROOTS: [&str; 7] = ["parameters", "vars", "task", "item", "index", "batch", "system"];
const SYSTEM: [&str; 5] = ["workflow_ref", "execution", "now", "verdict", "errors"];
/// Functions about the task that has just ended.
const OF_THE_END: [&str; 8] =
    ["result", "error", "succeeded", "failed", "timed_out", "completed", "cancelled", "skipped"];

pub fn check(check: &mut Check<'_>, shape: &Shape<'_>) {
    published_twice(check);
    let parameters = declared(check.definition.parameters.as_ref());
    let checker = Expressions { shape, flow: Flow::new(shape), parameters, ran: HashMap::new() };
    let mut checker = checker;
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
    for (i, task) in definition.tasks.iter().enumerate() {
        twice(&task.publish, &format!("tasks[{i}].publish"), Some(i));
        for (j, next) in task.next.iter().enumerate() {
            twice(&next.publish, &format!("tasks[{i}].next[{j}].publish"), Some(i));
        }
    }
}

/// Returns the declared parameters; none if the schema may allow others in ways that can't be listed.
fn declared(schema: Option<&Value>) -> Option<HashSet<String>> {
    let Some(schema) = schema else { return Some(HashSet::new()) };
    let listable = schema.as_object()?.iter().all(|(key, value)| match key.as_str() {
        "additionalProperties" | "unevaluatedProperties" => value == &Value::Bool(false),
        "patternProperties" | "propertyNames" | "dependentSchemas" | "dependencies" | "if" | "$ref" | "$dynamicRef" => {
            false
        }
        "allOf" | "anyOf" | "oneOf" => false,
        _ => true,
    });
    let properties = schema.get("properties").and_then(Value::as_object);
    listable.then(|| properties.map(|p| p.keys().cloned().collect()).unwrap_or_default())
}

struct Expressions<'s> {
    shape: &'s Shape<'s>,
    flow: Flow,
    parameters: Option<HashSet<String>>,
    /// By task: which tasks can run without it having run, and which come after it.
    ran: HashMap<usize, (Vec<bool>, Vec<bool>)>,
}

/// A text with expressions, and its location.
struct Text<'t> {
    site: &'t Site<'t>,
    text: &'t str,
    place: Option<Place>,
}

impl Text<'_> {
    fn spot<'c, 'a>(&'c self, check: &'c mut Check<'a>, at: usize) -> Spot<'c, 'a> {
        let mut spot = check.at(&self.site.path).task(self.site.task);
        spot.place = self.place.map(|place| Place { offset: at, ..place });
        spot.inside = true;
        spot.expression = Some(self.text);
        spot
    }
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
        let references = match template::references(text.text, check.limits) {
            Ok(references) => references,
            Err(error) => {
                let message = match error.code {
                    301 => format!("the expression does not parse: {}", error.message),
                    _ => error.message,
                };
                text.spot(check, error.at).error(error.code, message, None);
                return;
            }
        };
        for named in references.bound.iter().filter(|named| named.name.starts_with("__")) {
            private(check, text, &named.name, named.at);
        }
        for read in &references.reads {
            self.read(check, text, read);
        }
        for function in &references.functions {
            self.function(check, text, function);
        }
        for (kind, list, used) in [("filter", FILTERS, &references.filters), ("test", TESTS, &references.tests)] {
            for named in used.iter().filter(|named| !list.contains(&named.name.as_str())) {
                unknown(check, text, kind, named, list);
            }
        }
        for method in &references.methods {
            let message = format!("values have no methods: `{}()`", shorten(&method.name, 80));
            let hint = match nearest_or_same(&method.name, FILTERS) {
                Some(filter) => format!("use the filter `| {filter}`"),
                None => "use a filter".to_owned(),
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

    fn read(&mut self, check: &mut Check<'_>, text: &Text<'_>, read: &Read) {
        if read.root.starts_with("__") {
            return private(check, text, &read.root, read.at);
        }
        let member = read.member.as_deref();
        if let Some(name) = member.filter(|name| name.starts_with("__") && matches!(&*read.root, "vars" | "parameters"))
        {
            return private(check, text, name, read.member_at);
        }
        match (read.root.as_str(), member) {
            ("item" | "index" | "batch", _) => self.item(check, text, read),
            _ if read.guarded => {}
            ("vars", Some(name)) => self.variable(check, text, read, name),
            ("parameters", Some(name)) => self.parameter(check, text, read, name),
            ("task", Some(name)) => self.task(check, text, name, read.member_at, read.conditional),
            ("system", Some(name)) if !SYSTEM.contains(&name) => {
                let message = format!("`system` has no `{}`", shorten(name, 80));
                let hint = crate::language::parse::name::suggest(name, &SYSTEM);
                text.spot(check, read.member_at).error(302, message, hint);
            }
            ("input", _) if text.site.phase == Phase::Undo => {}
            (root, _) if !ROOTS.contains(&root) => self.unknown_root(check, text, root, read.at),
            _ => {}
        }
    }

    fn unknown_root(&mut self, check: &mut Check<'_>, text: &Text<'_>, root: &str, at: usize) {
        let shown = shorten(root, 80);
        if FUNCTIONS.contains(&root) {
            if OF_THE_END.contains(&root) {
                let message = format!("`{root}` is a function");
                text.spot(check, at).error(302, message, format!("write `{root}()`"));
            }
            return;
        }
        let hint = if self.flow.is_variable(root) {
            format!("write `vars.{shown}`")
        } else if self.parameters.as_ref().is_some_and(|parameters| parameters.contains(root)) {
            format!("write `parameters.{shown}`")
        } else if self.shape.by_name.contains_key(root) {
            format!("write `task.{shown}.result`")
        } else {
            crate::language::parse::name::suggest(root, &ROOTS)
        };
        text.spot(check, at).error(302, format!("unknown variable `{shown}`"), hint);
    }

    fn item(&mut self, check: &mut Check<'_>, text: &Text<'_>, read: &Read) {
        if read.guarded {
            return;
        }
        let site = text.site;
        let with_items = site.task.is_some_and(|task| check.definition.tasks[task].with_items.is_some());
        let hint = match (with_items, site.phase) {
            (true, Phase::Item | Phase::Attempt | Phase::Undo) => return,
            (true, _) => "it is known only while an item runs: in `action` and `input`",
            (false, _) => "add `with_items` to the task",
        };
        let message = format!("`{}` outside of `with_items`", read.root);
        text.spot(check, read.at).error(204, message, hint.to_owned());
    }

    fn variable(&mut self, check: &mut Check<'_>, text: &Text<'_>, read: &Read, name: &str) {
        let site = text.site;
        if site.set.iter().copied().flatten().any(|assignment| assignment.name == name) {
            return;
        }
        let shown = shorten(name, 80);
        let spot = |check| text.spot(check, read.member_at);
        if !self.flow.is_variable(name) {
            let known: Vec<&str> = self.flow.variables().collect();
            let hint = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `vars.{near}`?"),
                None => format!("set it in `vars`, or publish it in an earlier task: `publish: [{{{shown}: …}}]`"),
            };
            return spot(check).error(302, format!("the variable `{shown}` is never set"), hint);
        }
        let hint = format!("give it an initial value: `vars: [{{{shown}: …}}]`");
        let known = match (site.phase, site.task) {
            (Phase::Start, _) => Known::Never,
            (_, Some(task)) => self.flow.known(task, name),
            _ => return,
        };
        let task = site.task.map_or("", |task| &check.definition.tasks[task].name);
        let before = shorten(task, 80).into_owned();
        match known {
            Known::Always => {}
            Known::Never if site.phase == Phase::Start => {
                let hint = "set it earlier".to_owned();
                spot(check).error(302, format!("the variable `{shown}` is read before it is set"), hint);
            }
            Known::Never => {
                spot(check).error(302, format!("the variable `{shown}` is not set before `{before}`"), hint);
            }
            // A part that is not always evaluated may know which path was taken.
            _ if read.conditional => {}
            Known::Sometimes => {
                let message = format!("the variable `{shown}` is not set on every path to `{before}`");
                spot(check).error(302, message, hint);
            }
            Known::UnlessFailed => {
                let message = format!("after a failure, the variable `{shown}` may be unset here");
                spot(check).warning(302, message, hint);
            }
        }
    }

    fn parameter(&mut self, check: &mut Check<'_>, text: &Text<'_>, read: &Read, name: &str) {
        let Some(parameters) = self.parameters.as_ref().filter(|parameters| !parameters.contains(name)) else { return };
        let shown = shorten(name, 80);
        let hint = match nearest(name, parameters.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `parameters.{near}`?"),
            None => format!("declare it: `parameters: {{properties: {{{shown}: {{type: …}}}}}}`"),
        };
        text.spot(check, read.member_at).error(303, format!("the parameter `{shown}` is not declared"), hint);
    }

    fn task(&mut self, check: &mut Check<'_>, text: &Text<'_>, name: &str, at: usize, conditional: bool) {
        let shown = shorten(name, 80);
        let Some(&task) = self.shape.by_name.get(name) else {
            let names: Vec<&str> = self.shape.by_name.keys().copied().collect();
            let hint = match nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `task.{near}`?"),
                None => format!("defined: {}", list(&sorted(names))),
            };
            return text.spot(check, at).error(304, format!("there is no task `{shown}`"), hint);
        };
        let site = text.site;
        let here = match (site.phase, site.task) {
            (Phase::Start, _) => {
                let message = format!("no task has run yet: `task.{shown}`");
                return text.spot(check, at).error(304, message, None);
            }
            (Phase::After | Phase::Attempt | Phase::Undo, Some(here)) if here == task => return,
            (_, Some(here)) if Some(here) != self.shape.finally && self.shape.reachable[here] => here,
            _ => return,
        };
        let current = shorten(&check.definition.tasks[here].name, 80).into_owned();
        if self.cannot_have_run(task, here) {
            let message = format!("the task `{shown}` can't have run before `{current}`");
            text.spot(check, at).error(304, message, None);
        } else if !conditional && !self.leads_to(task, here) {
            let message = format!("the task `{shown}` may not have run before `{current}`: it does not lead there");
            let hint = "wait for it with a join, or use `default`".to_owned();
            text.spot(check, at).warning(304, message, hint);
        }
    }

    /// Returns what can run without a task, and what comes after it; none if that would take too long to find out.
    fn around(&mut self, here: usize) -> Option<&(Vec<bool>, Vec<bool>)> {
        let shape = self.shape;
        if !self.ran.contains_key(&here) && (self.ran.len() + 1) * shape.edges.len() > MAX_STEPS {
            return None;
        }
        Some(self.ran.entry(here).or_insert_with(|| {
            let next: Vec<usize> = shape.outbound[here].iter().map(|edge| shape.edges[*edge].to).collect();
            (shape.reach(&shape.starts, Some(here)), shape.reach(&next, None))
        }))
    }

    /// Whether every path to the task leads through `here`, and none leads back.
    fn cannot_have_run(&mut self, task: usize, here: usize) -> bool {
        if Some(task) == self.shape.finally {
            return true;
        }
        self.around(here).is_some_and(|(without, after)| !without[task] && !after[here])
    }

    fn leads_to(&mut self, task: usize, here: usize) -> bool {
        self.around(task).is_none_or(|(_, after)| after[here])
    }

    fn function(&mut self, check: &mut Check<'_>, text: &Text<'_>, function: &Named) {
        let name = function.name.as_str();
        if name.starts_with("__") {
            return private(check, text, name, function.at);
        }
        if !FUNCTIONS.contains(&name) {
            return match name {
                "ctx" => {
                    let hint = "write `vars.name` or `parameters.name`".to_owned();
                    text.spot(check, function.at).error(305, "unknown function `ctx`".to_owned(), hint)
                }
                _ => unknown(check, text, "function", function, FUNCTIONS),
            };
        }
        let phase = text.site.phase;
        if OF_THE_END.contains(&name) && !matches!(phase, Phase::After | Phase::Attempt | Phase::Undo) {
            let message = format!("`{name}()` before any task has ended");
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
        if let (true, Some((task, at))) = (name == "task_status", &function.argument)
            && !self.shape.by_name.contains_key(task.as_str())
        {
            self.task(check, text, task, *at, false);
        }
    }
}

fn private(check: &mut Check<'_>, text: &Text<'_>, name: &str, at: usize) {
    let message = format!("`{}`: names that start with __ are private", shorten(name, 80));
    text.spot(check, at).error(306, message, "choose another name".to_owned());
}

fn unknown(check: &mut Check<'_>, text: &Text<'_>, kind: &str, named: &Named, valid: &[&str]) {
    let message = format!("unknown {kind} `{}`", shorten(&named.name, 80));
    let hint = match nearest(&named.name, valid.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("valid: {}", valid.join(", ")),
    };
    text.spot(check, named.at).error(305, message, hint);
}

fn nearest_or_same<'c>(word: &str, valid: &[&'c str]) -> Option<&'c str> {
    valid.iter().find(|candidate| **candidate == word).copied().or_else(|| nearest(word, valid.iter().copied()))
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}
