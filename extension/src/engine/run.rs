//! An execution while one call processes it: locked, loaded, and conducted.

use crate::engine::branch_changes;
use crate::error::Error;
use crate::pg::clock;
use crate::pg::jsonb::{Jsonb, as_data};
use crate::pg::rows::Rows;
use crate::pg::statements;
use crate::store::run::Run;
use conductor::code::Code;
use conductor::engine::commands::Changes;
use conductor::engine::conductor::Conductor;
use conductor::engine::facts::{Facts, Missing, Undoable, Unrendered};
use conductor::engine::outcome::{RowEnd, TaskOutcome, Times};
use conductor::engine::published::KnownChanges;
use conductor::engine::state::{Execution, Phase, TaskKey};
use conductor::engine::status::{Status, TaskEnd};
use conductor::engine::undo::AT_ONCE;
use conductor::expression::Data;
use conductor::graph::needs::Needs;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone, ToIsoString};
use pgrx::spi::SpiClient;
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const PARAMETERS: &str = include_str!("../../queries/load_parameters.sql");

const TASKS: &str = include_str!("../../queries/load_tasks.sql");

const ITEMS: &str = include_str!("../../queries/load_items.sql");

const OPEN_ITEMS: &str = include_str!("../../queries/load_open_items.sql");

const UNDOABLE: &str = include_str!("../../queries/load_undoable.sql");

const ERRORS: &str = include_str!("../../queries/load_errors.sql");

/// Reports that are being processed, which take precedence over what the tables say.
#[derive(Default)]
pub struct Reports {
    /// Ids of the reported rows.
    pub tasks: Vec<i64>,
    /// Outcomes of reported items.
    pub items: BTreeMap<(TaskKey, u32), ReportedItem>,
}

/// An item that is being reported and whose row does not reflect this yet.
pub struct ReportedItem {
    /// Its final status.
    pub end: TaskEnd,
    /// Its result.
    pub result: Option<Jsonb>,
    /// Its error.
    pub error: Option<Jsonb>,
    /// When it ran, and how many times.
    pub times: Times,
}

impl Run {
    /// Applies events using the facts loaded so far, and again with more facts if some were missing: everything that
    /// the branches have published, which is needed when a join fires; the results of all items, which are needed when
    /// the last of them ends; or all facts that exist.
    pub fn conduct(
        &self,
        client: &SpiClient,
        now: &TimestampWithTimeZone,
        mut facts: Facts,
        reports: &Reports,
        mut events: impl FnMut(&mut Conductor),
    ) -> Result<(Execution, Changes), Error> {
        if self.undoes_next() {
            facts.undoable = Some(self.undoable(client)?);
        }
        if self.before.state.base.is_none() {
            facts.changes = Arc::new(KnownChanges::all());
        }
        let mut conductor = Conductor::new(&self.graph, &facts, self.before.clone());
        events(&mut conductor);
        if let Some(done) = conductor.done() {
            return Ok(done);
        }
        if facts.undoable.is_none() || facts.variables.is_none() || self.before.state.base.is_some() {
            if facts.undoable.is_none() {
                facts.undoable = Some(self.undoable(client)?);
            }
            facts.variables = Some(facts.variables.unwrap_or_else(|| as_data(self.variables)));
            facts.changes = Arc::new(branch_changes::load_all(client, self)?);
            let mut conductor = Conductor::new(&self.graph, &facts, self.before.clone());
            events(&mut conductor);
            if let Some(done) = conductor.done() {
                return Ok(done);
            }
        }
        if !self.before.state.items.is_empty() {
            facts.items = self.open_items(client, reports)?;
            let mut conductor = Conductor::new(&self.graph, &facts, self.before.clone());
            events(&mut conductor);
            if let Some(done) = conductor.done() {
                return Ok(done);
            }
        }
        let all = self.all_facts(client, now, reports)?;
        let mut conductor = Conductor::new(&self.graph, &all, self.before.clone());
        events(&mut conductor);
        conductor.done().ok_or_else(|| {
            Error::refused(
                Code::UNUSABLE,
                format!("data that workflow execution {} requires is missing", self.id),
                "This is a bug: please report it, with the definition of the workflow.",
            )
        })
    }

