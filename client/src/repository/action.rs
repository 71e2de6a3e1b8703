//! Repository of actions.

use super::{Create, Delete, FindById, FindByRef, List, Repository, Update};
use crate::model::{Action, CreateActionInput, UpdateActionInput};
use crate::{Page, Result};
use sqlx::types::Json;
use sqlx::{PgExecutor, query_as, query_scalar};

/// Lists the columns by name, so that a column added by an extension upgrade causes no trouble.
macro_rules! select {
    ($from:literal) => {
        concat!(
            "SELECT id, ref, pack, pack_ref, label, description, entrypoint, runtime, param_schema, out_schema, \
             is_workflow, workflow_def, limits, created, updated \
             FROM pg_catalog.",
            $from
        )
    };
}

/// Repository of actions.
pub struct ActionRepository;

impl Repository for ActionRepository {
    type Entity = Action;
}

impl FindById for ActionRepository {
    async fn find_by_id<'e>(executor: impl PgExecutor<'e>, id: i64) -> Result<Option<Action>> {
        Ok(query_as(select!("workflow_find_action(id => $1)")).bind(id).fetch_optional(executor).await?)
    }
}

impl FindByRef for ActionRepository {
    async fn find_by_ref<'e>(executor: impl PgExecutor<'e>, r#ref: &str) -> Result<Option<Action>> {
        Ok(query_as(select!("workflow_find_action_by_ref(ref => $1)")).bind(r#ref).fetch_optional(executor).await?)
    }
}

impl List for ActionRepository {
    async fn list<'e>(executor: impl PgExecutor<'e>, page: Page) -> Result<Vec<Action>> {
        Ok(query_as(select!("workflow_list_actions(max_rows => $1, after => $2)"))
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }
}

impl Create for ActionRepository {
    type Input = CreateActionInput;

    async fn create<'e>(executor: impl PgExecutor<'e>, input: CreateActionInput) -> Result<Action> {
        Ok(query_as(select!(
            "workflow_create_action(ref => $1, pack => $2, pack_ref => $3, label => $4, description => $5, entrypoint => $6, \
             runtime => $7, param_schema => $8, out_schema => $9, is_workflow => $10, \
             workflow_def => $11)"
        ))
            .bind(input.r#ref)
            .bind(input.pack)
            .bind(input.pack_ref)
            .bind(input.label)
            .bind(input.description)
            .bind(input.entrypoint)
            .bind(input.runtime)
            .bind(input.param_schema)
            .bind(input.out_schema)
            .bind(input.is_workflow)
            .bind(input.workflow_def)
            .fetch_one(executor)
            .await?)
    }
}

impl Update for ActionRepository {
    type Input = UpdateActionInput;

    async fn update<'e>(executor: impl PgExecutor<'e>, id: i64, input: UpdateActionInput) -> Result<Action> {
        Ok(query_as(select!("workflow_update_action(id => $1, patch => $2)"))
            .bind(id)
            .bind(Json(input))
            .fetch_one(executor)
            .await?)
    }
}

impl Delete for ActionRepository {
    async fn delete<'e>(executor: impl PgExecutor<'e>, id: i64) -> Result<bool> {
        Ok(query_scalar("SELECT pg_catalog.workflow_delete_action(id => $1)").bind(id).fetch_one(executor).await?)
    }
}

impl ActionRepository {
    /// Returns the actions that are implemented by workflows, ordered by id.
    pub async fn find_workflows<'e>(executor: impl PgExecutor<'e>, page: Page) -> Result<Vec<Action>> {
        Ok(query_as(select!("workflow_find_workflow_actions(max_rows => $1, after => $2)"))
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }

    /// Returns the actions that are implemented by a definition, ordered by id.
    pub async fn find_by_workflow_def<'e>(
        executor: impl PgExecutor<'e>,
        workflow_def_id: i64,
        page: Page,
    ) -> Result<Vec<Action>> {
        Ok(query_as(select!("workflow_find_actions_by_workflow_def(id => $1, max_rows => $2, after => $3)"))
            .bind(workflow_def_id)
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }

    /// Makes a workflow the implementation of an action.
    pub async fn link_workflow_def<'e>(
        executor: impl PgExecutor<'e>,
        action_id: i64,
        workflow_def_id: i64,
    ) -> Result<Action> {
        Ok(query_as(select!("workflow_link_action(action_id => $1, workflow_def_id => $2)"))
            .bind(action_id)
            .bind(workflow_def_id)
            .fetch_one(executor)
            .await?)
    }
}
