//! Requests for tasks, validated.

use crate::argument::{MAX_ACTIONS, MAX_KEY_BYTES, MAX_WORKER_BYTES, check_count, check_length};
use crate::cache::foreign_parts::ForeignParts;
use crate::caller::Caller;
use crate::error::Error;
use crate::pg::builtin::interval_text;
use crate::pg::id::PARTS;
use crate::pg::list::List;
use crate::pg::random;
use crate::pg::role;
use crate::pg::statements;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::spi::SpiClient;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum duration of a lease, in microseconds: 30 days.
const MAX_LEASE: i128 = 30 * 86_400_000_000;

/// A worker's request for tasks.
pub struct Asking {
    /// Name of the worker.
    pub worker: String,
    /// Role of the caller.
    pub role: String,
    /// Number of further tasks that it accepts.
    pub wanted: usize,
    /// Whether the call already has something to return.
    pub is_served: bool,
    /// How many of these may still be handed over directly although others have waited too long.
    pub past_others: usize,
    /// Actions that it can execute; `None`: all.
    pub actions: Option<Vec<String>>,
    /// How long it may hold a task without a heartbeat.
    pub lease: Interval,
    /// Parts in which it looks; `None`: all of this server.
    pub parts: Option<Vec<Option<i32>>>,
    /// Parts that do not belong to this server.
    pub foreign: ForeignParts,
    /// Token, by part, under which tasks are handed over: that of the lease that was reported.
    pub kept_tokens: BTreeMap<i32, i64>,
    /// Token of all other tasks that this call returns.
    token: OnceCell<i64>,
}

impl Asking {
    /// Validates a worker's request.
    pub fn check(
        caller: &Caller,
        worker: Option<String>,
        max_tasks: Option<i32>,
        actions: Option<List<String>>,
        lease: Option<Interval>,
        parts: Option<List<i32>>,
    ) -> Result<Asking, Error> {
        let worker = worker.ok_or_else(|| Error::missing("worker"))?;
        check_length("worker", &worker, MAX_WORKER_BYTES)?;
        let wanted = max_tasks.filter(|count| (1..=10_000).contains(count)).ok_or_else(|| {
            let given = max_tasks.map_or("null".to_owned(), |count| count.to_string());
            Error::out_of_range(
                "max_tasks is out of range",
                format!("max_tasks is {given}."),
                "Request 1 to 10000 tasks.",
            )
        })? as usize;
        let lease = check_lease(lease)?;
        let parts = caller.parts(check_parts(parts)?)?;
        let actions = actions.map(check_actions).transpose()?;
        Ok(Asking {
            worker,
            role: role::name_of(caller.role()),
            wanted,
            is_served: false,
            past_others: wanted / 2,
            actions,
            lease,
            parts,
            foreign: caller.foreign(),
            kept_tokens: BTreeMap::new(),
            token: OnceCell::new(),
        })
    }

    /// Returns the actions to look for in a part; `None` if nothing is queued there.
    pub fn actions_in(&self, client: &SpiClient, part: i32) -> Result<Option<Vec<String>>, Error> {
        match &self.actions {
            Some(actions) => Ok(Some(actions.clone())),
            None => {
                statements::run(client, include_str!("../../queries/list_ready.sql"), &[part.into()])?.first().get(1)
            }
        }
    }

    /// Returns the token for the tasks that this call claims: a new one, because they may have been held before.
    pub fn token(&self) -> Result<i64, Error> {
        match self.token.get() {
            Some(token) => Ok(*token),
            None => random::token().map(|token| *self.token.get_or_init(|| token)),
        }
    }

    /// Returns when tasks that are given out now become claimable again.
    pub fn until(&self, now: TimestampWithTimeZone) -> TimestampWithTimeZone {
        until(now, self.lease)
    }
}

/// Returns the end of a lease that begins now.
pub fn until(now: TimestampWithTimeZone, lease: Interval) -> TimestampWithTimeZone {
    let until = now.into_inner().saturating_add(lease.as_micros() as i64);
    TimestampWithTimeZone::try_from(until).unwrap_or(now)
}

/// Returns the lease if its duration is positive and does not exceed the maximum.
pub fn check_lease(lease: Option<Interval>) -> Result<Interval, Error> {
    match lease {
        Some(lease) if (1..=MAX_LEASE).contains(&lease.as_micros()) => Ok(lease),
        lease => Err(Error::out_of_range(
            "lease is out of range",
            format!("lease is {}.", lease.map_or("null".to_owned(), interval_text)),
            "Use a positive interval of at most 30 days, such as interval '30 seconds'.",
        )),
    }
}

/// Returns the parts if all of them are valid.
pub fn check_parts(parts: Option<List<i32>>) -> Result<Option<Vec<Option<i32>>>, Error> {
    let Some(List(parts)) = parts else { return Ok(None) };
    check_count("parts", parts.len(), PARTS as usize)?;
    if parts.iter().all(|part| part.is_some_and(|part| (0..PARTS).contains(&part))) {
        return Ok(Some(parts));
    }
    let given: Vec<_> = parts.iter().map(|part| part.map_or("NULL".to_owned(), |part| part.to_string())).collect();
    let given: String = format!("{{{}}}", given.join(",")).chars().take(100).collect();
    Err(Error::out_of_range("a part is out of range", format!("parts are {given}."), "Use parts from 0 to 1023."))
}

/// Returns the distinct actions if there are not too many and none is too long.
fn check_actions(List(actions): List<String>) -> Result<Vec<String>, Error> {
    check_count("actions", actions.len(), MAX_ACTIONS)?;
    let actions: BTreeSet<String> = actions.into_iter().flatten().collect();
    actions.iter().try_for_each(|action| check_length("an action", action, MAX_KEY_BYTES))?;
    Ok(actions.into_iter().collect())
}
