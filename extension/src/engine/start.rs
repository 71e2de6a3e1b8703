//! Starting executions: checks parameters, inserts rows, and makes the first tasks ready. A batch costs no more
//! statements than a single start.

use crate::cache::graphs;
use crate::engine::advance::Advance;
use crate::engine::attributes;
use crate::engine::run::Reports;
use crate::engine::run::{Run, system};
use crate::error::Error;
use crate::limits::concurrency::{self, Entrant, Wait};
use crate::limits::take::LimitKey;
use crate::pg::clock::{self, after};
use crate::pg::id::{self, Sequence};
use crate::pg::jsonb::Jsonb;
use crate::pg::rows::Rows;
use crate::pg::rows::numbers;
use crate::pg::skip_ri_checks;
use crate::pg::statements;
use crate::pg::transition_table::{RowRelation, Value as Cell, value};
use crate::settings;
use conductor::code::Code;
use conductor::engine::commands::Changes;
use conductor::engine::facts::Facts;
use conductor::engine::state::Execution;
use conductor::graph::Graph;
use conductor::json::{from_text, to_text};
use conductor::language::definition::WhenFull;
use conductor::language::schema::Violation;
use pgrx::datum::{IntoDatum, TimestampWithTimeZone};
use pgrx::pg_sys::Datum;
use pgrx::spi::SpiClient;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

const EXECUTIONS: &str = include_str!("../../queries/insert_executions.sql");

/// Number of attempts for a key whose execution exists when we insert but is gone when we look it up.
const KEY_ATTEMPTS: usize = 3;

/// A workflow that can be started.
pub struct Startable {
    reference: String,
    definition: i64,
    version: i64,
    action: Option<i64>,
    graph: Rc<Graph>,
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

/// Returns the workflow with this ref.
pub fn find(client: &SpiClient, reference: &str) -> Result<Startable, Error> {
    let rows = statements::run(client, include_str!("../../queries/find_workflow.sql"), &[reference.into()])?.first();
    let missing = || {
        Error::refused(Code::NOT_FOUND, format!("there is no workflow {reference}"), "store one with workflow_define")
    };
    if rows.is_empty() {
        return Err(missing());
    }
    if rows.get::<bool>(2)? == Some(false) {
        return Err(Error::refused(
            Code::WRONG_STATE,
            format!("workflow {reference} is disabled"),
            "set enabled: true in its definition",
        ));
    }
    let version = rows.get::<i64>(3)?.ok_or_else(|| {
        Error::refused(
            Code::OTHER_MASTER,
            format!("workflow {reference} is driven from outside"),
            "store it with workflow_define to let the engine run it",
        )
    })?;
    Ok(Startable {
        reference: reference.to_owned(),
        definition: rows.get::<i64>(1)?.unwrap_or_default(),
        version,
        action: rows.get::<i64>(4)?,
        graph: graphs::graph(client, version)?,
    })
}

/// Returns the parameters with their defaults, in a form that expressions can use. Otherwise returns an error that
/// lists everything wrong with them.
pub fn check(workflow: &Startable, given: Option<Jsonb>) -> Result<Jsonb, Error> {
    let wrong = |detail: Value| {
        Error::refused(
            Code::INVALID_PARAMETERS,
            format!("the parameters of workflow {} are invalid", workflow.reference),
            "give parameters that match its parameter schema",
        )
        .with_detail(detail.to_string())
    };
    let no_object = || wrong(json!([{"path": "", "message": "parameters must be a JSON object"}]));
    let given = given.or_else(|| Jsonb::from_text("{}")).ok_or_else(no_object)?;
    let useless = |obstacle: &str| {
        let message = format!("the parameters cannot be used: {obstacle}");
        Error::refused(Code::LIMIT_EXCEEDED, message, "reduce the nesting, and use smaller numbers")
    };
    let (bytes, most) = (given.raw_bytes(), settings::max_parameter_bytes());
    if bytes > most {
        let message = format!("the parameters of workflow {} are too large", workflow.reference);
        let hint = "pass large data by reference, or raise pg_workflow.max_parameter_bytes";
        let detail = format!("they have {bytes} bytes, at most {most} are allowed");
        return Err(Error::refused(Code::LIMIT_EXCEEDED, message, hint).with_detail(detail));
    }
    if !given.is_object() {
        return Err(given.obstacle().map_or_else(no_object, useless));
    }
    let Some(schema) = &workflow.graph.parameters else {
        return given.obstacle().map_or(Ok(given), |obstacle| Err(useless(obstacle)));
    };
    // Parameters that were read successfully have no obstacle.
    let mut parameters =
        from_text(&given.text()).map_err(|error| useless(given.obstacle().unwrap_or(&error.to_string())))?;
    let has_more = schema.add_defaults(&mut parameters);
    let violations = schema.violations(&parameters);
    if violations.list.is_empty() {
        let text = has_more.then(|| to_text(&parameters)).transpose();
        let parameters = text.map_err(|error| useless(&error.to_string()))?.and_then(|text| Jsonb::from_text(&text));
        return Ok(parameters.unwrap_or(given));
    }
    let told = |violation: &Violation| json!({"path": violation.path, "message": violation.message});
    let mut list: Vec<Value> = violations.list.iter().map(told).collect();
    if violations.more > 0 {
        list.push(json!({"path": "", "message": format!("and {} more", violations.more)}));
    }
    Err(wrong(Value::Array(list)))
}

impl Startable {
    /// Whether starting an execution is an error if the maximum number is already running.
    pub fn fails_when_full(&self) -> bool {
        self.graph.concurrency.as_ref().is_some_and(|concurrency| concurrency.when_full == WhenFull::Fail)
    }

