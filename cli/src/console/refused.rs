//! Forms that were refused: they are shown again with what was typed, and with the reason beside it.

use super::form::Fields;
use super::page;
use super::problem::Problem;
use maud::{Markup, html};

/// What a form sent, and why it was refused.
#[derive(Debug, Clone)]
pub struct Refused {
    pub fields: Fields,
    pub problem: Problem,
}

/// What was typed into one form, if that is the form that was refused.
#[derive(Clone, Copy)]
pub struct Sent<'r>(Option<&'r Refused>);

impl<'r> Sent<'r> {
    /// Returns what was typed into the form with this name, which forms send as `form`.
    pub fn of(refused: Option<&'r Refused>, form: &str) -> Sent<'r> {
        Sent(refused.filter(|refused| refused.fields.get("form") == Some(form)))
    }

    /// Returns the same for a form that is shown for the first time.
    #[cfg(test)]
    pub fn nothing() -> Sent<'static> {
        Sent(None)
    }

    pub fn is_some(self) -> bool {
        self.0.is_some()
    }

    /// Returns what was typed into a field, or its initial value if the form has not been sent.
    pub fn value(self, name: &str, default: Option<String>) -> Option<String> {
        match self.0 {
            Some(refused) => refused.fields.get(name).map(str::to_owned),
            None => default,
        }
    }

    /// Whether a value was chosen, or is the initial choice if the form has not been sent.
    pub fn chose(self, name: &str, value: &str, default: bool) -> bool {
        self.0.map_or(default, |refused| refused.fields.all(name).any(|sent| sent == value))
    }

    /// Returns a form that performs an action, with everything that was wrong with it.
    pub fn form(self, name: &str, action: &str, back: &str, content: Markup) -> Markup {
        html! {
            div data-refused[self.is_some()] {
                @if let Some(Refused { problem, .. }) = self.0 { (trouble(problem)) }
                (page::form(action, back, html! { (page::hidden("form", name)) (content) }))
            }
        }
    }
}

/// Returns everything that is wrong.
pub fn trouble(problem: &Problem) -> Markup {
    html! {
        div.trouble tabindex="-1" {
            p.error { (page::text(&problem.message)) }
            @if !problem.list.is_empty() { ul { @for one in &problem.list { li { (page::text(one)) } } } }
            @if let Some(hint) = &problem.hint { p.dim { (page::text(hint)) } }
        }
    }
}
