//! Waking up when work arrives: hints from the server that avoid waiting for the next poll.

use super::{LONGEST_BACKOFF, Never, Worker, jittered};
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::warn;

/// Channel on which the server announces queues that are no longer empty.
const CHANNEL: &str = "pg_workflow";

impl Worker {
    /// Wakes the loop when there may be work. Hints can get lost; the loop polls for work anyway.
    pub(super) async fn listen(&self, wake: &Notify) -> Never {
        if !self.listen {
            std::future::pending().await
        }
        loop {
            if let Err(error) = self.hear(wake).await {
                warn!(%error, "listening failed");
            }
            sleep(jittered(LONGEST_BACKOFF)).await;
        }
    }

    async fn hear(&self, wake: &Notify) -> sqlx::Result<()> {
        // A dedicated connection: those of the pool are for work.
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with((*self.pool.connect_options()).clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(CHANNEL).await?;
        loop {
            match listener.try_recv().await? {
                Some(hint) if !self.serves(hint.payload()) => {}
                // `None`: the connection was lost for a while, and notifications may have been missed.
                _ => wake.notify_one(),
            }
        }
    }

    /// Whether a hint such as `0 ci.build` (a part and an action) concerns this worker. A hint that cannot be parsed
    /// might.
    fn serves(&self, hint: &str) -> bool {
        let Some((part, action)) = hint.split_once(' ') else { return true };
        let is_ours = |parts: &Vec<i32>| part.parse().map_or(true, |part| parts.contains(&part));
        self.handlers.contains_key(action) && self.parts.as_ref().is_none_or(is_ours)
    }
}
