//! YAQL as Jinja.

use super::names;
use super::yaql::Expr;
use std::collections::{BTreeMap, BTreeSet};

/// What names mean in a workflow.
#[derive(Debug, Default)]
pub struct Scope {
    /// Inputs that no task publishes.
    pub parameters: BTreeSet<String>,
    /// Variables: declared, published, or inputs that are published too.
    pub variables: BTreeSet<String>,
    /// The names of tasks, as they were and as they are.
    pub tasks: BTreeMap<String, String>,
    /// Tasks that wait for a person. Their result is the response.
    pub asking: BTreeSet<String>,
    /// The names of the current item's parts.
    pub items: Vec<String>,
    /// Whether the current task waits for a person.
    pub is_asking: bool,
}

type Rendered = Result<String, String>;

impl Scope {
    /// Returns the expression that reads a name of the context.
    pub fn variable(&self, name: &str) -> Rendered {
        if self.variables.contains(name) {
            Ok(path("vars", &names::name(name)))
        } else if self.parameters.contains(name) {
            Ok(path("parameters", name))
        } else {
            Err(format!("nothing sets {name}"))
        }
    }

    /// Whether a name of the context stands for what StackStorm says about the execution, rather than for a variable.
    pub fn is_about_execution(&self, name: &str) -> bool {
        name == "st2" && self.variable(name).is_err()
    }

    /// Whether an expression is `ctx().st2`, `ctx(st2)` or `ctx().get(st2)`.
    fn is_st2(&self, expr: &Expr) -> bool {
        let is_context = |of: &Expr| matches!(of, Expr::Call(name, none) if name == "ctx" && none.is_empty());
        let name = match expr {
            Expr::Field(of, name) if is_context(of) => Some(name.as_str()),
            Expr::Call(function, arguments) if function == "ctx" => arguments.first().and_then(named),
            Expr::Method(of, get, arguments) if get == "get" && is_context(of) => arguments.first().and_then(named),
            _ => None,
        };
        name.is_some_and(|name| self.is_about_execution(name))
    }

    /// Returns the expression that reads a task.
    pub fn task(&self, name: &str) -> Rendered {
        self.tasks.get(name).map(|task| path("task", task)).ok_or_else(|| format!("there is no task {name}"))
    }

    /// Returns the expression that reads the current item or a part of it.
    pub fn item(&self, name: Option<&str>) -> Rendered {
        match (name, self.items.as_slice()) {
            (None, _) => Ok("item".to_owned()),
            (Some(name), [only]) if name == only => Ok("item".to_owned()),
            (Some(name), parts) => match parts.iter().position(|part| part == name) {
                Some(at) => Ok(format!("item[{at}]")),
                None => Err(format!("the item has no part {name}")),
            },
        }
    }

    /// Takes the response of a person out of its wrapping.
    pub fn unwrapped(&self, jinja: String) -> String {
        let mut jinja = jinja;
        for task in &self.asking {
            let result = format!("{}.result", path("task", task));
            jinja = jinja.replace(&format!("{result}.response"), &result);
        }
        if self.is_asking { jinja.replace("result().response", "result()") } else { jinja }
    }
}

/// Returns a member: `vars.x`, or `vars['x-y']`.
pub fn path(of: &str, name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { format!("{of}.{name}") } else { format!("{of}[{}]", text(name)) }
}

/// Returns a string as Jinja writes it.
pub fn text(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n").replace('\t', "\\t");
    format!("'{escaped}'")
}

