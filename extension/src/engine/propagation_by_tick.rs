//! Downward propagation by workflow_tick, to children that the original call did not reach. Ends propagate up in
//! `called_executions.rs`.

use crate::engine::advance::Advance;
use crate::engine::called_executions;
use crate::engine::propagation::set;
use crate::engine::settle::settle;
use crate::error::Error;
use crate::pg::statements;
use conductor::engine::state::{Execution, State};
use conductor::engine::status::{Reach, Status};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

/// A workflow execution that still has children to notify.
struct Caller {
    id: i64,
    paused: bool,
    /// Child that was notified last.
    after: i64,
    /// Which of its tasks, and hence of its children, it stops.
    stop: Reach,
    /// Children to notify next.
    children: Vec<Child>,
}

/// A called execution.
struct Child {
    id: i64,
    /// Its workflow execution, unless someone else has locked it.
    run: Option<i64>,
    /// Whether the task that called it closes that task's execution.
    closing: bool,
}

/// Notifies up to `most` children. Returns the number of children notified plus the number of callers that have
/// advanced.
pub fn propagate(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    most: usize,
    parts: Option<Vec<Option<i32>>>,
) -> Result<i32, Error> {
    let callers = find(client, most, parts)?;
    if callers.is_empty() {
        return Ok(0);
    }
    let moved = moved(&callers, most);
    let done = callers.iter().filter(|caller| moved.contains_key(&caller.id)).map(|caller| 1 + caller.children.len());
    let done = done.sum::<usize>() as i32;
    let mut advance = Advance::new(client, now, BTreeMap::new());
    let notified = notify(&mut advance, &callers)?;
    settle(&mut advance, None)?;
    set(&advance, moved.into_iter().collect())?;
    let (children, callers): (Vec<i64>, Vec<i64>) = notified.into_iter().unzip();
    statements::run(client, include_str!("../../queries/pass_on.sql"), &[children.into(), callers.into()])?;
    Ok(done)
}

fn find(client: &SpiClient, most: usize, parts: Option<Vec<Option<i32>>>) -> Result<Vec<Caller>, Error> {
    let arguments = [(most as i64).into(), parts.into()];
    let mut rows = statements::run(client, include_str!("../../queries/find_unreached.sql"), &arguments)?;
    let mut callers: Vec<Caller> = Vec::new();
    while rows.next().is_some() {
        let id = rows.get::<i64>(1)?.unwrap_or_default();
        if callers.last().is_none_or(|caller| caller.id != id) {
            callers.push(Caller {
                id,
                stop: stop(rows.label(2).as_deref(), rows.get::<bool>(7)?.unwrap_or_default()),
                paused: rows.get::<bool>(3)?.unwrap_or_default(),
                after: rows.get::<i64>(4)?.unwrap_or_default(),
                children: Vec::new(),
            });
        }
        if let (Some(child), Some(caller)) = (rows.get::<i64>(5)?, callers.last_mut()) {
            let closing = rows.get::<bool>(8)?.unwrap_or_default();
            caller.children.push(Child { id: child, run: rows.get::<i64>(6)?, closing });
        }
    }
    Ok(callers)
}

fn stop(status: Option<&str>, forced: bool) -> Reach {
    let status = status.and_then(Status::parse).unwrap_or(Status::Running);
    let state = State { forced, ..State::default() };
    Execution { status, paused: false, state }.stop()
}

/// Returns the progress of callers that have advanced; `None` for those all of whose children have been notified.
fn moved(callers: &[Caller], most: usize) -> BTreeMap<i64, Option<i64>> {
    let is_full = callers.iter().map(|caller| caller.children.len()).sum::<usize>() >= most;
    // The caller at which the limit was reached may have more children, and those after it have not been examined.
    let last = if is_full { callers.iter().rposition(|caller| !caller.children.is_empty()) } else { None };
    let seen = &callers[..last.map_or(callers.len(), |last| last + 1)];
    let after = seen.iter().enumerate().map(|(place, caller)| {
        let busy = caller.children.iter().find(|child| child.run.is_none()).map(|child| child.id - 1);
        let more = caller.children.last().filter(|_| Some(place) == last).map(|child| child.id);
        (caller, busy.or(more))
    });
    after.filter(|(caller, after)| *after != Some(caller.after)).map(|(caller, after)| (caller.id, after)).collect()
}

/// Makes the children adopt their callers' states. Returns the children whose own children have to be notified next,
/// with their callers.
fn notify(advance: &mut Advance, callers: &[Caller]) -> Result<Vec<(i64, i64)>, Error> {
    let children = |of: fn(&Caller, &Child) -> bool| -> Vec<(i64, i64)> {
        let children = |caller: &Caller| -> Vec<(i64, i64)> {
            caller
                .children
                .iter()
                .filter(|child| of(caller, child))
                .filter_map(|child| Some((child.run?, caller.id)))
                .collect()
        };
        callers.iter().flat_map(children).collect()
    };
    let ids = |pairs: &[(i64, i64)]| pairs.iter().map(|(child, _)| *child).collect();
    let stopped = children(|caller, child| caller.stop == Reach::Forward && caller.stop.reaches(child.closing));
    let forced = children(|caller, _| caller.stop == Reach::Everything);
    called_executions::cancel(advance, ids(&stopped), false)?;
    called_executions::cancel(advance, ids(&forced), true)?;
    called_executions::log_reached(advance, "cancel", [stopped, forced].concat())?;
    let paused = children(|caller, child| caller.paused && !caller.stop.reaches(child.closing));
    let resumed = children(|caller, child| !caller.paused && !caller.stop.reaches(child.closing));
    advance.load(paused.iter().chain(&resumed).map(|(child, _)| *child).collect())?;
    for (kind, children) in [("pause", &paused), ("resume", &resumed)] {
        let changes = |child: i64| {
            advance.execution(child).is_some_and(|execution| match kind {
                "pause" => !execution.has_ended() && !execution.paused,
                _ => execution.paused,
            })
        };
        let changed: Vec<(i64, i64)> = children.iter().copied().filter(|(child, _)| changes(*child)).collect();
        called_executions::log_reached(advance, kind, changed)?;
        for (child, _) in children {
            advance.apply(*child, |conductor| match kind {
                "pause" => conductor.pause(),
                _ => conductor.resume(),
            })?;
        }
    }
    Ok([paused, resumed].concat())
}
