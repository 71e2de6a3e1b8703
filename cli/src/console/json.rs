//! Values as pages show them: readable, without hidden parts, and at most a screen or two long.

use maud::{Markup, html};
use serde_json::Value;

/// Maximum number of characters of a value that are shown.
const SHOWN: usize = 20_000;

/// Paths whose values are hidden, each by the names at its end.
#[derive(Debug, Clone, Default)]
pub struct Masks(Vec<Vec<String>>);

impl Masks {
    pub fn new(paths: &[String]) -> Masks {
        let words = |path: &String| path.trim_start_matches("$.").split('.').map(str::to_owned).collect();
        Masks(paths.iter().map(words).collect())
    }

    /// Returns a value without its hidden parts.
    pub fn apply(&self, value: &Value) -> Value {
        let mut value = value.clone();
        if !self.0.is_empty() {
            self.hide(&mut value, &mut Vec::new());
        }
        value
    }

    /// Returns a value without its hidden parts on one line.
    pub fn line(&self, value: &Value) -> String {
        escaped(&self.apply(value).to_string())
    }

    /// Returns a text without the hidden parts of JSON values in it. An error without a message, for example, is shown
    /// as JSON.
    pub fn text(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '[']).filter(|_| !self.0.is_empty()) {
            shown.push_str(&rest[..at]);
            rest = &rest[at..];
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            let end = match values.next() {
                Some(Ok(value)) => {
                    shown.push_str(&self.line(&value));
                    values.byte_offset()
                }
                _ => {
                    shown.push_str(&rest[..1]);
                    1
                }
            };
            rest = &rest[end..];
        }
        shown + rest
    }

    fn hide(&self, value: &mut Value, path: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    path.push(name.clone());
                    if self.0.iter().any(|mask| path.ends_with(mask)) {
                        *member = Value::from("••••••");
                    } else {
                        self.hide(member, path);
                    }
                    path.pop();
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide(item, path)),
            _ => {}
        }
    }

    /// Shows a value, with a link to the whole value if it is too long.
    pub fn show(&self, value: &Value, all: Option<&str>) -> Markup {
        let text = escaped(&format!("{:#}", self.apply(value)));
        let end = text.char_indices().nth(SHOWN).map(|(at, _)| at);
        html! {
            pre.json tabindex="0" { (&text[..end.unwrap_or(text.len())]) @if end.is_some() { "…" } }
            @if end.is_some() {
                p.dim {
                    "The first " (SHOWN) " characters of " (text.len()) " bytes. "
                    @if let Some(all) = all { a href=(all) download { "Download it" } }
                }
            }
        }
    }
}

/// Returns JSON in which characters that change the direction of text are escaped: otherwise a value could appear to be
/// another.
fn escaped(json: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !json.contains(turns) {
        return json.to_owned();
    }
    json.chars().map(|c| if turns(c) { format!("\\u{:04x}", c as u32) } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_hidden_by_the_end_of_their_path_at_any_depth() {
        let masks = Masks::new(&["password".into(), "card.number".into()]);
        let value = json!({"password": {"a": 1}, "number": 1, "list": [{"card": {"number": 2, "name": "x"}}]});
        let hidden = "••••••";
        let expected = json!({"password": hidden, "number": 1, "list": [{"card": {"number": hidden, "name": "x"}}]});
        assert_eq!(masks.apply(&value), expected);
    }

    #[test]
    fn values_in_texts_are_hidden_too() {
        let masks = Masks::new(&["password".into()]);
        let text = r#"task a failed: {"password":"x","n":1} [of 3] and [{"password":2}], {not json}"#;
        let hidden = r#"task a failed: {"n":1,"password":"••••••"} [of 3] and [{"password":"••••••"}], {not json}"#;
        let order = r#"task a failed: {"password":"••••••","n":1} [of 3] and [{"password":"••••••"}], {not json}"#;
        assert!([hidden, order].contains(&masks.text(text).as_str()), "{}", masks.text(text));
        assert_eq!(Masks::default().text(text), text);
    }

    #[test]
    fn no_value_changes_the_direction_of_text() {
        let value = json!({"to": "a\u{202e}b"});
        assert_eq!(Masks::default().line(&value), r#"{"to":"a\u202eb"}"#);
        assert_eq!(serde_json::from_str::<Value>(&Masks::default().line(&value)).unwrap(), value);
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let shown = Masks::default().show(&Value::from("é".repeat(30_000)), Some("/all")).into_string();
        assert!(shown.len() < 50_000 && shown.contains("Download"));
    }
}
