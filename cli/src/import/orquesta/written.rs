//! What Orquesta lets people write within a text: expressions, and `a=1 b=2` for several values.

use serde_json::Value;

/// Whether a text contains an expression.
pub fn has_expression(text: &str) -> bool {
    next_expression(text).is_some()
}

/// Returns the text before the next expression, its opening delimiter, its contents, and the rest.
pub fn next_expression(text: &str) -> Option<(&str, &'static str, &str, &str)> {
    let (at, open, close) = [("<%", "%>"), ("{{", "}}")]
        .into_iter()
        .filter_map(|(open, close)| text.find(open).map(|at| (at, open, close)))
        .min()?;
    let (inner, after) = text[at + 2..].split_once(close)?;
    Some((&text[..at], open, inner, after))
}

/// Splits `core.local cmd="date" timeout=3` into the action and its input.
pub fn action_of(text: &str) -> (String, Vec<(String, Value)>) {
    if has_expression(text.split_whitespace().next().unwrap_or_default()) && !text.contains('=') {
        return (text.to_owned(), Vec::new());
    }
    match text.trim().split_once(char::is_whitespace) {
        Some((action, input)) if !action.starts_with("<%") && !action.starts_with("{{") => {
            (action.to_owned(), inline(input))
        }
        _ => (text.trim().to_owned(), Vec::new()),
    }
}

/// Reads `a=1 b="two words" c=<% ctx().x %>`.
pub fn inline(text: &str) -> Vec<(String, Value)> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let ends = [("<%", "%>"), ("{{", "}}")].into_iter().find(|(open, _)| after.starts_with(open));
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, left) = match (ends, quote) {
            (Some((_, close)), _) => after.find(close).map_or((after, ""), |at| after.split_at(at + 2)),
            (None, Some(quote)) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
            (None, None) => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        let value = match quote.is_some() || ends.is_some() {
            true => Value::from(value),
            false => serde_json::from_str(value).unwrap_or_else(|_| value.into()),
        };
        pairs.push((name.trim().trim_start_matches([',', ';']).trim().to_owned(), value));
        rest = left.trim();
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn inline_input_is_split() {
        let (action, input) = action_of("core.local cmd=\"echo <% ctx().x %>\" timeout=3 who=<% ctx(a) %> on=true");
        assert_eq!(action, "core.local");
        let expected = [
            ("cmd", json!("echo <% ctx().x %>")),
            ("timeout", json!(3)),
            ("who", json!("<% ctx(a) %>")),
            ("on", json!(true)),
        ];
        assert_eq!(input, expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(action_of("<% ctx().action %>").0, "<% ctx().action %>");
    }
}