    /// Whether the next event may have to continue undoing, or there is nothing to undo.
    fn undoes_next(&self) -> bool {
        let state = &self.before.state;
        state.undos == 0
            || state
                .undo
                .as_ref()
                .is_some_and(|undo| matches!(undo.phase, Phase::Pending | Phase::Running) && undo.waiting.is_empty())
    }

    /// Returns the remaining tasks to undo, up to as many as one step processes.
    fn undoable(&self, client: &SpiClient) -> Result<Vec<Undoable>, Error> {
        let mut all = Vec::new();
        let state = &self.before.state;
        if state.undos == 0 {
            return Ok(all);
        }
        let below = state.undo.as_ref().filter(|undo| undo.phase == Phase::Running).map(|undo| undo.below as i32);
        let arguments = [DatumWithOid::from(self.id), below.unwrap_or(i32::MAX).into(), (AT_ONCE as i64).into()];
        let mut rows = statements::run(client, UNDOABLE, &arguments)?;
        while rows.next().is_some() {
            let undone = rows.get::<String>(2)?.and_then(|name| self.graph.find(&name));
            let undo = undone.and_then(|node| self.graph.node(node).undo.as_ref());
            let (Some(undo), Some(call)) = (undo, rows.get::<Jsonb>(5)?) else { continue };
            let unrendered = match rows.label(7) {
                None => None,
                Some(_) => {
                    let end = row_end(&rows, None, (7, 9), false)?;
                    let outcome = TaskOutcome::of_rows(None, &[end], None);
                    Some(Box::new(Unrendered { input: as_data(rows.get::<Jsonb>(8)?), outcome }))
                }
            };
            all.push(Undoable {
                row: rows.get::<i64>(1)?.unwrap_or_default(),
                action: rows.get::<String>(6)?,
                node: undo.node,
                number: rows.get::<i32>(3)?.unwrap_or_default() as u32,
                context: rows.get::<Vec<i32>>(4)?.unwrap_or_default().into_iter().map(|id| id as u32).collect(),
                call: call.data(),
                unrendered,
            });
        }
        Ok(all)
    }

    fn all_facts(&self, client: &SpiClient, now: &TimestampWithTimeZone, reports: &Reports) -> Result<Facts, Error> {
        let needs = Needs {
            parameters: true,
            variables: true,
            publishes: true,
            result: true,
            input: true,
            item: true,
            system: true,
            tasks: BTreeSet::new(),
            all_tasks: true,
        };
        let mut facts = load_facts(client, now, &[(self, needs)], &reports.tasks)?.pop().unwrap_or_default();
        facts.undoable = Some(self.undoable(client)?);
        facts.changes = Arc::new(branch_changes::load_all(client, self)?);
        let rows = statements::run(client, ITEMS, &[DatumWithOid::from(self.id)])?;
        facts.items = self.items(rows, reports)?;
        Ok(facts)
    }

    /// Returns the items of tasks that have not ended, including those being reported.
    fn open_items(&self, client: &SpiClient, reports: &Reports) -> Result<BTreeMap<TaskKey, Vec<RowEnd>>, Error> {
        let keys = || self.before.state.items.iter().map(|progress| progress.key);
        let names: Vec<String> = keys().map(|key| self.graph.node(key.node).name.clone()).collect();
        let routes: Vec<i32> = keys().map(|key| key.route as i32).collect();
        let visits: Vec<i32> = keys().map(|key| key.visit as i32).collect();
        let arguments = [DatumWithOid::from(self.id), names.into(), routes.into(), visits.into()];
        self.items(statements::run(client, OPEN_ITEMS, &arguments)?, reports)
    }