/// Returns an expression in Jinja. The error names what Jinja lacks or the import does not know.
pub fn jinja(expr: &Expr, scope: &Scope) -> Rendered {
    let go = |expr: &Expr| jinja(expr, scope);
    let operand = |expr: &Expr| {
        let rendered = jinja(expr, scope)?;
        let simple = !matches!(expr, Expr::Binary(..) | Expr::Unary(..));
        Ok::<_, String>(if simple { rendered } else { format!("({rendered})") })
    };
    Ok(match expr {
        Expr::Text(value) => text(value),
        Expr::Word(word) => word.clone(),
        // A bare word is a string in YAQL.
        Expr::Name(name) => text(name),
        Expr::Element => return Err("$ is not known here".to_owned()),
        Expr::Field(target, name) => match target.as_ref() {
            Expr::Call(function, arguments) if function == "ctx" && arguments.is_empty() => scope.variable(name)?,
            // The current task.
            Expr::Call(function, arguments) if function == "task" && arguments.is_empty() && name == "result" => {
                "result()".to_owned()
            }
            target if name == EXECUTION && scope.is_st2(target) => "system.execution".to_owned(),
            Expr::Call(function, _) if function == "task" && !KNOWN_OF_TASKS.contains(&name.as_str()) => {
                return Err(format!("a task has no {name} here"));
            }
            target => path(&operand(target)?, name),
        },
        Expr::Index(target, index) => match (target.as_ref(), index.as_ref()) {
            (Expr::Call(function, arguments), Expr::Text(name)) if function == "ctx" && arguments.is_empty() => {
                scope.variable(name)?
            }
            (target, index) => format!("{}[{}]", operand(target)?, go(index)?),
        },
        Expr::Unary("not", inner) => format!("not {}", operand(inner)?),
        Expr::Unary(sign, inner) => format!("{sign}{}", operand(inner)?),
        Expr::Binary("=~", left, right) => format!("({} | regex_search({}))", operand(left)?, go(right)?),
        Expr::Binary("!~", left, right) => format!("not ({} | regex_search({}))", operand(left)?, go(right)?),
        Expr::Binary(sign, left, right) => format!("{} {sign} {}", operand(left)?, operand(right)?),
        Expr::List(items) => format!("[{}]", all(items, scope)?.join(", ")),
        Expr::Map(entries) => map(entries.iter().map(|(key, value)| (key, value)), scope)?,
        Expr::Pair(..) => return Err("=> is not known here".to_owned()),
        Expr::Call(name, arguments) => call(name, arguments, scope)?,
        Expr::Method(target, name, arguments) => method(target, &operand(target)?, name, arguments, scope)?,
    })
}

/// What StackStorm calls the id of the execution.
pub const EXECUTION: &str = "action_execution_id";

const KNOWN_OF_TASKS: [&str; 2] = ["result", "status"];

fn all(items: &[Expr], scope: &Scope) -> Result<Vec<String>, String> {
    items.iter().map(|item| jinja(item, scope)).collect()
}

fn map<'e>(entries: impl Iterator<Item = (&'e Expr, &'e Expr)>, scope: &Scope) -> Rendered {
    let entry = |(key, value): (&Expr, &Expr)| {
        let key = match key {
            Expr::Name(name) => text(name),
            key => jinja(key, scope)?,
        };
        Ok::<_, String>(format!("{key}: {}", jinja(value, scope)?))
    };
    Ok(format!("{{{}}}", entries.map(entry).collect::<Result<Vec<_>, _>>()?.join(", ")))
}

/// Returns the name that an argument is: `ctx(name)` and `ctx('name')` are the same.
fn named(argument: &Expr) -> Option<&str> {
    match argument {
        Expr::Name(name) | Expr::Text(name) => Some(name),
        _ => None,
    }
}

