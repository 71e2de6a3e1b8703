//! Who calls a worker's function, and the parts that the caller is bound to.
//!
//! A worker has no privilege on any table: its functions work with the privileges of the extension's owner. They are not SECURITY
//! DEFINER, because a function that is cannot know who called it. By the time it runs, PostgreSQL has put the owner in the
//! caller's place, and what is left, the session's role, is somebody else where the call comes from another definer function. So
//! these functions first take down who called, and then become the owner in the same way as PostgreSQL does it.
#![allow(unsafe_code)]

use crate::cache::foreign_parts::{self, ForeignParts};
use crate::engine::report::Refusal;
use crate::error::Error;
use crate::pg::id;
use crate::pg::random;
use crate::pg::relation;
use crate::pg::statements;
use crate::pg::transaction::has_old_snapshot;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, c_int};

/// The role that called. As long as this value lives, the function has the privileges of its owner.
pub struct Caller {
    role: Oid,
    /// The parts that the role is bound to, in order; none: it is not bound.
    parts: Option<Vec<i32>>,
    /// The parts that are not this server's.
    foreign: ForeignParts,
    _owner: AsRole,
}

impl Caller {
    /// Takes down who called, and becomes the function's owner.
    pub fn of_call(fcinfo: pg_sys::FunctionCallInfo) -> Result<Caller, Error> {
        let owner = owner_of_function(fcinfo);
        let as_owner = AsRole::switch(owner);
        let role = as_owner.caller;
        Ok(Caller { role, parts: parts_of(role, owner)?, foreign: ForeignParts::current(), _owner: as_owner })
    }

    /// Returns the role that called.
    pub fn role(&self) -> Oid {
        self.role
    }

    /// Returns the parts that are not this server's.
    pub fn foreign(&self) -> ForeignParts {
        self.foreign
    }

    /// Returns the parts to work in, of those that were asked for; none: all of this server. A caller who is bound and asks for none gets
    /// its own, starting anywhere, so that a full part does not starve those after it.
    pub fn parts(&self, asked: Option<Vec<Option<i32>>>) -> Result<Option<Vec<Option<i32>>>, Error> {
        if let Some(part) = asked.iter().flatten().flatten().find(|part| self.foreign.contains(**part)) {
            return Err(foreign_parts::refusal(*part)?);
        }
        match (&self.parts, asked) {
            (None, asked) => Ok(asked),
            (Some(own), None) => {
                let own: Vec<i32> = own.iter().copied().filter(|part| !self.foreign.contains(*part)).collect();
                let start = (random::fraction() * own.len() as f64) as usize;
                Ok(Some(own.iter().cycle().skip(start).take(own.len()).copied().map(Some).collect()))
            }
            (Some(own), Some(asked)) => match asked.iter().flatten().find(|part| own.binary_search(part).is_err()) {
                None => Ok(Some(asked)),
                Some(part) => Err(Error::refused("WF620", "the role is bound to other parts", "leave parts out")
                    .with_detail(format!("part is {part}"))),
            },
        }
    }

    /// Whether the caller may report on a task, by the part that its id names.
    pub fn may_reach(&self, task: i64) -> bool {
        self.parts.as_ref().is_none_or(|own| own.binary_search(&id::part(task)).is_ok())
    }

    /// Returns why the caller may not report on a task, by the part that its id names.
    pub fn refusal(&self, task: i64) -> Option<Refusal> {
        let part = id::part(task);
        let (code, message) = match self.may_reach(task) {
            false => ("WF620", format!("task {task} is in a part that the role is not bound to")),
            true if self.foreign.contains(part) => {
                (foreign_parts::CODE, format!("task {task} is in part {part}, which is not on this server"))
            }
            true => return None,
        };
        Some(Refusal { code, message })
    }
}

/// Returns the name of a role; of one that is gone, its OID.
pub fn name_of(role: Oid) -> String {
    // SAFETY: the name is a C string in the current memory context; for a role that is gone there is none.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        if name.is_null() { role.to_u32().to_string() } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
    }
}

/// Lets the current function run as another role until it goes out of scope.
pub struct AsRole {
    caller: Oid,
    context: c_int,
}

impl AsRole {
    /// Becomes a role that has been stored, unless it is gone.
    pub fn begin(role: Oid) -> Result<AsRole, Error> {
        // SAFETY: it only looks the name up.
        if unsafe { pg_sys::GetUserNameFromId(role, true) }.is_null() {
            let message = format!("role {} no longer exists", role.to_u32());
            return Err(Error::refused("WF616", message, "create another job with workflow_apply"));
        }
        Ok(AsRole::switch(role))
    }

