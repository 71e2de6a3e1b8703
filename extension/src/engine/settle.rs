//! The loop that writes the conductor's decisions and processes their consequences until there are none.

use crate::engine::advance::Advance;
use crate::engine::called_executions;
use crate::engine::internal_tasks;
use crate::engine::report_rounds;
use crate::engine::waiting_executions;
use crate::error::Error;
use crate::queue::asking::Asking;
use crate::store::{Handed, WithdrawnRows, Written, withdrawn};
use conductor::engine::commands::Withdrawn;
use std::collections::BTreeMap;

/// Writes the decisions and processes their consequences until there are none. One kind is processed at a time, so that
/// each sees in the tables what the one before it has done.
pub fn settle(advance: &mut Advance, mut asking: Option<&mut Asking>) -> Result<Vec<Handed>, Error> {
    let mut handed = Vec::new();
    let mut open = Written::default();
    loop {
        let batch = std::mem::take(&mut advance.batch);
        open.add(batch.write(advance.client, &advance.now, advance.reporter, asking.as_deref_mut(), &mut handed)?);
        if !open.withdrawn.is_empty() {
            take_back(advance, std::mem::take(&mut open.withdrawn))?;
        } else if !open.stopped.is_empty() {
            called_executions::cancel_children(advance, &std::mem::take(&mut open.stopped))?;
        } else if open.is_empty() && advance.deferred_reports.is_empty() {
            if advance.crowded.is_empty() {
                return Ok(handed);
            }
            let crowded = std::mem::take(&mut advance.crowded);
            waiting_executions::displace(advance, crowded)?;
        } else {
            let written = std::mem::take(&mut open);
            let mut reports = std::mem::take(&mut advance.deferred_reports);
            reports.extend(called_executions::void(advance, written.void)?);
            reports.extend(called_executions::void_rest(advance, &written.rest)?);
            reports.extend(internal_tasks::begin(advance, &written.own)?);
            reports.extend(called_executions::ends(advance, written.ended)?);
            report_rounds::report_own(advance, reports)?;
        }
    }
}

/// Notifies the conductor of withdrawn tasks.
fn take_back(advance: &mut Advance, gone: BTreeMap<i64, Vec<WithdrawnRows>>) -> Result<(), Error> {
    advance.has_withdrawn = true;
    advance.load(gone.keys().copied().collect())?;
    for (id, tasks) in gone {
        let Some(run) = advance.runs.get(&id) else { continue };
        let tasks: Vec<Withdrawn> = withdrawn(&run.graph, &tasks);
        advance.apply(id, |conductor| conductor.withdrawn(&tasks))?;
    }
    Ok(())
}
