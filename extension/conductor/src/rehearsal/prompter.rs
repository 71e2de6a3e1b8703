//! Answers as specified by a test file.

use super::play::{Prompter, Request, Stop};
use super::script::Cancel;
use super::script::{Answer, Answers, Attempts, Script, Test};

/// Answers for one test.
pub(super) struct Scripted<'s> {
    pub script: &'s Script,
    pub test: &'s Test,
}

impl Prompter for Scripted<'_> {
    fn cancel(&self) -> Option<Cancel> {
        self.test.cancel
    }

    fn answer(&mut self, request: &Request) -> Result<Answer, Stop> {
        let (own, default) = self.script.answers(self.test, request.task);
        let attempts = match (own, request.item) {
            (Some(Answers::Task(attempts)), _) => Some(attempts),
            (Some(Answers::Items { items, each }), Some(index)) => {
                items.get(&index).map(|written| &written.value).or(each.as_ref())
            }
            _ => None,
        };
        let unanswered = |message, remedy: String| Err(Stop::Unanswered(message, remedy));
        let (name, item) = (request.task, request.item.map(|index| format!(", item {index},")).unwrap_or_default());
        if let Some(attempts) = attempts {
            let attempt = request.earlier + 1;
            return attempts.nth(request.earlier).cloned().map_or_else(
                || {
                    let message = format!("attempt {attempt} of task {name}{item} has no answer");
                    let answers = match attempts {
                        Attempts::Listed(list) if list.len() != 1 => format!("{} answers", list.len()),
                        _ => "one answer".to_owned(),
                    };
                    unanswered(
                        message,
                        format!("its list has {answers}: add another, or fix what makes the task run again"),
                    )
                },
                Ok,
            );
        }
        match default {
            _ if request.waits => {
                let message =
                    format!("task {name}{item} waits for a signal, but the test does not say whether it arrives");
                unanswered(message, format!("add `{name}: {{signal: …}}` or `{name}: {{nothing: true}}` to `answers`"))
            }
            Some(answer) => Ok(answer.clone()),
            None => {
                let message = format!("task {name}{item} has no answer");
                unanswered(message, format!("add `{name}: {{result: …}}` to `answers`, or a `default`"))
            }
        }
    }
}
