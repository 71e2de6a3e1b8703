//! A locked workflow execution, as it is stored.

use crate::cache::graphs;
use crate::error::Error;
use crate::pg::jsonb::Jsonb;
use crate::pg::rows::Rows;
use conductor::code::Code;
use conductor::engine::state::{Execution, State};
use conductor::engine::status::Status;
use conductor::graph::Graph;
use pgrx::spi::SpiClient;
use std::rc::Rc;

/// A locked workflow execution.
pub struct Run {
    /// Its id, which is also the id of its execution.
    pub id: i64,
    /// Graph of the pinned version.
    pub graph: Rc<Graph>,
    /// State before this call.
    pub before: Execution,
    /// Variables as stored, without the changes made by branches.
    pub variables: Option<Jsonb>,
    /// Priority, added to that of each task.
    pub priority: i32,
    /// Number of callers above it.
    pub depth: i32,
    /// Trace span that started it.
    pub traceparent: Option<Rc<str>>,
}

impl Run {
    /// Reads a run from a row with the columns id, version, status, paused, state, variables, priority, depth,
    /// traceparent.
    pub fn read(client: &SpiClient, row: &Rows) -> Result<Option<Run>, Error> {
        let Some(version) = row.get::<i64>(2)? else { return Ok(None) };
        let status = row.label(3).and_then(|name| Status::parse(&name)).unwrap_or(Status::Running);
        let state = match row.get::<Jsonb>(5)? {
            None => State::plain(status),
            Some(state) => read_state(state)?,
        };
        Ok(Some(Run {
            id: row.get::<i64>(1)?.unwrap_or_default(),
            graph: graphs::graph(client, version)?,
            before: Execution { status, paused: row.get::<bool>(4)?.unwrap_or_default(), state },
            variables: row.get::<Jsonb>(6)?,
            priority: row.get::<i32>(7)?.unwrap_or_default(),
            depth: row.get::<i32>(8)?.unwrap_or_default(),
            traceparent: row.get::<String>(9)?.map(Rc::from),
        }))
    }
}

/// Parses the stored state of the conductor.
pub fn read_state(state: Jsonb) -> Result<State, Error> {
    conductor::json::from_text(&state.text()).map_err(|error| {
        Error::refused(
            Code::UNUSABLE,
            "the stored state cannot be read",
            "This is a bug: please report it, with workflow_execution.state.",
        )
        .with_detail(error.to_string())
    })
}
