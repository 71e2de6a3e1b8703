//! Strings with templates in them: recognizing them, bounding them before they are parsed, and finding what they read.
//! They are rendered, within bounds, by [`expression`](crate::expression).

mod compared;
pub(crate) mod compiled;
pub(crate) mod metered;
mod names;
mod outcome;
mod path;
mod references;
mod watch;
pub(crate) mod watched;

pub use compared::{Compared, Subject};
pub use names::{FILTERS, FUNCTIONS, TESTS};
pub use outcome::may_hold_after;
pub use references::{Guard, Named, Read, References};

use minijinja::machinery::{Token, parse, tokenize};

use crate::bounds::Bounds;

/// Maximum nesting of brackets in an expression. MiniJinja's own limit, 150, needs more stack than a backend has.
pub const MAX_BRACKETS: usize = 32;
/// Maximum depth of an expression's tree, such as the number of operators in one chain. Parsing, compiling and dropping
/// it are recursive.
pub const MAX_OPERATORS: usize = 400;
/// Maximum number of `{% … %}` in a template.
pub const MAX_STATEMENTS: usize = 100;

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// WF009 or WF301.
    pub code: u16,
    /// What is wrong.
    pub message: String,
    /// The position in bytes.
    pub at: usize,
}

/// Whether a string contains a template.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Whether it contains `<% … %>`, which is not part of this language.
pub fn is_yaql(text: &str) -> bool {
    text.find("<%").is_some_and(|at| text[at..].contains("%>"))
}

/// Returns the expression of a string that consists of a single `{{ … }}`, and the byte where it starts.
pub fn pure(text: &str) -> Option<(usize, &str)> {
    let trimmed = text.trim();
    let inner = trimmed.strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    let end_markers = tokenize(trimmed, false, Default::default())
        .map_while(Result::ok)
        .filter(|(token, _)| matches!(token, Token::VariableEnd))
        .count();
    (end_markers <= 1).then(|| (inner.as_ptr() as usize - text.as_ptr() as usize, inner))
}

/// Rejects a template that is too long, or whose tree could be too deep for a recursive parser. Everything passed to
/// MiniJinja must have passed this check.
pub fn bound(text: &str, bounds: &Bounds) -> Result<(), TemplateError> {
    let refuse = |message: String, at: usize| Err(TemplateError { code: 9, message, at });
    if text.len() > bounds.expression_bytes {
        let message =
            format!("the template has {} bytes, more than the {} allowed", text.len(), bounds.expression_bytes);
        return refuse(message, 0);
    }
    let mut statements = 0;
    let mut tree = Tree::default();
    for token in tokenize(text, false, Default::default()) {
        // Text that can't be tokenized is not parsed any further.
        let Ok((token, span)) = token else { return Ok(()) };
        let at = span.start_offset as usize;
        if matches!(token, Token::BlockStart) {
            statements += 1;
            if statements > MAX_STATEMENTS {
                return refuse(format!("the template has more than {MAX_STATEMENTS} statements"), at);
            }
        }
        tree.take(&token);
        if tree.open.len() > MAX_BRACKETS {
            return refuse(format!("the expression has more than {MAX_BRACKETS} nested brackets"), at);
        }
        if tree.depth() > MAX_OPERATORS {
            return refuse(format!("the expression has more than {MAX_OPERATORS} chained operators"), at);
        }
    }
    Ok(())
}

/// An upper bound of the depth of an expression's tree, token by token.
#[derive(Default)]
struct Tree {
    open: Vec<Level>,
    here: Level,
    /// Sum of the depths of `open`.
    outside: usize,
}

/// The inside of a bracket, or an expression.
#[derive(Default, Clone, Copy)]
struct Level {
    /// Operators whose operands may nest on one side.
    operators: usize,
    /// `.name`, `|filter`, `[…]` and `(…)` after the current operand.
    postfix: usize,
    /// The same after the deepest operand.
    deepest: usize,
    /// The depth of the deepest part before a comma.
    before: usize,
}

impl Level {
    fn depth(&self) -> usize {
        self.before.max(self.operators + self.deepest.max(self.postfix))
    }

    fn operand(&mut self) {
        self.deepest = self.deepest.max(self.postfix);
        self.postfix = 0;
    }
}

impl Tree {
    fn depth(&self) -> usize {
        self.outside + self.here.depth()
    }

    fn take(&mut self, token: &Token<'_>) {
        match token {
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => {
                self.outside += self.here.depth() + 1;
                self.open.push(std::mem::take(&mut self.here));
            }
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                let inside = self.here.depth();
                if let Some(outer) = self.open.pop() {
                    self.outside -= outer.depth() + 1;
                    self.here = outer;
                }
                self.here.postfix += inside + 1;
            }
            Token::Comma | Token::Colon => self.here = Level { before: self.here.depth(), ..Level::default() },
            Token::VariableStart | Token::BlockStart | Token::VariableEnd | Token::BlockEnd => *self = Tree::default(),
            Token::Dot | Token::Pipe => self.here.postfix += 1,
            Token::Ident("and" | "or" | "not" | "in" | "is" | "if" | "else" | "elif") => self.operator(),
            Token::Ident(_) | Token::Str(_) | Token::String(_) => {}
            Token::Int(_) | Token::Int128(_) | Token::Float(_) | Token::Assign | Token::TemplateData(_) => {}
            _ => self.operator(),
        }
    }

    fn operator(&mut self) {
        self.here.operators += 1;
        self.here.operand();
    }
}