    /// Returns the error for that case.
    pub fn too_many(&self) -> Error {
        Error::refused(
            Code::TOO_MANY_RUNNING,
            format!("as many executions of workflow {} are running as may", self.reference),
            "try again when one has ended, or define the workflow with when_full: wait",
        )
    }
}

/// Begins executions whose first tasks can be claimed in `delay` seconds. Returns their ids in request order, with none
/// for an execution that is skipped because the maximum number is already running. The caller must settle the
/// consequences.
pub fn begin(
    advance: &mut Advance,
    workflow: &Startable,
    wanted: &[Wanted],
    delay: f64,
) -> Result<Vec<Option<i64>>, Error> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let (client, now) = (advance.client, advance.now);
    let (ids, fresh) = insert_executions(client, workflow, wanted, now)?;
    if fresh.is_empty() {
        return Ok(ids.into_iter().map(Some).collect());
    }
    // For an execution that waits to begin, the time limit and the delay of its first tasks count from when it does
    // begin.
    let delayed_by = if workflow.graph.concurrency.is_some() { 0.0 } else { delay };
    let mut starting = fresh
        .into_iter()
        .map(|(id, place)| Starting::conduct(client, now, workflow, wanted, (id, place), delayed_by))
        .collect::<Result<Vec<_>, Error>>()?;
    let turns = match &workflow.graph.concurrency {
        Some(concurrency) => enter(advance, workflow, wanted, &starting, concurrency.when_full, delay)?,
        None => Turns::default(),
    };
    starting.retain(|one| !turns.refused.contains(&one.run.id));
    let due = workflow.graph.timeout.map(|seconds| after(now, seconds as f64 + delayed_by));
    let mut places = Vec::new();
    for Starting { mut run, place, execution, changes } in starting {
        advance.batch.take(&run, &execution, changes);
        run.before = execution;
        places.push((run.id, place));
        advance.runs.insert(run.id, run);
    }
    // Written after conducting, which is what produces the definition's attributes.
    let given = places.iter().map(|(id, place)| (*place, advance.batch.take_attributes(*id))).collect::<Vec<_>>();
    let attributes = attributes::merged(client, wanted, &given)?;
    let runs: Vec<FreshRun> = places
        .iter()
        .map(|(id, place)| FreshRun {
            id: *id,
            wanted: &wanted[*place],
            attributes: attributes.get(place).copied(),
            concurrency_key: turns.keys.get(id).map(String::as_str),
        })
        .collect();
    insert_runs(client, workflow, &runs, now, due)?;
    let refused = turns.refused.clone();
    turns.note(advance);
    Ok(ids.into_iter().map(|id| Some(id).filter(|id| !refused.contains(id))).collect())
}

