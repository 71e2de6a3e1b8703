//! What a template reads, and where in its text.

use std::collections::HashSet;

use minijinja::machinery::ast::{
    BinOpKind, Call, CallArg, CallType, Expr, Filter, GetAttr, GetItem, Macro, Spanned, Stmt,
};

/// A variable of the scope, with the member that is read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// `vars` in `vars.image.tag`.
    pub root: String,
    /// `image` in `vars.image.tag` and in `vars['image']`; none: the whole variable, or a name known only at run time.
    pub member: Option<String>,
    /// The byte of the root.
    pub at: usize,
    /// The byte of the member, or else of the root.
    pub member_at: usize,
    /// Whether `default` or `is defined` is applied to it somewhere in the template.
    pub guarded: bool,
    /// Whether reading it depends on a value.
    pub conditional: bool,
}

/// A function, filter, test or method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// The byte of the name.
    pub at: usize,
    /// Its first argument and that argument's byte, if it is literal text.
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
}

/// Collects the references of a template. The recursion is as deep as its tree, which has been limited.
pub fn collect(template: &Stmt<'_>) -> References {
    let mut collector = Collector::default();
    collector.statement(template);
    let Collector { mut found, asked, .. } = collector;
    let bound: HashSet<String> = found.bound.iter().map(|named| named.name.clone()).collect();
    let is_local =
        |name: &str| bound.contains(name) || matches!(name, "loop" | "self" | "caller" | "varargs" | "kwargs");
    found.reads.retain(|read| !is_local(&read.root));
    found.functions.retain(|function| !is_local(&function.name));
    for read in &mut found.reads {
        read.guarded |= asked.contains(&(read.root.clone(), read.member.clone()));
    }
    found
}

#[derive(Default)]
struct Collector {
    found: References,
    /// What `is defined` was applied to.
    asked: HashSet<(String, Option<String>)>,
    /// Whether the walk is inside what `default` or `is defined` is applied to.
    guarded: bool,
    /// Whether the walk is inside what may not be evaluated.
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
                self.perhaps(|this| {
                    each.filter_expr.iter().for_each(|filter| this.expression(filter));
                    this.statements(&each.body);
                    this.statements(&each.else_body);
                });
            }
            Stmt::IfCond(cond) => {
                self.expression(&cond.expr);
                self.perhaps(|this| {
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
        self.perhaps(|this| {
            declared.defaults.iter().for_each(|value| this.expression(value));
            this.statements(&declared.body);
        });
    }

    fn perhaps(&mut self, visit: impl FnOnce(&mut Self)) {
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
            Expr::Var(var) => self.read(var.id, var.span().start_offset as usize, None),
            Expr::Const(_) => {}
            Expr::Slice(slice) => {
                self.expression(&slice.expr);
                [&slice.start, &slice.stop, &slice.step].into_iter().flatten().for_each(|part| self.expression(part));
            }
            Expr::UnaryOp(unary) => self.expression(&unary.expr),
            Expr::BinOp(binary) => {
                self.expression(&binary.left);
                match binary.op {
                    BinOpKind::ScAnd | BinOpKind::ScOr => self.perhaps(|this| this.expression(&binary.right)),
                    _ => self.expression(&binary.right),
                }
            }
            Expr::Compare(compare) => {
                self.expression(&compare.expr);
                compare.ops.iter().for_each(|op| self.expression(&op.expr));
            }
            Expr::IfExpr(branch) => {
                self.expression(&branch.test_expr);
                self.perhaps(|this| {
                    this.expression(&branch.true_expr);
                    branch.false_expr.iter().for_each(|other| this.expression(other));
                });
            }
            Expr::Filter(filter) => self.filter(filter),
            Expr::Test(test) => {
                let argument = None;
                let at = test.span().start_offset as usize;
                self.found.tests.push(Named { name: test.name.to_owned(), at, argument });
                if matches!(test.name, "defined" | "undefined") {
                    if let Some((root, member, _)) = path(&test.expr) {
                        self.asked.insert((root.to_owned(), member.map(|(name, _)| name)));
                    }
                    self.guard(|this| this.expression(&test.expr));
                } else {
                    self.expression(&test.expr);
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

    fn guard(&mut self, visit: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.guarded, true);
        visit(self);
        self.guarded = before;
    }

    fn filter(&mut self, filter: &Spanned<Filter<'_>>) {
        if let Some(operand) = &filter.expr {
            match filter.name {
                "default" | "d" => self.guard(|this| this.expression(operand)),
                _ => self.expression(operand),
            }
        }
        let at = filter.span().start_offset as usize;
        self.found.filters.push(Named { name: filter.name.to_owned(), at, argument: None });
        self.arguments(&filter.args);
    }

    fn attribute(&mut self, whole: &Expr<'_>, attribute: &GetAttr<'_>) {
        if !self.path(whole) {
            self.expression(&attribute.expr);
        }
    }

    fn item(&mut self, whole: &Expr<'_>, item: &GetItem<'_>) {
        if !self.path(whole) {
            self.expression(&item.expr);
            self.expression(&item.subscript_expr);
        }
    }

    /// Collects `a.b[c].d` if it is based on a variable, along with what its subscripts read.
    fn path(&mut self, whole: &Expr<'_>) -> bool {
        let Some((root, member, at)) = path(whole) else { return false };
        self.read(root, at, member);
        let mut rest = whole;
        loop {
            match rest {
                Expr::GetAttr(attribute) => rest = &attribute.expr,
                Expr::GetItem(item) => {
                    self.expression(&item.subscript_expr);
                    rest = &item.expr;
                }
                _ => return true,
            }
        }
    }

    fn read(&mut self, root: &str, at: usize, member: Option<Member>) {
        let (member, member_at) = match member {
            Some((name, at)) => (Some(name), at),
            None => (None, at),
        };
        let (guarded, conditional) = (self.guarded, self.conditional);
        self.found.reads.push(Read { root: root.to_owned(), member, at, member_at, guarded, conditional });
    }

    fn call(&mut self, call: &Spanned<Call<'_>>) {
        let argument = call.args.first().and_then(|argument| match argument {
            CallArg::Pos(Expr::Const(value)) => {
                let text = value.value.as_str()?.to_owned();
                Some((text, value.span().start_offset as usize + 1))
            }
            _ => None,
        });
        match call.identify_call() {
            CallType::Function(name) => {
                let at = call.expr.span().start_offset as usize;
                self.found.functions.push(Named { name: name.to_owned(), at, argument });
            }
            CallType::Method(object, name) => {
                if path(object).is_some_and(|(root, ..)| root != "loop") {
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

/// A member's name and byte.
type Member = (String, usize);

/// Returns the variable that `a.b['c'].d` is based on, its first member, and its byte.
fn path<'e>(expression: &'e Expr<'_>) -> Option<(&'e str, Option<Member>, usize)> {
    let mut at = expression;
    let mut member = None;
    loop {
        match at {
            Expr::Var(var) => return Some((var.id, member, var.span().start_offset as usize)),
            Expr::GetAttr(attribute) => {
                member = Some((attribute.name.to_owned(), attribute.span().end_offset as usize - attribute.name.len()));
                at = &attribute.expr;
            }
            Expr::GetItem(item) => {
                member = match &item.subscript_expr {
                    Expr::Const(value) => {
                        value.value.as_str().map(|name| (name.to_owned(), value.span().start_offset as usize + 1))
                    }
                    _ => None,
                };
                at = &item.expr;
            }
            _ => return None,
        }
    }
}
