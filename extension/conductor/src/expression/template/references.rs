//! What a template reads, and where in its text.

use std::collections::HashSet;

use minijinja::machinery::ast::{
    BinOp, BinOpKind, Call, CallArg, CallType, Compare, Expr, Filter, GetAttr, GetItem, Macro, Spanned, Stmt,
};

use super::compared::{self, Compared};
use super::path::{Member, Path, first_text};

/// A variable of the scope, with the member of it that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// `vars` in `vars.image.tag`.
    pub root: String,
    /// `image` in `vars.image.tag` and in `vars['image']`; `None` for the whole variable, or a name known only at run
    /// time.
    pub member: Option<String>,
    /// The byte of the root.
    pub at: usize,
    /// The byte of the member, or of the root if there is none.
    pub member_at: usize,
    /// `status` in `task.scan.status`, and its byte.
    pub field: Option<Member>,
    /// Whether it may be undefined.
    pub guard: Guard,
    /// Whether it is read only under some condition.
    pub conditional: bool,
}

/// Whether a value that is read may be undefined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    /// It must be defined.
    #[default]
    None,
    /// A value computed from it may be undefined, but not the member itself: `(vars.x + 1) | default(0)`.
    Inside,
    /// It may be undefined: `vars.x.y | default(0)`, or the template tests whether `vars.x is defined`.
    Whole,
}

/// A function, filter, test or method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// The byte of the name.
    pub at: usize,
    /// Its first argument and that argument's byte, if it is a string literal.
    pub argument: Option<(String, usize)>,
}

/// What a template reads.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct References {
    /// Variables of the scope.
    pub reads: Vec<Read>,
    /// Functions it calls.
    pub functions: Vec<Named>,
    /// Filters it uses.
    pub filters: Vec<Named>,
    /// Tests it uses.
    pub tests: Vec<Named>,
    /// Methods it calls on values from the scope.
    pub methods: Vec<Named>,
    /// Names it binds itself.
    pub bound: Vec<Named>,
    /// Statuses that it compares with a string.
    pub compared: Vec<Compared>,
    /// Bytes at which it reads a member of `result()` that must exist.
    pub results: Vec<usize>,
    /// Names whose existence it tests, by root and member.
    pub asked: HashSet<(String, Option<String>)>,
}

/// Collects the references of a template. The recursion is as deep as its tree, which has been limited.
pub fn collect(template: &Stmt<'_>) -> References {
    let mut collector = Collector::default();
    collector.statement(template);
    let mut found = collector.found;
    let bound: HashSet<String> = found.bound.iter().map(|named| named.name.clone()).collect();
    let is_local =
        |name: &str| bound.contains(name) || matches!(name, "loop" | "self" | "caller" | "varargs" | "kwargs");
    found.reads.retain(|read| !is_local(&read.root));
    found.functions.retain(|function| !is_local(&function.name));
    found.compared.retain(|compared| !is_local(compared.subject.root()));
    for read in &mut found.reads {
        if found.asked.contains(&(read.root.clone(), read.member.clone())) {
            read.guard = Guard::Whole;
        }
    }
    found
}

#[derive(Default)]
struct Collector {
    found: References,
    /// What an enclosing `default` or `is defined` allows at this point of the walk.
    guard: Guard,
    /// Whether this point of the walk may be skipped during evaluation.
    conditional: bool,
}

