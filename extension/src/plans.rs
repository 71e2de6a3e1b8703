//! Statements, planned once a backend and kept.
//!
//! Every statement runs as one that may change data: it then sees what the calls before it wrote, and takes a
//! transaction id only when it really writes.
#![allow(unsafe_code)]

use crate::error::Error;
use crate::rows::Rows;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::{self, Oid, PgOid};
use pgrx::spi::{OwnedPreparedStatement, SpiClient};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

#[derive(Clone)]
struct Kept {
    argument_types: Rc<[Oid]>,
    statement: Rc<OwnedPreparedStatement>,
    uses: Rc<Cell<u32>>,
}

/// A plan is made for tables as they are then, and tables grow: it is made anew after 16, 256 and 4096 uses, and so on.
fn is_stale(uses: u32) -> bool {
    matches!(uses, 16 | 256 | 4096)
}

/// What the planner may do.
#[derive(Clone, Copy)]
struct Ways {
    cache_mode: i32,
    seqscan: bool,
    hashjoin: bool,
    mergejoin: bool,
    nestloop: bool,
    jit: bool,
}

impl Ways {
    /// A plan for any arguments, which finds rows by keys, one after the other. A table that is empty when a plan is made looks as
    /// if it could as well be read whole, and is not empty for long.
    const BY_KEYS: Ways = Ways {
        cache_mode: pg_sys::PlanCacheMode::PLAN_CACHE_MODE_FORCE_GENERIC_PLAN as i32,
        seqscan: false,
        hashjoin: false,
        mergejoin: false,
        nestloop: true,
        jit: false,
    };

    /// Sets this; gives what was set before. The settings of these names are not touched: each call would pay for that.
    fn set(self) -> Ways {
        // SAFETY: a session has one thread.
        unsafe {
            let before = Ways {
                cache_mode: pg_sys::plan_cache_mode,
                seqscan: pg_sys::enable_seqscan,
                hashjoin: pg_sys::enable_hashjoin,
                mergejoin: pg_sys::enable_mergejoin,
                nestloop: pg_sys::enable_nestloop,
                jit: pg_sys::jit_enabled,
            };
            pg_sys::plan_cache_mode = self.cache_mode;
            pg_sys::enable_seqscan = self.seqscan;
            pg_sys::enable_hashjoin = self.hashjoin;
            pg_sys::enable_mergejoin = self.mergejoin;
            pg_sys::enable_nestloop = self.nestloop;
            pg_sys::jit_enabled = self.jit;
            before
        }
    }
}

/// What the planner may do besides our statements.
struct Before(Ways);

impl Drop for Before {
    /// An error runs this as well.
    fn drop(&mut self) {
        self.0.set();
    }
}

thread_local! {
    static KEPT: RefCell<HashMap<*const u8, Kept>> = RefCell::default();
}

/// Runs a statement.
pub fn run<'conn>(
    client: &SpiClient<'conn>,
    sql: &'static str,
    arguments: &[DatumWithOid],
) -> Result<Rows<'conn>, Error> {
    let _before = Before(Ways::BY_KEYS.set());
    run_kept(client, sql, arguments)
}

/// Runs a statement that only calls a function of ours in SQL, which sees to its plans itself.
pub fn call<'conn>(
    client: &SpiClient<'conn>,
    sql: &'static str,
    arguments: &[DatumWithOid],
) -> Result<Rows<'conn>, Error> {
    let before = Ways::BY_KEYS.set();
    let _before = Before(before);
    Ways { jit: false, ..before }.set();
    run_kept(client, sql, arguments)
}

fn run_kept<'conn>(
    client: &SpiClient<'conn>,
    sql: &'static str,
    arguments: &[DatumWithOid],
) -> Result<Rows<'conn>, Error> {
    let types = || arguments.iter().map(|argument| argument.oid());
    // Nothing is borrowed while the statement runs: a trigger of the user's may well call us again.
    let kept = KEPT.with_borrow(|kept| kept.get(&sql.as_ptr()).cloned());
    let statement = match kept {
        // A type of ours has another number after the extension was dropped and made again.
        Some(kept) if kept.argument_types.iter().copied().eq(types()) && !is_stale(kept.uses.get()) => {
            kept.uses.set(kept.uses.get() + 1);
            kept.statement
        }
        kept => {
            let uses = kept.map_or(0, |kept| kept.uses.get() % 4096) + 1;
            let oids: Vec<PgOid> = types().map(PgOid::from).collect();
            let statement = Rc::new(client.prepare_mut(sql, &oids)?.keep());
            let uses = Rc::new(Cell::new(uses));
            let kept = Kept { argument_types: types().collect(), statement: statement.clone(), uses };
            KEPT.with_borrow_mut(|all| all.insert(sql.as_ptr(), kept));
            statement
        }
    };
    client.select(&*statement, None, arguments)?;
    Ok(Rows::of_last_statement())
}
