//! Ticking by a background worker of the server.

use super::Engine;
use crate::Result;
use sqlx::{PgExecutor, query_scalar};

impl Engine {
    /// Starts a background worker that ticks in this database, and waits until it runs. False: another one is the ticker
    /// of this database. For the owner of the extension.
    pub async fn start_ticker<'e>(executor: impl PgExecutor<'e>) -> Result<bool> {
        Ok(query_scalar("SELECT pg_catalog.workflow_start_ticker()").fetch_one(executor).await?)
    }

    /// Ends the ticker of this database once it has finished its tick, and waits for that, 10 seconds at most. False:
    /// there is none. For the owner of the extension.
    pub async fn stop_ticker<'e>(executor: impl PgExecutor<'e>) -> Result<bool> {
        Ok(query_scalar("SELECT pg_catalog.workflow_stop_ticker()").fetch_one(executor).await?)
    }
}