/// An execution that is starting, as decided by the conductor.
struct Starting {
    run: Run,
    /// Its index in the request.
    place: usize,
    execution: Execution,
    changes: Changes,
}

impl Starting {
    fn conduct(
        client: &SpiClient,
        now: TimestampWithTimeZone,
        workflow: &Startable,
        wanted: &[Wanted],
        (id, place): (i64, usize),
        delay: f64,
    ) -> Result<Starting, Error> {
        let one = &wanted[place];
        let run = Run {
            id,
            graph: workflow.graph.clone(),
            before: Execution::new(),
            variables: None,
            priority: one.priority,
            depth: one.depth,
            traceparent: one.traceparent.clone(),
        };
        let facts = Facts {
            parameters: Some(one.parameters.usable_data()),
            variables: Some(conductor::engine::variables::empty()),
            changes: Arc::default(),
            tasks: Arc::default(),
            all_tasks: true,
            items: BTreeMap::new(),
            undoable: Some(Vec::new()),
            now: clock::moment(now),
            system: workflow.graph.start_needs.system.then(|| system(&run, &now, None)),
        };
        let (execution, changes) = run.conduct(client, &now, facts, &Reports::default(), |conductor| {
            conductor.start(one.scheduled_for.map(clock::moment), delay);
        })?;
        Ok(Starting { run, place, execution, changes })
    }
}

/// Outcome of a start under `concurrency`: which executions begin, which wait, and which do not start after all.
#[derive(Default)]
struct Turns {
    /// Keys under which the executions are counted.
    keys: BTreeMap<i64, String>,
    waits: Vec<Wait>,
    /// Executions that do not start.
    refused: BTreeSet<i64>,
    /// Limits that have too many executions, each with one that waits for the oldest to be cancelled.
    crowded: BTreeMap<LimitKey, i64>,
}

/// Takes slots for executions that are starting.
fn enter(
    advance: &Advance,
    workflow: &Startable,
    wanted: &[Wanted],
    starting: &[Starting],
    when_full: WhenFull,
    delay: f64,
) -> Result<Turns, Error> {
    let (client, now) = (advance.client, advance.now);
    let callers: BTreeSet<i64> = starting.iter().filter_map(|one| wanted[one.place].parent).collect();
    let above = concurrency::keys_above(client, callers.into_iter().collect(), &workflow.reference)?;
    let mut turns = Turns::default();
    for one in starting {
        let Some(key) = &one.changes.concurrency_key else { continue };
        let has_slot = |caller: i64| above.get(&caller).is_some_and(|keys| keys.contains(key));
        if !wanted[one.place].parent.is_some_and(has_slot) {
            turns.keys.insert(one.run.id, key.clone());
        }
    }
    // Executions with a delayed start take their slot at that time.
    if delay > 0.0 {
        turns.waits = turns.keys.keys().map(|run| Wait::until(*run, after(now, delay))).collect();
        return Ok(turns);
    }
    let name = concurrency::limit_name(&workflow.reference);
    let entrant = |(run, key): (&i64, &String)| Entrant {
        run: *run,
        definition: workflow.definition,
        limit: (name.clone(), key.clone()),
        place: now,
        displaces: when_full == WhenFull::CancelOldest,
    };
    let entrants: Vec<Entrant> = turns.keys.iter().map(entrant).collect();
    let waits = concurrency::enter(client, now, entrants.iter().collect())?;
    if matches!(when_full, WhenFull::Skip | WhenFull::Fail) {
        turns.refused = waits.into_keys().collect();
        turns.keys.retain(|run, _| !turns.refused.contains(run));
        let refused: Vec<i64> = turns.refused.iter().copied().collect();
        if !refused.is_empty() {
            statements::run(client, include_str!("../../queries/delete_skipped.sql"), &[refused.into()])?;
        }
        return Ok(turns);
    }
    let crowds = entrants.into_iter().filter(|entrant| entrant.displaces && waits.contains_key(&entrant.run));
    turns.crowded = crowds.map(|entrant| (entrant.limit, entrant.run)).collect();
    turns.waits = waits.into_values().collect();
    Ok(turns)
}

