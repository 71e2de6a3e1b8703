//! Whether a condition can hold after a task has ended in a certain way, judged without any other knowledge.

use super::bound;
use crate::bounds::Bounds;
use minijinja::machinery::ast::{BinOpKind, CallType, Expr, Stmt, UnaryOpKind};
use minijinja::machinery::parse;

/// Whether a condition may be true after a task has ended with a status. False only if it cannot be.
pub fn may_hold_after(condition: &str, status: &str, bounds: &Bounds) -> bool {
    if bound(condition, bounds).is_err() {
        return true;
    }
    let Ok(template) = parse(condition, "condition", Default::default()) else { return true };
    let Stmt::Template(template) = &template else { return true };
    match template.children.as_slice() {
        [Stmt::EmitExpr(emit)] => value(&emit.expr, status) != Some(false),
        _ => true,
    }
}

/// Returns the truth value of an expression, or `None` if it depends on something else.
fn value(expression: &Expr<'_>, status: &str) -> Option<bool> {
    match expression {
        Expr::Const(constant) => Some(constant.value.is_true()),
        Expr::UnaryOp(unary) if matches!(unary.op, UnaryOpKind::Not) => value(&unary.expr, status).map(|truth| !truth),
        Expr::BinOp(binary) => {
            let sides = || [value(&binary.left, status), value(&binary.right, status)];
            // One side may be enough to decide.
            let decided = |truth: bool| match sides() {
                [Some(left), Some(right)] if left == right => Some(left),
                sides if sides.contains(&Some(truth)) => Some(truth),
                _ => None,
            };
            match binary.op {
                BinOpKind::ScAnd => decided(false),
                BinOpKind::ScOr => decided(true),
                _ => None,
            }
        }
        Expr::Call(call) => match call.identify_call() {
            CallType::Function("succeeded") => Some(status == "completed"),
            CallType::Function("failed") => Some(matches!(status, "failed" | "timeout" | "abandoned")),
            CallType::Function("timed_out") => Some(status == "timeout"),
            CallType::Function("cancelled") => Some(status == "cancelled"),
            CallType::Function("skipped") => Some(status == "skipped"),
            CallType::Function("completed") => Some(true),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_that_need_a_failure_cannot_hold_after_a_success() {
        let never = [
            "{{ failed() }}",
            "{{ timed_out() or failed() }}",
            "{{ failed() and not timed_out() }}",
            "{{ not succeeded() and error().type == 'declined' }}",
            "{{ parameters.refund and failed() }}",
            "{{ not (succeeded() or parameters.x) }}",
            "{{ false }}",
        ];
        let sometimes = [
            "{{ succeeded() }}",
            "{{ completed() }}",
            "{{ failed() or parameters.always }}",
            "{{ error().type == 'declined' }}",
            "{{ not failed() }}",
            "{{ parameters.x }}",
            "{{ failed() }} or so",
            "{{ failed( }}",
        ];
        let holds = |condition: &&str| may_hold_after(condition, "completed", &Bounds::default());
        assert_eq!(never.iter().filter(|condition| holds(condition)).collect::<Vec<_>>(), Vec::<&&str>::new());
        assert_eq!(sometimes.iter().filter(|condition| !holds(condition)).collect::<Vec<_>>(), Vec::<&&str>::new());
        assert!(may_hold_after("{{ not succeeded() }}", "skipped", &Bounds::default()));
    }
}
