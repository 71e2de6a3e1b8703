//! Bulk operations and their jobs: the functions that `sql/bulk.sql` and `sql/bulk_job.sql` call.

use crate::caller::Caller;
use crate::engine::bulk::ActsFor;
use crate::engine::finish::process_pending;
use crate::error::Error;
use crate::pg::clock;
use crate::pg::jsonb::Jsonb;
use crate::pg::list::List;
use crate::pg::result_set::{RowSet, column};
use crate::pg::rights::Rights;
use crate::pg::role;
use crate::pg::rows::numbers;
use crate::pg::statements;
use conductor::code::Code;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Oid};
use pgrx::prelude::*;

/// `workflow.lock_executions` in `sql/bulk.sql`.
#[pg_extern(sql = false)]
fn workflow_lock_executions(
    executions: Option<List<i64>>,
    wait: Option<bool>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let mut rows = RowSet::of_call(fcinfo);
    let wait = wait.ok_or_else(|| Error::missing("wait"))?;
    let executions: Vec<i64> = executions.map(|List(ids)| ids).unwrap_or_default().into_iter().flatten().collect();
    if wait {
        let now = clock::now()?;
        Spi::connect(|client| {
            let sql = include_str!("../../queries/lock_executions.sql");
            let locked = numbers(statements::run(client, sql, &[executions.into()])?, 1)?;
            process_pending(client, now, locked, None).map(drop)
        })?;
        return Ok(());
    }
    let busy = Spi::connect(|client| {
        let sql = include_str!("../../queries/try_lock_executions.sql");
        numbers(statements::run(client, sql, &[executions.into()])?, 1)
    })?;
    busy.into_iter().for_each(|id| rows.push([column(id)]));
    Ok(())
}

/// `workflow.bulk_step_as` in `sql/bulk_job.sql`.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn workflow_bulk_step_as(
    role: Option<Oid>,
    author: Option<&str>,
    action: Option<&str>,
    arguments: Option<Jsonb>,
    filter: Option<Jsonb>,
    until: Option<TimestampWithTimeZone>,
    reached: Option<&str>,
    is_searched: Option<bool>,
    busy: Option<List<i64>>,
    max_rows: Option<i32>,
) -> Result<Option<Jsonb>, ErrorReport> {
    let role = role.ok_or_else(|| Error::missing("role"))?;
    if !role::exists(role) {
        let message = format!("role {} no longer exists", role.to_u32());
        return Err(Error::refused(Code::NOT_FOUND, message, "Create a new job with workflow_apply.").into());
    }
    let _rights = Rights::of(role);
    let _author = ActsFor::begin(author.ok_or_else(|| Error::missing("author"))?);
    let busy = busy.map(|List(ids)| ids);
    let step = Spi::connect(|client| {
        let values = [
            action.into(),
            arguments.into(),
            filter.into(),
            until.into(),
            reached.into(),
            is_searched.into(),
            busy.into(),
            max_rows.into(),
        ];
        statements::run(client, include_str!("../../queries/bulk_step.sql"), &values)?.first().get::<Jsonb>(1)
    })?;
    Ok(step)
}

/// `workflow.add_bulk_job` in `sql/bulk_job.sql`.
#[pg_extern(sql = false)]
fn workflow_add_bulk_job(
    action: Option<&str>,
    filter: Option<Jsonb>,
    arguments: Option<Jsonb>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Option<i64>, ErrorReport> {
    let caller = Caller::of_call(fcinfo)?;
    let now = clock::now()?;
    let job = Spi::connect(|client| {
        let values = [action.into(), filter.into(), arguments.into(), caller.role().into(), now.into()];
        statements::run(client, include_str!("../../queries/insert_bulk_job.sql"), &values)?.first().get::<i64>(1)
    })?;
    Ok(job)
}

/// `workflow.set_bulk_job_status` in `sql/bulk_job.sql`.
#[pg_extern(sql = false)]
fn workflow_set_bulk_job_status(
    job: Option<i64>,
    status: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Option<String>, ErrorReport> {
    let caller = Caller::of_call(fcinfo)?;
    let now = clock::now()?;
    let status = Spi::connect(|client| {
        let values = [job.into(), status.into(), caller.role().into(), now.into()];
        statements::run(client, include_str!("../../queries/set_bulk_job_status.sql"), &values)?
            .first()
            .get::<String>(1)
    })?;
    Ok(status)
}
