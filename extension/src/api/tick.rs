//! `workflow_tick`.

use crate::caller::Caller;
use crate::engine::due::TickScope;
use crate::engine::tick::tick;
use crate::error::Error;
use crate::pg::clock;
use crate::pg::list::List;
use crate::queue::asking::check_parts;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// `workflow_tick` in `sql/tick.sql`.
#[pg_extern(sql = false)]
fn workflow_tick(
    max_rows: Option<i32>,
    parts: Option<List<i32>>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<i32, ErrorReport> {
    let caller = Caller::of_call(fcinfo)?;
    let max_rows = max_rows.filter(|rows| (1..=10_000).contains(rows)).ok_or_else(|| {
        let given = max_rows.map_or("null".to_owned(), |rows| rows.to_string());
        Error::out_of_range("max_rows is out of range", format!("max_rows is {given}."), "Use 1 to 10000.")
    })?;
    let parts = caller.parts(check_parts(parts)?)?;
    let deletes = parts.is_none();
    let parts = caller.foreign().restrict(&parts);
    let now = clock::now()?;
    Ok(Spi::connect(|client| tick(&TickScope { client, now, max_rows, parts, deletes }))?)
}
