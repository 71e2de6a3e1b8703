//! Statuses that an expression compares with literal texts.

use minijinja::machinery::ast::{CallType, Expr};

use super::references::{Path, first_text, text};

/// A status compared with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Whose status.
    pub subject: Subject,
    /// The text.
    pub value: String,
    /// The byte of the text.
    pub at: usize,
}

/// Whose status is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A task's: `task.scan.status`.
    Task,
    /// A task's, or null: `task_status('scan')`.
    TaskOrNull,
    /// The execution's: `system.verdict`.
    Verdict,
}

impl Subject {
    /// Returns the name that it is read from.
    pub fn root(self) -> &'static str {
        match self {
            Subject::Task => "task",
            Subject::TaskOrNull => "task_status",
            Subject::Verdict => "system",
        }
    }
}

/// Collects the texts that one side of a comparison compares with the status on the other side: one text, or each of a
/// list.
pub fn collect(left: &Expr<'_>, right: &Expr<'_>, found: &mut Vec<Compared>) {
    for (status, with) in [(left, right), (right, left)] {
        let Some(subject) = subject(status) else { continue };
        let texts = match with {
            Expr::List(list) => list.items.iter().filter_map(text).collect(),
            Expr::Tuple(tuple) => tuple.items.iter().filter_map(text).collect(),
            one => Vec::from_iter(text(one)),
        };
        found.extend(texts.into_iter().map(|(value, at)| Compared { subject, value, at }));
    }
}

fn subject(expression: &Expr<'_>) -> Option<Subject> {
    if let Expr::Call(call) = expression {
        let asks = matches!(call.identify_call(), CallType::Function("task_status")) && first_text(call).is_some();
        return asks.then_some(Subject::TaskOrNull);
    }
    let path = Path::of(expression)?;
    let is = |number: usize, name: &str| path.member(number).is_some_and(|(member, _)| member == name);
    match path.root {
        "task" if path.len() == 2 && is(1, "status") => Some(Subject::Task),
        "system" if path.len() == 1 && is(0, "verdict") => Some(Subject::Verdict),
        _ => None,
    }
}
