//! Items that are done but that the conductor has not been notified of.

use super::{Ledger, Outcome, RowStatus};
use crate::engine::state::TaskEnd;

impl Ledger {
    /// Ends rows without notifying the conductor, if nothing depends on it. Returns false if the conductor must be
    /// notified.
    pub(super) fn leave(&mut self, outcomes: &[Outcome]) -> bool {
        let decides_nothing = |outcome: &Outcome| {
            outcome.end == TaskEnd::Completed
                && self.rows[outcome.row].index.is_some_and(|index| self.execution.state.may_leave(index))
        };
        let is_left = outcomes.iter().all(decides_nothing);
        for outcome in outcomes.iter().filter(|_| is_left) {
            let now = self.now;
            let row = &mut self.rows[outcome.row];
            row.end(outcome.end, now);
            (row.result, row.error) = (outcome.result.clone(), outcome.error.clone());
        }
        is_left
    }

    /// Counts them before anything else is decided.
    pub(super) fn count(&mut self) {
        let state = &mut self.execution.state;
        let open = state.items.iter().filter(|progress| progress.uncounted).map(|progress| progress.key);
        for key in open.collect::<Vec<_>>() {
            let is_done = |status| status == RowStatus::Ended(TaskEnd::Completed);
            let done = self.rows.iter().filter(|row| row.key == key && is_done(row.status)).count();
            state.count(key, done as u32);
        }
    }
}
