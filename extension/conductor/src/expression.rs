//! Templates and conditions: compiled once with a graph, and evaluated over what is known about an execution.
//!
//! A string that consists of a single `{{ … }}` keeps the JSON type of its value; any other string with braces becomes
//! text. What an expression yields is data and is never rendered again. An undefined value is an error, unless it is
//! handled by `default` or `is defined`.

pub(crate) mod filters;
pub(crate) mod functions;
pub mod opaque;
pub mod overlay;
pub mod template;
pub mod values;

use crate::bounds::Bounds;
use crate::expression::template::{bound, compiled, metered};
pub use crate::expression::values::{Data, data, json, json_text, parse_json, unreadable};
use crate::interrupt;
use minijinja::machinery::{self, Instructions};
use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use self_cell::self_cell;
use std::collections::{BTreeMap, HashSet};

/// Why an expression could not be compiled or evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} in {expression}")]
pub struct ExpressionError {
    /// The source, including braces if it had them.
    pub expression: String,
    /// What is wrong with it.
    pub message: String,
}

/// Identifier of a compiled program of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramId(u32);

/// Any JSON value with its templates compiled.
#[derive(Debug, Clone)]
pub enum Rendering {
    /// A value without templates.
    Literal(Data),
    /// A template.
    Program(ProgramId),
    /// A list with templates in it.
    List(Vec<Rendering>),
    /// An object with templates in it.
    Map(Vec<(String, Rendering)>),
}

enum Program<'env> {
    Expression(Instructions<'env>),
    Text(Instructions<'env>),
}

self_cell!(
    struct Compiled {
        owner: Vec<String>,
        #[covariant]
        dependent: ProgramList,
    }
);
type ProgramList<'env> = Vec<Program<'env>>;

/// All programs of a graph.
pub struct Programs {
    compiled: Compiled,
    environment: Environment<'static>,
    bounds: Bounds,
}

/// Collector of a graph's programs, used while the graph is compiled.
#[derive(Default)]
pub struct Sources {
    list: Vec<String>,
}

impl Sources {
    /// Adds a template or condition.
    pub fn add(&mut self, source: &str) -> ProgramId {
        self.list.push(source.to_owned());
        ProgramId(self.list.len() as u32 - 1)
    }

    /// Adds the templates of any JSON value. The parser has limited its depth.
    pub fn rendering(&mut self, value: &serde_json::Value) -> Rendering {
        use serde_json::Value as Json;
        match value {
            Json::String(text) if template::is_template(text) => Rendering::Program(self.add(text)),
            Json::Array(list) => {
                let parts: Vec<_> = interrupt::checked(list).map(|part| self.rendering(part)).collect();
                if parts.iter().all(Rendering::is_literal) { literal(value) } else { Rendering::List(parts) }
            }
            Json::Object(map) => {
                let parts: Vec<_> =
                    interrupt::checked(map).map(|(key, part)| (key.clone(), self.rendering(part))).collect();
                if parts.iter().all(|(_, part)| part.is_literal()) { literal(value) } else { Rendering::Map(parts) }
            }
            _ => literal(value),
        }
    }

    /// Compiles everything that was added.
    pub fn compile(self, bounds: Bounds) -> Result<Programs, ExpressionError> {
        for source in interrupt::checked(&self.list) {
            // Parsing and compiling are recursive. Definitions that did not come through the parser are checked here.
            bound(source, &bounds)
                .map_err(|error| ExpressionError { expression: source.clone(), message: error.message })?;
        }
        let compiled = Compiled::try_new(self.list, |sources| {
            interrupt::checked(sources).map(|source| program(source)).collect::<Result<Vec<_>, _>>()
        })?;
        Ok(Programs { compiled, environment: environment(&bounds), bounds })
    }
}

impl Rendering {
    fn is_literal(&self) -> bool {
        matches!(self, Rendering::Literal(_))
    }

    /// Calls `visit` for each program in it.
    pub fn programs(&self, visit: &mut impl FnMut(ProgramId)) {
        match self {
            Rendering::Literal(_) => {}
            Rendering::Program(id) => visit(*id),
            Rendering::List(parts) => parts.iter().for_each(|part| part.programs(visit)),
            Rendering::Map(parts) => parts.iter().for_each(|(_, part)| part.programs(visit)),
        }
    }
}

impl Programs {
    /// Returns the source of a program.
    pub fn source(&self, id: ProgramId) -> &str {
        &self.compiled.borrow_owner()[id.0 as usize]
    }

    /// Returns the names that a program reads, each with the member that it reads: `vars.image`, `task.scan`, `result`.
    /// Calling `task_status('scan')` counts as reading that task.
    pub fn names(&self, id: ProgramId) -> HashSet<String> {
        // Whatever was compiled can be parsed.
        let Ok(references) = template::references(self.source(id), &self.bounds) else { return HashSet::new() };
        let reads = references.reads.into_iter().map(|read| match read.member {
            Some(member) => format!("{}.{member}", read.root),
            None => read.root,
        });
        let functions = references.functions.into_iter().map(|function| match function.argument {
            Some((task, _)) if function.name == "task_status" => format!("task.{task}"),
            _ => function.name,
        });
        reads.chain(functions).collect()
    }

    /// Evaluates a program to data.
    pub fn evaluate(&self, id: ProgramId, scope: &Value) -> Result<Data, ExpressionError> {
        let mut budget = self.bounds.output_bytes;
        self.evaluate_within(id, scope, &mut budget)
    }

    /// Evaluates a program; `budget` is the number of bytes it may still yield.
    fn evaluate_within(&self, id: ProgramId, scope: &Value, budget: &mut usize) -> Result<Data, ExpressionError> {
        interrupt::check();
        let fail = |message: String| ExpressionError { expression: self.source(id).to_owned(), message };
        let mut text = String::new();
        let mut run = |instructions: &Instructions<'_>| {
            let (blocks, mut out) = (BTreeMap::new(), machinery::make_string_output(&mut text));
            let ended =
                machinery::eval(&self.environment, instructions, scope.clone(), &blocks, &mut out, AutoEscape::None);
            ended.map(|(value, _)| value.unwrap_or_default()).map_err(|error| fail(explain(&error)))
        };
        match &self.compiled.borrow_dependent()[id.0 as usize] {
            Program::Expression(instructions) => settle(&run(instructions)?, self.bounds.depth, budget).map_err(fail),
            Program::Text(instructions) => {
                // Writing output costs fuel, so the text cannot get much longer than the budget before evaluation
                // stops.
                run(instructions)?;
                *budget = budget.checked_sub(text.len()).ok_or_else(|| fail("the text is too long".to_owned()))?;
                storable(&Value::from(text)).map_err(fail)
            }
        }
    }

    /// Evaluates a condition and returns whether it is true.
    pub fn holds(&self, id: ProgramId, scope: &Value) -> Result<bool, ExpressionError> {
        Ok(self.evaluate(id, scope)?.is_true())
    }

    /// Renders any JSON value to data. All templates in it together may yield as much as a single template could.
    pub fn render(&self, rendering: &Rendering, scope: &Value) -> Result<Data, ExpressionError> {
        let mut budget = self.bounds.output_bytes;
        self.render_within(rendering, scope, &mut budget)
    }

    fn render_within(&self, rendering: &Rendering, scope: &Value, budget: &mut usize) -> Result<Data, ExpressionError> {
        Ok(match rendering {
            Rendering::Literal(value) => value.clone(),
            Rendering::Program(id) => self.evaluate_within(*id, scope, budget)?,
            Rendering::List(parts) => {
                let rendered = parts.iter().map(|part| self.render_within(part, scope, budget));
                Value::from(rendered.collect::<Result<Vec<_>, _>>()?)
            }
            Rendering::Map(parts) => {
                let rendered =
                    parts.iter().map(|(key, part)| Ok((key.as_str(), self.render_within(part, scope, budget)?)));
                Value::from_pairs(rendered.collect::<Result<Vec<_>, ExpressionError>>()?)
            }
        })
    }
}

