//! Compiles templates with a filter around every operand whose walk costs fuel. [`super::metered`] explains why.

use super::metered::{
    BOUNDED, CHECKED, FILTERED, MAYBE, METERED, SEQUENCE_FILTERS, SHALLOW_FILTERS, SHALLOW_TESTS, SLICED, SORTED,
    SORTING_FILTERS, TAKEN_APART, TOUCHED, TOUCHING_FILTERS,
};
use minijinja::Error;
use minijinja::machinery::ast::{
    AutoEscape, BinOp, BinOpKind, Call, CallArg, CallBlock, Compare, CompareOp, Const, Do, EmitExpr, EmitRaw, Expr,
    Filter, FilterBlock, ForLoop, GetAttr, GetItem, IfCond, IfExpr, List, Macro, Map, Set, SetBlock, Slice, Spanned,
    Stmt, Template, Test, Tuple, UnaryOp, UnaryOpKind, Var, WithBlock,
};
use minijinja::machinery::{CodeGenerator, Instructions, Span, parse, parse_expr};
use minijinja::value::Value;

/// Compiles an expression.
pub fn expression(source: &str) -> Result<Instructions<'_>, Error> {
    let tree = parse_expr(source)?;
    let mut code = CodeGenerator::new("expression", source);
    code.compile_expr(&copy(&tree));
    Ok(code.finish().0)
}

/// Compiles a template.
pub fn template(source: &str) -> Result<Instructions<'_>, Error> {
    let tree = parse(source, "template", Default::default())?;
    let mut code = CodeGenerator::new("template", source);
    code.compile_stmt(&statement(&tree));
    Ok(code.finish().0)
}

/// Wraps an operand so that it is paid for.
fn metered<'a>(operand: &Expr<'a>) -> Expr<'a> {
    filtered(METERED, operand)
}

/// Passes an operand through one of our filters.
fn filtered<'a>(name: &'static str, operand: &Expr<'a>) -> Expr<'a> {
    match operand {
        Expr::Const(_) => copy(operand),
        _ => through(name, copy(operand), operand.span()),
    }
}

fn through<'a>(name: &'static str, operand: Expr<'a>, span: Span) -> Expr<'a> {
    Expr::Filter(Spanned::new(Filter { name, expr: Some(operand), args: Vec::new() }, span))
}

/// Wraps the container from which an item is taken. Not needed for a name, which is not a position in a text, or for a
/// small index, which is found quickly.
fn container<'a>(it: &GetItem<'a>) -> Expr<'a> {
    let is_near = match &it.subscript_expr {
        Expr::Const(constant) => {
            constant.value.as_str().is_some() || constant.value.as_i64().is_some_and(|index| (0..64).contains(&index))
        }
        _ => false,
    };
    if is_near { copy(&it.expr) } else { filtered(TOUCHED, &it.expr) }
}

/// Copies an operand that may be undefined at any of its names: `vars.x.y | default(0)` is 0 even if there is no `x`.
fn possible<'a>(operand: &Expr<'a>) -> Expr<'a> {
    let part = |part: &Expr<'a>| match part {
        Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => through(MAYBE, possible(part), part.span()),
        other => copy(other),
    };
    match operand {
        Expr::GetAttr(it) => Expr::GetAttr(Spanned::new(GetAttr { expr: part(&it.expr), name: it.name }, it.span())),
        Expr::GetItem(it) if matches!(it.subscript_expr, Expr::Const(_)) => {
            let copied = GetItem { expr: part(&it.expr), subscript_expr: copy(&it.subscript_expr) };
            Expr::GetItem(Spanned::new(copied, it.span()))
        }
        Expr::IfExpr(it) => {
            let (true_expr, false_expr) = (possible(&it.true_expr), it.false_expr.as_ref().map(possible));
            let copied = IfExpr { test_expr: copy(&it.test_expr), true_expr, false_expr };
            Expr::IfExpr(Spanned::new(copied, it.span()))
        }
        other => copy(other),
    }
}

