//! Tasks that no worker executes: those that route after a delay, wait for a signal, or call a workflow.

use crate::engine::advance::Advance;
use crate::engine::calls::{self, Call, Calls};
use crate::engine::own_report::OwnReport;
use crate::engine::postponed::postpone;
use crate::engine::signal_waits;
use crate::engine::undo_children::{self, UndoneCall};
use crate::error::Error;
use crate::limits::take::read_limits;
use crate::pg::jsonb::Jsonb;
use crate::pg::statements;
use conductor::engine::status::TaskEnd;

/// Continues tasks whose turn has come. Returns the reports for those that ended immediately.
pub fn begin(advance: &mut Advance, tasks: &[i64]) -> Result<Vec<OwnReport>, Error> {
    // Tasks that lead to an execution named in a rerun are never postponed.
    let (named, others): (Vec<i64>, _) =
        tasks.iter().copied().partition(|task| advance.child_reruns.contains_key(task));
    let (now, later) = others.split_at(others.len().min(advance.own_tasks_left));
    advance.own_tasks_left -= now.len();
    postpone(advance.client, advance.now, later.to_vec())?;
    let tasks = [&named, now].concat();
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = statements::run(advance.client, include_str!("../../queries/load_own_tasks.sql"), &[tasks.into()])?;
    let (mut reports, mut waiting) = (Vec::new(), Vec::new());
    let (mut calls, mut undone) = (Calls::default(), Vec::new());
    while rows.next().is_some() {
        let task = rows.get::<i64>(1)?.unwrap_or_default();
        let id = rows.get::<i64>(2)?.unwrap_or_default();
        let Some(run) = advance.runs.get(&id) else { continue };
        if rows.get::<bool>(4)?.unwrap_or_default() {
            let node = rows.get::<String>(9)?.and_then(|name| run.graph.find(&name));
            let has_schema = node.is_some_and(|node| run.graph.node(node).signal_schema.is_some());
            waiting.push((task, node.filter(|_| has_schema).map(|node| (id, node))));
        } else if run.before.paused {
            // The end of the pause makes it due again.
        } else if rows.get::<bool>(3)?.unwrap_or_default() {
            let workflow = rows.get::<String>(5)?.unwrap_or_default();
            let call = Call { task, run: id, workflow, input: rows.get::<Jsonb>(6)? };
            match (rows.get::<i64>(7)?, rows.get::<i64>(8)?) {
                (child, Some(of)) => undone.push(UndoneCall { task, run: id, of, child: child.unwrap_or_default() }),
                (child, None) => {
                    calls.limited.extend(rows.get::<Jsonb>(10)?.map(|limits| (task, read_limits(Some(limits)))));
                    match child {
                        Some(child) => calls.again.push((call, child)),
                        None => calls.new.push(call),
                    }
                }
            }
        } else {
            reports.push(OwnReport { task, end: TaskEnd::Completed, result: None, error: None, undoable: None });
        }
    }
    reports.extend(signal_waits::begin(advance, waiting)?);
    reports.extend(undo_children::begin(advance, undone)?);
    reports.extend(calls::begin(advance, calls)?);
    Ok(reports)
}