impl Turns {
    /// Leaves it to the writing of the batch to make executions wait, and to what settles it to cancel the oldest.
    fn note(self, advance: &mut Advance) {
        self.waits.into_iter().for_each(|wait| advance.batch.wait_to_begin(wait));
        advance.crowded.extend(self.crowded);
    }
}

/// Inserts the workflow executions for executions that have just been inserted.
fn insert_runs(
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

fn columns(workflow: &Startable, wanted: &Wanted, id: i64, now: TimestampWithTimeZone) -> [(&'static str, Cell); 13] {
    [
        ("part", value(wanted.part)),
        ("id", value(id)),
        ("created", value(now)),
        ("action_ref", value(workflow.reference.as_str())),
        ("action", value(workflow.action)),
        ("parent", value(wanted.parent)),
        ("idempotency_key", value(wanted.key.as_deref())),
        ("enforcement", Cell::Null),
        ("executor", Cell::Null),
        ("config", value(wanted.parameters)),
        ("status", Cell::Label("running")),
        ("updated", value(now)),
        ("result", Cell::Null),
    ]
}

/// A workflow execution to insert.
struct FreshRun<'w> {
    id: i64,
    wanted: &'w Wanted,
    attributes: Option<Jsonb>,
    concurrency_key: Option<&'w str>,
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
) -> [(&'static str, Cell); 25] {
    let empty = || Cell::Datum(blank.list, Vec::<String>::type_oid);
    [
        ("part", value(id::part(run.id))),
        ("depth", value(run.wanted.depth)),
        ("id", value(run.id)),
        ("execution", value(run.id)),
        ("workflow_def", value(workflow.definition)),
        ("priority", value(run.wanted.priority)),
        ("paused", value(false)),
        ("created", value(now)),
        ("version", value(workflow.version)),
        ("due_at", value(due)),
        ("attributes", value(run.attributes)),
        ("traceparent", value(run.wanted.traceparent.as_deref())),
        ("variables", Cell::Datum(blank.object, Jsonb::type_oid)),
        ("task_graph", Cell::Null),
        ("status", Cell::Label("running")),
        ("updated", value(now)),
        ("current_tasks", empty()),
        ("completed_tasks", empty()),
        ("failed_tasks", empty()),
        ("skipped_tasks", empty()),
        ("state", Cell::Null),
        ("error_message", Cell::Null),
        ("pause_reason", Cell::Null),
        ("hook_depth", value(run.wanted.hook_depth)),
        ("concurrency_key", value(run.concurrency_key)),
    ]
}

/// Inserts those executions whose keys are not in use yet. Returns all ids in order, and the new ones with their
/// places.
fn insert_executions(
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
            "try again",
        )
    })?;
    Ok((ids, fresh))
}

fn other_parameters(wanted: &Wanted, id: i64) -> Error {
    let key: String = wanted.key.as_deref().unwrap_or_default().chars().take(200).collect();
    let message = format!("idempotency key {key} was used with other parameters, for execution {id}");
    Error::refused(
        Code::ALREADY_EXISTS,
        message,
        "use another key, or the parameters that the execution was started with",
    )
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
