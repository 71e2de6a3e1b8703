//! Repository of workflow executions.

use super::{Create, Delete, FindById, List, Repository, Update};
use crate::model::{CreateWorkflowExecutionInput, ExecutionStatus, UpdateWorkflowExecutionInput, WorkflowExecution};
use crate::{Page, Result};
use sqlx::types::Json;
use sqlx::{PgExecutor, query_as, query_scalar};

/// Lists the columns by name, so that a column added by an extension upgrade causes no trouble.
macro_rules! select {
    ($from:literal) => {
        concat!(
            "SELECT part, id, execution, workflow_def, current_tasks, completed_tasks, failed_tasks, skipped_tasks, \
             variables, task_graph, status, error_message, paused, pause_reason, version, priority, created, \
             updated \
             FROM pg_catalog.",
            $from
        )
    };
}

/// Repository of workflow executions.
pub struct WorkflowExecutionRepository;

impl Repository for WorkflowExecutionRepository {
    type Entity = WorkflowExecution;
}

impl FindById for WorkflowExecutionRepository {
    async fn find_by_id<'e>(executor: impl PgExecutor<'e>, id: i64) -> Result<Option<WorkflowExecution>> {
        Ok(query_as(select!("workflow_find_workflow_execution(id => $1)")).bind(id).fetch_optional(executor).await?)
    }
}

impl List for WorkflowExecutionRepository {
    async fn list<'e>(executor: impl PgExecutor<'e>, page: Page) -> Result<Vec<WorkflowExecution>> {
        Ok(query_as(select!("workflow_list_workflow_executions(max_rows => $1, after => $2)"))
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }
}

impl Create for WorkflowExecutionRepository {
    type Input = CreateWorkflowExecutionInput;

    async fn create<'e>(
        executor: impl PgExecutor<'e>,
        input: CreateWorkflowExecutionInput,
    ) -> Result<WorkflowExecution> {
        Ok(query_as(select!(
            "workflow_create_workflow_execution(execution => $1, workflow_def => $2, current_tasks => $3, completed_tasks => $4, \
             failed_tasks => $5, skipped_tasks => $6, variables => $7, task_graph => $8, \
             status => $9::text::workflow.execution_status, error_message => $10, paused => $11, \
             pause_reason => $12)"
        ))
            .bind(input.execution)
            .bind(input.workflow_def)
            .bind(input.current_tasks)
            .bind(input.completed_tasks)
            .bind(input.failed_tasks)
            .bind(input.skipped_tasks)
            .bind(input.variables)
            .bind(input.task_graph)
            .bind(input.status.as_str())
            .bind(input.error_message)
            .bind(input.paused)
            .bind(input.pause_reason)
            .fetch_one(executor)
            .await?)
    }
}

impl Update for WorkflowExecutionRepository {
    type Input = UpdateWorkflowExecutionInput;

    async fn update<'e>(
        executor: impl PgExecutor<'e>,
        id: i64,
        input: UpdateWorkflowExecutionInput,
    ) -> Result<WorkflowExecution> {
        Ok(query_as(select!("workflow_update_workflow_execution(id => $1, patch => $2)"))
            .bind(id)
            .bind(Json(input))
            .fetch_one(executor)
            .await?)
    }
}

impl Delete for WorkflowExecutionRepository {
    async fn delete<'e>(executor: impl PgExecutor<'e>, id: i64) -> Result<bool> {
        Ok(query_scalar("SELECT pg_catalog.workflow_delete_workflow_execution(id => $1)")
            .bind(id)
            .fetch_one(executor)
            .await?)
    }
}

impl WorkflowExecutionRepository {
    /// Returns the workflow execution that runs an execution, if there is one.
    pub async fn find_by_execution<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
    ) -> Result<Option<WorkflowExecution>> {
        Ok(query_as(select!("workflow_find_workflow_execution_by_execution(execution_id => $1)"))
            .bind(execution_id)
            .fetch_optional(executor)
            .await?)
    }

    /// Returns the workflow executions with a status, ordered by id.
    pub async fn find_by_status<'e>(
        executor: impl PgExecutor<'e>,
        status: ExecutionStatus,
        page: Page,
    ) -> Result<Vec<WorkflowExecution>> {
        Ok(query_as(select!("workflow_find_workflow_executions_by_status(status => $1::text::workflow.execution_status, max_rows => $2, after => $3)"))
            .bind(status.as_str())
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }

    /// Returns the workflow executions that are paused or about to be, ordered by id.
    pub async fn find_paused<'e>(executor: impl PgExecutor<'e>, page: Page) -> Result<Vec<WorkflowExecution>> {
        Ok(query_as(select!("workflow_find_paused_workflow_executions(max_rows => $1, after => $2)"))
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }

    /// Returns the workflow executions of a definition, newest first.
    pub async fn find_by_workflow_def<'e>(
        executor: impl PgExecutor<'e>,
        workflow_def_id: i64,
        page: Page,
    ) -> Result<Vec<WorkflowExecution>> {
        Ok(query_as(select!(
            "workflow_find_workflow_executions_by_workflow_def(id => $1, max_rows => $2, after => $3)"
        ))
        .bind(workflow_def_id)
        .bind(page.max_rows)
        .bind(page.after)
        .fetch_all(executor)
        .await?)
    }
}
