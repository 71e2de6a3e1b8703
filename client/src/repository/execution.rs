//! Repository of executions.

use super::{Create, Delete, FindById, List, Repository, Update};
use crate::model::{CreateExecutionInput, Execution, UpdateExecutionInput};
use crate::{Page, Result};
use sqlx::types::Json;
use sqlx::{PgExecutor, query_as, query_scalar};

/// Lists the columns by name, so that a column added by an extension upgrade causes no trouble.
macro_rules! select {
    ($from:literal) => {
        concat!(
            "SELECT part, id, action, action_ref, config, parent, enforcement, executor, status, result, created, \
             updated \
             FROM pg_catalog.",
            $from
        )
    };
}

/// Repository of executions.
pub struct ExecutionRepository;

impl Repository for ExecutionRepository {
    type Entity = Execution;
}

impl FindById for ExecutionRepository {
    async fn find_by_id<'e>(executor: impl PgExecutor<'e>, id: i64) -> Result<Option<Execution>> {
        Ok(query_as(select!("workflow_find_execution(id => $1)")).bind(id).fetch_optional(executor).await?)
    }
}

impl List for ExecutionRepository {
    async fn list<'e>(executor: impl PgExecutor<'e>, page: Page) -> Result<Vec<Execution>> {
        Ok(query_as(select!("workflow_list_executions(max_rows => $1, after => $2)"))
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }
}

impl Create for ExecutionRepository {
    type Input = CreateExecutionInput;

    async fn create<'e>(executor: impl PgExecutor<'e>, input: CreateExecutionInput) -> Result<Execution> {
        Ok(query_as(select!(
            "workflow_create_execution(part => $1, action => $2, action_ref => $3, config => $4, parent => $5, \
             enforcement => $6, executor => $7, status => $8::text::workflow.execution_status, \
             result => $9)"
        ))
        .bind(input.part)
        .bind(input.action)
        .bind(input.action_ref)
        .bind(input.config)
        .bind(input.parent)
        .bind(input.enforcement)
        .bind(input.executor)
        .bind(input.status.as_str())
        .bind(input.result)
        .fetch_one(executor)
        .await?)
    }
}

impl Update for ExecutionRepository {
    type Input = UpdateExecutionInput;

    async fn update<'e>(executor: impl PgExecutor<'e>, id: i64, input: UpdateExecutionInput) -> Result<Execution> {
        Ok(query_as(select!("workflow_update_execution(id => $1, patch => $2)"))
            .bind(id)
            .bind(Json(input))
            .fetch_one(executor)
            .await?)
    }
}

impl Delete for ExecutionRepository {
    async fn delete<'e>(executor: impl PgExecutor<'e>, id: i64) -> Result<bool> {
        Ok(query_scalar("SELECT pg_catalog.workflow_delete_execution(id => $1)").bind(id).fetch_one(executor).await?)
    }
}

impl ExecutionRepository {
    /// Returns the child executions of an execution, ordered by id.
    pub async fn find_by_parent<'e>(
        executor: impl PgExecutor<'e>,
        parent_id: i64,
        page: Page,
    ) -> Result<Vec<Execution>> {
        Ok(query_as(select!("workflow_find_executions_by_parent(parent_id => $1, max_rows => $2, after => $3)"))
            .bind(parent_id)
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }
}