/// Returns the references of a template, if it can be parsed.
pub fn references(text: &str, bounds: &Bounds) -> Result<References, TemplateError> {
    bound(text, bounds)?;
    let template = parse(text, "template", Default::default()).map_err(|error| {
        let message = match error.detail() {
            Some(detail) => detail.to_owned(),
            None => error.kind().to_string(),
        };
        TemplateError { code: 301, message, at: error.range().map_or(0, |range| range.start) }
    })?;
    Ok(references::collect(&template))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounded(expression: &str) -> bool {
        let bounds = Bounds { expression_bytes: usize::MAX, ..Bounds::default() };
        bound(&format!("{{{{ {expression} }}}}"), &bounds).is_ok()
    }

    #[test]
    fn a_pure_template_is_one_expression() {
        assert_eq!(pure(" {{ a }} "), Some((3, " a ")));
        assert_eq!(pure("{{- a -}}"), Some((3, " a ")));
        assert_eq!(pure("{{ '}}' }}"), Some((2, " '}}' ")));
        for text in ["a", "{{ a }} b", "{{ a }}{{ b }}", "{{ a }}{% if b %}{{ c }}", "{% if a %}b{% endif %}"] {
            assert_eq!(pure(text), None, "{text}");
        }
    }

    #[test]
    fn chains_and_brackets_are_allowed_up_to_their_bounds() {
        assert!(bounded(&format!("a{}", " + a.b.c".repeat(MAX_OPERATORS - 2))));
        assert!(!bounded(&format!("a{}", " + a.b.c".repeat(MAX_OPERATORS - 1))));
        assert!(bounded(&format!("a{}", ".b".repeat(MAX_OPERATORS))));
        assert!(!bounded(&format!("a{}", ".b".repeat(MAX_OPERATORS + 1))));
        assert!(bounded(&format!("{}a{}", "(".repeat(MAX_BRACKETS), ")".repeat(MAX_BRACKETS))));
        assert!(!bounded(&format!("{}a{}", "[".repeat(MAX_BRACKETS + 1), "]".repeat(MAX_BRACKETS + 1))));
        assert!(bounded(&format!("[{}]", "a + 1, ".repeat(10_000))));
        assert!(!bounded(&"not ".repeat(100_000)));
        assert!(!bounded(&"(".repeat(100_000)));
    }

    /// The deepest trees that are accepted, on the stack of a thread, which is smaller than a backend's.
    #[test]
    fn what_is_within_the_bounds_never_overflows_the_stack() {
        let n = MAX_OPERATORS;
        let brackets =
            |open: &str, inner: &str, close: &str, n: usize| format!("{}{inner}{}", open.repeat(n), close.repeat(n));
        let mut sources = vec![
            format!("a{}", ".b".repeat(n)),
            format!("a{}", "+a".repeat(n - 1)),
            format!("1{}+a", "+1".repeat(n - 2)),
            format!("{}a", "not ".repeat(n)),
            format!("{}a", "-".repeat(n)),
            format!("{}a", "a if a else ".repeat(n / 2)),
            format!("a{}", "|upper".repeat(n)),
            format!("a{}", "()".repeat(n / 2)),
            format!("a{}", "**a".repeat(n - 1)),
            format!("a{}", " is string".repeat(n)),
            brackets("(", "a", ")", MAX_BRACKETS),
            brackets("f(", "a", ")", MAX_BRACKETS),
            brackets("a[", "a", "]", MAX_BRACKETS),
            brackets("{a:[", "a", "]}", MAX_BRACKETS / 2),
            brackets("f(not not not not not not ", "a", ")", MAX_BRACKETS),
        ];
        for source in &mut sources {
            *source = format!("{{{{ {source} }}}}");
        }
        let m = MAX_STATEMENTS / 2;
        sources.push(format!("{}{}", "{% if a %}".repeat(m), "{% endif %}".repeat(m)));
        sources.push(format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(2 * m - 2)));
        sources.push(format!(
            "{}{{{{ {} }}}}{}",
            "{% for x in a %}".repeat(m),
            brackets("f(not not not not not not ", "a", ")", MAX_BRACKETS),
            "{% endfor %}".repeat(m)
        ));
        let check = move || {
            for source in sources {
                references(&source, &Bounds::default()).unwrap_or_else(|e| panic!("{e}: {source}"));
                let mut environment = minijinja::Environment::new();
                environment.add_template_owned("it", source).unwrap();
            }
        };
        std::thread::Builder::new().stack_size(2 << 20).spawn(check).unwrap().join().unwrap();
    }
}
