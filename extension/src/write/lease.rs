//! Leases: those that were reported with go, those of what was given come.

use super::Handed;
use crate::claim::Asking;
use crate::error::Error;
use crate::row_relation::{RowRelation, value};
use crate::{given, id, plans};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

/// Leases and their tasks, in order.
pub type Leases = BTreeMap<i64, Vec<i64>>;

/// Lets go of leases whose tasks have all been reported at once, and holds what was given to the asking worker. `reported` has
/// the tasks of each lease.
pub fn turn_leases(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    mut reported: Leases,
    given: &[Handed],
    asking: Option<&Asking>,
) -> Result<(), Error> {
    let mut fresh = Leases::new();
    for task in given {
        fresh.entry(task.lease).or_default().push(task.task);
    }
    for tasks in fresh.values_mut().chain(reported.values_mut()) {
        *tasks = sorted(std::mem::take(tasks));
    }
    if let Some(asking) = asking {
        hold(client, now, &mut reported, fresh, asking)?;
    }
    if !reported.is_empty() {
        let gone: Vec<_> = reported.iter().collect();
        let gone = RowRelation::new(c"lease", &gone, |(lease, tasks)| {
            [("part", value(id::part(**lease))), ("id", value(**lease)), ("tasks", value((*tasks).clone()))]
        })?;
        gone.run(client, include_str!("../../queries/drop_leases.sql"), &[])?;
    }
    Ok(())
}

/// A new lease takes the row of an old one of its part, where one was reported whole: one write in place of two. What was handed
/// over goes on under the token of such a one, and then no index hears of it.
fn hold(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    reported: &mut Leases,
    fresh: Leases,
    asking: &Asking,
) -> Result<(), Error> {
    let mut left = Vec::new();
    let (kept, new): (Leases, Leases) = fresh.into_iter().partition(|(token, _)| reported.contains_key(token));
    for (token, tasks) in kept {
        if !turn(client, now, reported, token, (token, &tasks), asking)? {
            given::forget_lease(token);
            left.push((id::Sequence::find(c"lease_id_seq").next(id::part(token))?, token, tasks));
        }
    }
    for (token, tasks) in new {
        let old = reported.keys().copied().find(|old| id::part(*old) == id::part(token));
        let is_turned = match old {
            Some(old) => turn(client, now, reported, old, (token, &tasks), asking)?,
            None => false,
        };
        if !is_turned {
            left.push((token, token, tasks));
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    let rows = RowRelation::new(c"lease", &left, |(id, token, tasks)| {
        [("part", value(id::part(*id))), ("id", value(*id)), ("token", value(*token)), ("tasks", value(tasks.clone()))]
    })?;
    let arguments = [asking.worker.as_str().into(), asking.until(now).into(), now.into()];
    rows.run(client, include_str!("../../queries/insert_leases.sql"), &arguments)?;
    Ok(())
}

/// Gives the row of a lease that was reported other tasks, and another token. False: there was more in it.
fn turn(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    reported: &mut Leases,
    old: i64,
    (token, tasks): (i64, &[i64]),
    asking: &Asking,
) -> Result<bool, Error> {
    let arguments = [
        id::part(old).into(),
        old.into(),
        reported.remove(&old).into(),
        token.into(),
        asking.worker.as_str().into(),
        asking.until(now).into(),
        tasks.to_vec().into(),
        now.into(),
    ];
    Ok(!plans::run(client, include_str!("../../queries/turn_lease.sql"), &arguments)?.is_empty())
}

/// As leases have them, so that they can be compared.
fn sorted(mut tasks: Vec<i64>) -> Vec<i64> {
    tasks.sort_unstable();
    tasks.dedup();
    tasks
}
