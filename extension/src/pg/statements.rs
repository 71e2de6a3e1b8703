//! Prepared statements, cached by each backend.
//!
//! Statements have generic plans that look up rows by their keys, one at a time. For a table that is empty at planning
//! time, a sequential scan looks just as good, but the table does not stay empty. The planner settings that enforce
//! such plans, and the lower bounds on its estimates ([`row_estimates`](crate::pg::row_estimates)), are in effect only
//! during planning, because anything that a statement triggers would see them as its session's settings and keep plans
//! made under them. The planner may evaluate functions, too: if a policy, a rule or a default has added user functions
//! to a statement, it is planned without these settings.
//!
//! Every statement runs as one that may change data: it then sees what earlier calls wrote, and takes a transaction id
//! only if it actually writes.
#![allow(unsafe_code)]

use crate::error::Error;
use crate::pg::preconditions;
use crate::pg::row_estimates::AtLeast;
use crate::pg::rows::Rows;
use crate::pg::user_code;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::spi::{Spi, SpiClient, SpiErrorCodes};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::ptr::NonNull;
use std::rc::Rc;

/// Whether to plan again. A plan is made for tables of a certain size, and tables grow.
fn is_stale(uses: u32) -> bool {
    matches!(uses, 16 | 256 | 4096)
}

/// Planner settings.
#[derive(Clone, Copy)]
struct Switches {
    seqscan: bool,
    hashjoin: bool,
    mergejoin: bool,
    nestloop: bool,
    jit: bool,
}

impl Switches {
    const BY_KEYS: Switches =
        Switches { seqscan: false, hashjoin: false, mergejoin: false, nestloop: true, jit: false };

    /// Applies the settings and returns the previous ones. The variables are set directly, because changing the
    /// settings proper is too expensive.
    fn set(self) -> Switches {
        // SAFETY: a session has one thread.
        unsafe {
            let before = Switches {
                seqscan: pg_sys::enable_seqscan,
                hashjoin: pg_sys::enable_hashjoin,
                mergejoin: pg_sys::enable_mergejoin,
                nestloop: pg_sys::enable_nestloop,
                jit: pg_sys::jit_enabled,
            };
            pg_sys::enable_seqscan = self.seqscan;
            pg_sys::enable_hashjoin = self.hashjoin;
            pg_sys::enable_mergejoin = self.mergejoin;
            pg_sys::enable_nestloop = self.nestloop;
            pg_sys::jit_enabled = self.jit;
            before
        }
    }
}

/// Guard that restores the settings, even after an error.
struct Restore(Switches);

impl Drop for Restore {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// A prepared statement, cached until it is replaced.
struct Statement {
    plan: NonNull<pg_sys::_SPI_plan>,
    /// The plan's only source, as the text is a single statement.
    source: NonNull<pg_sys::CachedPlanSource>,
    argument_types: Vec<Oid>,
    uses: Cell<u32>,
    /// Generation of the plan made under our planner settings. `None` if it must be made without them.
    generation: Option<i32>,
}

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: the plan is a saved one, and nothing else refers to it.
        unsafe { pg_sys::SPI_freeplan(self.plan.as_ptr()) };
    }
}

impl Statement {
    /// Parses and plans a statement. SPI must be connected.
    fn prepare(sql: &'static str, argument_types: Vec<Oid>) -> Result<Statement, Error> {
        let text = CString::new(sql).unwrap_or_default();
        let options = pg_sys::CURSOR_OPT_GENERIC_PLAN as i32;
        // SAFETY: text and types outlive the call. A value dropped before it is complete leaks memory, but nothing
        // worse.
        unsafe {
            let (count, types) = (argument_types.len() as i32, argument_types.as_ptr().cast_mut());
            let plan = pg_sys::SPI_prepare_cursor(text.as_ptr(), count, types, options);
            let Some(plan) = NonNull::new(plan) else {
                return Err(spi_error(pg_sys::SPI_result));
            };
            // This fails only for something that is not a plan.
            pg_sys::SPI_keepplan(plan.as_ptr());
            let source = pg_sys::list_nth(pg_sys::SPI_plan_get_plan_sources(plan.as_ptr()), 0);
            let Some(source) = NonNull::new(source.cast::<pg_sys::CachedPlanSource>()) else {
                return Err(spi_error(pg_sys::SPI_ERROR_ARGUMENT));
            };
            let mut statement = Statement { plan, source, argument_types, uses: Cell::new(0), generation: None };
            // Its tables are locked from here on, so nobody can add anything to them before it is planned.
            if !user_code::is_called_by(source.as_ref().query_list) {
                statement.generation = statement.plan_by_keys();
            }
            Ok(statement)
        }
    }

