//! The caller of a worker function, and the parts that the caller is bound to.
//!
//! A worker has no privileges on any table: its functions work with the privileges of the extension's owner. They are
//! not SECURITY DEFINER, because such a function cannot tell who called it. By the time it runs, PostgreSQL has put the
//! owner in the caller's place, and the session's role, which is still known, is a different one if the call comes from
//! another SECURITY DEFINER function. So these functions first record the caller, and then become the owner in the same
//! way as PostgreSQL does.
#![allow(unsafe_code)]

use crate::cache::foreign_parts::{self, ForeignParts};
use crate::engine::report::Refusal;
use crate::error::Error;
use crate::pg::id;
use crate::pg::random;
use crate::pg::relation;
use crate::pg::statements;
use crate::pg::transaction::has_old_snapshot;
use conductor::code::Code;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, c_int};

/// The calling role. As long as this value lives, the function has the privileges of its owner.
pub struct Caller {
    role: Oid,
    /// Parts that the role is bound to, in order; `None` if it is not bound.
    parts: Option<Vec<i32>>,
    /// Parts that are not this server's.
    foreign: ForeignParts,
    _owner: AsRole,
}

impl Caller {
    /// Records the caller and becomes the function's owner.
    pub fn of_call(fcinfo: pg_sys::FunctionCallInfo) -> Result<Caller, Error> {
        let owner = owner_of_function(fcinfo);
        let as_owner = AsRole::switch(owner);
        let role = as_owner.caller;
        Ok(Caller { role, parts: parts_of(role, owner)?, foreign: ForeignParts::current(), _owner: as_owner })
    }

    /// Returns the calling role.
    pub fn role(&self) -> Oid {
        self.role
    }

    /// Returns the parts that are not this server's.
    pub fn foreign(&self) -> ForeignParts {
        self.foreign
    }

    /// Returns the parts to work in, out of those requested; `None` means all of this server. A bound caller that
    /// requests none gets its own parts, starting at a random one, so that a full part does not starve those after it.
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
                Some(part) => {
                    Err(Error::refused(Code::PART_NOT_GRANTED, "the role is bound to other parts", "leave parts out")
                        .with_detail(format!("part is {part}")))
                }
            },
        }
    }

    /// Whether the caller may report on a task, judging by the part in its id.
    pub fn may_reach(&self, task: i64) -> bool {
        self.parts.as_ref().is_none_or(|own| own.binary_search(&id::part(task)).is_ok())
    }

    /// Returns why the caller may not report on a task, judging by the part in its id.
    pub fn refusal(&self, task: i64) -> Option<Refusal> {
        let part = id::part(task);
        let (code, message) = match self.may_reach(task) {
            false => (Code::PART_NOT_GRANTED, format!("task {task} is in a part that the role is not bound to")),
            true if self.foreign.contains(part) => {
                (Code::FOREIGN_PART, format!("task {task} is in part {part}, which is not on this server"))
            }
            true => return None,
        };
        Some(Refusal { code, message })
    }
}

/// Returns the name of a role, or its OID if it no longer exists.
pub fn name_of(role: Oid) -> String {
    // SAFETY: the name is a C string in the current memory context, or null if the role no longer exists.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        if name.is_null() { role.to_u32().to_string() } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
    }
}

/// Makes the current function run as another role until it goes out of scope.
pub struct AsRole {
    caller: Oid,
    context: c_int,
}

impl AsRole {
    /// Becomes a stored role, unless it no longer exists.
    pub fn begin(role: Oid) -> Result<AsRole, Error> {
        // SAFETY: only looks up the name.
        if unsafe { pg_sys::GetUserNameFromId(role, true) }.is_null() {
            let message = format!("role {} no longer exists", role.to_u32());
            return Err(Error::refused(Code::NOT_FOUND, message, "create another job with workflow_apply"));
        }
        Ok(AsRole::switch(role))
    }

    /// Switches in the same way as PostgreSQL does for a SECURITY DEFINER function.
    fn switch(owner: Oid) -> AsRole {
        let (mut caller, mut context) = (Oid::INVALID, 0);
        // SAFETY: both arguments are valid pointers to write to, and a backend has one thread.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut caller, &mut context);
            pg_sys::SetUserIdAndSecContext(owner, context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as c_int);
        }
        AsRole { caller, context }
    }
}

impl Drop for AsRole {
    /// Also runs when an error is raised, before aborting the transaction or savepoint restores the same values.
    fn drop(&mut self) {
        // SAFETY: restores the previous values.
        unsafe { pg_sys::SetUserIdAndSecContext(self.caller, self.context) }
    }
}

/// Returns the owner of the called function, which is the owner of the extension.
fn owner_of_function(fcinfo: pg_sys::FunctionCallInfo) -> Oid {
    // SAFETY: PostgreSQL has filled in the call's frame, and the catalog row of a running function exists.
    unsafe {
        let function = (*(*fcinfo).flinfo).fn_oid;
        let row = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::PROCOID as c_int, function.into());
        assert!(!row.is_null(), "a function that runs is in pg_proc");
        let owner = (*pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_proc>()).proowner;
        pg_sys::ReleaseSysCache(row);
        owner
    }
}

/// Bindings known to the session, by role. Cleared when a binding, a role or a membership changes.
#[derive(Default)]
struct Known {
    /// OID of the table, which changes if the extension is dropped and recreated.
    table: Option<Oid>,
    parts: HashMap<Oid, Option<Vec<i32>>>,
    /// Number of times the cache has been cleared.
    changes: u64,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Subscribes the process to changes.
pub fn listen() {
    relation::on_change(|table| {
        KNOWN.with_borrow_mut(|known| {
            if table == Oid::INVALID || known.table == Some(table) {
                known.parts.clear();
                known.changes += 1;
            }
        });
    });
    // SAFETY: a callback with the signature that PostgreSQL requires, registered once when the library is loaded.
    unsafe {
        for cache in [pg_sys::SysCacheIdentifier::AUTHMEMROLEMEM, pg_sys::SysCacheIdentifier::AUTHOID] {
            pg_sys::CacheRegisterSyscacheCallback(cache as c_int, Some(forget_roles), Datum::from(0));
        }
    }
}

/// Clears the cache because a role or a membership has changed.
#[pg_guard]
unsafe extern "C-unwind" fn forget_roles(_argument: Datum, _cache: c_int, _hash: u32) {
    KNOWN.with_borrow_mut(|known| {
        known.parts.clear();
        known.changes += 1;
    });
}

/// Returns the parts to which a role is bound, directly or through a role whose privileges it has, in order; `None` if
/// it is not bound.
fn parts_of(role: Oid, owner: Oid) -> Result<Option<Vec<i32>>, Error> {
    // SAFETY: these only perform look-ups. Nothing is borrowed meanwhile, because the invalidations that they process
    // may clear the cache.
    unsafe {
        if role == owner || pg_sys::superuser_arg(role) {
            return Ok(None);
        }
        // A binding thus takes effect with the first call after its commit, even in the middle of a transaction.
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
        // Changes made in the meantime may not have been seen, and what an old snapshot shows may be long out of date.
        if known.changes == changes && !has_old_snapshot() {
            known.parts.insert(role, parts.clone());
        }
    });
    Ok(parts)
}