fn copy<'a>(expression: &Expr<'a>) -> Expr<'a> {
    match expression {
        Expr::Var(it) => Expr::Var(Spanned::new(Var { id: it.id }, it.span())),
        Expr::Const(it) => Expr::Const(Spanned::new(Const { value: it.value.clone() }, it.span())),
        Expr::Slice(it) => {
            let [start, stop, step] = [&it.start, &it.stop, &it.step].map(|part| part.as_ref().map(copy));
            Expr::Slice(Spanned::new(Slice { expr: filtered(SLICED, &it.expr), start, stop, step }, it.span()))
        }
        Expr::UnaryOp(it) => {
            // UnaryOpKind can't be copied.
            let op = if matches!(it.op, UnaryOpKind::Not) { UnaryOpKind::Not } else { UnaryOpKind::Neg };
            Expr::UnaryOp(Spanned::new(UnaryOp { op, expr: copy(&it.expr) }, it.span()))
        }
        Expr::BinOp(it) => {
            use BinOpKind::{Add, Concat, Eq, Gt, Gte, In, Lt, Lte, Mul, Ne};
            let has_literal = [&it.left, &it.right].into_iter().any(|it| matches!(it, Expr::Const(_)));
            let operand = |it: &Expr<'a>, op| match op {
                Concat | Eq | Ne | Gt | Gte | Lt | Lte | In => metered(it),
                // Lists are concatenated without a walk, texts are not. A literal adds little.
                Add if !has_literal => filtered(BOUNDED, it),
                Mul => filtered(SLICED, it),
                _ => copy(it),
            };
            let (left, right) = (operand(&it.left, it.op), operand(&it.right, it.op));
            Expr::BinOp(Spanned::new(BinOp { op: it.op, left, right }, it.span()))
        }
        Expr::Compare(it) => {
            let ops = it.ops.iter().map(|op| CompareOp { op: op.op, expr: metered(&op.expr) }).collect();
            Expr::Compare(Spanned::new(Compare { expr: metered(&it.expr), ops }, it.span()))
        }
        Expr::IfExpr(it) => {
            let false_expr = it.false_expr.as_ref().map(copy);
            let copied = IfExpr { test_expr: copy(&it.test_expr), true_expr: copy(&it.true_expr), false_expr };
            Expr::IfExpr(Spanned::new(copied, it.span()))
        }
        Expr::Filter(it) => {
            let filter = match it.name {
                name if SHALLOW_FILTERS.contains(&name) => None,
                name if TOUCHING_FILTERS.contains(&name) => Some(TOUCHED),
                name if SORTING_FILTERS.contains(&name) => Some(SORTED),
                name if SEQUENCE_FILTERS.contains(&name) => Some(TAKEN_APART),
                _ => Some(FILTERED),
            };
            let operand = it.expr.as_ref().map(|operand| match filter {
                Some(filter) => filtered(filter, operand),
                None if matches!(it.name, "default" | "d") => possible(operand),
                None => copy(operand),
            });
            let copied = Filter { name: it.name, expr: operand, args: arguments(&it.args) };
            Expr::Filter(Spanned::new(copied, it.span()))
        }
        Expr::Test(it) => {
            let operand = match it.name {
                "defined" | "undefined" => possible,
                name if SHALLOW_TESTS.contains(&name) => copy,
                _ => metered,
            };
            let copied = Test { name: it.name, expr: operand(&it.expr), args: arguments(&it.args) };
            Expr::Test(Spanned::new(copied, it.span()))
        }
        Expr::GetAttr(it) => Expr::GetAttr(Spanned::new(GetAttr { expr: copy(&it.expr), name: it.name }, it.span())),
        Expr::GetItem(it) => {
            let copied = GetItem { expr: container(it), subscript_expr: metered(&it.subscript_expr) };
            Expr::GetItem(Spanned::new(copied, it.span()))
        }
        Expr::Call(it) => Expr::Call(call(it)),
        Expr::List(it) => Expr::List(Spanned::new(List { items: copies(&it.items) }, it.span())),
        Expr::Tuple(it) => Expr::Tuple(Spanned::new(Tuple { items: copies(&it.items) }, it.span())),
        Expr::Map(it) => {
            // A key is hashed, which is a walk.
            let keys = it.keys.iter().map(metered).collect();
            Expr::Map(Spanned::new(Map { keys, values: copies(&it.values) }, it.span()))
        }
    }
}

fn copies<'a>(list: &[Expr<'a>]) -> Vec<Expr<'a>> {
    list.iter().map(copy).collect()
}

fn call<'a>(it: &Spanned<Call<'a>>) -> Spanned<Call<'a>> {
    Spanned::new(Call { expr: copy(&it.expr), args: arguments(&it.args) }, it.span())
}

