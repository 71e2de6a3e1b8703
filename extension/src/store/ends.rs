//! Consequences of the ends of executions besides the effect on their callers: hooks, and notifications.

use super::Batch;
use crate::cache::hooks;
use crate::error::Error;
use crate::pg::statements;
use crate::queue::hints;
use crate::settings;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;

impl Batch {
    /// Runs the hooks of executions that have ended with this batch, and notifies those who listen for ends.
    pub(super) fn announce_ends(&self, client: &SpiClient, now: TimestampWithTimeZone) -> Result<(), Error> {
        if self.ends.is_empty() {
            return Ok(());
        }
        if settings::notify_ends() {
            self.executions
                .iter()
                .filter(|(id, ..)| self.ends.contains(id))
                .for_each(|(id, status, _)| hints::tell_end(*id, status));
        }
        if hooks::exist(client)? {
            let arguments = [self.ends.iter().copied().collect::<Vec<i64>>().into(), now.into()];
            statements::run(client, include_str!("../../queries/run_hooks.sql"), &arguments)?;
        }
        Ok(())
    }
}
