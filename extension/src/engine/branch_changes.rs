//! Reading the changes that branches have published, as far as a step needs them.

use crate::error::Error;
use crate::pg::id;
use crate::pg::jsonb::{Jsonb, as_data};
use crate::pg::rows::Rows;
use crate::pg::statements;
use crate::store::run::Run;
use conductor::engine::published::{Entry, KnownChanges, number_of, own_change};
use conductor::graph::needs::Needs;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};

/// Reads the changes that reports need, by execution: if variables are read, those that the reported tasks see in their
/// contexts; and those that their branches add to.
pub fn load<'r>(
    client: &SpiClient,
    wanted: impl Iterator<Item = (&'r Run, &'r Needs, Vec<&'r [u32]>)>,
) -> Result<BTreeMap<i64, KnownChanges>, Error> {
    let (mut runs, mut changes) = (Vec::new(), Vec::new());
    for (run, needs, contexts) in wanted.filter(|(run, ..)| run.before.state.base.is_some()) {
        let state = &run.before.state;
        let mut numbers = BTreeSet::new();
        // If there is only one branch, it may rewrite everything that it sees.
        let sees = needs.variables || needs.publishes && state.live == 1;
        numbers.extend(state.trunk.filter(|_| sees));
        for context in contexts {
            if sees {
                numbers.extend(context.iter().copied().map(number_of));
            } else if needs.publishes {
                numbers.extend(own_change(context));
            }
        }
        for number in numbers {
            runs.push(run.id);
            changes.push(number as i32);
        }
    }
    if runs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let arguments = [runs.into(), changes.into()];
    let mut rows = statements::run(client, include_str!("../../queries/load_changes.sql"), &arguments)?;
    let mut known: BTreeMap<i64, KnownChanges> = BTreeMap::new();
    while rows.next().is_some() {
        add(known.entry(rows.get::<i64>(1)?.unwrap_or_default()).or_default(), &rows)?;
    }
    Ok(known)
}

/// Reads all changes of an execution.
pub fn load_all(client: &SpiClient, run: &Run) -> Result<KnownChanges, Error> {
    let mut known = KnownChanges::all();
    if run.before.state.base.is_some() {
        let arguments = [id::part(run.id).into(), run.id.into()];
        let mut rows = statements::run(client, include_str!("../../queries/load_all_changes.sql"), &arguments)?;
        while rows.next().is_some() {
            add(&mut known, &rows)?;
        }
    }
    Ok(known)
}

/// Adds a row with the columns execution, change, place, name, value, sees.
fn add(known: &mut KnownChanges, row: &Rows) -> Result<(), Error> {
    let change = row.get::<i32>(2)?.unwrap_or_default() as u32;
    known.know(change);
    let Some(place) = row.get::<i32>(3)? else { return Ok(()) };
    let entry = match row.get::<String>(4)? {
        Some(name) => Entry::Variable(name, as_data(row.get::<Jsonb>(5)?)),
        None => Entry::Sees(row.get::<Vec<i32>>(6)?.unwrap_or_default().into_iter().map(|id| id as u32).collect()),
    };
    known.add(change, place as u32, entry);
    Ok(())
}
