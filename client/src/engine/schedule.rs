//! Schedules: recurring starts of workflows.

use super::{Engine, interval};
use crate::model::{Schedule, ScheduleInput};
use crate::{Page, Result};
use sqlx::types::Json;
use sqlx::{PgExecutor, query_as, query_scalar};

/// Lists the columns by name, so that a column added by an extension upgrade causes no trouble.
macro_rules! select {
    ($from:literal) => {
        concat!(
            "SELECT id, name, cron, time_zone, workflow_ref, parameters, missed, \
             extract(epoch FROM grace)::float8 AS grace_seconds, overlap, priority, part, paused, next_at, last_at, \
             last_execution, last_error, created, updated \
             FROM pg_catalog.",
            $from
        )
    };
}

impl Engine {
    /// Schedules recurring starts of a workflow by a cron expression. If the name exists, its settings are replaced.
    pub async fn schedule<'e>(executor: impl PgExecutor<'e>, input: ScheduleInput) -> Result<Schedule> {
        Ok(query_as(select!(
            "workflow_schedule(name => $1, cron => $2, ref => $3, parameters => $4, time_zone => $5, missed => $6, \
             grace => $7, overlap => $8, priority => $9, part => $10)"
        ))
        .bind(input.name)
        .bind(input.cron)
        .bind(input.r#ref)
        .bind(Json(input.parameters))
        .bind(input.time_zone)
        .bind(input.missed.as_str())
        .bind(interval(input.grace))
        .bind(input.overlap)
        .bind(input.priority)
        .bind(input.part)
        .fetch_one(executor)
        .await?)
    }

    /// Deletes a schedule. Returns whether it existed. Executions that it has started continue.
    pub async fn unschedule<'e>(executor: impl PgExecutor<'e>, name: &str) -> Result<bool> {
        Ok(query_scalar("SELECT pg_catalog.workflow_unschedule(name => $1)").bind(name).fetch_one(executor).await?)
    }

    /// Pauses a schedule: it starts nothing until it is resumed.
    pub async fn pause_schedule<'e>(executor: impl PgExecutor<'e>, name: &str) -> Result<Schedule> {
        Ok(query_as(select!("workflow_pause_schedule(name => $1)")).bind(name).fetch_one(executor).await?)
    }

    /// Resumes a paused schedule. Starts missed during the pause are not made up for.
    pub async fn resume_schedule<'e>(executor: impl PgExecutor<'e>, name: &str) -> Result<Schedule> {
        Ok(query_as(select!("workflow_resume_schedule(name => $1)")).bind(name).fetch_one(executor).await?)
    }

    /// Returns the schedule with that name, if it exists.
    pub async fn find_schedule<'e>(executor: impl PgExecutor<'e>, name: &str) -> Result<Option<Schedule>> {
        Ok(query_as(select!("workflow_find_schedule(name => $1)")).bind(name).fetch_optional(executor).await?)
    }

    /// Returns a page of all schedules, ordered by id.
    pub async fn list_schedules<'e>(executor: impl PgExecutor<'e>, page: Page) -> Result<Vec<Schedule>> {
        Ok(query_as(select!("workflow_list_schedules(max_rows => $1, after => $2)"))
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }
}