    fn items(&self, mut rows: Rows, reports: &Reports) -> Result<BTreeMap<TaskKey, Vec<RowEnd>>, Error> {
        let mut lists: BTreeMap<TaskKey, Vec<RowEnd>> = BTreeMap::new();
        while rows.next().is_some() {
            let Some(node) = rows.get::<String>(1)?.and_then(|name| self.graph.find(&name)) else { continue };
            let route = rows.get::<i32>(2)?.unwrap_or_default() as u32;
            let visit = rows.get::<i32>(3)?.unwrap_or_default() as u32;
            let key = TaskKey { node, route, visit };
            let index = rows.get::<i32>(4)?.unwrap_or_default() as u32;
            let end = match reports.items.get(&(key, index)) {
                Some(item) => RowEnd {
                    index: Some(index),
                    end: Some(item.end),
                    result: as_data(item.result),
                    error: as_data(item.error),
                    times: item.times,
                },
                None => row_end(&rows, Some(index), (5, 6), false)?,
            };
            lists.entry(key).or_default().push(end);
        }
        Ok(lists)
    }
}

/// Reads how a row ended. `status` is the column of its status; `result` is the first of the remaining columns, which
/// are consecutive.
fn row_end(rows: &Rows, index: Option<u32>, (status, result): (usize, usize), skipped: bool) -> Result<RowEnd, Error> {
    let end = if skipped { Some(TaskEnd::Skipped) } else { rows.label(status).and_then(|name| TaskEnd::parse(&name)) };
    let time = |ordinal| Ok::<_, Error>(rows.get::<TimestampWithTimeZone>(ordinal)?.map(clock::moment));
    // If the row has not ended, these values may come from an earlier attempt.
    Ok(RowEnd {
        index,
        end,
        result: as_data(rows.get::<Jsonb>(result)?),
        error: as_data(rows.get::<Jsonb>(result + 1)?),
        times: Times {
            started: time(result + 2)?,
            completed: time(result + 3)?,
            attempts: rows.get::<i32>(result + 4)?.unwrap_or_default() as u32,
        },
    })
}

/// Loads the facts that a batch needs. The number of statements does not depend on the batch's size. Tasks in
/// `reported` are treated as not having ended.
pub fn load_facts(
    client: &SpiClient,
    now: &TimestampWithTimeZone,
    wanted: &[(&Run, Needs)],
    reported: &[i64],
) -> Result<Vec<Facts>, Error> {
    let parameters = load_parameters(client, wanted)?;
    let mut tasks = load_tasks(client, wanted, reported)?;
    let mut errors = load_errors(client, wanted)?;
    let time = LazyCell::new(|| iso_time(now));
    let mut all = Vec::with_capacity(wanted.len());
    for (run, needs) in wanted {
        let variables = (needs.variables || needs.publishes).then(|| as_data(run.variables));
        let mut found = tasks.remove(&run.id).unwrap_or_default();
        for name in &needs.tasks {
            found.entry(name.clone()).or_insert((i64::MIN, Data::UNDEFINED));
        }
        all.push(Facts {
            parameters: if needs.parameters { parameters.get(&run.id).cloned() } else { None },
            variables,
            changes: Arc::default(),
            tasks: Arc::new(found),
            all_tasks: needs.all_tasks,
            items: BTreeMap::new(),
            undoable: None,
            now: clock::moment(*now),
            system: needs.system.then(|| system(run, &time, errors.remove(&run.id))),
        });
    }
    Ok(all)
}

/// Returns a time as expressions see it.
pub fn iso_time(time: &TimestampWithTimeZone) -> Data {
    Data::from(time.to_iso_string())
}

/// Builds the value of `system.…` at a time, including the errors so far. The conductor adds the verdict.
pub fn system(run: &Run, now: &Data, errors: Option<Data>) -> Data {
    Data::from_pairs([
        ("workflow_ref", Data::from(run.graph.reference.as_str())),
        ("execution", Data::from(run.id)),
        ("now", now.clone()),
        ("scheduled_for", Data::from(())),
        ("verdict", Data::from(())),
        ("errors", errors.unwrap_or_else(|| Data::from(Vec::<Data>::new()))),
    ])
}

