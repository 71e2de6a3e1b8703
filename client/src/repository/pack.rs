//! Repository of packs.

use super::{Create, Delete, FindById, FindByRef, List, Repository, Update};
use crate::model::{CreatePackInput, Pack, UpdatePackInput};
use crate::{Page, Result};
use sqlx::types::Json;
use sqlx::{PgExecutor, query_as, query_scalar};

/// Lists the columns by name, so that a column added by an extension upgrade causes no trouble.
macro_rules! select {
    ($from:literal) => {
        concat!(
            "SELECT id, ref, label, description, version, conf_schema, config, meta, tags, is_standard, created, \
             updated \
             FROM pg_catalog.",
            $from
        )
    };
}

/// Repository of packs.
pub struct PackRepository;

impl Repository for PackRepository {
    type Entity = Pack;
}

impl FindById for PackRepository {
    async fn find_by_id<'e>(executor: impl PgExecutor<'e>, id: i64) -> Result<Option<Pack>> {
        Ok(query_as(select!("workflow_find_pack(id => $1)")).bind(id).fetch_optional(executor).await?)
    }
}

impl FindByRef for PackRepository {
    async fn find_by_ref<'e>(executor: impl PgExecutor<'e>, r#ref: &str) -> Result<Option<Pack>> {
        Ok(query_as(select!("workflow_find_pack_by_ref(ref => $1)")).bind(r#ref).fetch_optional(executor).await?)
    }
}

impl List for PackRepository {
    async fn list<'e>(executor: impl PgExecutor<'e>, page: Page) -> Result<Vec<Pack>> {
        Ok(query_as(select!("workflow_list_packs(max_rows => $1, after => $2)"))
            .bind(page.max_rows)
            .bind(page.after)
            .fetch_all(executor)
            .await?)
    }
}

impl Create for PackRepository {
    type Input = CreatePackInput;

    async fn create<'e>(executor: impl PgExecutor<'e>, input: CreatePackInput) -> Result<Pack> {
        Ok(query_as(select!(
            "workflow_create_pack(ref => $1, label => $2, description => $3, version => $4, conf_schema => $5, \
             config => $6, meta => $7, tags => $8, is_standard => $9)"
        ))
        .bind(input.r#ref)
        .bind(input.label)
        .bind(input.description)
        .bind(input.version)
        .bind(input.conf_schema)
        .bind(input.config)
        .bind(input.meta)
        .bind(input.tags)
        .bind(input.is_standard)
        .fetch_one(executor)
        .await?)
    }
}

impl Update for PackRepository {
    type Input = UpdatePackInput;

    async fn update<'e>(executor: impl PgExecutor<'e>, id: i64, input: UpdatePackInput) -> Result<Pack> {
        Ok(query_as(select!("workflow_update_pack(id => $1, patch => $2)"))
            .bind(id)
            .bind(Json(input))
            .fetch_one(executor)
            .await?)
    }
}

impl Delete for PackRepository {
    async fn delete<'e>(executor: impl PgExecutor<'e>, id: i64) -> Result<bool> {
        Ok(query_scalar("SELECT pg_catalog.workflow_delete_pack(id => $1)").bind(id).fetch_one(executor).await?)
    }
}
