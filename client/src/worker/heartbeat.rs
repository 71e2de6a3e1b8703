//! Heartbeats: leases are extended while handlers run, and the progress that handlers have recorded is stored.

use super::handlers::{Held, Lease};
use super::{Never, Worker};
use crate::{Engine, LeaseState};
use serde_json::Value;
use tokio::time::sleep;
use tracing::warn;

impl Worker {
    /// Extends the leases, and notifies handlers whose leases are lost.
    pub(super) async fn send_heartbeats(&self, held: &Held) -> Never {
        loop {
            sleep(self.lease / 3).await;
            let leases = held.leases();
            for leases in leases.chunks(10_000) {
                let (leases, progress): (Vec<Lease>, Vec<Option<Value>>) = leases.iter().cloned().unzip();
                let beats = Engine::heartbeat_with_progress(&self.pool, &leases, &progress, self.lease);
                match self.answered(beats).await {
                    Ok(beats) => {
                        let mut elsewhere = Vec::new();
                        for (beat, lease) in beats.iter().zip(leases) {
                            match beat.state {
                                LeaseState::Elsewhere => elsewhere.push(lease),
                                state => held.update(lease, state),
                            }
                        }
                        self.send_heartbeats_elsewhere(held, elsewhere).await;
                    }
                    Err(error) => {
                        warn!(%error, "heartbeat failed");
                        let noted = leases.into_iter().zip(progress);
                        noted.for_each(|(lease, progress)| progress.into_iter().for_each(|p| held.put_back(lease, p)));
                    }
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
