//! Repository of workflow definitions.

use super::{Create, Delete, FindById, FindByRef, List, Repository, Update};
use crate::model::{CreateWorkflowDefinitionInput, UpdateWorkflowDefinitionInput, WorkflowDefinition};
use crate::{Page, Result};
use sqlx::types::Json;
use sqlx::{PgExecutor, query_as, query_scalar};

/// Lists the columns by name, so that a column added by an extension upgrade causes no trouble.
macro_rules! select {
    ($from:literal) => {
        concat!(
            "SELECT id, ref, pack, pack_ref, label, description, version, param_schema, out_schema, definition, tags, \
             enabled, current_version, created, updated \
             FROM pg_catalog.",
            $from
        )
    };
}

/// Repository of workflow definitions.
pub struct WorkflowDefinitionRepository;

impl Repository for WorkflowDefinitionRepository {
    type Entity = WorkflowDefinition;
}

impl FindById for WorkflowDefinitionRepository {
    async fn find_by_id<'e>(executor: impl PgExecutor<'e>, id: i64) -> Result<Option<WorkflowDefinition>> {
        Ok(query_as(select!("workflow_find_definition(id => $1)")).bind(id).fetch_optional(executor).await?)
    }
}

impl FindByRef for WorkflowDefinitionRepository {
    async fn find_by_ref<'e>(executor: impl PgExecutor<'e>, r#ref: &str) -> Result<Option<WorkflowDefinition>> {
        Ok(query_as(select!("workflow_find_definition_by_ref(ref => $1)")).bind(r#ref).fetch_optional(executor).await?)
    }
}

impl List for WorkflowDefinitionRepository {
    async fn list<'e>(executor: impl PgExecutor<'e>, page: Page) -> Result<Vec<WorkflowDefinition>> {
        Ok(query_as(select!("workflow_list_definitions(max_rows => $1, after => $2)"))
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }
}

impl Create for WorkflowDefinitionRepository {
    type Input = CreateWorkflowDefinitionInput;

    async fn create<'e>(
        executor: impl PgExecutor<'e>,
        input: CreateWorkflowDefinitionInput,
    ) -> Result<WorkflowDefinition> {
        Ok(query_as(select!(
            "workflow_create_definition(ref => $1, pack => $2, pack_ref => $3, label => $4, description => $5, version => $6, \
             param_schema => $7, out_schema => $8, definition => $9, tags => $10, enabled => $11)"
        ))
            .bind(input.r#ref)
            .bind(input.pack)
            .bind(input.pack_ref)
            .bind(input.label)
            .bind(input.description)
            .bind(input.version)
            .bind(input.param_schema)
            .bind(input.out_schema)
            .bind(input.definition)
            .bind(input.tags)
            .bind(input.enabled)
            .fetch_one(executor)
            .await?)
    }
}

impl Update for WorkflowDefinitionRepository {
    type Input = UpdateWorkflowDefinitionInput;

    async fn update<'e>(
        executor: impl PgExecutor<'e>,
        id: i64,
        input: UpdateWorkflowDefinitionInput,
    ) -> Result<WorkflowDefinition> {
        Ok(query_as(select!("workflow_update_definition(id => $1, patch => $2)"))
            .bind(id)
            .bind(Json(input))
            .fetch_one(executor)
            .await?)
    }
}

impl Delete for WorkflowDefinitionRepository {
    async fn delete<'e>(executor: impl PgExecutor<'e>, id: i64) -> Result<bool> {
        Ok(query_scalar("SELECT pg_catalog.workflow_delete_definition(id => $1)").bind(id).fetch_one(executor).await?)
    }
}

impl WorkflowDefinitionRepository {
    /// Returns the definitions of a pack, ordered by id.
    pub async fn find_by_pack<'e>(
        executor: impl PgExecutor<'e>,
        pack_id: i64,
        page: Page,
    ) -> Result<Vec<WorkflowDefinition>> {
        Ok(query_as(select!("workflow_find_definitions_by_pack(pack_id => $1, max_rows => $2, after => $3)"))
            .bind(pack_id)
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }

    /// Returns the enabled definitions (those that can be started), ordered by id.
    pub async fn find_enabled<'e>(executor: impl PgExecutor<'e>, page: Page) -> Result<Vec<WorkflowDefinition>> {
        Ok(query_as(select!("workflow_find_enabled_definitions(max_rows => $1, after => $2)"))
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }

    /// Returns the definitions with exactly that tag, ordered by label, then id.
    pub async fn find_by_tag<'e>(
        executor: impl PgExecutor<'e>,
        tag: &str,
        page: Page,
    ) -> Result<Vec<WorkflowDefinition>> {
        Ok(query_as(select!("workflow_find_definitions_by_tag(tag => $1, max_rows => $2, after => $3)"))
            .bind(tag)
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }
}