    /// Makes the plan under our planner settings and returns its generation.
    fn plan_by_keys(&self) -> Option<i32> {
        let _restore = Restore(Switches::BY_KEYS.set());
        let _estimates = AtLeast::few_rows_per_page();
        // SAFETY: the plan is live, and the references taken are released to the same owner.
        unsafe {
            let cached = pg_sys::SPI_plan_get_cached_plan(self.plan.as_ptr());
            let generation = cached.as_ref()?.generation;
            pg_sys::ReleaseCachedPlan(cached, pg_sys::CurrentResourceOwner);
            Some(generation)
        }
    }

    /// Whether the statement can run with its existing plan. Otherwise PostgreSQL would replan it while running it.
    fn is_current(&self) -> bool {
        // SAFETY: the source, and the plan it refers to, live as long as the statement.
        unsafe {
            let source = self.source.as_ref();
            let is_ours = |made| source.gplan.as_ref().is_some_and(|plan| plan.is_valid && plan.generation == made);
            source.is_valid && self.generation.is_none_or(is_ours)
        }
    }
}

/// Returns the error for an SPI status that indicates one.
fn spi_error(status: i32) -> Error {
    match Spi::check_status(status) {
        Err(error) => Error::Spi(error),
        Ok(_) => Error::Spi(pgrx::spi::Error::SpiError(SpiErrorCodes::Argument)),
    }
}

thread_local! {
    static KEPT: RefCell<HashMap<*const u8, Rc<Statement>>> = RefCell::default();
}

/// Runs a statement and returns its rows.
pub fn run<'conn>(
    _client: &SpiClient<'conn>,
    sql: &'static str,
    arguments: &[DatumWithOid],
) -> Result<Rows<'conn>, Error> {
    preconditions::check()?;
    let statement = find(sql, arguments)?;
    let null = |argument: &DatumWithOid| if argument.datum().is_some() { b' ' } else { b'n' } as c_char;
    let value = |argument: &DatumWithOid| argument.datum().map_or(Datum::null(), |value| value.sans_lifetime());
    let mut values: Vec<Datum> = arguments.iter().map(value).collect();
    let nulls: Vec<c_char> = arguments.iter().map(null).collect();
    // SAFETY: there is a value and a null flag for each argument, of the types for which the statement was prepared.
    let status =
        unsafe { pg_sys::SPI_execute_plan(statement.plan.as_ptr(), values.as_mut_ptr(), nulls.as_ptr(), false, 0) };
    Spi::check_status(status)?;
    Ok(Rows::of_last_statement())
}

/// Returns the cached statement for a text, preparing it again if necessary.
fn find(sql: &'static str, arguments: &[DatumWithOid]) -> Result<Rc<Statement>, Error> {
    let types = || arguments.iter().map(|argument| argument.oid());
    // Nothing is borrowed while the statement runs, because a user's trigger may call us again.
    let kept = KEPT.with_borrow(|kept| kept.get(&sql.as_ptr()).cloned());
    let uses = kept.as_ref().map_or(0, |kept| kept.uses.get());
    let is_good = |kept: &Rc<Statement>| {
        // Our own types get new OIDs when the extension is dropped and recreated.
        !is_stale(uses) && kept.argument_types.iter().copied().eq(types()) && kept.is_current()
    };
    let statement = match kept.filter(is_good) {
        Some(kept) => kept,
        None => {
            let fresh = Rc::new(Statement::prepare(sql, types().collect())?);
            KEPT.with_borrow_mut(|kept| kept.insert(sql.as_ptr(), fresh.clone()));
            fresh
        }
    };
    statement.uses.set(uses % 4096 + 1);
    Ok(statement)
}