    /// Switches in the same way as PostgreSQL does for a SECURITY DEFINER function.
    fn switch(owner: Oid) -> AsRole {
        let (mut caller, mut context) = (Oid::INVALID, 0);
        // SAFETY: both arguments are places to write to, and a backend has one thread.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut caller, &mut context);
            pg_sys::SetUserIdAndSecContext(owner, context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as c_int);
        }
        AsRole { caller, context }
    }
}

impl Drop for AsRole {
    /// An error gets here as well, before the abort of the transaction or savepoint restores the same.
    fn drop(&mut self) {
        // SAFETY: this is what was there before.
        unsafe { pg_sys::SetUserIdAndSecContext(self.caller, self.context) }
    }
}

/// The owner of the function that is called: of the extension.
fn owner_of_function(fcinfo: pg_sys::FunctionCallInfo) -> Oid {
    // SAFETY: PostgreSQL has filled in the call's frame, and the row of a function that runs is there.
    unsafe {
        let function = (*(*fcinfo).flinfo).fn_oid;
        let row = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::PROCOID as c_int, function.into());
        assert!(!row.is_null(), "a function that runs is in pg_proc");
        let owner = (*pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_proc>()).proowner;
        pg_sys::ReleaseSysCache(row);
        owner
    }
}

/// What the session knows of bindings, by role; it forgets everything when a binding, a role or a membership changes.
#[derive(Default)]
struct Known {
    /// The table: it has another number after the extension was dropped and created again.
    table: Option<Oid>,
    parts: HashMap<Oid, Option<Vec<i32>>>,
    /// How often everything was forgotten.
    changes: u64,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Makes the process hear of changes.
pub fn listen() {
    relation::on_change(|table| {
        KNOWN.with_borrow_mut(|known| {
            if table == Oid::INVALID || known.table == Some(table) {
                known.parts.clear();
                known.changes += 1;
            }
        });
    });
    // SAFETY: a callback of the kind that PostgreSQL asks for, registered once where the library is loaded.
    unsafe {
        for cache in [pg_sys::SysCacheIdentifier::AUTHMEMROLEMEM, pg_sys::SysCacheIdentifier::AUTHOID] {
            pg_sys::CacheRegisterSyscacheCallback(cache as c_int, Some(forget_roles), Datum::from(0));
        }
    }
}

/// A role or a membership has changed.
#[pg_guard]
unsafe extern "C-unwind" fn forget_roles(_argument: Datum, _cache: c_int, _hash: u32) {
    KNOWN.with_borrow_mut(|known| {
        known.parts.clear();
        known.changes += 1;
    });
}

/// Returns the parts that a role is bound to, by itself or by a role whose privileges it has, in order; none where it is not.
fn parts_of(role: Oid, owner: Oid) -> Result<Option<Vec<i32>>, Error> {
    // SAFETY: these only look things up. Nothing is borrowed meanwhile: what they hear may make us forget.
    unsafe {
        if role == owner || pg_sys::superuser_arg(role) {
            return Ok(None);
        }
        // So that a binding holds from the first call after its commit, in the middle of a transaction too.
        pg_sys::AcceptInvalidationMessages();
    }
    let table = Some(relation::find(c"worker_parts"));
    let (known, changes) = KNOWN.with_borrow_mut(|known| {
        if known.table != table {
            *known = Known { table, parts: HashMap::new(), changes: known.changes };
        }
        (known.parts.get(&role).cloned(), known.changes)
    });
    if let Some(parts) = known {
        return Ok(parts);
    }
    let parts = Spi::connect(|client| {
        let row = statements::run(client, include_str!("../../queries/find_worker_parts.sql"), &[role.into()])?.first();
        row.get::<Vec<i32>>(1)
    })?;
    KNOWN.with_borrow_mut(|known| {
        // What was changed meanwhile may not have been seen. What an old snapshot shows may have been changed long ago.
        if known.changes == changes && !has_old_snapshot() {
            known.parts.insert(role, parts.clone());
        }
    });
    Ok(parts)
}

/// `workflow.forget_worker_parts` in `sql/grants.sql`: a trigger. What it returns is not looked at.
#[pg_extern(sql = false)]
fn workflow_forget_worker_parts() {
    // SAFETY: the table is there: it is the one that has changed.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(relation::find(c"worker_parts")) }
}
