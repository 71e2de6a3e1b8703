//! Leases: those that were reported with go, those of what was given come.

use super::Handed;
use crate::claim::Asking;
use crate::error::Error;
use crate::row_relation::{RowRelation, value};
use crate::{given, id, plans};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};

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

/// Locks the leases whose tasks have all been reported at once, in the order in which everybody locks leases: they can be turned
/// and dropped in any order then. The others are left without tasks, as no lease in the table is.
pub fn lock_leases(client: &SpiClient, reported: &mut Leases) -> Result<(), Error> {
    if reported.is_empty() {
        return Ok(());
    }
    let mut locked = BTreeSet::new();
    let mut whole = rows(reported)?.run(client, include_str!("../../queries/lock_leases.sql"), &[])?;
    while whole.next().is_some() {
        locked.extend(whole.get::<i64>(1)?);
    }
    reported.iter_mut().filter(|(lease, _)| !locked.contains(lease)).for_each(|(_, tasks)| tasks.clear());
    Ok(())
}

/// Leases as a statement compares them with the table.
fn rows(reported: &Leases) -> Result<RowRelation, Error> {
    let reported: Vec<_> = reported.iter().collect();
    RowRelation::new(c"lease", &reported, |(lease, tasks)| {
        [("part", value(id::part(**lease))), ("id", value(**lease)), ("tasks", value((*tasks).clone()))]
    })
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
        let is_whole = |(old, tasks): &(&i64, &Vec<i64>)| id::part(**old) == id::part(token) && !tasks.is_empty();
        let old = reported.iter().find(is_whole).map(|(old, _)| *old);
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

/// Puts tasks in the order that leases have them in, so that they can be compared.
pub fn sort(tasks: &mut Vec<i64>) {
    tasks.sort_unstable();
    tasks.dedup();
}
