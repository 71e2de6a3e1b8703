//! Starting executions: inserts rows, and makes the first tasks ready. A batch costs no more statements than a single
//! start.

use crate::engine::advance::Advance;
use crate::engine::attributes;
use crate::engine::run::{Reports, iso_time, system};
use crate::error::Error;
use crate::limits::concurrency::{self, Entrant, Wait};
use crate::limits::take::LimitKey;
use crate::pg::clock::{self, after};
use crate::pg::statements;
use crate::store::run::Run;
use crate::store::starts::{FreshRun, Startable, Wanted, insert_executions, insert_runs};
use conductor::engine::commands::Changes;
use conductor::engine::facts::Facts;
use conductor::engine::state::Execution;
use conductor::language::definition::WhenFull;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Begins executions whose first tasks can be claimed in `delay` seconds. Returns their ids in request order, and
/// `None` for an execution that is skipped because the maximum number is already running. The caller must settle the
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
            system: workflow.graph.start_needs.system.then(|| system(&run, &iso_time(&now), None)),
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
    /// Records the outcome. Writing the batch then makes executions wait, and settling it cancels the oldest ones.
    fn note(self, advance: &mut Advance) {
        self.waits.into_iter().for_each(|wait| advance.batch.wait_to_begin(wait));
        advance.crowded.extend(self.crowded);
    }
}
