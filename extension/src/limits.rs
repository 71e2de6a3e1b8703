//! Limits: how many tasks with a key run at once, how many start within a period, and what must not start yet.
//!
//! A task under limits is queued like any other. Whoever claims it takes a slot of each limit in the same call
//! ([`take`]): all of them or none. If one is lacking, the task leaves the queue and waits at the key of that limit. So
//! no slot is ever held by a task that no worker executes, and a claim never reads tasks that cannot start. Whoever
//! ends a task frees its slots and puts as many of the tasks waiting for them back into the queue ([`admit`]); for
//! rates and holds, time-driven work does this.
//!
//! Nobody waits for a lock here: free slots and keys are locked with SKIP LOCKED, and a task whose key someone else has
//! locked stays in the queue. Two transactions that cannot see each other yet may miss that one frees what the other
//! waits for. Therefore a key with waiting tasks is checked again by claims and ticks once its time has come
//! (`check_at`).

pub mod admit;
pub mod assign;
pub mod concurrency;
pub mod holds;
pub mod take;
pub mod upkeep;

use crate::pg::relation;

/// Whether any limit has been used on this server. Until then, limits cost no statements.
pub fn are_in_use() -> bool {
    !relation::is_empty(c"limit_key")
}
