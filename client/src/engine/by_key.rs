//! Finding and controlling executions by their idempotency key.

use super::{Engine, RerunInput};
use crate::Result;
use crate::model::ExecutionStatus;
use sqlx::{PgExecutor, query_scalar};

/// Identifies an execution by its idempotency key, which is unique within its workflow and part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutionKey<'k> {
    /// Ref of the workflow.
    pub r#ref: &'k str,
    /// Idempotency key.
    pub idempotency_key: &'k str,
    /// Part, 0 to 1023; `None` for the part that executions with this key get if they are started without one.
    pub part: Option<i32>,
}

impl<'k> ExecutionKey<'k> {
    /// Returns the key of an execution that was started without a part.
    pub fn new(r#ref: &'k str, idempotency_key: &'k str) -> Self {
        ExecutionKey { r#ref, idempotency_key, part: None }
    }
}

impl Engine {
    /// Returns the execution that was started with an idempotency key, or `None` if there is none.
    pub async fn find_by_key<'e>(executor: impl PgExecutor<'e>, key: ExecutionKey<'_>) -> Result<Option<i64>> {
        Ok(query_scalar("SELECT pg_catalog.workflow_find_by_key(ref => $1, idempotency_key => $2, part => $3)")
            .bind(key.r#ref)
            .bind(key.idempotency_key)
            .bind(key.part)
            .fetch_one(executor)
            .await?)
    }

    /// Pauses the execution that was started with an idempotency key.
    pub async fn pause_by_key<'e>(
        executor: impl PgExecutor<'e>,
        key: ExecutionKey<'_>,
        reason: Option<&str>,
    ) -> Result<ExecutionStatus> {
        Ok(query_scalar(
            "SELECT pg_catalog.workflow_pause_by_key(ref => $1, idempotency_key => $2, part => $3, reason => $4)",
        )
        .bind(key.r#ref)
        .bind(key.idempotency_key)
        .bind(key.part)
        .bind(reason)
        .fetch_one(executor)
        .await?)
    }

    /// Resumes the execution that was started with an idempotency key.
    pub async fn resume_by_key<'e>(
        executor: impl PgExecutor<'e>,
        key: ExecutionKey<'_>,
        reason: Option<&str>,
    ) -> Result<ExecutionStatus> {
        Ok(query_scalar(
            "SELECT pg_catalog.workflow_resume_by_key(ref => $1, idempotency_key => $2, part => $3, reason => $4)",
        )
        .bind(key.r#ref)
        .bind(key.idempotency_key)
        .bind(key.part)
        .bind(reason)
        .fetch_one(executor)
        .await?)
    }

    /// Cancels the execution that was started with an idempotency key, immediately if by force.
    pub async fn cancel_by_key<'e>(
        executor: impl PgExecutor<'e>,
        key: ExecutionKey<'_>,
        reason: Option<&str>,
        force: bool,
    ) -> Result<ExecutionStatus> {
        Ok(query_scalar(
            "SELECT pg_catalog.workflow_cancel_by_key(ref => $1, idempotency_key => $2, part => $3, reason => $4, \
             force => $5)",
        )
        .bind(key.r#ref)
        .bind(key.idempotency_key)
        .bind(key.part)
        .bind(reason)
        .bind(force)
        .fetch_one(executor)
        .await?)
    }

    /// Reruns the execution that was started with an idempotency key.
    pub async fn rerun_by_key<'e>(
        executor: impl PgExecutor<'e>,
        key: ExecutionKey<'_>,
        input: RerunInput,
    ) -> Result<ExecutionStatus> {
        Ok(query_scalar(
            "SELECT pg_catalog.workflow_rerun_by_key(ref => $1, idempotency_key => $2, part => $3, tasks => $4, \
             reset_items => $5, routes => $6, reason => $7)",
        )
        .bind(key.r#ref)
        .bind(key.idempotency_key)
        .bind(key.part)
        .bind(input.tasks)
        .bind(input.reset_items)
        .bind(input.routes)
        .bind(input.reason)
        .fetch_one(executor)
        .await?)
    }
}
