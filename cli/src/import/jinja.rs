//! Converts Orquesta's Jinja: the same language with other names.

use super::render::{self, Scope};

/// Functions and names that mean the same in both.
const SAME: [&str; 24] = [
    "result",
    "succeeded",
    "failed",
    "completed",
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
    "none",
    "None",
    "true",
    "false",
    "True",
    "False",
    "range",
    "zip",
    "defined",
    "item",
    "ctx",
    "task",
    "undefined",
];
/// Functions of StackStorm that are filters here: `json_dump(x)` is `x | tojson`.
const FILTERS: [(&str, &str); 10] = [
    ("regex_search", "regex_search"),
    ("regex_replace", "regex_replace"),
    ("json_dump", "tojson"),
    ("to_json_string", "tojson"),
    ("json_parse", "fromjson"),
    ("from_json_string", "fromjson"),
    ("yaml_dump", "toyaml"),
    ("to_yaml_string", "toyaml"),
    ("yaml_parse", "fromyaml"),
    ("from_yaml_string", "fromyaml"),
];

/// Returns an expression with our names. The error names what our language doesn't have.
pub fn translate(expression: &str, scope: &Scope) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = expression;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        if first == '\'' || first == '"' {
            let end = rest[1..].find(first).map(|at| at + 2).ok_or("a string is not closed")?;
            out += &rest[..end];
            rest = &rest[end..];
            before = first;
            continue;
        }
        if !(first.is_alphabetic() || first == '_') {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            if !first.is_whitespace() {
                before = first;
            }
            continue;
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let argument = argument(after);
        // After a dot it is a member, after a bar a filter, and before = a named argument.
        let is_other = before == '.' || before.is_ascii_digit();
        let is_keyword = after.trim_start().starts_with('=') && !after.trim_start().starts_with("==");
        (out, rest) = match (word, argument) {
            _ if before == '|' => {
                let filter = FILTERS.iter().find(|(name, _)| *name == word).map_or(word, |(_, filter)| *filter);
                (out + filter, after)
            }
            _ if is_other || is_keyword => (out + word, after),
            ("ctx", Some((name, after))) => {
                let named = if name.is_empty() { member(after) } else { Some((name, after)) };
                let (name, after) = named.ok_or("the whole context")?;
                match member(after) {
                    Some((render::EXECUTION, after)) if scope.is_about_execution(name) => {
                        (out + "system.execution", after)
                    }
                    _ => (out + &scope.variable(name)?, after),
                }
            }
            ("task", Some((name, after))) if !name.is_empty() => {
                if let Some(field) =
                    member(after).map(|(field, _)| field).filter(|field| !matches!(*field, "result" | "status"))
                {
                    return Err(format!("a task has no {field} here"));
                }
                (out + &scope.task(name)?, after)
            }
            ("task", Some((_, after))) => match member(after) {
                Some(("result", after)) => (out + "result()", after),
                _ => return Err("the current task".to_owned()),
            },
            ("item", Some((name, after))) => (out + &scope.item(Some(name).filter(|name| !name.is_empty()))?, after),
            (word, _) if SAME.contains(&word) && !matches!(word, "ctx" | "task") => (out + word, after),
            (word, _) if after.trim_start().starts_with('(') => {
                let filter = FILTERS.iter().find(|(name, _)| *name == word).map(|(_, filter)| *filter);
                let filter = filter.ok_or_else(|| format!("the function {word}()"))?;
                let inner = after.trim_start();
                let close = closing(inner).ok_or("a parenthesis is not closed")?;
                let arguments: Vec<String> = arguments(&inner[1..close])
                    .into_iter()
                    .map(|one| translate(one.trim(), scope))
                    .collect::<Result<_, _>>()?;
                let (first, more) = arguments.split_first().ok_or("a call without arguments")?;
                let more = if more.is_empty() { String::new() } else { format!("({})", more.join(", ")) };
                (format!("{out}({first} | {filter}{more})"), &inner[close + 1..])
            }
            (word, _) => return Err(format!("{word} is not known here")),
        };
        before = 'x';
    }
    Ok(out)
}

/// Returns the only argument, a name or a string, of the call that follows (empty if there is none), and the rest.
fn argument(after: &str) -> Option<(&str, &str)> {
    let inner = after.trim_start().strip_prefix('(')?;
    let (argument, rest) = inner.split_once(')')?;
    let argument = argument.trim();
    let argument =
        argument.strip_prefix(['\'', '"']).and_then(|text| text.strip_suffix(['\'', '"'])).unwrap_or(argument);
    let simple = argument.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' '));
    simple.then_some((argument, rest))
}

/// Returns the member that follows, `.name` or `['name']`, and the rest.
fn member(after: &str) -> Option<(&str, &str)> {
    if let Some(rest) = after.strip_prefix('.') {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        return Some(rest.split_at(end));
    }
    let (name, rest) = after.strip_prefix('[')?.split_once(']')?;
    Some((name.trim().trim_matches(['\'', '"']), rest))
}

/// Splits arguments at the commas between them.
fn arguments(text: &str) -> Vec<&str> {
    let (mut all, mut begin, mut depth, mut quote) = (Vec::new(), 0, 0i32, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => {
                all.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    all.push(&text[begin..]);
    all
}

/// Returns the position of the parenthesis that closes the first one.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth == 1 => return Some(at),
            (None, ')') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_and_the_rest_is_kept() {
        let scope = Scope {
            parameters: ["user".to_owned()].into(),
            variables: ["x".to_owned()].into(),
            tasks: [("t 1".to_owned(), "t_1".to_owned())].into(),
            ..Scope::default()
        };
        for (jinja, expected) in [
            ("ctx('x') == true and succeeded()", "vars.x == true and succeeded()"),
            ("ctx().user | upper | default('ctx(x)', true)", "parameters.user | upper | default('ctx(x)', true)"),
            ("ctx()['x'].y[0]", "vars.x.y[0]"),
            ("task('t 1').result.a", "task.t_1.result.a"),
            ("json_dump(ctx(x).a)", "(vars.x.a | tojson)"),
            ("result().ctx", "result().ctx"),
            ("ctx(x) | to_json_string", "vars.x | tojson"),
            ("regex_search(ctx(x), 'a,b')", "(vars.x | regex_search('a,b'))"),
            ("task().result.a", "result().a"),
            (
                "ctx('st2').action_execution_id ~ ctx().st2['action_execution_id']",
                "system.execution ~ system.execution",
            ),
        ] {
            assert_eq!(translate(jinja, &scope).as_deref(), Ok(expected), "{jinja}");
        }
        for (jinja, why) in [
            ("ctx()", "the whole context"),
            ("st2kv('a')", "the function st2kv()"),
            ("name", "name is not known here"),
            ("task('t 1').task_id", "a task has no task_id here"),
            ("json_dump(ctx(x)", "a parenthesis is not closed"),
        ] {
            assert_eq!(translate(jinja, &scope), Err(why.to_owned()), "{jinja}");
        }
    }
}
