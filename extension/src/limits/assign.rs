//! Assigning limits to new tasks: those of the task and of its action, except those for which a call above it already
//! holds a slot. A claim takes the slots ([`take`](crate::limits::take)); those that become free are given to the tasks
//! that wait for them by [`admit`](crate::limits::admit).

use crate::cache::actions::{self, Facts};
use crate::error::Error;
use crate::limits::take::{LimitKey, read_limits};
use crate::pg::jsonb::Jsonb;
use crate::pg::statements;
use crate::pg::transaction;
use conductor::expression::Data;
use conductor::json::to_text;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};

/// A new task, as seen by limits.
pub trait Limited {
    /// Returns the execution that it belongs to.
    fn run(&self) -> i64;
    /// Whether that execution was called by another.
    fn is_called(&self) -> bool;
    /// Returns the action and its input.
    fn call(&self) -> Option<(&str, Option<&Data>)>;
    /// Returns its limits, in order.
    fn limits(&mut self) -> &mut Vec<LimitKey>;
    /// Makes it wait at a key.
    fn wait_at(&mut self, key: i64);
    /// Whether it is about to be queued.
    fn is_queued(&self) -> bool;
}

/// Completes the limits of new tasks. Tasks that would only leave the queue again start out waiting.
pub fn assign<T: Limited>(client: &SpiClient, tasks: &mut [T], actions: &BTreeMap<String, Facts>) -> Result<(), Error> {
    for task in tasks.iter_mut() {
        let Some((action, input)) = task.call() else { continue };
        let Some(limits) = actions.get(action).and_then(|facts| facts.limits.as_ref()) else { continue };
        let more = limits.keys(input.unwrap_or(&Data::UNDEFINED));
        let all = task.limits();
        all.extend(more);
        all.sort();
        all.dedup();
    }
    let mut limited: Vec<&mut T> =
        tasks.iter_mut().filter_map(|task| (!task.limits().is_empty()).then_some(task)).collect();
    if limited.is_empty() {
        return Ok(());
    }
    let called: BTreeSet<i64> = limited.iter().filter(|task| task.is_called()).map(|task| task.run()).collect();
    if !called.is_empty() {
        let above = limits_above(client, called.into_iter().collect())?;
        for task in limited.iter_mut() {
            if let Some(above) = above.get(&task.run()) {
                task.limits().retain(|limit| !above.contains(limit));
            }
        }
    }
    let wanted: BTreeSet<LimitKey> =
        limited.iter_mut().filter(|task| task.is_queued()).flat_map(|task| task.limits().clone()).collect();
    let contended = contended(client, wanted)?;
    for task in limited.into_iter().filter(|task| task.is_queued()) {
        if let Some(key) = task.limits().iter().find_map(|limit| contended.get(limit)) {
            task.wait_at(*key);
        }
    }
    Ok(())
}

/// Gives limits to failed undos that are about to run again. They needed none as long as the call of their execution
/// held the slot; now the execution is undone on behalf of another one, which is given with it.
pub fn reassign(client: &SpiClient, executions: &[(i64, i64)]) -> Result<(), Error> {
    if executions.is_empty() || !crate::limits::are_in_use() {
        return Ok(());
    }
    let (children, callers): (Vec<i64>, Vec<i64>) = executions.iter().copied().unzip();
    let arguments = [children.into(), callers.clone().into()];
    let mut rows = statements::run(client, include_str!("../../queries/find_failed_undos.sql"), &arguments)?;
    let mut undos = Vec::new();
    while rows.next().is_some() {
        let id = |column| Ok::<_, Error>(rows.get::<i64>(column)?.unwrap_or_default());
        let input = rows.get::<Jsonb>(3)?.map_or(Data::UNDEFINED, Jsonb::data);
        undos.push((id(1)?, rows.get::<String>(2)?.unwrap_or_default(), input, id(4)?));
    }
    let facts = actions::facts(client, undos.iter().map(|(_, action, ..)| action.as_str()).collect())?;
    let above = limits_above(client, callers)?;
    let (mut ids, mut texts) = (Vec::new(), Vec::new());
    for (id, action, input, caller) in &undos {
        let Some(limits) = facts.get(action).and_then(|facts| facts.limits.as_ref()) else { continue };
        let is_above = |limit: &LimitKey| above.get(caller).is_some_and(|above| above.contains(limit));
        let limits: BTreeSet<LimitKey> = limits.keys(input).into_iter().filter(|limit| !is_above(limit)).collect();
        if let Ok(text) = to_text(&limits) {
            ids.push(*id);
            texts.push(text);
        }
    }
    if !ids.is_empty() {
        statements::run(client, include_str!("../../queries/set_limits.sql"), &[ids.into(), texts.into()])?;
    }
    Ok(())
}

/// Returns the limits of the calls through which executions were called.
fn limits_above(client: &SpiClient, runs: Vec<i64>) -> Result<BTreeMap<i64, BTreeSet<LimitKey>>, Error> {
    let mut above: BTreeMap<i64, BTreeSet<LimitKey>> = BTreeMap::new();
    let mut rows = statements::run(client, include_str!("../../queries/list_limits_above.sql"), &[runs.into()])?;
    while rows.next().is_some() {
        let run = rows.get::<i64>(1)?.unwrap_or_default();
        above.entry(run).or_default().extend(read_limits(rows.get::<Jsonb>(2)?));
    }
    Ok(above)
}

/// Returns those of the keys that tasks wait for, with their ids.
fn contended(client: &SpiClient, wanted: BTreeSet<LimitKey>) -> Result<BTreeMap<LimitKey, i64>, Error> {
    let mut contended = BTreeMap::new();
    if wanted.is_empty() || !crate::limits::are_in_use() {
        return Ok(contended);
    }
    // Before deciding that nothing is waiting any more, a transaction waits for all transactions that had an id by
    // then.
    transaction::take_number();
    let (names, keys): (Vec<&str>, Vec<&str>) = wanted.iter().map(|(name, key)| (name.as_str(), key.as_str())).unzip();
    let arguments = [names.into(), keys.into()];
    let mut rows = statements::run(client, include_str!("../../queries/list_contended_keys.sql"), &arguments)?;
    while rows.next().is_some() {
        let text = |column| Ok::<_, Error>(rows.get::<String>(column)?.unwrap_or_default());
        contended.insert((text(2)?, text(3)?), rows.get::<i64>(1)?.unwrap_or_default());
    }
    Ok(contended)
}