/// Loads errors for executions that are closing; no others can have any.
fn load_errors(client: &SpiClient, wanted: &[(&Run, Needs)]) -> Result<BTreeMap<i64, Data>, Error> {
    let is_closing = |run: &Run| run.before.status != Status::Running || run.before.state.verdict.is_some();
    let closing = wanted.iter().filter(|(run, needs)| needs.system && is_closing(run));
    let ids: Vec<i64> = closing.map(|(run, _)| run.id).collect();
    let mut found = BTreeMap::new();
    if !ids.is_empty() {
        let mut rows = statements::run(client, ERRORS, &[DatumWithOid::from(ids)])?;
        while rows.next().is_some() {
            found.insert(rows.get::<i64>(1)?.unwrap_or_default(), as_data(rows.get::<Jsonb>(2)?));
        }
    }
    Ok(found)
}

fn load_parameters(client: &SpiClient, wanted: &[(&Run, Needs)]) -> Result<BTreeMap<i64, Data>, Error> {
    let ids: Vec<i64> = wanted.iter().filter(|(_, needs)| needs.parameters).map(|(run, _)| run.id).collect();
    let mut found = BTreeMap::new();
    if !ids.is_empty() {
        let mut rows = statements::run(client, PARAMETERS, &[DatumWithOid::from(ids)])?;
        while rows.next().is_some() {
            let value = as_data(rows.get::<Jsonb>(2)?);
            found.insert(rows.get::<i64>(1)?.unwrap_or_default(), value);
        }
    }
    Ok(found)
}

fn load_tasks(
    client: &SpiClient,
    wanted: &[(&Run, Needs)],
    reported: &[i64],
) -> Result<BTreeMap<i64, BTreeMap<String, (i64, Data)>>, Error> {
    let asked: Vec<_> = wanted.iter().filter(|(_, needs)| needs.any_task()).collect();
    let mut found: BTreeMap<i64, BTreeMap<String, (i64, Data)>> = BTreeMap::new();
    if asked.is_empty() {
        return Ok(found);
    }
    let runs: BTreeMap<i64, &Run> = asked.iter().map(|(run, _)| (run.id, *run)).collect();
    let ids: Vec<i64> = runs.keys().copied().collect();
    let everything = asked.iter().any(|(_, needs)| needs.all_tasks);
    let names: BTreeSet<&String> = asked.iter().flat_map(|(_, needs)| &needs.tasks).collect();
    let names: Option<Vec<String>> = (!everything).then(|| names.into_iter().cloned().collect());
    let mut rows = statements::run(client, TASKS, &[ids.into(), names.into(), reported.to_vec().into()])?;
    let mut ended: BTreeMap<(i64, String, i64), Vec<RowEnd>> = BTreeMap::new();
    while rows.next().is_some() {
        let id = rows.get::<i64>(1)?.unwrap_or_default();
        let name = rows.get::<String>(2)?.unwrap_or_default();
        let index = rows.get::<i32>(3)?.map(|index| index as u32);
        let skipped = rows.get::<bool>(5)?.unwrap_or_default();
        let order = rows.get::<i64>(11)?.unwrap_or_default();
        ended.entry((id, name, order)).or_default().push(row_end(&rows, index, (4, 6), skipped)?);
    }
    for ((id, name, order), rows) in ended {
        let Some(run) = runs.get(&id) else { continue };
        let items = run.graph.find(&name).and_then(|node| run.graph.node(node).items.as_ref());
        let view = TaskOutcome::of_rows(items, &rows, run.before.state.canceling_since).value(&Missing::default());
        found.entry(id).or_default().insert(name, (order, view));
    }
    Ok(found)
}
