//! The caller of a worker function, and the parts that the caller is bound to.
//!
//! A worker has no privileges on any table: its functions work with the privileges of the extension's owner. They are
//! not SECURITY DEFINER, because such a function cannot find out who called it. By the time it runs, PostgreSQL has put
//! the owner in the caller's place, and the session's role, which is still known, is a different one if the call comes
//! from another SECURITY DEFINER function. So these functions first record the caller, and then become the owner in the
//! same way as PostgreSQL does.
use crate::cache::foreign_parts::{self, ForeignParts};
use crate::cache::worker_parts;
use crate::error::{Error, Refusal};
use crate::pg::id;
use crate::pg::random;
use crate::pg::rights::Rights;
use crate::pg::role;
use conductor::code::Code;
use pgrx::pg_sys::{self, Oid};

/// The calling role. As long as this value lives, the function has the privileges of its owner.
pub struct Caller {
    role: Oid,
    /// Parts that the role is bound to, in order; `None` if it is not bound.
    parts: Option<Vec<i32>>,
    /// Parts that do not belong to this server.
    foreign: ForeignParts,
    _owner: Rights,
}

impl Caller {
    /// Records the caller and becomes the function's owner.
    pub fn of_call(fcinfo: pg_sys::FunctionCallInfo) -> Result<Caller, Error> {
        let owner = role::owner_of_function(fcinfo);
        let (role, as_owner) = (role::current(), Rights::of(owner));
        let parts = worker_parts::of_role(role, owner)?;
        Ok(Caller { role, parts, foreign: ForeignParts::current(), _owner: as_owner })
    }

    /// Returns the calling role.
    pub fn role(&self) -> Oid {
        self.role
    }

    /// Returns the parts that do not belong to this server.
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
                    Err(Error::refused(Code::PART_NOT_GRANTED, "the role is bound to other parts", "Omit the part.")
                        .with_detail(format!("part is {part}.")))
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
        Some(Refusal::new(code, message))
    }
}
