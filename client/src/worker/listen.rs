//! Waking up when work comes: hints from the server that save waiting for the next look.

use super::{LONGEST_BACKOFF, Never, Worker, jittered};
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::warn;

/// Where the server tells of queues that are empty no more.
const CHANNEL: &str = "pg_workflow";

impl Worker {
    /// Wakes the loop when there may be work. A hint may be missing; the loop looks for work anyway.
    pub(super) async fn listen(&self, wake: &Notify) -> Never {
        if !self.listen {
            std::future::pending().await
        }
        loop {
            if let Err(error) = self.hear(wake).await {
                warn!(%error, "does not listen");
            }
            sleep(jittered(LONGEST_BACKOFF)).await;
        }
    }

    async fn hear(&self, wake: &Notify) -> sqlx::Result<()> {
        // A connection of its own: the pool's are for work.
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with((*self.pool.connect_options()).clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(CHANNEL).await?;
        loop {
            match listener.try_recv().await? {
                Some(hint) if !self.serves(hint.payload()) => {}
                // None: the connection was lost for a while, and who knows what was told meanwhile.
                _ => wake.notify_one(),
            }
        }
    }

    /// `0 ci.build`: a part and an action. What is not understood may concern us.
    fn serves(&self, hint: &str) -> bool {
        let Some((part, action)) = hint.split_once(' ') else { return true };
        let is_ours = |parts: &Vec<i32>| part.parse().map_or(true, |part| parts.contains(&part));
        self.handlers.contains_key(action) && self.parts.as_ref().is_none_or(is_ours)
    }
}
