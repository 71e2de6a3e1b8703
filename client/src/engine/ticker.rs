//! Ticking in a background worker of the server.

use super::Engine;
use crate::Result;
use sqlx::{PgExecutor, query_scalar};

impl Engine {
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
