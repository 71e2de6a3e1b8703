//! The possible ends of a task, and for which of them a condition holds.

use minijinja::machinery::ast::{BinOpKind, CallType, Expr, UnaryOpKind};
use minijinja::machinery::parse_expr;

use crate::bounds::Bounds;
use crate::expression::template;
use crate::language::definition::Task;

/// The end of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PossibleEnd {
    Succeeded,
    Failed,
    TimedOut,
    Cancelled,
    Skipped,
}

/// Whether something fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fires {
    Never,
    Maybe,
    Always,
}

impl PossibleEnd {
    pub const ALL: [PossibleEnd; 5] = [
        PossibleEnd::Succeeded,
        PossibleEnd::Failed,
        PossibleEnd::TimedOut,
        PossibleEnd::Cancelled,
        PossibleEnd::Skipped,
    ];

    pub fn is_failure(self) -> bool {
        matches!(self, PossibleEnd::Failed | PossibleEnd::TimedOut)
    }

    /// Whether a task can end like this. A routing task can't fail, and only a task with a condition is skipped.
    pub fn possible(self, task: &Task) -> bool {
        match self {
            PossibleEnd::Succeeded => true,
            PossibleEnd::Skipped => task.when.is_some(),
            _ => task.action.is_some() || task.wait_for.is_some(),
        }
    }

    fn answers(self, function: &str) -> Option<bool> {
        Some(match function {
            "succeeded" => self == PossibleEnd::Succeeded,
            "failed" => self.is_failure(),
            "timed_out" => self == PossibleEnd::TimedOut,
            "cancelled" => self == PossibleEnd::Cancelled,
            "skipped" => self == PossibleEnd::Skipped,
            "completed" => true,
            _ => return None,
        })
    }
}

/// Whether a transition fires at each of [`PossibleEnd::ALL`].
#[derive(Debug, Clone, Copy)]
pub struct Firing([Fires; 5]);

impl Firing {
    /// Reads a transition's condition. If it can't be parsed, it may fire.
    pub fn of(when: Option<&str>, bounds: &Bounds) -> Firing {
        let Some(text) = when else { return Firing([Fires::Always; 5]) };
        let unknown = Firing([Fires::Maybe; 5]);
        if template::bound(text, bounds).is_err() {
            return unknown;
        }
        let Some((_, inner)) = template::pure(text) else { return unknown };
        match parse_expr(inner) {
            Ok(condition) => Firing(PossibleEnd::ALL.map(|outcome| truth(&condition, outcome))),
            Err(_) => unknown,
        }
    }

    pub fn at(&self, outcome: PossibleEnd) -> Fires {
        self.0[outcome as usize]
    }

    pub fn can(&self, outcome: PossibleEnd) -> bool {
        self.at(outcome) != Fires::Never
    }
}

/// Evaluates a condition as far as possible without knowing the values in it. The tree's depth has been limited.
fn truth(condition: &Expr<'_>, outcome: PossibleEnd) -> Fires {
    let of = |truth: bool| if truth { Fires::Always } else { Fires::Never };
    match condition {
        Expr::Const(constant) => of(constant.value.is_true()),
        Expr::UnaryOp(unary) if matches!(unary.op, UnaryOpKind::Not) => match truth(&unary.expr, outcome) {
            Fires::Never => Fires::Always,
            Fires::Maybe => Fires::Maybe,
            Fires::Always => Fires::Never,
        },
        Expr::BinOp(binary) => match (binary.op, truth(&binary.left, outcome)) {
            (BinOpKind::ScAnd, Fires::Never) => Fires::Never,
            (BinOpKind::ScAnd, Fires::Always) => truth(&binary.right, outcome),
            (BinOpKind::ScAnd, Fires::Maybe) if truth(&binary.right, outcome) == Fires::Never => Fires::Never,
            (BinOpKind::ScOr, Fires::Always) => Fires::Always,
            (BinOpKind::ScOr, Fires::Never) => truth(&binary.right, outcome),
            (BinOpKind::ScOr, Fires::Maybe) if truth(&binary.right, outcome) == Fires::Always => Fires::Always,
            _ => Fires::Maybe,
        },
        Expr::Call(call) => match call.identify_call() {
            CallType::Function(name) => outcome.answers(name).map_or(Fires::Maybe, of),
            _ => Fires::Maybe,
        },
        _ => Fires::Maybe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fires(condition: &str) -> Vec<Fires> {
        let firing = Firing::of(Some(condition), &Bounds::default());
        PossibleEnd::ALL.iter().map(|outcome| firing.at(*outcome)).collect()
    }

    #[test]
    fn conditions_tell_which_ends_they_let_through() {
        use Fires::{Always as A, Maybe as M, Never as N};
        assert_eq!(fires("{{ succeeded() }}"), [A, N, N, N, N]);
        assert_eq!(fires("{{ failed() and not timed_out() }}"), [N, A, N, N, N]);
        assert_eq!(fires("{{ succeeded() and vars.x > 1 }}"), [M, N, N, N, N]);
        assert_eq!(fires("{{ vars.x or completed() }}"), [A, A, A, A, A]);
        assert_eq!(fires("{{ skipped() or result() }}"), [M, M, M, M, A]);
        assert_eq!(fires("{{ false }}"), [N; 5]);
        assert_eq!(fires("{{ broken( }}"), [M; 5]);
    }
}
