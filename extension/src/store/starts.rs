//! Rows of executions that are started.

use crate::error::Error;
use crate::pg::id::{self, Sequence};
use crate::pg::jsonb::Jsonb;
use crate::pg::rows::{Rows, numbers};
use crate::pg::skip_ri_checks;
use crate::pg::statements;
use crate::pg::transition_table::{RowRelation, Value as Cell, value};
use conductor::code::Code;
use conductor::graph::Graph;
use pgrx::datum::{IntoDatum, TimestampWithTimeZone};
use pgrx::pg_sys::Datum;
use pgrx::spi::SpiClient;
use std::collections::BTreeSet;
use std::rc::Rc;

const EXECUTIONS: &str = include_str!("../../queries/insert_executions.sql");

/// Number of attempts for a key whose execution exists when we insert but is gone when we look it up.
const KEY_ATTEMPTS: usize = 3;

/// A workflow that can be started.
pub struct Startable {
    /// Its ref.
    pub reference: String,
    /// Id of its definition.
    pub definition: i64,
    /// Id of the version that new executions run.
    pub version: i64,
    /// Id of the action with the same ref.
    pub action: Option<i64>,
    /// Its graph.
    pub graph: Rc<Graph>,
}

/// One requested execution.
pub struct Wanted {
    /// Part that holds its rows.
    pub part: i32,
    /// Execution that calls it.
    pub parent: Option<i64>,
    /// Parameters after validation, with defaults filled in.
    pub parameters: Jsonb,
    /// Parameters as the caller gave them.
    pub given: Jsonb,
    /// Its idempotency key.
    pub key: Option<String>,
    /// Priority, added to that of each task.
    pub priority: i32,
    /// Number of callers above it.
    pub depth: i32,
    /// Time at which it was scheduled to start.
    pub scheduled_for: Option<TimestampWithTimeZone>,
    /// Attributes given by the caller.
    pub attributes: Option<Jsonb>,
    /// Number of executions in the chain of hooks that led to it.
    pub hook_depth: Option<i32>,
    /// Trace span that starts it.
    pub traceparent: Option<Rc<str>>,
}

/// Inserts the workflow executions for executions that have just been inserted.
pub fn insert_runs(
    client: &SpiClient,
    workflow: &Startable,
    runs: &[FreshRun],
    now: TimestampWithTimeZone,
    due: Option<TimestampWithTimeZone>,
) -> Result<(), Error> {
    let blank = Blank { list: Vec::<String>::new().into_datum(), object: Jsonb::from_text("{}").into_datum() };
    let insert = |runs: &[FreshRun]| {
        let rows = RowRelation::new(c"workflow_execution", runs, |run| run_columns(workflow, run, now, due, &blank))?;
        rows.run(client, include_str!("../../queries/insert_runs.sql"), &[])
    };
    // The foreign key check of the first row locks the definition for all of them.
    let (first, others) = runs.split_at(runs.len().min(1));
    if !first.is_empty() {
        insert(first)?;
    }
    if !others.is_empty() {
        skip_ri_checks::known_to_hold(c"workflow_execution", &[c"execution", c"workflow_definition"], || {
            insert(others)
        })?;
    }
    Ok(())
}

fn columns(workflow: &Startable, wanted: &Wanted, id: i64, now: TimestampWithTimeZone) -> [(&'static str, Cell); 10] {
    [
        ("part", value(wanted.part)),
        ("id", value(id)),
        ("created", value(now)),
        ("action_ref", value(workflow.reference.as_str())),
        ("action", value(workflow.action)),
        ("parent", value(wanted.parent)),
        ("idempotency_key", value(wanted.key.as_deref())),
        ("config", value(wanted.parameters)),
        ("status", Cell::Label("running")),
        ("updated", value(now)),
    ]
}

/// A workflow execution to insert.
pub struct FreshRun<'w> {
    /// Its id.
    pub id: i64,
    /// What was requested.
    pub wanted: &'w Wanted,
    /// Its attributes.
    pub attributes: Option<Jsonb>,
    /// Key under which it counts for concurrency.
    pub concurrency_key: Option<&'w str>,
}

/// Empty values for new rows.
struct Blank {
    /// An empty list of task names.
    list: Option<Datum>,
    /// An empty object for variables.
    object: Option<Datum>,
}

