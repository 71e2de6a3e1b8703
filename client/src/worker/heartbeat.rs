//! Heartbeats: leases are extended while handlers run, and the progress that handlers have recorded is stored.

use super::handlers::{Held, Lease};
use super::run::is_permanently_rejected;
use super::{Never, Worker};
use crate::{Engine, LeaseState, Result};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tracing::warn;

/// Minimum time between two heartbeats.
const MIN_PAUSE: Duration = Duration::from_millis(100);

/// A lease, and the progress that its handler has recorded since the last heartbeat.
type Beat = (Lease, Option<Value>);

impl Worker {
    /// Extends the leases, and notifies handlers whose leases are lost.
    pub(super) async fn send_heartbeats(&self, held: &Held) -> Never {
        loop {
            // Handlers that ask all the time must not keep the server busy.
            let pause = MIN_PAUSE.min(self.lease / 3);
            sleep(pause).await;
            let _ = timeout(self.lease / 3 - pause, held.beat.notified()).await;
            let beats = held.leases();
            for beats in beats.chunks(10_000) {
                match self.send_heartbeat(held, beats).await {
                    Ok(()) => {}
                    Err(error) if is_permanently_rejected(&error) => self.send_progress_singly(held, beats).await,
                    Err(error) => {
                        warn!(%error, "heartbeat failed");
                        put_back(held, beats);
                    }
                }
            }
        }
    }

    /// Extends leases and stores progress in one call.
    async fn send_heartbeat(&self, held: &Held, beats: &[Beat]) -> Result<()> {
        let (leases, progress): (Vec<Lease>, Vec<Option<Value>>) = beats.iter().cloned().unzip();
        let call = Engine::heartbeat_with_progress(&self.pool, &leases, &progress, self.lease);
        let answers = self.answered(call).await?;
        let mut elsewhere = Vec::new();
        for (answer, lease) in answers.iter().zip(leases) {
            match answer.state {
                LeaseState::Elsewhere => elsewhere.push(lease),
                state => held.update(lease, state),
            }
        }
        self.send_heartbeats_elsewhere(held, elsewhere).await;
        Ok(())
    }

    /// Extends leases after the server has refused the progress of one of them, which must not cost the others their
    /// leases. Then stores the progress that can be stored, and drops the rest.
    async fn send_progress_singly(&self, held: &Held, beats: &[Beat]) {
        let bare: Vec<Beat> = beats.iter().map(|(lease, _)| (*lease, None)).collect();
        if let Err(error) = self.send_heartbeat(held, &bare).await {
            warn!(%error, "heartbeat failed");
            return put_back(held, beats);
        }
        for beat in beats.iter().filter(|(_, progress)| progress.is_some()) {
            match self.send_heartbeat(held, std::slice::from_ref(beat)).await {
                Ok(()) => {}
                Err(error) if is_permanently_rejected(&error) => {
                    let (task, _) = beat.0;
                    warn!(task, %error, "the progress cannot be stored, and is dropped");
                }
                Err(error) => {
                    warn!(%error, "heartbeat failed");
                    put_back(held, std::slice::from_ref(beat));
                }
            }
        }
    }

    /// Extends leases on tasks of parts that have moved to other servers, if these are known.
    async fn send_heartbeats_elsewhere(&self, held: &Held, leases: Vec<Lease>) {
        let Some(cluster) = self.cluster.as_ref().filter(|_| !leases.is_empty()) else { return };
        match self.answered(cluster.heartbeat(&leases, self.lease)).await {
            Ok(beats) => beats.iter().zip(leases).for_each(|(beat, lease)| held.update(lease, beat.state)),
            Err(error) => warn!(%error, "heartbeat for parts that have moved failed"),
        }
    }
}

/// Keeps progress for the next heartbeat.
fn put_back(held: &Held, beats: &[Beat]) {
    for (lease, progress) in beats {
        progress.iter().for_each(|progress| held.put_back(*lease, progress.clone()));
    }
}
