//! Leases: those that were reported with go, those of what was given come.

use super::Handed;
use crate::claim::Asking;
use crate::error::Error;
use crate::row_relation::{RowRelation, value};
use crate::{id, plans};
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
    let fresh = fresh.into_iter().map(|(lease, tasks)| (lease, sorted(tasks)));
    for tasks in reported.values_mut() {
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

/// A new lease takes the row of an old one of its part, where one was reported whole: one write in place of two.
fn hold(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    reported: &mut Leases,
    fresh: impl Iterator<Item = (i64, Vec<i64>)>,
    asking: &Asking,
) -> Result<(), Error> {
    let mut left = Vec::new();
    for (lease, tasks) in fresh {
        let part = id::part(lease);
        let old = reported.keys().copied().find(|old| id::part(*old) == part);
        let turned = match old {
            None => false,
            Some(old) => {
                let arguments = [
                    part.into(),
                    old.into(),
                    reported.remove(&old).into(),
                    lease.into(),
                    asking.worker.as_str().into(),
                    asking.until(now).into(),
                    tasks.clone().into(),
                    now.into(),
                ];
                !plans::run(client, include_str!("../../queries/turn_lease.sql"), &arguments)?.is_empty()
            }
        };
        if !turned {
            left.push((lease, tasks));
        }
    }
    if left.is_empty() { Ok(()) } else { insert(client, now, &left, asking) }
}

fn insert(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    leases: &[(i64, Vec<i64>)],
    asking: &Asking,
) -> Result<(), Error> {
    let rows = RowRelation::new(c"lease", leases, |(lease, tasks)| {
        [
            ("part", value(id::part(*lease))),
            ("id", value(*lease)),
            ("token", value(*lease)),
            ("worker", value(asking.worker.as_str())),
            ("until", value(asking.until(now))),
            ("tasks", value(tasks.clone())),
            ("created", value(now)),
            ("updated", value(now)),
        ]
    })?;
    rows.run(client, include_str!("../../queries/insert_leases.sql"), &[])?;
    Ok(())
}

/// As leases have them, so that they can be compared.
fn sorted(mut tasks: Vec<i64>) -> Vec<i64> {
    tasks.sort_unstable();
    tasks.dedup();
    tasks
}
