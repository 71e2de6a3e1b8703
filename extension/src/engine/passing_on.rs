//! What workflow_tick passes on to children that the call itself did not reach.

use crate::engine::advance::Advance;
use crate::engine::propagation::set;
use crate::engine::settle::settle;
use crate::engine::sub_workflows;
use crate::error::Error;
use crate::pg::statements;
use conductor::engine::state::Status;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

/// A workflow execution that has something to pass on.
struct Caller {
    id: i64,
    status: Status,
    paused: bool,
    /// The child that heard of it last.
    after: i64,
    /// The next ones, and their workflow executions, where nobody else has locked them.
    children: Vec<(i64, Option<i64>)>,
}

/// Lets up to so many children hear; gives how many have, and how many callers have no more to tell.
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
    let heard = tell(&mut advance, &callers)?;
    settle(&mut advance, None)?;
    set(&advance, moved.into_iter().collect())?;
    let (children, callers): (Vec<i64>, Vec<i64>) = heard.into_iter().unzip();
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
                status: rows.label(2).and_then(|name| Status::parse(&name)).unwrap_or(Status::Running),
                paused: rows.get::<bool>(3)?.unwrap_or_default(),
                after: rows.get::<i64>(4)?.unwrap_or_default(),
                children: Vec::new(),
            });
        }
        if let (Some(child), Some(caller)) = (rows.get::<i64>(5)?, callers.last_mut()) {
            caller.children.push((child, rows.get::<i64>(6)?));
        }
    }
    Ok(callers)
}

/// How far callers have come, where they have; none: all of their children have heard.
fn moved(callers: &[Caller], most: usize) -> BTreeMap<i64, Option<i64>> {
    let is_full = callers.iter().map(|caller| caller.children.len()).sum::<usize>() >= most;
    // The one that the room ran out at may have more, and nobody has looked at those behind it.
    let last = if is_full { callers.iter().rposition(|caller| !caller.children.is_empty()) } else { None };
    let seen = &callers[..last.map_or(callers.len(), |last| last + 1)];
    let after = seen.iter().enumerate().map(|(place, caller)| {
        let busy = caller.children.iter().find(|(_, run)| run.is_none()).map(|(child, _)| child - 1);
        let more = caller.children.last().filter(|_| Some(place) == last).map(|(child, _)| *child);
        (caller, busy.or(more))
    });
    after.filter(|(caller, after)| *after != Some(caller.after)).map(|(caller, after)| (caller.id, after)).collect()
}

/// Lets the children become what their callers are. Gives those whose own children are to hear it next, with their callers.
fn tell(advance: &mut Advance, callers: &[Caller]) -> Result<Vec<(i64, i64)>, Error> {
    let children = |of: fn(&Caller) -> bool| -> Vec<(i64, i64)> {
        let children = |caller: &Caller| -> Vec<(i64, i64)> {
            caller.children.iter().filter_map(|(_, run)| Some(((*run)?, caller.id))).collect()
        };
        callers.iter().filter(|caller| of(caller)).flat_map(children).collect()
    };
    let stopped = children(|caller| caller.status.stops_children());
    sub_workflows::cancel(advance, stopped.iter().map(|(child, _)| *child).collect())?;
    sub_workflows::log_reached(advance, "cancel", stopped)?;
    let paused = children(|caller| caller.status == Status::Running && caller.paused);
    let resumed = children(|caller| caller.status == Status::Running && !caller.paused);
    advance.load(paused.iter().chain(&resumed).map(|(child, _)| *child).collect())?;
    for (kind, children) in [("pause", &paused), ("resume", &resumed)] {
        let changes = |child: i64| {
            advance.execution(child).is_some_and(|execution| match kind {
                "pause" => execution.status == Status::Running && !execution.paused,
                _ => execution.paused,
            })
        };
        let changed: Vec<(i64, i64)> = children.iter().copied().filter(|(child, _)| changes(*child)).collect();
        sub_workflows::log_reached(advance, kind, changed)?;
        for (child, _) in children {
            advance.tell(*child, |conductor| match kind {
                "pause" => conductor.pause(),
                _ => conductor.resume(),
            })?;
        }
    }
    Ok([paused, resumed].concat())
}
