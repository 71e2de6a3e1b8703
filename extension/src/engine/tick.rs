//! Time-driven work: expired leases, delays, time limits, and notifications between executions that are still
//! outstanding.
//!
//! Nothing here waits for a lock. Whatever someone else has locked is left to the next tick.

use crate::engine::advance::MAX_REACHED;
use crate::engine::due::TickScope;
use crate::engine::expired_leases::expire_leases;
use crate::engine::finish::process_all_pending;
use crate::engine::timeouts::{end_due_executions, wake_tasks};
use crate::engine::{bulk, propagation_by_tick, retention};
use crate::error::Error;
use crate::limits;
use crate::limits::admit::check_keys;
use crate::limits::holds::delete_spent;
use crate::limits::upkeep;
use crate::pg::rows::numbers;
use crate::pg::statements;

/// Does what is due, up to `max_rows` of each kind. Returns how much was done.
pub fn tick(look: &TickScope) -> Result<i32, Error> {
    let TickScope { client, now, max_rows, parts, deletes } = look;
    let mut done = process_all_pending(client, *now, *max_rows, parts, None)?.reports as i32;
    done += expire_leases(client, *now, *max_rows, parts.clone())?;
    done += upkeep::count_running(client, *now, *max_rows)?;
    if limits::are_in_use() {
        upkeep::bring_checks_forward(client, *now, *max_rows)?;
        done += check_keys(client, *now, *max_rows)?;
        upkeep::delete_idle_keys(client, *now, *max_rows)?;
    }
    delete_spent(client, *now, *max_rows)?;
    done += wake_tasks(look)?;
    done += propagation_by_tick::propagate(client, *now, (*max_rows as usize).min(MAX_REACHED), parts.clone())?;
    done += end_due_executions(look)?;
    done += fire_schedules(look)?;
    done += bulk::step_job(client, *max_rows, *now)?;
    if *deletes {
        done += retention::delete_ended(client, *now, *max_rows)?;
    }
    Ok(done)
}

/// Starts executions whose schedules are due, at most `max_rows`. Returns how many were started.
fn fire_schedules(look: &TickScope) -> Result<i32, Error> {
    let TickScope { client, now, max_rows, parts, .. } = look;
    let arguments = [(*max_rows).into(), (*now).into(), parts.clone().into()];
    let due = numbers(statements::run(client, include_str!("../../queries/find_due_schedules.sql"), &arguments)?, 1)?;
    let mut fired = 0;
    for schedule in due {
        let arguments = [schedule.into(), (max_rows - fired).into(), (*now).into()];
        let row = statements::run(client, include_str!("../../queries/fire_schedule.sql"), &arguments)?.first();
        fired += row.get::<i32>(1)?.unwrap_or_default();
        if fired >= *max_rows {
            break;
        }
    }
    Ok(fired)
}