fn call(name: &str, arguments: &[Expr], scope: &Scope) -> Rendered {
    match (name, arguments) {
        ("ctx", [one]) => scope.variable(named(one).ok_or("ctx() of an expression")?),
        ("ctx", []) => Err("the whole context".to_owned()),
        ("task", [one]) => scope.task(named(one).ok_or("task() of an expression")?),
        ("item", []) => scope.item(None),
        ("item", [one]) => scope.item(named(one)),
        ("result" | "succeeded" | "failed" | "completed", []) => Ok(format!("{name}()")),
        ("dict", entries) => map(
            entries.iter().filter_map(|entry| match entry {
                Expr::Pair(key, value) => Some((key.as_ref(), value.as_ref())),
                _ => None,
            }),
            scope,
        ),
        ("switch", cases) => cases.iter().rev().try_fold("none".to_owned(), |rest, case| match case {
            Expr::Pair(when, then) => Ok(format!("({} if {} else {rest})", jinja(then, scope)?, jinja(when, scope)?)),
            _ => Err("switch() without =>".to_owned()),
        }),
        ("coalesce", [first, rest @ ..]) => {
            let rest = if rest.is_empty() { "none".to_owned() } else { call("coalesce", rest, scope)? };
            let first = jinja(first, scope)?;
            Ok(format!("({first} if {first} is not none else {rest})"))
        }
        _ => {
            let arguments = all(arguments, scope)?;
            function(name, &arguments).ok_or_else(|| format!("the function {name}()"))
        }
    }
}

/// Returns a call of a function of YAQL or of StackStorm.
fn function(name: &str, arguments: &[String]) -> Option<String> {
    let filter = match (name, arguments.len()) {
        ("len", 1) => "length",
        ("str", 1) => "string",
        ("int" | "float" | "abs" | "sum" | "min" | "max", 1) => name,
        ("json_dump" | "to_json_string", 1) => "tojson",
        ("json_parse" | "from_json_string", 1) => "fromjson",
        ("yaml_dump" | "to_yaml_string", 1) => "toyaml",
        ("yaml_parse" | "from_yaml_string", 1) => "fromyaml",
        ("regex_search", 2) => return Some(format!("({} | regex_search({}))", arguments[0], arguments[1])),
        ("regex_replace", 3) => {
            return Some(format!("({} | regex_replace({}, {}))", arguments[0], arguments[1], arguments[2]));
        }
        // This includes null.
        ("isEmpty", 1) => return Some(format!("(not {})", arguments[0])),
        ("list", _) => return Some(format!("[{}]", arguments.join(", "))),
        ("zip", _) => return Some(format!("zip({})", arguments.join(", "))),
        ("range", 1..=3) => return Some(format!("(range({}) | list)", arguments.join(", "))),
        ("concat", _) => return Some(format!("({})", arguments.join(" ~ "))),
        _ => return None,
    };
    Some(format!("({} | {filter})", arguments[0]))
}

