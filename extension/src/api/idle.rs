//! `workflow_announce_idle`.

use crate::caller::Caller;
use crate::limits;
use crate::limits::admit::next_check;
use crate::pg::clock;
use crate::pg::list::List;
use crate::queue::hints;
use pgrx::datum::Interval;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// `workflow_announce_idle` in `sql/notify.sql`.
#[pg_extern(sql = false)]
fn workflow_announce_idle(
    actions: Option<List<String>>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Option<Interval>, ErrorReport> {
    let _caller = Caller::of_call(fcinfo)?;
    let actions = actions.map(|List(actions)| hints::check(actions)).transpose()?;
    hints::announce_idle(actions.as_ref());
    // Nothing is queued at the moment when a rate allows another task, so someone has to check.
    Ok(if limits::are_in_use() { Spi::connect(|client| next_check(client, clock::now()?))? } else { None })
}
