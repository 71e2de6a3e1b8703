//! Leases: drops those whose tasks were reported, and adds those of newly claimed tasks.

use super::Handed;
use crate::error::Error;
use crate::pg::id;
use crate::pg::random;
use crate::pg::statements;
use crate::pg::transition_table::{RowRelation, value};
use crate::queue::asking::Asking;
use crate::store::claimed_tasks;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};

/// The sorted tasks of leases, by part and token.
pub type Leases = BTreeMap<(i32, i64), Vec<i64>>;

/// Drops leases whose tasks have all been reported together, and leases the given tasks to the asking worker.
/// `reported` contains the reported tasks of each lease.
pub fn reuse_leases(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    mut reported: Leases,
    given: &[Handed],
    asking: Option<&Asking>,
) -> Result<(), Error> {
    let mut fresh = Leases::new();
    for task in given {
        fresh.entry((id::part(task.task), task.lease)).or_default().push(task.task);
    }
    fresh.values_mut().for_each(sort);
    if reported.len() > 1 {
        lock_leases(client, &mut reported)?;
    }
    if let Some(asking) = asking {
        hold(client, now, &mut reported, fresh, asking)?;
    }
    reported.retain(|_, tasks| !tasks.is_empty());
    if !reported.is_empty() {
        rows(&reported)?.run(client, include_str!("../../queries/drop_leases.sql"), &[])?;
    }
    Ok(())
}

/// Locks the leases whose tasks have all been reported together, in the global lock order, so that they can then be
/// reused and dropped in any order. The tasks of the other leases are cleared, so that these match no lease in the
/// table.
pub fn lock_leases(client: &SpiClient, reported: &mut Leases) -> Result<(), Error> {
    if reported.is_empty() {
        return Ok(());
    }
    let mut locked = BTreeSet::new();
    let mut whole = rows(reported)?.run(client, include_str!("../../queries/lock_leases.sql"), &[])?;
    while whole.next().is_some() {
        locked.extend(whole.get::<i32>(1)?.zip(whole.get::<i64>(2)?));
    }
    reported.iter_mut().filter(|(lease, _)| !locked.contains(lease)).for_each(|(_, tasks)| tasks.clear());
    Ok(())
}

/// Returns leases as rows that a statement can compare with the table.
fn rows(reported: &Leases) -> Result<RowRelation, Error> {
    let reported: Vec<_> = reported.iter().collect();
    RowRelation::new(c"lease", &reported, |((part, token), tasks)| {
        [("part", value(*part)), ("id", value(*token)), ("tasks", value((*tasks).clone()))]
    })
}

/// A new lease that is to take over the row of an old one of the same part.
struct Reuse {
    old: (i32, i64),
    old_tasks: Vec<i64>,
    token: i64,
    tasks: Vec<i64>,
}

/// Writes the new leases. A new lease takes over the row of an old one of the same part if that was reported
/// completely: one write instead of two. Tasks handed over keep the token of such a lease, so no index has to be
/// updated.
fn hold(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    reported: &mut Leases,
    fresh: Leases,
    asking: &Asking,
) -> Result<(), Error> {
    let (mut reuses, mut left) = (Vec::new(), Vec::new());
    let (kept, new): (Leases, Leases) = fresh.into_iter().partition(|(lease, _)| reported.contains_key(lease));
    for (old, tasks) in kept {
        let old_tasks = reported.remove(&old).unwrap_or_default();
        reuses.push(Reuse { old, old_tasks, token: old.1, tasks });
    }
    for ((part, token), tasks) in new {
        let is_whole = |(old, tasks): &(&(i32, i64), &Vec<i64>)| old.0 == part && !tasks.is_empty();
        let old = reported.iter().find(is_whole).map(|(old, _)| *old);
        match old.and_then(|old| reported.remove_entry(&old)) {
            Some((old, old_tasks)) => reuses.push(Reuse { old, old_tasks, token, tasks }),
            None => left.push(((part, token), token, tasks)),
        }
    }
    let reused = reuse(client, now, &reuses, asking)?;
    for Reuse { old, token, tasks, .. } in reuses.into_iter().filter(|reuse| !reused.contains(&reuse.old)) {
        let lease = (old.0, token);
        let mut id = token;
        // The row with this id contains more tasks.
        if lease == old {
            claimed_tasks::forget_lease(lease);
            id = random::token()?;
        }
        left.push((lease, id, tasks));
    }
    if left.is_empty() {
        return Ok(());
    }
    let rows = RowRelation::new(c"lease", &left, |((part, token), id, tasks)| {
        [("part", value(*part)), ("id", value(*id)), ("token", value(*token)), ("tasks", value(tasks.clone()))]
    })?;
    let arguments = [asking.worker.as_str().into(), asking.until(now).into(), now.into(), asking.role.as_str().into()];
    rows.run(client, include_str!("../../queries/insert_leases.sql"), &arguments)?;
    Ok(())
}

/// Reuses the rows of reported leases for other tasks and tokens. Returns the old leases that have been replaced, which
/// do not include those that contained more tasks.
fn reuse(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    reuses: &[Reuse],
    asking: &Asking,
) -> Result<BTreeSet<(i32, i64)>, Error> {
    let (worker, until, role) = (asking.worker.as_str().into(), asking.until(now).into(), asking.role.as_str().into());
    let mut rows = match reuses {
        [] => return Ok(BTreeSet::new()),
        [Reuse { old: (part, id), old_tasks, token, tasks }] => {
            let (old_tasks, tasks) = (old_tasks.clone().into(), tasks.clone().into());
            let arguments =
                [worker, until, now.into(), role, (*part).into(), (*id).into(), old_tasks, (*token).into(), tasks];
            statements::run(client, include_str!("../../queries/reuse_lease.sql"), &arguments)?
        }
        // These are locked, and known to be whole.
        _ => {
            let whole: Vec<&Reuse> = reuses.iter().filter(|reuse| !reuse.old_tasks.is_empty()).collect();
            let rows = RowRelation::new(c"lease", &whole, |reuse| {
                [
                    ("part", value(reuse.old.0)),
                    ("id", value(reuse.old.1)),
                    ("token", value(reuse.token)),
                    ("tasks", value(reuse.tasks.clone())),
                ]
            })?;
            rows.run(client, include_str!("../../queries/reuse_leases.sql"), &[worker, until, now.into(), role])?
        }
    };
    let mut reused = BTreeSet::new();
    while rows.next().is_some() {
        reused.extend(rows.get::<i32>(1)?.zip(rows.get::<i64>(2)?));
    }
    Ok(reused)
}

/// Sorts tasks as they are sorted in leases, so that they can be compared.
pub fn sort(tasks: &mut Vec<i64>) {
    tasks.sort_unstable();
    tasks.dedup();
}
