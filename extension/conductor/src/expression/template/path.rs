//! The path that an expression reads from a variable, member by member.

use minijinja::machinery::ast::{Call, CallArg, Expr};

/// A member's name and byte.
pub type Member = (String, usize);

/// `a.b['c'].d`: a variable and the members that are read from it.
pub struct Path<'e> {
    pub root: &'e str,
    /// The byte of the root.
    pub at: usize,
    /// The members, the first one last; `None` for one known only at run time.
    members: Vec<Option<Member>>,
}

impl<'e> Path<'e> {
    /// Returns the path of an expression, if it is based on a variable.
    pub fn of(expression: &'e Expr<'_>) -> Option<Path<'e>> {
        let mut members = Vec::new();
        let mut rest = expression;
        loop {
            match rest {
                Expr::Var(var) => {
                    return Some(Path { root: var.id, at: var.span().start_offset as usize, members });
                }
                Expr::GetAttr(attribute) => {
                    let at = attribute.span().end_offset as usize - attribute.name.len();
                    members.push(Some((attribute.name.to_owned(), at)));
                    rest = &attribute.expr;
                }
                Expr::GetItem(item) => {
                    members.push(text(&item.subscript_expr));
                    rest = &item.expr;
                }
                _ => return None,
            }
        }
    }

    /// Returns a member, counted from 0.
    pub fn member(&self, number: usize) -> Option<Member> {
        self.members.iter().rev().nth(number).cloned().flatten()
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }
}

/// Returns the first argument of a call, if it is a string literal.
pub fn first_text(call: &Call<'_>) -> Option<Member> {
    match call.args.first()? {
        CallArg::Pos(argument) => text(argument),
        _ => None,
    }
}

/// Returns a string literal and its first byte.
pub fn text(expression: &Expr<'_>) -> Option<Member> {
    match expression {
        Expr::Const(value) => Some((value.value.as_str()?.to_owned(), value.span().start_offset as usize + 1)),
        _ => None,
    }
}
