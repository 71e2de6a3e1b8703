//! Hints of `workflow_why` as buttons.
//!
//! A hint is a sentence with a call in it. A hint that is not understood remains a sentence.

use std::ops::Range;

/// The action that a hint suggests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    Resume(i64),
    Rerun(i64),
    /// Rerun from tasks that the user has to choose.
    RerunFrom(i64),
    ForceCancel(i64),
    Tick,
    Release {
        target: String,
        name: Option<String>,
        key: Option<String>,
    },
    SetLimit(String),
    Signal {
        execution: i64,
        name: String,
    },
    LookAt(i64),
    Check,
}

/// An argument of a call, with its name if it has one.
#[derive(Debug, PartialEq)]
struct Argument {
    name: Option<String>,
    value: Option<String>,
}

/// Returns the action that a hint suggests, if a button can perform it.
pub fn read(hint: &str) -> Option<Advice> {
    suggestions(hint).next().map(|(_, advice)| advice)
}

/// Returns the actions that a hint suggests, each with the place of its call.
fn suggestions(hint: &str) -> impl Iterator<Item = (Range<usize>, Advice)> {
    // A call without SELECT is only mentioned in the sentence, not suggested.
    hint.match_indices("SELECT ").filter_map(|(at, select)| {
        let start = at + select.len();
        let (function, arguments, rest) = call(&hint[start..])?;
        Some((at..hint.len() - rest.len(), advice(&function, &arguments)?))
    })
}

/// How the hint on an undo that failed ends, and what it says to somebody in front of the page.
const BY_HAND: &str = "call workflow_resolve(task) for each undo that has failed (see workflow_list_tasks(";

/// Returns a hint for people who have buttons rather than SQL. `here` is the execution whose page it is on.
pub fn words(hint: &str, here: Option<i64>) -> String {
    let it = |id: &i64| if here == Some(*id) { "it".to_owned() } else { format!("execution {id}") };
    let mut text = String::new();
    let mut rest = 0;
    for (place, advice) in suggestions(hint) {
        let tail = hint[place.end..].trim_start();
        text.push_str(&hint[rest..place.start]);
        rest = place.end;
        text.push_str(&match &advice {
            Advice::Resume(id) => format!("resume {}", it(id)),
            Advice::Rerun(id) if tail.is_empty() => {
                format!(
                    "rerun {}: it continues at the tasks that failed, and completed tasks keep their results",
                    it(id)
                )
            }
            Advice::Rerun(id) | Advice::RerunFrom(id) => format!("rerun {}", it(id)),
            Advice::ForceCancel(id) => format!("cancel {} by force", it(id)),
            Advice::Tick => "tick now".to_owned(),
            Advice::Release { .. } => "release it".to_owned(),
            Advice::SetLimit(name) => format!("a change of limit {name}"),
            // The input of a task that waits may be secret; it is shown on the page where the answer is given.
            Advice::Signal { name, .. } => return format!("answer it with the signal {name}"),
            Advice::LookAt(id) => format!("look at execution {id}"),
            Advice::Check => "check the data".to_owned(),
        });
    }
    let text = format!("{text}{}", &hint[rest..]).replace(" changes it immediately", " takes effect immediately");
    match text.split_once(BY_HAND) {
        Some((before, _)) => format!("{before}resolve each undo that has failed on the page of its task"),
        None => text,
    }
}

fn advice(function: &str, arguments: &[Argument]) -> Option<Advice> {
    let placed = |at: usize| {
        arguments.get(at).filter(|argument| argument.name.is_none()).and_then(|argument| argument.value.clone())
    };
    let named = |name: &str| {
        arguments
            .iter()
            .find(|argument| argument.name.as_deref() == Some(name))
            .and_then(|argument| argument.value.clone())
    };
    let id = || placed(0)?.parse().ok();
    Some(match function {
        "workflow_resume" => Advice::Resume(id()?),
        "workflow_rerun" if arguments.len() > 1 => Advice::RerunFrom(id()?),
        "workflow_rerun" => Advice::Rerun(id()?),
        "workflow_cancel" if named("force").as_deref() == Some("true") => Advice::ForceCancel(id()?),
        "workflow_tick" => Advice::Tick,
        "workflow_release" => Advice::Release {
            target: named("target").unwrap_or_else(|| "limit".to_owned()),
            name: placed(0),
            key: named("key"),
        },
        "workflow_set_limit" => Advice::SetLimit(placed(0)?),
        "workflow_signal" => Advice::Signal { execution: id()?, name: placed(1)? },
        "workflow_why" => Advice::LookAt(id()?),
        "workflow_check" => Advice::Check,
        _ => return None,
    })
}

/// Reads `[* FROM ]name(argument, …)`. Returns the rest of the text, too.
fn call(text: &str) -> Option<(String, Vec<Argument>, &str)> {
    let text = text.strip_prefix("* FROM ").unwrap_or(text);
    let (name, mut rest) = text.split_once('(')?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
        return None;
    }
    let mut arguments = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(')') {
            return Some((name.to_owned(), arguments, after));
        }
        let (argument, after) = argument(rest)?;
        arguments.push(argument);
        rest = after.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

