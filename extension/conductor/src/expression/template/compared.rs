//! Statuses that an expression compares with string literals.

use minijinja::machinery::ast::{BinOp, BinOpKind, CallType, Expr};

use super::path::{Path, first_text, text};

/// A status compared with a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Subject of the status.
    pub subject: Subject,
    /// The string.
    pub value: String,
    /// The byte of the string.
    pub at: usize,
}

/// What the compared status belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A task's: `task.scan.status`, `task_status('scan')`.
    Task,
    /// The execution's: `system.verdict`.
    Verdict,
}

impl Subject {
    /// Returns the name from which it is read.
    pub fn root(self) -> &'static str {
        match self {
            Subject::Task => "task",
            Subject::Verdict => "system",
        }
    }
}

/// Collects the strings with which an operator compares a status: one, or each in a list.
pub fn collect(binary: &BinOp<'_>, found: &mut Vec<Compared>) {
    let (left, right) = (&binary.left, &binary.right);
    let (subject, texts) = match (binary.op, subject(left), subject(right)) {
        (BinOpKind::Eq | BinOpKind::Ne, Some(subject), _) => (subject, Vec::from_iter(text(right))),
        (BinOpKind::Eq | BinOpKind::Ne, None, Some(subject)) => (subject, Vec::from_iter(text(left))),
        (BinOpKind::In, Some(subject), _) => match right {
            Expr::List(list) => (subject, list.items.iter().filter_map(text).collect()),
            Expr::Tuple(tuple) => (subject, tuple.items.iter().filter_map(text).collect()),
            _ => return,
        },
        _ => return,
    };
    found.extend(texts.into_iter().map(|(value, at)| Compared { subject, value, at }));
}

fn subject(expression: &Expr<'_>) -> Option<Subject> {
    if let Expr::Call(call) = expression {
        let asks = matches!(call.identify_call(), CallType::Function("task_status")) && first_text(call).is_some();
        return asks.then_some(Subject::Task);
    }
    let path = Path::of(expression)?;
    let is = |number: usize, name: &str| path.member(number).is_some_and(|(member, _)| member == name);
    match path.root {
        "task" if path.len() == 2 && is(1, "status") => Some(Subject::Task),
        "system" if path.len() == 1 && is(0, "verdict") => Some(Subject::Verdict),
        _ => None,
    }
}
