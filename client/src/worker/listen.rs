//! Waking up when work arrives: hints from the server that avoid waiting for the next poll.
//!
//! While the loop has room and nothing to claim, a session of its own announces that to the server, which then notifies
//! it of tasks as they are queued. A hint ends the announcement: many tasks at once are one hint, and a busy worker
//! costs those who start workflows nothing.

use super::{MAX_BACKOFF, Never, Worker, jittered};
use crate::{Engine, Result};
use sqlx::postgres::{PgListener, PgPoolOptions};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::warn;

/// Channel on which the server announces queued tasks.
const CHANNEL: &str = "pg_workflow";

/// Minimum time between an announcement, or a hint, and the next announcement. It is longer than the time for which the
/// server does not repeat a hint, so that no needed hint is omitted, and it bounds the number of hints under load.
const PAUSE: Duration = Duration::from_millis(12);

/// Delay after a connection was lost.
const SHORT_BACKOFF: Duration = Duration::from_millis(100);

/// State shared by the loop and its listener.
pub(super) struct Hints {
    /// Whether the loop waits for work.
    is_idle: watch::Sender<bool>,
    /// Notified when there may be work.
    wake: Notify,
}

impl Hints {
    pub fn new() -> Hints {
        Hints { is_idle: watch::Sender::new(false), wake: Notify::new() }
    }

    /// Sets whether the loop has room and found nothing more to claim.
    pub fn set_idle(&self, is_idle: bool) {
        self.is_idle.send_if_modified(|before| std::mem::replace(before, is_idle) != is_idle);
    }

    /// Completes when there may be work.
    pub async fn notified(&self) {
        self.wake.notified().await
    }
}

impl Worker {
    /// Wakes the loop when there may be work. Hints can get lost; the loop polls for work anyway.
    pub(super) async fn listen(&self, hints: &Hints) -> Never {
        if !self.listen {
            std::future::pending().await
        }
        loop {
            let pause = match self.hear(hints).await {
                Ok(()) => SHORT_BACKOFF,
                Err(error) => {
                    warn!(%error, "listening failed");
                    MAX_BACKOFF
                }
            };
            sleep(jittered(pause)).await;
        }
    }

    /// Listens until the connection is lost.
    async fn hear(&self, hints: &Hints) -> Result<()> {
        // A dedicated connection: those of the pool are for work.
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with((*self.pool.connect_options()).clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        let actions: Vec<&str> = self.handlers.keys().map(String::as_str).collect();
        let mut idle = hints.is_idle.subscribe();
        let (mut is_announced, mut next) = (false, Instant::now());
        // When a task that waits for the rate or the hold of a limit may begin.
        let mut check: Option<Instant> = None;
        loop {
            let wanted = *idle.borrow_and_update();
            if wanted && !is_announced && next <= Instant::now() {
                let pause = Engine::announce_idle(&mut listener, Some(&actions)).await?;
                (is_announced, next) = (true, Instant::now() + PAUSE);
                check = pause.and_then(|pause| Instant::now().checked_add(pause.max(PAUSE)));
                // Anything queued before is found by polling once more.
                hints.wake.notify_one();
            } else if !wanted && is_announced {
                Engine::announce_idle(&mut listener, Some(&[])).await?;
                is_announced = false;
            }
            tokio::select! {
                hint = listener.try_recv() => match hint? {
                    Some(hint) if !self.serves(hint.payload()) => {}
                    Some(_) => {
                        hints.wake.notify_one();
                        next = Instant::now() + PAUSE;
                        if is_announced {
                            Engine::announce_idle(&mut listener, Some(&[])).await?;
                            is_announced = false;
                        }
                    }
                    None => return Ok(()),
                },
                _ = idle.changed() => {}
                _ = sleep_until(next), if wanted && !is_announced => {}
                _ = sleep_until(check.unwrap_or(next)), if is_announced && check.is_some() => {
                    // The loop polls, and the next time to wait for is requested again.
                    hints.wake.notify_one();
                    (check, is_announced) = (None, false);
                }
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
