//! Ticking by a background worker of the server.

use super::Engine;
use crate::Result;
use sqlx::{PgExecutor, query_scalar};

impl Engine {
    /// Starts a background worker that ticks in this database. False: one is there already. For the owner of the
    /// extension.
    pub async fn start_ticker<'e>(executor: impl PgExecutor<'e>) -> Result<bool> {
        Ok(query_scalar("SELECT pg_catalog.workflow_start_ticker()").fetch_one(executor).await?)
    }

    /// Ends this database's ticker, once it has finished what it is doing. False: there is none. For the owner of the
    /// extension.
    pub async fn stop_ticker<'e>(executor: impl PgExecutor<'e>) -> Result<bool> {
        Ok(query_scalar("SELECT pg_catalog.workflow_stop_ticker()").fetch_one(executor).await?)
    }
}
