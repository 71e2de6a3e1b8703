//! The lists of tasks that the views show.

use crate::pg::list::List;
use crate::pg::result_set::{RowSet, column};
use crate::store::task_lists::load;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// `workflow.task_lists` in `sql/views.sql`.
#[pg_extern(sql = false)]
fn workflow_task_lists(workflow_executions: List<i64>, fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    let mut rows = RowSet::of_call(fcinfo);
    let workflow_executions: Vec<i64> = workflow_executions.0.into_iter().flatten().collect();
    let mut lists = Spi::connect(|client| load(client, &workflow_executions))?;
    for id in workflow_executions {
        let lists = lists.remove(&id).unwrap_or_default();
        rows.push([
            column(id),
            column(lists.current),
            column(lists.completed),
            column(lists.failed),
            column(lists.skipped),
        ]);
    }
    Ok(())
}
