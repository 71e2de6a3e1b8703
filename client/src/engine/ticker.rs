//! Ticks: made by the caller, or by a background worker of the server.

use super::Engine;
use crate::Result;
use sqlx::{PgExecutor, query_scalar};

impl Engine {
    /// Processes work that has become due, up to `max_rows` (1 to 10,000) of each kind, in these parts or everywhere.
    /// Returns how much was done; call it again while that is not 0.
    pub async fn tick<'e>(executor: impl PgExecutor<'e>, max_rows: i32, parts: Option<&[i32]>) -> Result<i32> {
        Ok(query_scalar("SELECT pg_catalog.workflow_tick(max_rows => $1, parts => $2)")
            .bind(max_rows)
            .bind(parts)
            .fetch_one(executor)
            .await?)
    }

    /// Starts a background worker that ticks in this database, and waits until it is running. Returns false if this
    /// database already has a ticker. Reserved for the owner of the extension.
    pub async fn start_ticker<'e>(executor: impl PgExecutor<'e>) -> Result<bool> {
        Ok(query_scalar("SELECT pg_catalog.workflow_start_ticker()").fetch_one(executor).await?)
    }

    /// Stops the ticker of this database once it has finished its tick, and waits up to 10 seconds for that. Returns
    /// false if there is none. Reserved for the owner of the extension.
    pub async fn stop_ticker<'e>(executor: impl PgExecutor<'e>) -> Result<bool> {
        Ok(query_scalar("SELECT pg_catalog.workflow_stop_ticker()").fetch_one(executor).await?)
    }
}
