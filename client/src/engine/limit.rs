//! Limits, holds and weights.

use super::{Engine, interval};
use crate::model::{FairWeight, Hold, HoldTarget, Limit, LimitInput, LimitKey};
use crate::{Page, Result};
use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, query, query_as, query_scalar};

impl Engine {
    /// Sets a limit, or replaces all properties of the one with that name. It applies from the next claim on.
    pub async fn set_limit<'e>(executor: impl PgExecutor<'e>, input: LimitInput) -> Result<Limit> {
        let (rate, per) = input.rate.unzip();
        Ok(query_as(
            "SELECT name, max_running, rate, extract(epoch FROM per)::float8 AS per_seconds, burst, created, updated \
             FROM pg_catalog.workflow_set_limit(name => $1, max_running => $2, rate => $3, per => $4, burst => $5)",
        )
        .bind(input.name)
        .bind(input.max_running)
        .bind(rate)
        .bind(per.map(interval))
        .bind(input.burst)
        .fetch_one(executor)
        .await?)
    }

    /// Deletes a limit and its holds. Returns whether there was one.
    pub async fn delete_limit<'e>(executor: impl PgExecutor<'e>, name: &str) -> Result<bool> {
        Ok(query_scalar("SELECT pg_catalog.workflow_delete_limit(name => $1)").bind(name).fetch_one(executor).await?)
    }

    /// Returns up to `max_rows` limits, ordered by name, after the one named.
    pub async fn list_limits<'e>(
        executor: impl PgExecutor<'e>,
        max_rows: i32,
        after: Option<&str>,
    ) -> Result<Vec<Limit>> {
        Ok(query_as(
            "SELECT name, max_running, rate, extract(epoch FROM per)::float8 AS per_seconds, burst, created, updated \
             FROM pg_catalog.workflow_list_limits(max_rows => $1, after => $2)",
        )
        .bind(max_rows)
        .bind(after)
        .fetch_all(executor)
        .await?)
    }

    /// Returns up to `max_rows` keys of a limit that have been used, in order, after the one named.
    pub async fn list_limit_keys<'e>(
        executor: impl PgExecutor<'e>,
        name: &str,
        max_rows: i32,
        after: Option<&str>,
    ) -> Result<Vec<LimitKey>> {
        Ok(query_as(
            "SELECT key, running, waiting, waiting_since, next_at, held_until, held_by, held_because \
             FROM pg_catalog.workflow_list_limit_keys(name => $1, max_rows => $2, after => $3)",
        )
        .bind(name)
        .bind(max_rows)
        .bind(after)
        .fetch_all(executor)
        .await?)
    }

    /// Prevents tasks from beginning until a time, at most ten years from now. Returns the hold's id.
    pub async fn hold<'e>(
        executor: impl PgExecutor<'e>,
        target: HoldTarget<'_>,
        until: DateTime<Utc>,
        reason: Option<&str>,
    ) -> Result<i64> {
        let (target, name, key) = target.parts();
        Ok(query_scalar(
            "SELECT pg_catalog.workflow_hold(name => $1, key => $2, until => $3, reason => $4, target => $5)",
        )
        .bind(name)
        .bind(key)
        .bind(until)
        .bind(reason)
        .bind(target)
        .fetch_one(executor)
        .await?)
    }

    /// Ends holds. For a limit without a key, ends the holds of all its keys. Returns how many there were.
    pub async fn release<'e>(executor: impl PgExecutor<'e>, target: HoldTarget<'_>) -> Result<i32> {
        let (target, name, key) = target.parts();
        Ok(query_scalar("SELECT pg_catalog.workflow_release(name => $1, key => $2, target => $3)")
            .bind(name)
            .bind(key)
            .bind(target)
            .fetch_one(executor)
            .await?)
    }

    /// Returns a page of the holds that have not expired, ordered by id.
    pub async fn list_holds<'e>(executor: impl PgExecutor<'e>, page: Page) -> Result<Vec<Hold>> {
        Ok(query_as(
            "SELECT id, target, name, key, until, reason, author, created \
             FROM pg_catalog.workflow_list_holds(max_rows => $1, after => $2)",
        )
        .bind(page.max_rows)
        .bind(page.after)
        .fetch_all(executor)
        .await?)
    }

    /// Sets the share that a key gets of the queue among the executions of a workflow that has `fair_by`.
    pub async fn set_weight<'e>(
        executor: impl PgExecutor<'e>,
        workflow_ref: &str,
        key: &str,
        weight: f64,
    ) -> Result<()> {
        query("SELECT pg_catalog.workflow_set_weight(workflow_ref => $1, key => $2, weight => $3)")
            .bind(workflow_ref)
            .bind(key)
            .bind(weight)
            .execute(executor)
            .await?;
        Ok(())
    }

    /// Returns up to `max_rows` weights that were set for the keys of a workflow, in order, after the key named.
    pub async fn list_weights<'e>(
        executor: impl PgExecutor<'e>,
        workflow_ref: &str,
        max_rows: i32,
        after: Option<&str>,
    ) -> Result<Vec<FairWeight>> {
        Ok(query_as(
            "SELECT workflow_ref, key, weight \
             FROM pg_catalog.workflow_list_weights(workflow_ref => $1, max_rows => $2, after => $3)",
        )
        .bind(workflow_ref)
        .bind(max_rows)
        .bind(after)
        .fetch_all(executor)
        .await?)
    }
}
