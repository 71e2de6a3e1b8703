//! What a worker asks for when it claims: checked, and kept while it is given.

use crate::error::Error;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::direct_function_call;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::ffi::CStr;

/// The longest lease, in microseconds: 30 days.
const LONGEST_LEASE: i128 = 30 * 86_400_000_000;

/// Who asks for work, and for how much.
pub struct Asking {
    /// The worker's name.
    pub worker: String,
    /// How many tasks it still takes.
    pub wanted: usize,
    /// How many of these may still be handed over where others have waited too long.
    pub past_others: usize,
    /// What it can do; none: anything.
    pub actions: Option<Vec<String>>,
    /// How long it holds a task without a word.
    pub lease: Interval,
    /// Where it looks; none: everywhere.
    pub parts: Option<Vec<Option<i32>>>,
}

impl Asking {
    /// A worker's wishes, as far as they can be.
    pub fn check(
        worker: Option<String>,
        max_tasks: Option<i32>,
        actions: Option<Vec<Option<String>>>,
        lease: Option<Interval>,
        parts: Option<Vec<Option<i32>>>,
    ) -> Result<Asking, Error> {
        let worker = worker.ok_or_else(|| missing("worker"))?;
        let wanted = max_tasks.filter(|count| (1..=10_000).contains(count)).ok_or_else(|| {
            let given = max_tasks.map_or("null".to_owned(), |count| count.to_string());
            out_of_range("max_tasks is out of range", format!("max_tasks is {given}"), "ask for 1 to 10000 tasks")
        })? as usize;
        let lease = check_lease(lease)?;
        check_parts(parts.as_deref())?;
        let actions = actions.map(|actions| actions.into_iter().flatten().collect());
        Ok(Asking { worker, wanted, past_others: wanted / 2, actions, lease, parts })
    }

    /// Can it do this?
    pub fn takes(&self, action: &Option<String>) -> bool {
        match (&self.actions, action) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(actions), Some(action)) => actions.contains(action),
        }
    }

    /// When what is given now is claimable again.
    pub fn until(&self, now: TimestampWithTimeZone) -> TimestampWithTimeZone {
        let until = now.into_inner().saturating_add(self.lease.as_micros() as i64);
        TimestampWithTimeZone::try_from(until).unwrap_or(now)
    }
}

/// A lease, if it is longer than nothing and no longer than it may be.
fn check_lease(lease: Option<Interval>) -> Result<Interval, Error> {
    match lease {
        Some(lease) if (1..=LONGEST_LEASE).contains(&lease.as_micros()) => Ok(lease),
        lease => Err(out_of_range(
            "lease is out of range",
            format!("lease is {}", lease.map_or("null".to_owned(), text)),
            "give a lease that is longer than nothing and at most 30 days: interval '30 seconds'",
        )),
    }
}

fn check_parts(parts: Option<&[Option<i32>]>) -> Result<(), Error> {
    let parts = parts.unwrap_or_default();
    if parts.iter().all(|part| part.is_some_and(|part| (0..=1023).contains(&part))) {
        return Ok(());
    }
    let given: Vec<_> = parts.iter().map(|part| part.map_or("NULL".to_owned(), |part| part.to_string())).collect();
    let given: String = format!("{{{}}}", given.join(",")).chars().take(100).collect();
    Err(out_of_range("a part is out of range", format!("parts are {given}"), "parts are 0 to 1023"))
}

/// The error for an argument that is null and must not be.
pub fn missing(name: &str) -> Error {
    Error::refused("WF613", format!("{name} is null"), format!("give {name} a value"))
}

fn out_of_range(message: &str, value: String, hint: &str) -> Error {
    Error::refused("WF613", message, hint).with_detail(value)
}

/// As PostgreSQL writes it.
#[allow(unsafe_code)]
fn text(interval: Interval) -> String {
    // SAFETY: the argument is an interval, and what comes out is C text.
    let text = unsafe { direct_function_call::<&CStr>(pg_sys::interval_out, &[interval.into_datum()]) };
    text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}

/// `workflow.check_claim` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_check_claim(
    worker: Option<String>,
    max_tasks: Option<i32>,
    lease: Option<Interval>,
) -> Result<(), ErrorReport> {
    Asking::check(worker, max_tasks, None, lease, None)?;
    Ok(())
}

/// `workflow.check_parts` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_check_parts(parts: Option<Vec<Option<i32>>>) -> Result<(), ErrorReport> {
    check_parts(parts.as_deref())?;
    Ok(())
}
