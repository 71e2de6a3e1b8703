//! Limits: how many tasks of a key run at once, how many begin in a time, and what must not begin yet.
//!
//! A task under limits is queued like any other. Whoever claims it takes a slot of each limit in the same call ([`take`]), all of
//! them or none; if one is lacking, the task leaves the queue and waits at the key of that limit. So a slot is never held by a task
//! that no worker serves, and a claim never reads what cannot begin. Whoever ends a task frees its slots, and puts as many tasks that
//! wait for them back into the queue ([`admit`]); time does it for rates and holds.
//!
//! Nobody waits for a lock here: free slots and keys are locked with SKIP LOCKED, and a task whose key somebody else has locked stays
//! in the queue. Two transactions that don't see each other yet may miss that one frees what the other waits for, so a key for which
//! tasks wait is looked at again by whoever claims or ticks, once its time has come (`check_at`).

pub mod admit;
pub mod assign;
pub mod concurrency;
pub mod holds;
pub mod take;
pub mod upkeep;

use crate::pg::relation;

/// Whether any limit has been used on this server. While none has, nothing here costs a statement.
pub fn are_in_use() -> bool {
    !relation::is_empty(c"limit_key")
}
