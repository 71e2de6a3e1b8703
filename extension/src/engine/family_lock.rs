//! Locking an execution together with its callers and the executions that it calls.

use crate::cache::foreign_parts;
use crate::engine::advance::Advance;
use crate::engine::advance::MAX_REACHED;
use crate::engine::finish::process_pending;
use crate::error::Error;
use crate::pg::statements;
use conductor::code::Code;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

/// A locked execution with its callers and the executions that it called.
pub struct Family<'c, 'conn> {
    /// All of these executions, to be advanced.
    pub advance: Advance<'c, 'conn>,
    /// Its workflow execution.
    pub id: i64,
    /// Whether it has ended.
    pub over: bool,
    /// Workflow executions of its callers, the nearest first.
    pub ancestors: Vec<i64>,
    /// Executions below it that have not ended, the nearest first. Incomplete if there are too many for one call.
    pub descendants: Vec<i64>,
    /// Executions among these, possibly including this one, that may have called others; those others are left to
    /// workflow_tick.
    pub unvisited: Vec<i64>,
}

/// Whether to wait for executions that someone else has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Waits for all of them.
    Wait,
    /// Does not wait for called executions, which are left to workflow_tick. A call that processes many executions,
    /// having locked them and their callers in the global order, must not wait for executions earlier in that order.
    SkipCalled,
}

/// Locks from the top down, which is the only order used: a locked execution starts no new calls.
pub fn lock<'c, 'conn>(
    client: &'c SpiClient<'conn>,
    now: TimestampWithTimeZone,
    execution: i64,
    patience: Patience,
) -> Result<Family<'c, 'conn>, Error> {
    foreign_parts::check_id(execution)?;
    let mut rows = statements::run(client, include_str!("../../queries/lock_ancestors.sql"), &[execution.into()])?;
    let (mut id, mut ancestors) = (None, Vec::new());
    while rows.next().is_some() {
        match rows.get::<i64>(2)? == Some(execution) {
            true => id = rows.get::<i64>(1)?,
            false => ancestors.extend(rows.get::<i64>(1)?),
        }
    }
    ancestors.reverse();
    let ended = statements::run(client, include_str!("../../queries/has_ended.sql"), &[execution.into()])?.first();
    let id = match (id, ended.is_empty()) {
        (Some(id), _) => id,
        (None, true) => {
            let message = format!("there is no execution {execution}");
            return Err(Error::refused(Code::NOT_FOUND, message, "Pass the id that workflow_start returned."));
        }
        (None, false) => {
            let message = format!("execution {execution} is driven from outside");
            return Err(Error::refused(Code::NOT_OWNER, message, "Use workflow_update_workflow_execution."));
        }
    };
    let (descendants, unvisited) = lock_descendants(client, id, execution, patience)?;
    let taken = process_pending(client, now, [&[id], &ancestors[..], &descendants[..]].concat(), None)?;
    let ended = match taken.reports {
        0 => ended,
        _ => statements::run(client, include_str!("../../queries/has_ended.sql"), &[execution.into()])?.first(),
    };
    let mut advance = Advance::new(client, now, BTreeMap::new());
    advance.load([&[id], &ancestors[..], &descendants[..]].concat())?;
    Ok(Family { advance, id, over: ended.get::<bool>(1)?.unwrap_or_default(), ancestors, descendants, unvisited })
}

/// Locks the executions that an execution calls, level by level, until there are too many for one call. Returns them,
/// and those whose own children were not all locked.
fn lock_descendants(
    client: &SpiClient,
    id: i64,
    execution: i64,
    patience: Patience,
) -> Result<(Vec<i64>, Vec<i64>), Error> {
    let (mut descendants, mut level, mut executions) = (Vec::new(), vec![id], vec![execution]);
    let mut unvisited = Vec::new();
    while !executions.is_empty() {
        let left = MAX_REACHED - descendants.len();
        let arguments = [executions.into(), (left as i64).into()];
        let mut rows = match patience {
            Patience::Wait => statements::run(client, include_str!("../../queries/lock_children.sql"), &arguments)?,
            Patience::SkipCalled => {
                statements::run(client, include_str!("../../queries/lock_free_children.sql"), &arguments)?
            }
        };
        let count = rows.len();
        let mut next = Vec::new();
        executions = Vec::new();
        while rows.next().is_some() {
            match (patience, rows.get::<i64>(3)?) {
                // Someone else has locked a child of this caller.
                (Patience::SkipCalled, Some(caller)) => unvisited.push(caller),
                _ => {
                    next.extend(rows.get::<i64>(1)?);
                    executions.extend(rows.get::<i64>(2)?);
                }
            }
        }
        descendants.extend(&next);
        if count == left {
            return Ok((descendants, [level, next, unvisited].concat()));
        }
        level = next;
    }
    Ok((descendants, unvisited))
}
