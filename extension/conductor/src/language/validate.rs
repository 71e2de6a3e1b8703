//! Finds every problem with a definition that can be known before it runs.
//!
//! A finding is an error only if it is certain; otherwise it is a warning: a workflow that can run well is never
//! rejected.

mod actions;
mod cycles;
mod ending;
mod expressions;
mod fact_set;
mod facts;
mod habits;
mod handlers;
mod joins;
mod known_facts;
mod names;
mod parallel;
mod parameters;
mod possible_end;
mod reachability;
mod reads;
mod retries;
mod schemas;
mod shape;
mod sites;
mod tasks;
mod text;
mod transitions;
mod undo;

use crate::bounds::Bounds;
use crate::code::Code;
use crate::finding::{Finding, MAX_FINDINGS, Severity, shorten};
use crate::interrupt;
use crate::language::catalogue::Catalogue;
use crate::language::definition::Definition;
use crate::language::parse::{Parsed, Place, Places, parse};
use crate::source::NodeId;

/// Returns all findings about a parsed source, including those of the parser, sorted by place.
pub fn validate(parsed: &Parsed, catalogue: &dyn Catalogue, bounds: &Bounds) -> Vec<Finding> {
    let mut findings = parsed.findings.clone();
    if let Some(definition) = &parsed.definition {
        let places = &parsed.places;
        let mut check = Check { definition, places, bounds, catalogue, findings: &mut findings };
        let shape = shape::Shape::new(definition, bounds);
        if definition.tasks.is_empty() && places.source().root().is_none() {
            check.at("tasks").error(101, "the workflow has no tasks".to_owned(), "add a task".to_owned());
        }
        let mut parallel = parallel::Parallel::new(&shape);
        names::check(&mut check, &shape);
        transitions::check(&mut check, &shape);
        reachability::check(&mut check, &shape);
        joins::check(&mut check, &shape);
        cycles::check(&mut check, &shape);
        handlers::check(&mut check, &shape, &mut parallel);
        retries::check(&mut check);
        undo::check(&mut check, &shape);
        expressions::check(&mut check, &shape, &mut parallel);
        schemas::check(&mut check);
        actions::check(&mut check);
    }
    let key = |finding: &Finding| (finding.line, finding.column, finding.code);
    findings.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message)));
    findings.dedup();
    findings
}

/// A definition and all findings about its source.
#[derive(Debug)]
pub struct Checked {
    /// The definition; `None` if any finding is an error.
    pub definition: Option<Definition>,
    /// All findings, sorted by place.
    pub findings: Vec<Finding>,
}

/// Parses and validates a source.
pub fn check(source: impl AsRef<[u8]>, catalogue: &dyn Catalogue, bounds: &Bounds) -> Checked {
    let parsed = parse(source, bounds);
    let findings = validate(&parsed, catalogue, bounds);
    let broken = findings.iter().any(|finding| finding.severity == Severity::Error);
    Checked { definition: parsed.definition.filter(|_| !broken), findings }
}

/// The context of all checks.
struct Check<'a> {
    definition: &'a Definition,
    places: &'a Places,
    bounds: &'a Bounds,
    catalogue: &'a dyn Catalogue,
    findings: &'a mut Vec<Finding>,
}

impl<'a> Check<'a> {
    /// Starts a finding about a part of the normal form.
    fn at<'c>(&'c mut self, path: &'c str) -> Spot<'c, 'a> {
        interrupt::check();
        let place = self.locate(path);
        Spot { check: self, path, place, inside: false, task: None, expression: None }
    }

    /// Returns where a part is written, or else the nearest enclosing part.
    fn locate(&self, path: &str) -> Option<Place> {
        let mut path = path;
        loop {
            interrupt::check();
            if let Some(place) = self.places.find(path) {
                return Some(place);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// Returns `, first on line 3`, if the line is known.
    fn also_at(&self, path: &str) -> String {
        let source = self.places.source();
        match self.places.find(path) {
            Some(place) => format!(", first on line {}", source.line_and_column(source.node(place.node).start).0),
            None => String::new(),
        }
    }
}

/// A finding being built.
struct Spot<'c, 'a> {
    check: &'c mut Check<'a>,
    path: &'c str,
    place: Option<Place>,
    /// Whether the finding is about a position inside a text, at the place's offset.
    inside: bool,
    task: Option<usize>,
    expression: Option<&'c str>,
}

impl Spot<'_, '_> {
    fn task(mut self, task: impl Into<Option<usize>>) -> Self {
        self.task = task.into();
        self
    }

    fn node(mut self, node: Option<NodeId>) -> Self {
        self.place = node.map(|node| Place { node, offset: 0, sugar: false }).or(self.place);
        self
    }

    fn error(self, code: u16, message: String, hint: impl Into<Option<String>>) {
        self.report(code, Severity::Error, message, hint.into());
    }

    fn warning(self, code: u16, message: String, hint: impl Into<Option<String>>) {
        self.report(code, Severity::Warning, message, hint.into());
    }

    fn report(self, code: u16, severity: Severity, message: String, hint: Option<String>) {
        let check = self.check;
        if check.findings.len() >= MAX_FINDINGS {
            return;
        }
        let source = check.places.source();
        let (line, column) = self.place.map_or((0, 0), |place| {
            let inside = self.inside || place.offset > 0;
            source.line_and_column(match inside {
                true => source.byte_of(place.node, place.offset),
                false => source.node(place.node).start,
            })
        });
        check.findings.push(Finding {
            code: Code(code),
            severity,
            message,
            hint,
            path: self.place.map_or_else(|| self.path.to_owned(), |place| source.path(place.node)),
            task: self.task.map(|task| shorten(&check.definition.tasks[task].name, 128).into_owned()),
            expression: self.expression.map(|text| shorten(text, 1000).into_owned()),
            line,
            column,
        });
    }
}
