//! What workers do besides finishing tasks: they advise on retries, and they die.

use super::{Ledger, Refused, ReportedRow, RowStatus};
use crate::engine::reported::Advice;
use crate::engine::status::{Status, TaskEnd};
use crate::expression::Data;

/// Number of leases on a task that may expire if neither the task nor a setting specifies it: the default of
/// `pg_workflow.max_lost_leases`.
const MAX_LOST_LEASES: u32 = 5;

impl Ledger {
    /// Lets the lease on a running row expire: its task can be claimed again, or ends as abandoned.
    pub fn lose(&mut self, row: usize) -> Result<(), Refused> {
        let task = &mut self.rows[row];
        if task.status != RowStatus::Running {
            return Err(Refused(format!("no worker holds the task: it is {:?}", task.status)));
        }
        task.lost_leases += 1;
        let lost = task.lost_leases;
        if !self.abandons(row, lost) {
            let task = &mut self.rows[row];
            (task.status, task.due, task.unknown) = (RowStatus::Ready, None, task.undo.is_some());
            return Ok(());
        }
        let error = Data::from_pairs([
            ("type", Data::from("abandoned")),
            (
                "message",
                Data::from(if lost == 1 {
                    "its lease has expired".into()
                } else {
                    format!("{lost} leases have expired")
                }),
            ),
            ("lost_leases", Data::from(lost)),
        ]);
        self.report_all(&[ReportedRow { row, end: TaskEnd::Abandoned, result: None, error: Some(error) }]).map(drop)
    }

    /// Whether a row with this many expired leases is not taken over: because that is one too many, or because its
    /// execution has stopped and does not need to know whether the task was done.
    pub fn abandons(&self, row: usize, lost: u32) -> bool {
        let row = &self.rows[row];
        let own = self.graph.node(row.key.node).max_lost_leases;
        let most = row.max_lost_leases.or(own).unwrap_or(MAX_LOST_LEASES);
        let is_wanted = row.closing || row.undo.is_some() || self.execution.status == Status::Running;
        lost >= most || !is_wanted
    }

    /// Reports a row, with its worker's advice on a retry.
    pub fn report_advised(&mut self, outcome: ReportedRow, advice: Advice) -> Result<(), Refused> {
        let row = outcome.row;
        self.rows[row].advice = advice;
        let reported = self.report_all(&[outcome]);
        self.rows[row].advice = Advice::None;
        reported.map(drop)
    }
}
