//! Writing what branches have published.

use super::batch::Batch;
use crate::error::Error;
use crate::pg::id;
use crate::pg::jsonb::Jsonb;
use crate::pg::skip_ri_checks;
use crate::pg::statements;
use crate::pg::transition_table::{RowRelation, value};
use crate::store::column;
use conductor::engine::published::Entry;
use pgrx::spi::SpiClient;

impl Batch {
    /// Removes changes that others replace, and inserts new ones.
    pub(super) fn write_changes(&self, client: &SpiClient) -> Result<(), Error> {
        let gone = &self.gone_changes;
        if !gone.is_empty() {
            let arguments = [
                column(gone, |(run, _)| *run),
                column(gone, |(_, entry)| entry.map(|(change, _)| change as i32)),
                column(gone, |(_, entry)| entry.map(|(_, place)| place as i32)),
            ];
            statements::run(client, include_str!("../../queries/delete_changes.sql"), &arguments)?;
        }
        if self.published.is_empty() {
            return Ok(());
        }
        let rows = RowRelation::new(c"branch_change", &self.published, |(run, new)| {
            let (name, data, sees) = match &new.entry {
                Entry::Variable(name, data) => (Some(name.as_str()), Jsonb::new(data), None),
                Entry::Sees(context) => (None, None, Some(context.iter().map(|id| *id as i32).collect::<Vec<i32>>())),
            };
            [
                ("part", value(id::part(*run))),
                ("workflow_execution", value(*run)),
                ("change", value(new.change as i32)),
                ("place", value(new.place as i32)),
                ("name", value(name)),
                ("value", value(data)),
                ("sees", value(sees)),
            ]
        })?;
        // Their executions are locked, or were inserted by this transaction.
        skip_ri_checks::known_to_hold(c"branch_change", &[c"workflow_execution"], || {
            rows.run(client, include_str!("../../queries/insert_changes.sql"), &[])
        })?;
        Ok(())
    }
}