/// Returns the environment that every template runs in: no loader, strict undefined, limited fuel, our functions.
pub fn environment(bounds: &Bounds) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(bounds.template_fuel));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_recursion_limit(bounds.depth);
    filters::register(&mut environment, bounds.depth);
    functions::register(&mut environment);
    metered::register(&mut environment, bounds.depth);
    environment
}

/// Compiles a template, as an expression if it consists of a single `{{ … }}`.
fn program(source: &str) -> Result<Program<'_>, ExpressionError> {
    if let Some((_, inner)) = template::pure(source)
        && let Ok(expression) = compiled::expression(inner.trim())
    {
        return Ok(Program::Expression(expression));
    }
    let text = compiled::template(source).map(Program::Text);
    text.map_err(|error| ExpressionError { expression: source.to_owned(), message: explain(&error) })
}

/// Checks that the database can store a text.
fn storable(value: &Value) -> Result<Data, String> {
    match value.as_str() {
        Some(text) if text.contains('\0') => {
            Err("text contains the character U+0000, which PostgreSQL cannot store".to_owned())
        }
        _ => Ok(value.clone()),
    }
}

fn literal(value: &serde_json::Value) -> Rendering {
    Rendering::Literal(data(value))
}

/// Converts the result of an expression to plain data within limits: no lazy sequences, no functions, nothing
/// undefined.
fn settle(value: &Value, depth: usize, budget: &mut usize) -> Result<Data, String> {
    let spend = |cost: usize, budget: &mut usize| match budget.checked_sub(cost) {
        Some(rest) => {
            *budget = rest;
            Ok(())
        }
        None => Err("the value is too large".to_owned()),
    };
    if depth == 0 {
        return Err("the value is nested too deeply".to_owned());
    }
    if let Some(source) = opaque::any_source(value) {
        if source.is_deeper_than(depth) {
            return Err("the value is nested too deeply".to_owned());
        }
        return spend(source.bytes(), budget).map(|()| value.clone());
    }
    match value.kind() {
        ValueKind::Undefined => Err("undefined value".to_owned()),
        ValueKind::None | ValueKind::Bool | ValueKind::Number => spend(8, budget).map(|()| value.clone()),
        ValueKind::String => {
            spend(value.as_str().map_or(0, str::len) + 8, budget)?;
            storable(value)
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let mut list = Vec::new();
            for item in value.try_iter().map_err(|error| explain(&error))? {
                interrupt::check();
                spend(16, budget)?;
                list.push(settle(&item, depth - 1, budget)?);
            }
            Ok(Value::from(list))
        }
        ValueKind::Map => {
            let mut entries = Vec::new();
            let object = value.as_object().and_then(|object| object.try_iter_pairs());
            for (key, entry) in object.ok_or("a map cannot be read")? {
                interrupt::check();
                let name = if key.as_str().is_some() { storable(&key)? } else { Value::from(key.to_string()) };
                spend(name.as_str().map_or(0, str::len) + 16, budget)?;
                entries.push((name, settle(&entry, depth - 1, budget)?));
            }
            Ok(Value::from_pairs(entries))
        }
        kind => Err(format!("a {kind} is not a JSON value")),
    }
}

/// Returns MiniJinja's message without the name and line of the template.
pub fn explain(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}