impl Collector {
    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(each) => {
                self.bind(&each.target);
                self.expression(&each.iter);
                self.conditionally(|this| {
                    each.filter_expr.iter().for_each(|filter| this.expression(filter));
                    this.statements(&each.body);
                    this.statements(&each.else_body);
                });
            }
            Stmt::IfCond(cond) => {
                self.expression(&cond.expr);
                self.conditionally(|this| {
                    this.statements(&cond.true_body);
                    this.statements(&cond.false_body);
                });
            }
            Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    self.bind(target);
                    self.expression(value);
                }
                self.statements(&with.body);
            }
            Stmt::Set(set) => {
                self.bind(&set.target);
                self.expression(&set.expr);
            }
            Stmt::SetBlock(set) => {
                self.bind(&set.target);
                set.filter.iter().for_each(|filter| self.expression(filter));
                self.statements(&set.body);
            }
            Stmt::AutoEscape(escape) => {
                self.expression(&escape.enabled);
                self.statements(&escape.body);
            }
            Stmt::FilterBlock(block) => {
                self.expression(&block.filter);
                self.statements(&block.body);
            }
            Stmt::Macro(declared) => self.macro_body(declared),
            Stmt::CallBlock(block) => {
                self.call(&block.call);
                self.macro_body(&block.macro_decl);
            }
            Stmt::Do(each) => self.call(&each.call),
            // Statements of features that are not compiled in.
            #[allow(unreachable_patterns)]
            _ => {}
        }
    }

    fn statements(&mut self, statements: &[Stmt<'_>]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    fn macro_body(&mut self, declared: &Spanned<Macro<'_>>) {
        let at = declared.span().start_offset as usize;
        self.found.bound.push(Named { name: declared.name.to_owned(), at, argument: None });
        declared.args.iter().for_each(|target| self.bind(target));
        self.conditionally(|this| {
            declared.defaults.iter().for_each(|value| this.expression(value));
            this.statements(&declared.body);
        });
    }

    fn conditionally(&mut self, visit: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.conditional, true);
        visit(self);
        self.conditional = before;
    }

    fn bind(&mut self, target: &Expr<'_>) {
        match target {
            Expr::Var(var) => {
                let at = var.span().start_offset as usize;
                self.found.bound.push(Named { name: var.id.to_owned(), at, argument: None });
            }
            Expr::List(list) => list.items.iter().for_each(|item| self.bind(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.bind(item)),
            other => self.expression(other),
        }
    }

    fn expression(&mut self, expression: &Expr<'_>) {
        match expression {
            Expr::Var(_) => {
                self.path(expression);
            }
            Expr::Const(_) => {}
            Expr::Slice(slice) => {
                self.expression(&slice.expr);
                [&slice.start, &slice.stop, &slice.step].into_iter().flatten().for_each(|part| self.expression(part));
            }
            Expr::UnaryOp(unary) => self.expression(&unary.expr),
            Expr::BinOp(binary) => self.binary(binary),
            Expr::Compare(compare) => self.compare(compare),
            Expr::IfExpr(branch) => {
                self.expression(&branch.test_expr);
                self.conditionally(|this| {
                    this.expression(&branch.true_expr);
                    branch.false_expr.iter().for_each(|other| this.expression(other));
                });
            }
            Expr::Filter(filter) => self.filter(filter),
            Expr::Test(test) => {
                let argument = None;
                let at = test.span().start_offset as usize;
                self.found.tests.push(Named { name: test.name.to_owned(), at, argument });
                let asks = matches!(test.name, "defined" | "undefined");
                if let Some(path) = Path::of(&test.expr).filter(|_| asks) {
                    self.found.asked.insert((path.root.to_owned(), path.member(0).map(|(name, _)| name)));
                }
                match asks {
                    true => self.guarded(&test.expr),
                    false => self.expression(&test.expr),
                }
                self.arguments(&test.args);
            }
            Expr::GetAttr(attribute) => self.attribute(expression, attribute),
            Expr::GetItem(item) => self.item(expression, item),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => list.items.iter().for_each(|item| self.expression(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expression(item)),
            Expr::Map(map) => map.keys.iter().chain(&map.values).for_each(|part| self.expression(part)),
        }
    }

    fn binary(&mut self, binary: &BinOp<'_>) {
        self.expression(&binary.left);
        match binary.op {
            BinOpKind::ScAnd | BinOpKind::ScOr => self.conditionally(|this| this.expression(&binary.right)),
            _ => self.expression(&binary.right),
        }
        if let BinOpKind::In = binary.op
            && let (Expr::Const(name), Expr::Var(root)) = (&binary.left, &binary.right)
            && let Some(name) = name.value.as_str()
        {
            self.found.asked.insert((root.id.to_owned(), Some(name.to_owned())));
        }
        compared::collect(binary, &mut self.found.compared);
    }

    fn compare(&mut self, compare: &Compare<'_>) {
        self.expression(&compare.expr);
        compare.ops.iter().for_each(|op| self.expression(&op.expr));
    }

    /// Walks the operand of `default` or `is defined`. Unless it is a name or a choice of names, it fails before they
    /// apply.
    fn guarded(&mut self, expression: &Expr<'_>) {
        let guard = match expression {
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) | Expr::IfExpr(_) => Guard::Whole,
            _ => Guard::Inside,
        };
        let before = std::mem::replace(&mut self.guard, guard);
        self.expression(expression);
        self.guard = before;
    }

    fn filter(&mut self, filter: &Spanned<Filter<'_>>) {
        if let Some(operand) = &filter.expr {
            match filter.name {
                "default" | "d" => self.guarded(operand),
                _ => self.expression(operand),
            }
        }
        let at = filter.span().start_offset as usize;
        self.found.filters.push(Named { name: filter.name.to_owned(), at, argument: None });
        self.arguments(&filter.args);
    }

    fn attribute(&mut self, whole: &Expr<'_>, attribute: &GetAttr<'_>) {
        if !self.path(whole) {
            self.member_of_result(&attribute.expr);
            self.expression(&attribute.expr);
        }
    }

    fn item(&mut self, whole: &Expr<'_>, item: &GetItem<'_>) {
        if !self.path(whole) {
            self.member_of_result(&item.expr);
            self.expression(&item.expr);
            self.expression(&item.subscript_expr);
        }
    }

    fn member_of_result(&mut self, of: &Expr<'_>) {
        // Null is not undefined, so `result() | default({})` is null if `result()` is.
        if let Expr::Filter(filter) = of
            && let (Some(operand), true) =
                (&filter.expr, matches!(filter.name, "default" | "d") && filter.args.len() < 2)
        {
            return self.member_of_result(operand);
        }
        if let Expr::Call(call) = of
            && let CallType::Function("result") = call.identify_call()
            && self.guard == Guard::None
            && !self.conditional
        {
            self.found.results.push(call.expr.span().start_offset as usize);
        }
    }

    /// Collects `a.b[c].d` if it is based on a variable, along with what its subscripts read.
    fn path(&mut self, whole: &Expr<'_>) -> bool {
        let Some(path) = Path::of(whole) else { return false };
        self.read(&path);
        let guard = std::mem::take(&mut self.guard);
        let mut rest = whole;
        loop {
            match rest {
                Expr::GetAttr(attribute) => rest = &attribute.expr,
                Expr::GetItem(item) => {
                    self.expression(&item.subscript_expr);
                    rest = &item.expr;
                }
                _ => break,
            }
        }
        self.guard = guard;
        true
    }

    fn read(&mut self, path: &Path<'_>) {
        let (member, member_at) = path.member(0).map_or((None, path.at), |(name, at)| (Some(name), at));
        let (field, guard, conditional) = (path.member(1), self.guard, self.conditional);
        self.found.reads.push(Read {
            root: path.root.to_owned(),
            member,
            at: path.at,
            member_at,
            field,
            guard,
            conditional,
        });
    }

    fn call(&mut self, call: &Spanned<Call<'_>>) {
        let argument = first_text(call);
        match call.identify_call() {
            CallType::Function(name) => {
                let at = call.expr.span().start_offset as usize;
                self.found.functions.push(Named { name: name.to_owned(), at, argument });
            }
            CallType::Method(object, name) => {
                if Path::of(object).is_some_and(|path| path.root != "loop") {
                    let at = call.expr.span().end_offset as usize - name.len();
                    self.found.methods.push(Named { name: name.to_owned(), at, argument });
                }
                self.expression(object);
            }
            CallType::Object(object) => self.expression(object),
        }
        self.arguments(&call.args);
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) {
        for argument in arguments {
            match argument {
                CallArg::Pos(value)
                | CallArg::Kwarg(_, value)
                | CallArg::PosSplat(value)
                | CallArg::KwargSplat(value) => {
                    self.expression(value);
                }
            }
        }
    }
}
