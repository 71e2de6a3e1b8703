//! Waking workers when a queue was empty before: `sql/notify.sql`.

use super::Batch;
use crate::error::Error;
use crate::pg::statements;
use crate::settings;
use pgrx::spi::SpiClient;

/// The queues that were not empty before the batch was written.
pub(super) struct Wake {
    parts: Vec<i32>,
    before: Vec<Option<String>>,
}

impl Wake {
    /// Looks at the queues, if workers are to be woken and the batch may enqueue something.
    pub(super) fn look(batch: &Batch, client: &SpiClient) -> Result<Option<Wake>, Error> {
        let mut parts = if settings::notify() { batch.queueing_parts() } else { Vec::new() };
        parts.sort_unstable();
        parts.dedup();
        if parts.is_empty() {
            return Ok(None);
        }
        let query = include_str!("../../queries/find_queued.sql");
        let found = statements::run(client, query, &[parts.clone().into()])?.first();
        Ok(Some(Wake { parts, before: found.get::<Vec<Option<String>>>(1)?.unwrap_or_default() }))
    }

    /// Notifies workers of queues that were empty before and no longer are.
    pub(super) fn tell(self, client: &SpiClient) -> Result<(), Error> {
        let arguments = [self.before.into(), self.parts.into()];
        statements::run(client, include_str!("../../queries/notify_queued.sql"), &arguments)?;
        Ok(())
    }
}

impl Batch {
    /// Returns the parts in which the batch may enqueue something.
    fn queueing_parts(&self) -> Vec<i32> {
        let tasks = self.tasks.iter().map(|task| task.run);
        let retried = self.retried.iter().map(|row| row.id);
        let released = self.released.iter().map(|items| items.run);
        let renewed = self.renewed.iter().map(|task| task.run);
        let ids = tasks.chain(retried).chain(released).chain(renewed).chain(self.unhold.iter().copied());
        ids.map(|id| (id >> 48) as i32).collect()
    }
}
