//! Templates whose every walk through a value is paid for with fuel.
//!
//! MiniJinja meters its instructions and loops, but `~`, comparisons, and what turns a list to text walk through a value
//! for nothing, and folding constants does that while compiling. A list may be repeated, or hold another many times: a
//! short expression makes one that takes years to walk through. So the tree of a template is copied with a filter around
//! every operand that may be walked through: it takes the fuel, or fails, before the walk. `map`, `select` and their like,
//! which walk through their arguments with each item, are registered anew, to take it each time.

use minijinja::machinery::ast::{
    AutoEscape, BinOp, BinOpKind, Call, CallArg, CallBlock, Compare, CompareOp, Const, Do, EmitExpr, EmitRaw, Expr,
    Filter, FilterBlock, ForLoop, GetAttr, GetItem, IfCond, IfExpr, List, Macro, Map, Set, SetBlock, Slice, Spanned,
    Stmt, Template, Test, Tuple, UnaryOp, UnaryOpKind, Var, WithBlock,
};
use minijinja::machinery::{CodeGenerator, Instructions, parse, parse_expr};
use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, filters};
use std::borrow::Cow;

/// The filter around operands. Private names are refused in users' templates.
const FILTER: &str = "__metered";

/// Filters and tests that look at no more than they pay for themselves.
const SHALLOW_FILTERS: [&str; 9] = ["attr", "count", "d", "default", "first", "items", "last", "length", "list"];
const SHALLOW_TESTS: [&str; 3] = ["defined", "undefined", "none"];

/// An item of a list costs so much of one fuel, and so do eight bytes of text.
const UNITS_PER_FUEL: u64 = 8;

/// How often a long walk asks its host whether it is to stop.
const UNITS_BETWEEN_CHECKS: u64 = 1 << 16;

/// The name of a test.
type Name<'a> = Option<Cow<'a, str>>;
/// What `map` and its like give their filter or test with each item.
type Others = Rest<ValueOrKwargs>;
type Listed = Result<Vec<Value>, Error>;

/// Makes the meter known to an environment: what is written out passes it too.
pub fn register(environment: &mut Environment<'static>, depth: usize, check: fn()) {
    let meter = Meter { depth, check };
    environment.add_filter(FILTER, move |state: &State, value: Value| meter.pay(state, &value).map(|_| value));
    environment.set_formatter(move |out, state, value| {
        meter.pay(state, value)?;
        minijinja::escape_formatter(out, state, value)
    });
    environment.add_filter("map", move |state: &mut State, items: Value, others: Others| -> Listed {
        meter.pay_for_each(state, &items, &others)?;
        filters::map(state, items, others)
    });
    environment.add_filter(
        "select",
        move |state: &mut State, items: Value, test: Name<'_>, others: Others| -> Listed {
            meter.pay_for_each(state, &items, &others)?;
            filters::select(state, items, test, others)
        },
    );
    environment.add_filter(
        "reject",
        move |state: &mut State, items: Value, test: Name<'_>, others: Others| -> Listed {
            meter.pay_for_each(state, &items, &others)?;
            filters::reject(state, items, test, others)
        },
    );
    environment.add_filter(
        "selectattr",
        move |state: &mut State, items: Value, attribute: Cow<'_, str>, test: Name<'_>, others: Others| -> Listed {
            meter.pay_for_each(state, &items, &others)?;
            filters::selectattr(state, items, attribute, test, others)
        },
    );
    environment.add_filter(
        "rejectattr",
        move |state: &mut State, items: Value, attribute: Cow<'_, str>, test: Name<'_>, others: Others| -> Listed {
            meter.pay_for_each(state, &items, &others)?;
            filters::rejectattr(state, items, attribute, test, others)
        },
    );
}

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

/// Takes fuel for walks through values.
#[derive(Clone, Copy)]
struct Meter {
    /// How deep a value may be nested.
    depth: usize,
    /// Asks the host whether a long walk is to stop.
    check: fn(),
}

impl Meter {
    /// Takes the fuel for one walk through a value; gives the units that it is worth.
    fn pay(self, state: &State, value: &Value) -> Result<u64, Error> {
        let mut walk = Walk { state, check: self.check, units: 0, total: 0, checked: 0 };
        walk.through(value, self.depth)?;
        Ok(walk.total)
    }

    /// Takes the fuel for walking through others with each of some items.
    fn pay_for_each(self, state: &State, items: &Value, others: &[ValueOrKwargs]) -> Result<(), Error> {
        let count = match items.len() {
            Some(count) => count,
            None => items.try_iter().map_or(0, Iterator::count),
        };
        for other in others {
            let units = self.pay(state, other)?;
            state.consume_fuel(units.saturating_mul(count as u64) / UNITS_PER_FUEL)?;
        }
        Ok(())
    }
}

struct Walk<'a> {
    state: &'a State<'a, 'a>,
    check: fn(),
    /// Not yet paid.
    units: u64,
    /// Paid or not.
    total: u64,
    /// Since the host was asked.
    checked: u64,
}