fn run_columns(
    workflow: &Startable,
    run: &FreshRun,
    now: TimestampWithTimeZone,
    due: Option<TimestampWithTimeZone>,
    blank: &Blank,
) -> [(&'static str, Cell); 22] {
    let empty = || Cell::Datum(blank.list, Vec::<String>::type_oid);
    [
        ("part", value(id::part(run.id))),
        ("depth", value(run.wanted.depth)),
        ("id", value(run.id)),
        ("execution", value(run.id)),
        ("workflow_def", value(workflow.definition)),
        ("priority", value(run.wanted.priority)),
        ("paused", value(false)),
        ("had_failure", value(false)),
        ("created", value(now)),
        ("version", value(workflow.version)),
        ("due_at", value(due)),
        ("attributes", value(run.attributes)),
        ("traceparent", value(run.wanted.traceparent.as_deref())),
        ("variables", Cell::Datum(blank.object, Jsonb::type_oid)),
        ("status", Cell::Label("running")),
        ("updated", value(now)),
        ("current_tasks", empty()),
        ("completed_tasks", empty()),
        ("failed_tasks", empty()),
        ("skipped_tasks", empty()),
        ("hook_depth", value(run.wanted.hook_depth)),
        ("concurrency_key", value(run.concurrency_key)),
    ]
}

/// Inserts those executions whose keys are not in use yet. Returns all ids in order, and the new ones with their
/// places.
pub fn insert_executions(
    client: &SpiClient,
    workflow: &Startable,
    wanted: &[Wanted],
    now: TimestampWithTimeZone,
) -> Result<(Vec<i64>, Vec<(i64, usize)>), Error> {
    let mut ids: Vec<Option<i64>> = vec![None; wanted.len()];
    let mut fresh = Vec::new();
    for _ in 0..KEY_ATTEMPTS {
        let open: Vec<usize> = (0..wanted.len()).filter(|place| ids[*place].is_none()).collect();
        for (id, place) in insert_open(client, workflow, wanted, now, &open)? {
            ids[place] = Some(id);
            fresh.push((id, place));
        }
        // The rest waited for earlier transactions with the same keys, whose outcome is visible now.
        let old: Vec<usize> = open.into_iter().filter(|place| ids[*place].is_none()).collect();
        if old.is_empty() {
            break;
        }
        let parts: Vec<i32> = old.iter().map(|place| wanted[*place].part).collect();
        let keys: Vec<Option<String>> = old.iter().map(|place| wanted[*place].key.clone()).collect();
        let given: Vec<Jsonb> = old.iter().map(|place| wanted[*place].given).collect();
        let checked: Vec<Jsonb> = old.iter().map(|place| wanted[*place].parameters).collect();
        let reference = workflow.reference.as_str();
        let arguments = [parts.into(), reference.into(), keys.into(), given.into(), checked.into()];
        let mut rows = statements::run(client, include_str!("../../queries/find_by_keys.sql"), &arguments)?;
        while rows.next().is_some() {
            let (id, place) = (rows.get::<i64>(1)?, old[place(&rows, 2)?]);
            if rows.get::<bool>(3)? != Some(true) {
                return Err(other_parameters(&wanted[place], id.unwrap_or_default()));
            }
            ids[place] = id;
        }
    }
    let ids = ids.into_iter().collect::<Option<Vec<i64>>>().ok_or_else(|| {
        Error::refused(
            Code::ALREADY_EXISTS,
            "executions with this idempotency key are being created and deleted concurrently",
            "Try again.",
        )
    })?;
    Ok((ids, fresh))
}

fn other_parameters(wanted: &Wanted, id: i64) -> Error {
    let key: String = wanted.key.as_deref().unwrap_or_default().chars().take(200).collect();
    let message = format!("idempotency key {key} was used with other parameters, for execution {id}");
    Error::refused(Code::ALREADY_EXISTS, message, "Use another key, or the same parameters as the execution.")
}

/// Inserts the executions requested at these places, unless their keys are in use. Returns ids and places.
fn insert_open(
    client: &SpiClient,
    workflow: &Startable,
    wanted: &[Wanted],
    now: TimestampWithTimeZone,
    open: &[usize],
) -> Result<Vec<(i64, usize)>, Error> {
    let sequence = Sequence::find(c"execution_id_seq");
    let with_id = |place: &usize| Ok((sequence.next(wanted[*place].part)?, *place));
    let rows = open.iter().map(with_id).collect::<Result<Vec<_>, Error>>()?;
    let insert = |sql: &'static str, rows: &[(i64, usize)]| {
        let rows = RowRelation::new(c"execution", rows, |(id, place)| columns(workflow, &wanted[*place], *id, now))?;
        rows.run(client, sql, &[])
    };
    let (mut keyed, mut inserted): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|(_, place)| wanted[*place].key.is_some());
    // The foreign key check of the first row locks the action for all of them, provided that they reference nothing
    // else.
    let has_parents = inserted.iter().any(|(_, place)| wanted[*place].parent.is_some());
    let (checked, others) = inserted.split_at(if has_parents { inserted.len() } else { inserted.len().min(1) });
    if !checked.is_empty() {
        insert(EXECUTIONS, checked)?;
    }
    if !others.is_empty() {
        skip_ri_checks::known_to_hold(c"execution", &[c"action", c"execution"], || insert(EXECUTIONS, others))?;
    }
    if !keyed.is_empty() {
        // Insert in key order so that batches do not deadlock.
        keyed.sort_by_key(|(_, place)| wanted[*place].key.as_deref());
        let fresh = numbers(insert(include_str!("../../queries/insert_keyed_executions.sql"), &keyed)?, 1)?;
        let fresh: BTreeSet<i64> = fresh.into_iter().collect();
        inserted.extend(keyed.into_iter().filter(|(id, _)| fresh.contains(id)));
    }
    inserted.sort_unstable_by_key(|(_, place)| *place);
    Ok(inserted)
}

/// Converts an SQL ordinality, which counts from 1, to a place.
fn place(row: &Rows, column: usize) -> Result<usize, Error> {
    Ok(row.get::<i64>(column)?.unwrap_or(1) as usize - 1)
}
