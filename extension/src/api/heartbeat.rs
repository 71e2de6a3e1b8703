//! Heartbeats: workers extend the leases of the tasks that they are working on.

use crate::caller::Caller;
use crate::engine::refused_leases;
use crate::engine::task_report::check_size;
use crate::error::Error;
use crate::pg::advisory_lock::AdvisoryLock;
use crate::pg::clock;
use crate::pg::jsonb::Jsonb;
use crate::pg::list::List;
use crate::pg::result_set::{RowSet, column};
use crate::pg::statements;
use crate::queue::asking::{check_lease, until};
use conductor::code::Code;
use pgrx::datum::Interval;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::collections::BTreeSet;

/// Maximum number of tasks per call.
const MAX_TASKS: usize = 10_000;

/// Number of groups that tokens are divided into: the server's lock table has room for only a few thousand locks.
const GROUPS: i64 = 256;

/// Waits for other heartbeats with the same tokens, in group order. A heartbeat may move tasks of a lease to a row of
/// their own, and another heartbeat that has already locked the rows it saw would lock that row out of order.
fn lock_groups(tokens: &[Option<i64>]) {
    let groups: BTreeSet<i64> = tokens.iter().flatten().map(|token| token.rem_euclid(GROUPS)).collect();
    for group in groups {
        AdvisoryLock::heartbeats(group as u32).acquire(pg_sys::ExclusiveLock);
    }
}

/// Refuses progress that does not match the tasks, or that exceeds the maximum size of a result.
fn check_progress(tasks: &[Option<i64>], progress: &[Option<Jsonb>]) -> Result<(), Error> {
    if tasks.len() != progress.len() {
        let detail = format!("There are {} tasks and {} elements of progress.", tasks.len(), progress.len());
        let hint = "Pass one element per task (null if there is nothing new), or omit progress.";
        return Err(Error::out_of_range("tasks and progress must have the same number of elements", detail, hint));
    }
    for (task, progress) in tasks.iter().zip(progress) {
        if let (Some(task), Some(progress)) = (task, progress) {
            check_size(&format!("the progress of task {task}"), progress.raw_bytes())?;
        }
    }
    Ok(())
}

/// Returns the elements that are not marked in `elsewhere`.
fn own<T>(all: Vec<T>, elsewhere: &[bool]) -> Vec<T> {
    all.into_iter().zip(elsewhere).filter(|(_, elsewhere)| !**elsewhere).map(|(one, _)| one).collect()
}

/// `workflow_heartbeat` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_heartbeat(
    tasks: Option<List<i64>>,
    lease_tokens: Option<List<i64>>,
    lease: Option<Interval>,
    progress: Option<List<Jsonb>>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let caller = Caller::of_call(fcinfo)?;
    let mut rows = RowSet::of_call(fcinfo);
    let List(tasks) = tasks.ok_or_else(|| Error::missing("tasks"))?;
    let List(tokens) = lease_tokens.ok_or_else(|| Error::missing("lease_tokens"))?;
    let lease = check_lease(lease)?;
    if tasks.len() != tokens.len() || tasks.len() > MAX_TASKS {
        let hint = "Pass at most 10000 tasks, each with the lease token that it was claimed with.";
        let detail = format!("There are {} tasks and {} lease tokens.", tasks.len(), tokens.len());
        Err(Error::out_of_range("tasks and lease_tokens do not match", detail, hint))?;
    }
    if let Some(task) = tasks.iter().flatten().find(|task| !caller.may_reach(**task)) {
        let message = format!("task {task} is in a part that the role is not bound to");
        Err(Error::refused(
            Code::PART_NOT_GRANTED,
            message,
            "Pass only tasks in parts to which workflow_grant has bound the role.",
        ))?;
    }
    let progress = progress.map(|List(progress)| progress);
    if let Some(progress) = &progress {
        check_progress(&tasks, progress)?;
    }
    let now = clock::now()?;
    let mut refused = Vec::new();
    // A lease whose part is moving to another server continues there; those of other parts are extended here.
    let elsewhere: Vec<bool> =
        tasks.iter().map(|task| task.is_some_and(|task| caller.foreign().contains_id(task))).collect();
    let (named, tasks, tokens) = (tasks.clone(), own(tasks, &elsewhere), own(tokens, &elsewhere));
    let progress = progress.map(|progress| own(progress, &elsewhere));
    lock_groups(&tokens);
    Spi::connect(|client| {
        let arguments = || [tasks.clone().into(), tokens.clone().into()];
        statements::run(client, include_str!("../../queries/lock_named_leases.sql"), &arguments())?;
        let [held, by] = arguments();
        let until = until(now, lease);
        statements::run(
            client,
            include_str!("../../queries/extend_leases.sql"),
            &[held, by, until.into(), now.into()],
        )?;
        if let Some(progress) = progress.filter(|progress| progress.iter().any(Option::is_some)) {
            let [held, by] = arguments();
            let arguments = [held, by, progress.into(), now.into()];
            statements::run(client, include_str!("../../queries/store_progress.sql"), &arguments)?;
        }
        let mut states = statements::run(client, include_str!("../../queries/load_lease_states.sql"), &arguments())?;
        for (task, elsewhere) in named.into_iter().zip(elsewhere) {
            if elsewhere {
                rows.push([column(task), column("elsewhere")]);
            } else if states.next().is_some() {
                let task = states.get::<i64>(1)?;
                refused.extend(task.filter(|_| matches!(states.get::<bool>(3), Ok(Some(true)))));
                rows.push([column(task), column(states.get::<String>(2)?)]);
            }
        }
        Ok::<_, Error>(())
    })?;
    Ok(refused_leases::report(caller.role(), &refused, None)?)
}