impl Walk<'_> {
    fn spend(&mut self, units: u64) -> Result<(), Error> {
        self.units += units;
        self.total += units;
        self.checked += units;
        if self.checked >= UNITS_BETWEEN_CHECKS {
            self.checked = 0;
            (self.check)();
        }
        if self.units < UNITS_PER_FUEL {
            return Ok(());
        }
        self.state.consume_fuel(std::mem::take(&mut self.units) / UNITS_PER_FUEL)
    }

    fn through(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let is_map = match value.kind() {
            ValueKind::String => return self.spend(value.as_str().map_or(0, str::len) as u64 / 8),
            ValueKind::Seq | ValueKind::Iterable => false,
            ValueKind::Map => true,
            _ => return Ok(()),
        };
        if depth == 0 {
            return Err(Error::new(ErrorKind::InvalidOperation, "the value is nested too deep"));
        }
        for item in value.try_iter()? {
            self.spend(1)?;
            self.through(&item, depth - 1)?;
            if is_map {
                self.through(&value.get_item(&item)?, depth - 1)?;
            }
        }
        Ok(())
    }
}

/// The operand, paid for.
fn metered<'a>(operand: &Expr<'a>) -> Expr<'a> {
    match operand {
        Expr::Const(_) => copy(operand),
        _ => {
            let filter = Filter { name: FILTER, expr: Some(copy(operand)), args: Vec::new() };
            Expr::Filter(Spanned::new(filter, operand.span()))
        }
    }
}

fn copy<'a>(expression: &Expr<'a>) -> Expr<'a> {
    match expression {
        Expr::Var(it) => Expr::Var(Spanned::new(Var { id: it.id }, it.span())),
        Expr::Const(it) => Expr::Const(Spanned::new(Const { value: it.value.clone() }, it.span())),
        Expr::Slice(it) => {
            let [start, stop, step] = [&it.start, &it.stop, &it.step].map(|part| part.as_ref().map(copy));
            Expr::Slice(Spanned::new(Slice { expr: copy(&it.expr), start, stop, step }, it.span()))
        }
        Expr::UnaryOp(it) => {
            // It can't be copied.
            let op = if matches!(it.op, UnaryOpKind::Not) { UnaryOpKind::Not } else { UnaryOpKind::Neg };
            Expr::UnaryOp(Spanned::new(UnaryOp { op, expr: copy(&it.expr) }, it.span()))
        }
        Expr::BinOp(it) => {
            use BinOpKind::{Concat, Eq, Gt, Gte, In, Lt, Lte, Ne};
            let walks = matches!(it.op, Concat | Eq | Ne | Gt | Gte | Lt | Lte | In);
            let operand = if walks { metered } else { copy };
            let (left, right) = (operand(&it.left), operand(&it.right));
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
            let operand = if SHALLOW_FILTERS.contains(&it.name) { copy } else { metered };
            let copied = Filter { name: it.name, expr: it.expr.as_ref().map(operand), args: arguments(&it.args) };
            Expr::Filter(Spanned::new(copied, it.span()))
        }
        Expr::Test(it) => {
            let operand = if SHALLOW_TESTS.contains(&it.name) { copy } else { metered };
            let copied = Test { name: it.name, expr: operand(&it.expr), args: arguments(&it.args) };
            Expr::Test(Spanned::new(copied, it.span()))
        }
        Expr::GetAttr(it) => Expr::GetAttr(Spanned::new(GetAttr { expr: copy(&it.expr), name: it.name }, it.span())),
        Expr::GetItem(it) => {
            let copied = GetItem { expr: copy(&it.expr), subscript_expr: metered(&it.subscript_expr) };
            Expr::GetItem(Spanned::new(copied, it.span()))
        }
        Expr::Call(it) => Expr::Call(call(it)),
        Expr::List(it) => Expr::List(Spanned::new(List { items: copies(&it.items) }, it.span())),
        Expr::Tuple(it) => Expr::Tuple(Spanned::new(Tuple { items: copies(&it.items) }, it.span())),
        Expr::Map(it) => {
            // A key is hashed: that is a walk.
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
        CallArg::Pos(value) => CallArg::Pos(metered(value)),
        CallArg::Kwarg(name, value) => CallArg::Kwarg(name, metered(value)),
        CallArg::PosSplat(value) => CallArg::PosSplat(metered(value)),
        // These are no value a filter takes; what is in them was paid for when they were made.
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
                filter_expr: it.filter_expr.as_ref().map(copy),
                recursive: it.recursive,
                body: statements(&it.body),
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
            // A namespace outlives the loop it is set in: what it holds must not get deeper with each turn.
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

fn statements<'a>(list: &[Stmt<'a>]) -> Vec<Stmt<'a>> {
    list.iter().map(statement).collect()
}

fn declared<'a>(it: &Spanned<Macro<'a>>) -> Spanned<Macro<'a>> {
    let (args, defaults) = (copies(&it.args), copies(&it.defaults));
    Spanned::new(Macro { name: it.name, args, defaults, body: statements(&it.body) }, it.span())
}