fn method(target: &Expr, of: &str, name: &str, arguments: &[Expr], scope: &Scope) -> Rendered {
    match (name, arguments) {
        ("where" | "filter", [condition]) => return Ok(format!("({of}{} | list)", selected(condition, scope)?)),
        ("select", [Expr::Element]) => return Ok(of.to_owned()),
        ("select", [lambda]) => return Ok(format!("({of} | {} | list)", mapped(lambda)?)),
        ("orderBy", [lambda]) => {
            let attribute = attribute(lambda).ok_or("orderBy() of an expression")?;
            return Ok(format!("({of} | sort(attribute={}))", text(&attribute)));
        }
        ("join", [list]) if matches!(target, Expr::Text(_)) => {
            return Ok(format!("({} | join({of}))", jinja(list, scope)?));
        }
        ("get", [key]) => return Ok(format!("({} | default(none))", member(of, key, scope)?)),
        ("get", [key, default]) => {
            return Ok(format!("({} | default({}))", member(of, key, scope)?, jinja(default, scope)?));
        }
        _ => {}
    }
    let arguments = all(arguments, scope)?;
    let one = arguments.first().cloned().unwrap_or_default();
    let filter = match (name, arguments.len()) {
        ("len" | "count", 0) => "length".to_owned(),
        ("first" | "last" | "sum" | "min" | "max" | "reverse" | "items", 0) => name.to_owned(),
        ("toList" | "keys", 0) => "list".to_owned(),
        ("distinct" | "toSet", 0) => "unique | list".to_owned(),
        ("toLower", 0) => "lower".to_owned(),
        ("toUpper", 0) => "upper".to_owned(),
        ("trim" | "strip", 0) => "trim".to_owned(),
        ("toString", 0) => "string".to_owned(),
        ("toInt", 0) => "int".to_owned(),
        ("join", 1) => format!("join({one})"),
        ("split", 1) => format!("split({one})"),
        ("replace", 2) => format!("replace({})", arguments.join(", ")),
        ("matches", 1) => format!("regex_search({one})"),
        ("isEmpty", 0) => return Ok(format!("({of} | length == 0)")),
        ("any", 0) => return Ok(format!("({of} | length > 0)")),
        ("containsKey" | "contains", 1) => return Ok(format!("({one} in {of})")),
        ("startsWith", 1) => return Ok(format!("({of} is startingwith({one}))")),
        ("endsWith", 1) => return Ok(format!("({of} is endingwith({one}))")),
        ("limit" | "take", 1) => return Ok(format!("{of}[:{one}]")),
        ("skip", 1) => return Ok(format!("{of}[{one}:]")),
        ("substring", 1) if is_number(&one) => return Ok(format!("{of}[{one}:]")),
        ("substring", 2) if arguments.iter().all(|argument| is_number(argument)) => {
            return Ok(format!("{of}[{one}:{one} + {}]", arguments[1]));
        }
        ("append", 1) => return Ok(format!("({of} + [{one}])")),
        _ => return Err(format!("the method {name}()")),
    };
    Ok(format!("({of} | {filter})"))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn member(of: &str, key: &Expr, scope: &Scope) -> Rendered {
    match named(key) {
        Some(name) => Ok(path(of, name)),
        None => Ok(format!("{of}[{}]", jinja(key, scope)?)),
    }
}

/// Returns the path that a lambda takes from the element: `$.a.b` and `$.get(a)`.
fn attribute(lambda: &Expr) -> Option<String> {
    let (of, name) = match lambda {
        Expr::Field(of, name) => (of, name.as_str()),
        Expr::Method(of, method, arguments) if method == "get" => (of, arguments.first().and_then(named)?),
        _ => return None,
    };
    match of.as_ref() {
        Expr::Element => Some(name.to_owned()),
        of => Some(format!("{}.{name}", attribute(of)?)),
    }
}

/// Returns the filter that applies a lambda to each element.
fn mapped(lambda: &Expr) -> Rendered {
    if let Some(attribute) = attribute(lambda) {
        return Ok(format!("map(attribute={})", text(&attribute)));
    }
    let filter = match lambda {
        Expr::Call(name, arguments) if matches!(arguments.as_slice(), [Expr::Element]) => match name.as_str() {
            "str" => "string",
            "int" | "float" => name,
            "len" => "length",
            _ => return Err(format!("select() with {name}()")),
        },
        Expr::Method(of, name, arguments) if **of == Expr::Element && arguments.is_empty() => match name.as_str() {
            "toLower" => "lower",
            "toUpper" => "upper",
            "trim" => "trim",
            "len" => "length",
            _ => return Err(format!("select() with {name}()")),
        },
        _ => return Err("select() of an expression".to_owned()),
    };
    Ok(format!("map({})", text(filter)))
}

/// Returns the filters that keep the elements for which a condition holds.
fn selected(condition: &Expr, scope: &Scope) -> Rendered {
    let not_known = || "where() with such a condition".to_owned();
    match condition {
        Expr::Binary("and", left, right) => Ok(format!("{}{}", selected(left, scope)?, selected(right, scope)?)),
        Expr::Unary("not", inner) => {
            let attribute = attribute(inner).ok_or_else(not_known)?;
            Ok(format!(" | rejectattr({})", text(&attribute)))
        }
        Expr::Binary(sign, left, right) => {
            let test = match *sign {
                "==" => "eq",
                "!=" => "ne",
                "<" => "lt",
                "<=" => "le",
                ">" => "gt",
                ">=" => "ge",
                "in" => "in",
                _ => return Err(not_known()),
            };
            let value = jinja(right, scope)?;
            match (left.as_ref(), attribute(left)) {
                (Expr::Element, _) => Ok(format!(" | select({}, {value})", text(test))),
                (_, Some(attribute)) => Ok(format!(" | selectattr({}, {}, {value})", text(&attribute), text(test))),
                _ => Err(not_known()),
            }
        }
        condition => {
            let attribute = attribute(condition).ok_or_else(not_known)?;
            Ok(format!(" | selectattr({})", text(&attribute)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaql::read;

    fn scope() -> Scope {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Scope {
            parameters: names(&["hosts", "a-b"]),
            variables: names(&["x", "list"]),
            tasks: [("t1".to_owned(), "t1".to_owned())].into(),
            items: vec!["m".to_owned(), "n".to_owned()],
            ..Scope::default()
        }
    }

    #[test]
    fn yaql_becomes_jinja() {
        for (yaql, expected) in [
            ("ctx().x", "vars.x"),
            ("ctx(hosts)", "parameters.hosts"),
            ("ctx('a-b')", "parameters['a-b']"),
            ("ctx(x).y[0].z", "vars.x.y[0].z"),
            ("succeeded() and not result().ok", "succeeded() and (not result().ok)"),
            ("ctx().x = null or ctx().x != 'a\\'b'", "(vars.x == none) or (vars.x != 'a\\'b')"),
            ("not ctx().x in list(a, 'b')", "not (vars.x in ['a', 'b'])"),
            ("task().result.stdout", "result().stdout"),
            ("ctx().x + 1 * 2", "vars.x + (1 * 2)"),
            ("len(ctx(list))", "(vars.list | length)"),
            (
                "ctx(list).where($.status = 'ok' and $.n > 1).select($.name).first()",
                "(((vars.list | selectattr('status', 'eq', 'ok') | selectattr('n', 'gt', 1) | list) | map(attribute='name') | list) | first)",
            ),
            ("ctx(list).where($ != null)", "(vars.list | select('ne', none) | list)"),
            ("ctx(list).select(str($)).join(',')", "((vars.list | map('string') | list) | join(','))"),
            ("ctx(x).get(k, 3)", "(vars.x.k | default(3))"),
            ("item(m), item(n)", "[item[0], item[1]]"),
            ("task(t1).result.response", "task.t1.result.response"),
            ("dict(a => 1, b => ctx(x))", "{'a': 1, 'b': vars.x}"),
            ("{a => [1, 2]}", "{'a': [1, 2]}"),
            ("switch(ctx(x) > 1 => 'many', true => 'few')", "('many' if vars.x > 1 else ('few' if true else none))"),
            ("range(0, 4)", "(range(0, 4) | list)"),
            ("ctx().st2.action_execution_id", "system.execution"),
            ("str(ctx(st2).action_execution_id)", "(system.execution | string)"),
            ("isEmpty(ctx().x)", "(not vars.x)"),
            ("ctx(x).substring(0, 1)", "vars.x[0:0 + 1]"),
            ("ctx(x) =~ '^a'", "(vars.x | regex_search('^a'))"),
        ] {
            let rendered = read(yaql).and_then(|expr| jinja(&expr, &scope()));
            assert_eq!(rendered.as_deref(), Ok(expected), "{yaql}");
        }
    }

    #[test]
    fn what_jinja_does_not_have_is_told() {
        for (yaql, why) in [
            ("ctx().unknown", "nothing sets unknown"),
            ("ctx()", "the whole context"),
            ("random(1, 2)", "the function random()"),
            ("ctx(list).groupBy($.a)", "$ is not known here"),
            ("ctx(list).select({a => $.b})", "select() of an expression"),
            ("task(t1).task_id", "a task has no task_id here"),
            ("ctx().st2.user", "nothing sets st2"),
            ("'open", "a string is not closed"),
            ("ctx(", "it ends too early"),
            ("a b", "unexpected b"),
            ("ctx(x) ? 1", "unexpected ?"),
        ] {
            let rendered = read(yaql).and_then(|expr| jinja(&expr, &scope()));
            assert_eq!(rendered, Err(why.to_owned()), "{yaql}");
        }
        assert!(read(&"(".repeat(10_000)).is_err());
    }
}
