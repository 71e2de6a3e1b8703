//! Repository of task executions.

use super::{Create, Delete, FindById, List, Repository, Update};
use crate::model::{CreateWorkflowTaskExecutionInput, UpdateWorkflowTaskExecutionInput, WorkflowTaskExecution};
use crate::{Page, Result};
use sqlx::types::Json;
use sqlx::{PgExecutor, query_as, query_scalar};

/// Lists the columns by name, so that a column added by an extension upgrade causes no trouble.
macro_rules! select {
    ($from:literal) => {
        concat!(
            "SELECT part, id, workflow_execution, execution, task_name, task_index, task_batch, route, visit, attempt, \
             status, started_at, completed_at, duration_ms, result, error, retry_count, max_retries, \
             next_retry_at, timeout_seconds, timed_out, skipped, action_ref, input, due_at, created, updated \
             FROM pg_catalog.",
            $from
        )
    };
}

/// Repository of task executions.
pub struct WorkflowTaskExecutionRepository;

impl Repository for WorkflowTaskExecutionRepository {
    type Entity = WorkflowTaskExecution;
}

impl FindById for WorkflowTaskExecutionRepository {
    async fn find_by_id<'e>(executor: impl PgExecutor<'e>, id: i64) -> Result<Option<WorkflowTaskExecution>> {
        Ok(query_as(select!("workflow_find_task_execution(id => $1)")).bind(id).fetch_optional(executor).await?)
    }
}

impl List for WorkflowTaskExecutionRepository {
    async fn list<'e>(executor: impl PgExecutor<'e>, page: Page) -> Result<Vec<WorkflowTaskExecution>> {
        Ok(query_as(select!("workflow_list_task_executions(max_rows => $1, after => $2)"))
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }
}

impl Create for WorkflowTaskExecutionRepository {
    type Input = CreateWorkflowTaskExecutionInput;

    async fn create<'e>(
        executor: impl PgExecutor<'e>,
        input: CreateWorkflowTaskExecutionInput,
    ) -> Result<WorkflowTaskExecution> {
        Ok(query_as(select!(
            "workflow_create_task_execution(workflow_execution => $1, execution => $2, task_name => $3, task_index => $4, \
             task_batch => $5, status => $6::text::workflow.execution_status, started_at => $7, \
             completed_at => $8, duration_ms => $9, result => $10, error => $11, retry_count => $12, \
             max_retries => $13, next_retry_at => $14, timeout_seconds => $15, timed_out => $16, \
             skipped => $17, action_ref => $18, input => $19)"
        ))
            .bind(input.workflow_execution)
            .bind(input.execution)
            .bind(input.task_name)
            .bind(input.task_index)
            .bind(input.task_batch)
            .bind(input.status.as_str())
            .bind(input.started_at)
            .bind(input.completed_at)
            .bind(input.duration_ms)
            .bind(input.result)
            .bind(input.error)
            .bind(input.retry_count)
            .bind(input.max_retries)
            .bind(input.next_retry_at)
            .bind(input.timeout_seconds)
            .bind(input.timed_out)
            .bind(input.skipped)
            .bind(input.action_ref)
            .bind(input.input)
            .fetch_one(executor)
            .await?)
    }
}

impl Update for WorkflowTaskExecutionRepository {
    type Input = UpdateWorkflowTaskExecutionInput;

    async fn update<'e>(
        executor: impl PgExecutor<'e>,
        id: i64,
        input: UpdateWorkflowTaskExecutionInput,
    ) -> Result<WorkflowTaskExecution> {
        Ok(query_as(select!("workflow_update_task_execution(id => $1, patch => $2)"))
            .bind(id)
            .bind(Json(input))
            .fetch_one(executor)
            .await?)
    }
}

impl Delete for WorkflowTaskExecutionRepository {
    async fn delete<'e>(executor: impl PgExecutor<'e>, id: i64) -> Result<bool> {
        Ok(query_scalar("SELECT pg_catalog.workflow_delete_task_execution(id => $1)")
            .bind(id)
            .fetch_one(executor)
            .await?)
    }
}

impl WorkflowTaskExecutionRepository {
    /// Returns the tasks of a workflow execution, oldest first.
    pub async fn find_by_workflow_execution<'e>(
        executor: impl PgExecutor<'e>,
        workflow_execution_id: i64,
        page: Page,
    ) -> Result<Vec<WorkflowTaskExecution>> {
        Ok(query_as(select!(
            "workflow_find_task_executions_by_workflow_execution(id => $1, max_rows => $2, after => $3)"
        ))
        .bind(workflow_execution_id)
        .bind(page.max_rows)
        .bind(page.after)
        .fetch_all(executor)
        .await?)
    }

    /// Returns the rows of one task of a workflow execution, oldest first. There are several if the task has items, is
    /// part of a cycle or is reached by several routes.
    pub async fn find_by_task_name<'e>(
        executor: impl PgExecutor<'e>,
        workflow_execution_id: i64,
        name: &str,
        page: Page,
    ) -> Result<Vec<WorkflowTaskExecution>> {
        Ok(query_as(select!(
            "workflow_find_task_executions_by_task_name(id => $1, name => $2, max_rows => $3, after => $4)"
        ))
        .bind(workflow_execution_id)
        .bind(name)
        .bind(page.max_rows)
        .bind(page.after)
        .fetch_all(executor)
        .await?)
    }

    /// Returns the task that an execution carries out, and the tasks of the workflow that it runs, oldest first.
    pub async fn find_by_execution<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        page: Page,
    ) -> Result<Vec<WorkflowTaskExecution>> {
        Ok(query_as(select!("workflow_find_task_executions_by_execution(id => $1, max_rows => $2, after => $3)"))
            .bind(execution_id)
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }

    /// Returns the tasks that have retries left and whose next retry is due, oldest first.
    pub async fn find_pending_retries<'e>(
        executor: impl PgExecutor<'e>,
        page: Page,
    ) -> Result<Vec<WorkflowTaskExecution>> {
        Ok(query_as(select!("workflow_find_pending_retries(max_rows => $1, after => $2)"))
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }

    /// Returns the tasks that are marked as timed out, ordered by id.
    pub async fn find_timed_out<'e>(executor: impl PgExecutor<'e>, page: Page) -> Result<Vec<WorkflowTaskExecution>> {
        Ok(query_as(select!("workflow_find_timed_out(max_rows => $1, after => $2)"))
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }

    /// Returns the tasks that have exceeded their timeout but are not yet marked as timed out, longest overdue first.
    pub async fn find_overdue<'e>(executor: impl PgExecutor<'e>, page: Page) -> Result<Vec<WorkflowTaskExecution>> {
        Ok(query_as(select!("workflow_find_overdue(max_rows => $1, after => $2)"))
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }
}
