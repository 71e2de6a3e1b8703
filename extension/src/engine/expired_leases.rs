//! Expired leases: their tasks are claimed again by others, or end as abandoned.

use crate::engine::advance::Advance;
use crate::engine::due::{TickScope, end, lock_runs};
use crate::error::Error;
use crate::limits;
use crate::limits::admit::free_slots;
use crate::pg::id;
use crate::pg::rows::Rows;
use crate::pg::statements;
use crate::queue::hints;
use crate::settings;
use conductor::engine::needless::need_not_be_retried;
use conductor::engine::state::TaskKey;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Makes the tasks of up to `max_rows` expired leases claimable again, or ends them as abandoned. Returns the number of
/// tasks.
pub fn expire_leases(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    max_rows: i32,
    parts: Option<Vec<Option<i32>>>,
) -> Result<i32, Error> {
    let look = TickScope { client, now, max_rows, parts, deletes: false };
    let mut rows = statements::run(client, include_str!("../../queries/find_expired_leases.sql"), &look.arguments())?;
    let (mut parts, mut leases) = (Vec::new(), Vec::new());
    while rows.next().is_some() {
        parts.extend(rows.get::<i32>(1)?);
        leases.extend(rows.get::<i64>(2)?);
    }
    if leases.is_empty() {
        return Ok(0);
    }
    let arguments = || [parts.clone().into(), leases.clone().into()];
    let mut rows = statements::run(client, include_str!("../../queries/load_lost_tasks.sql"), &arguments())?;
    let mut lost = Vec::new();
    while rows.next().is_some() {
        lost.push(LostTask::read(&rows)?);
    }
    let locked = lock_runs(client, lost.iter().map(|task| task.id).collect())?;
    lost.retain(|task| locked.contains(&task.run));
    let mut done = 0;
    if !lost.is_empty() {
        let needless = needless(client, now, &lost)?;
        let lost: Vec<i64> = lost.into_iter().map(|task| task.id).collect();
        let arguments = || [lost.clone().into(), now.into(), settings::max_lost_leases().into()];
        statements::run(client, include_str!("../../queries/log_expired_leases.sql"), &arguments())?;
        let [ids, now_, most] = arguments();
        let arguments = [ids, now_, most, needless.into()];
        let mut counted = statements::run(client, include_str!("../../queries/requeue_tasks.sql"), &arguments)?;
        let mut abandoned = Vec::new();
        if limits::are_in_use() {
            free_slots(client, now, lost)?;
        }
        while counted.next().is_some() {
            done += 1;
            if counted.get::<bool>(2)? == Some(true) {
                if let (Some(task), Some(action)) = (counted.get::<i64>(1)?, counted.get::<String>(5)?) {
                    hints::note(id::part(task), &action);
                }
                continue;
            }
            let (count, worker) = (counted.get::<i32>(3)?.unwrap_or_default(), counted.get::<String>(4)?);
            let expired =
                if count == 1 { "its lease has expired".into() } else { format!("{count} leases have expired") };
            let message = match &worker {
                Some(worker) => format!("worker {worker} did not finish it in time; {expired}"),
                None => expired,
            };
            let error = json!({"type": "abandoned", "message": message, "worker": worker, "lost_leases": count});
            abandoned.push((counted.get::<i64>(1)?.unwrap_or_default(), "abandoned", Some(error.to_string())));
        }
        abandoned.sort_unstable_by_key(|(task, ..)| *task);
        end(client, now, abandoned.into_iter())?;
    }
    statements::run(client, include_str!("../../queries/delete_spent_leases.sql"), &arguments())?;
    Ok(done)
}

/// A running task whose lease has expired.
struct LostTask {
    id: i64,
    run: i64,
    name: String,
    route: u32,
    visit: u32,
    is_item: bool,
}

impl LostTask {
    /// Reads one from a row of `load_lost_tasks`.
    fn read(row: &Rows) -> Result<LostTask, Error> {
        Ok(LostTask {
            id: row.get::<i64>(1)?.unwrap_or_default(),
            run: row.get::<i64>(3)?.unwrap_or_default(),
            name: row.get::<String>(4)?.unwrap_or_default(),
            route: row.get::<i32>(5)?.unwrap_or_default() as u32,
            visit: row.get::<i32>(6)?.unwrap_or_default() as u32,
            is_item: row.get::<bool>(7)? == Some(true),
        })
    }
}

/// Returns the lost tasks that are no longer needed. Their executions are locked. Most tasks end the moment they become
/// unnecessary, but one that was being reported at that moment was skipped, and its report may not have been committed.
fn needless(client: &SpiClient, now: TimestampWithTimeZone, lost: &[LostTask]) -> Result<Vec<i64>, Error> {
    let mut advance = Advance::new(client, now, BTreeMap::new());
    advance.load(lost.iter().map(|task| task.run).collect::<BTreeSet<_>>().into_iter().collect())?;
    let is_needless = |task: &&LostTask| {
        let Some(run) = advance.runs.get(&task.run) else { return false };
        let Some(node) = run.graph.find(&task.name) else { return false };
        let key = TaskKey { node, route: task.route, visit: task.visit };
        need_not_be_retried(&run.graph, &run.before, key, task.is_item)
    };
    Ok(lost.iter().filter(is_needless).map(|task| task.id).collect())
}