fn argument(text: &str) -> Option<(Argument, &str)> {
    let word = text.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(text.len());
    if let Some(after) = text[word..].strip_prefix(" => ").filter(|_| word > 0) {
        let (value, rest) = value(after)?;
        return Some((Argument { name: Some(text[..word].to_owned()), value }, rest));
    }
    let (value, rest) = value(text)?;
    Some((Argument { name: None, value }, rest))
}

/// Reads a literal: text in quotes, with a backslash in it as `E'…'`; or a word or number, up to the next comma or
/// parenthesis.
fn value(text: &str) -> Option<(Option<String>, &str)> {
    let escaped = text.starts_with("E'");
    let Some(quoted) = text.strip_prefix("E'").or_else(|| text.strip_prefix('\'')) else {
        let end = text.find([',', ')'])?;
        let word = text[..end].trim();
        return Some(((word != "NULL").then(|| word.to_owned()), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' if characters.next_if(|(_, next)| *next == '\'').is_some() => value.push('\''),
            '\'' => return Some((Some(value), &quoted[at + 1..])),
            '\\' if escaped => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_become_what_they_say() {
        let release = |target: &str, name: Option<&str>, key: Option<&str>| Advice::Release {
            target: target.into(),
            name: name.map(str::to_owned),
            key: key.map(str::to_owned),
        };
        let cases = [
            ("SELECT workflow_resume(17)", Some(Advice::Resume(17))),
            ("fix the cause, then SELECT workflow_rerun(17)", Some(Advice::Rerun(17))),
            ("then SELECT workflow_rerun(17, ARRAY[…]) with the tasks to start from", Some(Advice::RerunFrom(17))),
            (
                "workers are told at their next heartbeat; to stop it immediately, SELECT workflow_cancel(17, force => true)",
                Some(Advice::ForceCancel(17)),
            ),
            ("SELECT workflow_tick(), or run a worker, which calls it regularly", Some(Advice::Tick)),
            ("SELECT workflow_release('api''s', key => 'a, b)')", Some(release("limit", Some("api's"), Some("a, b)")))),
            ("SELECT workflow_release( E'a\\\\b')", Some(release("limit", Some("a\\b"), None))),
            ("SELECT workflow_release(NULL, target => 'everything')", Some(release("everything", None, None))),
            ("SELECT workflow_set_limit('api', …) changes it immediately", Some(Advice::SetLimit("api".into()))),
            (
                "SELECT workflow_signal(17, 'approved', …), replacing … with the payload",
                Some(Advice::Signal { execution: 17, name: "approved".into() }),
            ),
            ("SELECT * FROM workflow_why(18)", Some(Advice::LookAt(18))),
            ("SELECT * FROM workflow_check()", Some(Advice::Check)),
            ("run a worker that serves shop.charge", None),
            ("SELECT query, state, xact_start FROM pg_stat_activity WHERE pid = 3", None),
            ("SELECT workflow_signal(17, 'appr", None),
            ("say so with workflow_resume(17)", None),
        ];
        for (hint, advice) in cases {
            assert_eq!(read(hint), advice, "{hint}");
        }
    }

    #[test]
    fn people_with_buttons_read_no_sql() {
        let cases = [
            ("SELECT workflow_resume(17)", "resume it"),
            (
                "fix the cause, then SELECT workflow_rerun(17)",
                "fix the cause, then rerun it: it continues at the tasks that failed, and completed tasks keep their results",
            ),
            (
                "fix the cause, then SELECT workflow_rerun(17), which continues the undo; or undo the tasks by hand, and \
                 call workflow_resolve(task) for each undo that has failed (see workflow_list_tasks(17))",
                "fix the cause, then rerun it, which continues the undo; or undo the tasks by hand, and resolve each undo \
                 that has failed on the page of its task",
            ),
            (
                "SELECT workflow_rerun(18, ARRAY[…]) with the tasks to start from",
                "rerun execution 18 with the tasks to start from",
            ),
            (
                "to stop it immediately, SELECT workflow_cancel(17, force => true)",
                "to stop it immediately, cancel it by force",
            ),
            (
                "SELECT workflow_tick(), or run a worker, which calls it regularly",
                "tick now, or run a worker, which calls it regularly",
            ),
            ("SELECT workflow_release('api''s', key => 'a, b)')", "release it"),
            (
                "SELECT workflow_set_limit('api', …) changes it immediately",
                "a change of limit api takes effect immediately",
            ),
            (
                "SELECT workflow_signal(17, 'approved', …), replacing … with the answer to 1",
                "answer it with the signal approved",
            ),
            ("SELECT * FROM workflow_why(18)", "look at execution 18"),
            ("SELECT * FROM workflow_check()", "check the data"),
            ("run a worker that serves shop.charge", "run a worker that serves shop.charge"),
        ];
        for (hint, expected) in cases {
            assert_eq!(words(hint, Some(17)), expected, "{hint}");
        }
    }
}
