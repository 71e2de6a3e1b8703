//! Estimates from PostgreSQL's own statistics.

use crate::pg::result_set::{RowSet, column};
use crate::pg::rights::Rights;
use crate::pg::role;
use crate::pg::statements;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// `workflow.execution_shares` in `sql/execution_statistics.sql`. Extended statistics are shown only to the owner of
/// their table, whatever others may read.
#[pg_extern(sql = false)]
fn workflow_execution_shares(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    let mut rows = RowSet::of_call(fcinfo);
    let _owner = Rights::of(role::owner_of_function(fcinfo));
    Ok(Spi::connect(|client| {
        let mut found = statements::run(client, include_str!("../../queries/execution_shares.sql"), &[])?;
        while found.next().is_some() {
            rows.push([column(found.get::<String>(1)?), column(found.get::<String>(2)?), column(found.get::<f64>(3)?)]);
        }
        Ok::<_, crate::error::Error>(())
    })?)
}
