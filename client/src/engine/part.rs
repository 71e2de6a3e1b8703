//! Parts: which ones a server has, and the steps for moving one.

use super::Engine;
use crate::Result;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{FromRow, PgExecutor, query, query_as, query_scalar};

/// Where a part is, as a server sees it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct PartPlace {
    /// `here`, `leaving`, `arriving` or `elsewhere`.
    pub status: String,
    /// Name of the other server, if known.
    pub server: Option<String>,
}

/// How far a part has been copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Arriving {
    /// Number of tables.
    pub tables: i32,
    /// Number of tables that have been copied and are following the source.
    pub copied: i32,
}

impl Engine {
    /// Returns the part of a key, which is the same on every server.
    pub async fn part<'e>(executor: impl PgExecutor<'e>, key: &str) -> Result<i32> {
        Ok(query_scalar("SELECT pg_catalog.workflow_part(key => $1)").bind(key).fetch_one(executor).await?)
    }

    /// Returns the parts of a server, as numbers and ranges: `0-127,300`.
    pub async fn find_parts<'e>(executor: impl PgExecutor<'e>) -> Result<String> {
        Ok(query_scalar("SELECT pg_catalog.workflow_find_parts()").fetch_one(executor).await?)
    }

    /// Returns where a part is, as the server sees it.
    pub async fn find_part<'e>(executor: impl PgExecutor<'e>, part: i32) -> Result<PartPlace> {
        Ok(query_as("SELECT status, server FROM pg_catalog.workflow_find_part(part => $1)")
            .bind(part)
            .fetch_one(executor)
            .await?)
    }

    /// Sets the parts of a server that is being set up, and returns them.
    pub async fn set_parts<'e>(executor: impl PgExecutor<'e>, parts: &str) -> Result<String> {
        Ok(query_scalar("SELECT pg_catalog.workflow_set_parts(parts => $1)").bind(parts).fetch_one(executor).await?)
    }

    /// Lets other servers replicate this server's definitions.
    pub async fn publish_definitions<'e>(executor: impl PgExecutor<'e>) -> Result<()> {
        query("SELECT pg_catalog.workflow_publish_definitions()").execute(executor).await?;
        Ok(())
    }

    /// Returns the statement that makes a server replicate the definitions of the server at a libpq connection string.
    pub async fn subscribe_definitions<'e>(executor: impl PgExecutor<'e>, connection: &str) -> Result<String> {
        Ok(query_scalar("SELECT pg_catalog.workflow_subscribe_definitions(connection => $1)")
            .bind(connection)
            .fetch_one(executor)
            .await?)
    }

    /// Publishes the rows of a part. Returns what the target needs to know about this server.
    pub async fn offer_part<'e>(executor: impl PgExecutor<'e>, part: i32) -> Result<Value> {
        Ok(query_scalar("SELECT pg_catalog.workflow_offer_part(part => $1)").bind(part).fetch_one(executor).await?)
    }

    /// Begins to copy a part from a source, given by a libpq connection string.
    pub async fn receive_part<'e>(
        executor: impl PgExecutor<'e>,
        part: i32,
        source: &str,
        connection: &str,
        offer: &Value,
    ) -> Result<()> {
        query("SELECT pg_catalog.workflow_receive_part(part => $1, source => $2, connection => $3, offer => $4)")
            .bind(part)
            .bind(source)
            .bind(connection)
            .bind(Json(offer))
            .execute(executor)
            .await?;
        Ok(())
    }

    /// Returns how far an arriving part has been copied.
    pub async fn find_arriving<'e>(executor: impl PgExecutor<'e>, part: i32) -> Result<Arriving> {
        Ok(query_as("SELECT tables, copied FROM pg_catalog.workflow_find_arriving(part => $1)")
            .bind(part)
            .fetch_one(executor)
            .await?)
    }

    /// Refuses calls for a part from now on, because a target is about to take it over.
    pub async fn fence_part<'e>(executor: impl PgExecutor<'e>, part: i32, target: &str) -> Result<()> {
        query("SELECT pg_catalog.workflow_fence_part(part => $1, target => $2)")
            .bind(part)
            .bind(target)
            .execute(executor)
            .await?;
        Ok(())
    }

    /// Waits for transactions that began to write to a part before it was fenced.
    pub async fn close_part<'e>(executor: impl PgExecutor<'e>, part: i32) -> Result<()> {
        query("SELECT pg_catalog.workflow_close_part(part => $1)").bind(part).execute(executor).await?;
        Ok(())
    }

    /// Returns the data that the target needs of a part that has been closed.
    pub async fn export_part<'e>(executor: impl PgExecutor<'e>, part: i32) -> Result<Value> {
        Ok(query_scalar("SELECT pg_catalog.workflow_export_part(part => $1)").bind(part).fetch_one(executor).await?)
    }

    /// Returns how many bytes of the source's WAL, up to a position, the target has not confirmed yet, or `None` if the
    /// part is not offered.
    pub async fn find_leaving<'e>(executor: impl PgExecutor<'e>, part: i32, lsn: &str) -> Result<Option<i64>> {
        Ok(query_scalar("SELECT pg_catalog.workflow_find_leaving(part => $1, lsn => $2::text::pg_lsn)")
            .bind(part)
            .bind(lsn)
            .fetch_one(executor)
            .await?)
    }

    /// Makes this server the owner of a part that has been copied.
    pub async fn accept_part<'e>(executor: impl PgExecutor<'e>, part: i32, export: &Value) -> Result<()> {
        query("SELECT pg_catalog.workflow_accept_part(part => $1, export => $2)")
            .bind(part)
            .bind(Json(export))
            .execute(executor)
            .await?;
        Ok(())
    }

    /// Gives up for good a part that another server has accepted.
    pub async fn release_part<'e>(executor: impl PgExecutor<'e>, part: i32) -> Result<()> {
        query("SELECT pg_catalog.workflow_release_part(part => $1)").bind(part).execute(executor).await?;
        Ok(())
    }

    /// Deletes the rows of up to `max_rows` (1 to 10,000) executions of a part that another server has, and returns the
    /// number of executions.
    pub async fn clear_part<'e>(executor: impl PgExecutor<'e>, part: i32, max_rows: i32) -> Result<i32> {
        Ok(query_scalar("SELECT pg_catalog.workflow_clear_part(part => $1, max_rows => $2)")
            .bind(part)
            .bind(max_rows)
            .fetch_one(executor)
            .await?)
    }

    /// Ends the copying of a part that has not been accepted.
    pub async fn refuse_part<'e>(executor: impl PgExecutor<'e>, part: i32) -> Result<()> {
        query("SELECT pg_catalog.workflow_refuse_part(part => $1)").bind(part).execute(executor).await?;
        Ok(())
    }

    /// Keeps a part that was offered or fenced. Its target must refuse it first.
    pub async fn keep_part<'e>(executor: impl PgExecutor<'e>, part: i32) -> Result<()> {
        query("SELECT pg_catalog.workflow_keep_part(part => $1)").bind(part).execute(executor).await?;
        Ok(())
    }
}