fn arguments<'a>(list: &[CallArg<'a>]) -> Vec<CallArg<'a>> {
    let paid = |argument: &CallArg<'a>| match argument {
        CallArg::Pos(value) => CallArg::Pos(filtered(FILTERED, value)),
        CallArg::Kwarg(name, value) => CallArg::Kwarg(name, filtered(FILTERED, value)),
        CallArg::PosSplat(value) => CallArg::PosSplat(filtered(TAKEN_APART, value)),
        // These are not values that can be passed to a filter; their contents were paid for when they were made.
        CallArg::KwargSplat(value) => CallArg::KwargSplat(copy(value)),
    };
    list.iter().map(paid).collect()
}

fn statement<'a>(it: &Stmt<'a>) -> Stmt<'a> {
    match it {
        Stmt::Template(it) => Stmt::Template(Spanned::new(Template { children: statements(&it.children) }, it.span())),
        Stmt::EmitExpr(it) => Stmt::EmitExpr(Spanned::new(EmitExpr { expr: copy(&it.expr) }, it.span())),
        Stmt::EmitRaw(it) => Stmt::EmitRaw(Spanned::new(EmitRaw { raw: it.raw }, it.span())),
        Stmt::ForLoop(it) => {
            let copied = ForLoop {
                target: copy(&it.target),
                iter: copy(&it.iter),
                filter_expr: it.filter_expr.as_ref().map(|filter| through(CHECKED, copy(filter), filter.span())),
                recursive: it.recursive,
                body: repeated(&it.body, it.span()),
                else_body: statements(&it.else_body),
            };
            Stmt::ForLoop(Spanned::new(copied, it.span()))
        }
        Stmt::IfCond(it) => {
            let (true_body, false_body) = (statements(&it.true_body), statements(&it.false_body));
            Stmt::IfCond(Spanned::new(IfCond { expr: copy(&it.expr), true_body, false_body }, it.span()))
        }
        Stmt::WithBlock(it) => {
            let assignments = it.assignments.iter().map(|(target, value)| (copy(target), copy(value))).collect();
            Stmt::WithBlock(Spanned::new(WithBlock { assignments, body: statements(&it.body) }, it.span()))
        }
        Stmt::Set(it) => {
            // A namespace outlives the loop it is set in: its contents must not get deeper with each iteration.
            let value = if matches!(it.target, Expr::GetAttr(_)) { metered } else { copy };
            Stmt::Set(Spanned::new(Set { target: copy(&it.target), expr: value(&it.expr) }, it.span()))
        }
        Stmt::SetBlock(it) => {
            let filter = it.filter.as_ref().map(copy);
            let copied = SetBlock { target: copy(&it.target), filter, body: statements(&it.body) };
            Stmt::SetBlock(Spanned::new(copied, it.span()))
        }
        Stmt::AutoEscape(it) => {
            let copied = AutoEscape { enabled: copy(&it.enabled), body: statements(&it.body) };
            Stmt::AutoEscape(Spanned::new(copied, it.span()))
        }
        Stmt::FilterBlock(it) => {
            let (filter, filter_span) = (copy(&it.filter), it.filter_span);
            Stmt::FilterBlock(Spanned::new(FilterBlock { filter, filter_span, body: statements(&it.body) }, it.span()))
        }
        Stmt::Macro(it) => Stmt::Macro(declared(it)),
        Stmt::CallBlock(it) => {
            let (call, macro_decl) = (call(&it.call), declared(&it.macro_decl));
            Stmt::CallBlock(Spanned::new(CallBlock { call, call_expr_span: it.call_expr_span, macro_decl }, it.span()))
        }
        Stmt::Do(it) => Stmt::Do(Spanned::new(Do { call: call(&it.call) }, it.span())),
    }
}

/// Copies a body that may run many times, so that it checks each time.
fn repeated<'a>(list: &[Stmt<'a>], span: Span) -> Vec<Stmt<'a>> {
    // Written output passes through the meter, which checks.
    if list.iter().any(|it| matches!(it, Stmt::EmitExpr(_))) {
        return statements(list);
    }
    let truth = Expr::Const(Spanned::new(Const { value: Value::from(true) }, span));
    let checked = IfCond { expr: through(CHECKED, truth, span), true_body: statements(list), false_body: Vec::new() };
    vec![Stmt::IfCond(Spanned::new(checked, span))]
}

fn statements<'a>(list: &[Stmt<'a>]) -> Vec<Stmt<'a>> {
    list.iter().map(statement).collect()
}

fn declared<'a>(it: &Spanned<Macro<'a>>) -> Spanned<Macro<'a>> {
    let (args, defaults) = (copies(&it.args), copies(&it.defaults));
    Spanned::new(Macro { name: it.name, args, defaults, body: repeated(&it.body, it.span()) }, it.span())
}
