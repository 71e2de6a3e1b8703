//! An execution in the hands of one call: locked, loaded, conducted.

use crate::cache::graphs;
use crate::error::Error;
use crate::pg::jsonb::Jsonb;
use crate::pg::rows::Rows;
use crate::pg::statements;
use conductor::engine::commands::Changes;
use conductor::engine::conductor::Conductor;
use conductor::engine::facts::Facts;
use conductor::engine::items;
use conductor::engine::state::{Execution, State, Status, TaskKey};
use conductor::expression::Data;
use conductor::graph::Graph;
use conductor::graph::read_set::Needs;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone, ToIsoString};
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

const PARAMETERS: &str = include_str!("../../queries/load_parameters.sql");

const TASKS: &str = include_str!("../../queries/load_tasks.sql");

const ITEM_RESULTS: &str = include_str!("../../queries/load_item_results.sql");

const OPEN_ITEM_RESULTS: &str = include_str!("../../queries/load_open_item_results.sql");

/// What is being reported, whatever the tables say of it by now.
#[derive(Default)]
pub struct Reports {
    /// The ids of its rows.
    pub tasks: Vec<i64>,
    /// The results of items.
    pub items: BTreeMap<(TaskKey, u32), Option<Jsonb>>,
}

/// A workflow execution under lock.
pub struct Run {
    /// Its id.
    pub id: i64,
    /// The id of the execution it runs.
    pub execution_id: i64,
    /// The pinned version's graph.
    pub graph: Rc<Graph>,
    /// As it was before this call.
    pub before: Execution,
    /// The variables as stored.
    pub variables: Option<Jsonb>,
    /// Added to each task's own.
    pub priority: i32,
    /// Through how many workflows it is called.
    pub depth: i32,
}

impl Run {
    /// Reads one from a row of: id, execution, version, status, paused, state, variables, priority, depth.
    pub fn read(client: &SpiClient, row: &Rows) -> Result<Option<Run>, Error> {
        let Some(version) = row.get::<i64>(3)? else { return Ok(None) };
        let status = row.label(4).and_then(|name| Status::parse(&name)).unwrap_or(Status::Running);
        let state = match row.get::<Jsonb>(6)? {
            None => State::plain(status),
            Some(state) => read_state(state)?,
        };
        Ok(Some(Run {
            id: row.get::<i64>(1)?.unwrap_or_default(),
            execution_id: row.get::<i64>(2)?.unwrap_or_default(),
            graph: graphs::graph(client, version)?,
            before: Execution { status, paused: row.get::<bool>(5)?.unwrap_or_default(), state },
            variables: row.get::<Jsonb>(7)?,
            priority: row.get::<i32>(8)?.unwrap_or_default(),
            depth: row.get::<i32>(9)?.unwrap_or_default(),
        }))
    }

    /// Lets events happen on loaded facts, and once more on more facts where some were missing: on what items have yielded,
    /// which is wanted when the last of them ends; on all that there is.
    pub fn conduct(
        &self,
        client: &SpiClient,
        now: &TimestampWithTimeZone,
        mut facts: Facts,
        reports: &Reports,
        mut events: impl FnMut(&mut Conductor),
    ) -> Result<(Execution, Changes), Error> {
        let mut conductor = Conductor::new(&self.graph, &facts, self.before.clone());
        events(&mut conductor);
        if let Some(done) = conductor.done() {
            return Ok(done);
        }
        if !self.before.state.items.is_empty() {
            facts.results = self.open_item_results(client, reports)?;
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
                "WF619",
                format!("workflow execution {} is missing required data", self.id),
                "report this bug with its definition",
            )
        })
    }

    fn all_facts(&self, client: &SpiClient, now: &TimestampWithTimeZone, reports: &Reports) -> Result<Facts, Error> {
        let needs = Needs {
            parameters: true,
            variables: true,
            result: true,
            system: true,
            tasks: BTreeSet::new(),
            all_tasks: true,
        };
        let mut facts = load_facts(client, now, &[(self, needs)], &reports.tasks)?.pop().unwrap_or_default();
        let rows = statements::run(client, ITEM_RESULTS, &[DatumWithOid::from(self.id)])?;
        facts.results = self.item_results(rows, reports)?;
        Ok(facts)
    }

    /// Results of the tasks with items that have not ended, what is being reported included.
    fn open_item_results(&self, client: &SpiClient, reports: &Reports) -> Result<BTreeMap<TaskKey, Data>, Error> {
        let keys = || self.before.state.items.iter().map(|progress| progress.key);
        let names: Vec<String> = keys().map(|key| self.graph.node(key.node).name.clone()).collect();
        let routes: Vec<i32> = keys().map(|key| key.route as i32).collect();
        let visits: Vec<i32> = keys().map(|key| key.visit as i32).collect();
        let arguments = [DatumWithOid::from(self.id), names.into(), routes.into(), visits.into()];
        self.item_results(statements::run(client, OPEN_ITEM_RESULTS, &arguments)?, reports)
    }

    fn item_results(&self, mut rows: Rows, reports: &Reports) -> Result<BTreeMap<TaskKey, Data>, Error> {
        let mut lists: BTreeMap<TaskKey, Vec<Data>> = BTreeMap::new();
        while rows.next().is_some() {
            let Some(node) = rows.get::<String>(1)?.and_then(|name| self.graph.find(&name)) else { continue };
            let route = rows.get::<i32>(2)?.unwrap_or_default() as u32;
            let visit = rows.get::<i32>(3)?.unwrap_or_default() as u32;
            let key = TaskKey { node, route, visit };
            let index = rows.get::<i32>(4)?.unwrap_or_default() as u32;
            let result = match reports.items.get(&(key, index)) {
                Some(result) => *result,
                None => rows.get::<Jsonb>(5)?,
            };
            lists.entry(key).or_default().push(as_data(result));
        }
        Ok(lists.into_iter().map(|(key, list)| (key, Data::from(list))).collect())
    }
}

/// What the conductor remembers, as stored.
pub fn read_state(state: Jsonb) -> Result<State, Error> {
    conductor::json::from_text(&state.text()).map_err(|error| {
        Error::refused("WF619", "the stored state cannot be read", "report this bug with workflow_execution.state")
            .with_detail(error.to_string())
    })
}

/// A stored value as data; null for none. One that cannot be read fails those expressions that use it, and so their workflow,
/// not the call: what was stored once must not keep an execution from ending.
pub fn as_data(value: Option<Jsonb>) -> Data {
    value.map_or_else(|| Data::from(()), Jsonb::data)
}

/// Loads what a batch needs, in a number of statements that does not depend on its size. Tasks that are `reported` have not
/// ended.
pub fn load_facts(
    client: &SpiClient,
    now: &TimestampWithTimeZone,
    wanted: &[(&Run, Needs)],
    reported: &[i64],
) -> Result<Vec<Facts>, Error> {
    let parameters = load_parameters(client, wanted)?;
    let mut tasks = load_tasks(client, wanted, reported)?;
    let mut all = Vec::with_capacity(wanted.len());
    for (run, needs) in wanted {
        let variables = if needs.variables { Some(as_data(run.variables)) } else { None };
        let mut found = tasks.remove(&run.id).unwrap_or_default();
        for name in &needs.tasks {
            found.entry(name.clone()).or_insert(Data::UNDEFINED);
        }
        all.push(Facts {
            parameters: if needs.parameters { parameters.get(&run.execution_id).cloned() } else { None },
            variables,
            tasks: Arc::new(found),
            all_tasks: needs.all_tasks,
            results: BTreeMap::new(),
            system: needs.system.then(|| system(run, now)),
        });
    }
    Ok(all)
}

/// `system.…`
pub fn system(run: &Run, now: &TimestampWithTimeZone) -> Data {
    Data::from_pairs([
        ("workflow_ref", Data::from(run.graph.reference.as_str())),
        ("execution_id", Data::from(run.execution_id)),
        ("workflow_execution_id", Data::from(run.id)),
        ("now", Data::from(now.to_iso_string())),
    ])
}

fn load_parameters(client: &SpiClient, wanted: &[(&Run, Needs)]) -> Result<BTreeMap<i64, Data>, Error> {
    let ids: Vec<i64> = wanted.iter().filter(|(_, needs)| needs.parameters).map(|(run, _)| run.execution_id).collect();
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
) -> Result<BTreeMap<i64, BTreeMap<String, Data>>, Error> {
    let asked: Vec<_> = wanted.iter().filter(|(_, needs)| needs.any_task()).collect();
    let mut found: BTreeMap<i64, BTreeMap<String, Data>> = BTreeMap::new();
    if asked.is_empty() {
        return Ok(found);
    }
    let runs: BTreeMap<i64, &Run> = asked.iter().map(|(run, _)| (run.id, *run)).collect();
    let ids: Vec<i64> = runs.keys().copied().collect();
    let everything = asked.iter().any(|(_, needs)| needs.all_tasks);
    let names: BTreeSet<&String> = asked.iter().flat_map(|(_, needs)| &needs.tasks).collect();
    let names: Option<Vec<String>> = (!everything).then(|| names.into_iter().cloned().collect());
    let mut rows = statements::run(client, TASKS, &[ids.into(), names.into(), reported.to_vec().into()])?;
    while rows.next().is_some() {
        let id = rows.get::<i64>(1)?.unwrap_or_default();
        let name = rows.get::<String>(2)?.unwrap_or_default();
        let count = |ordinal| Ok::<u32, Error>(rows.get::<i32>(ordinal)?.unwrap_or_default() as u32);
        let (total, failed) = (count(6)?, count(7)?);
        let status = match rows.get::<String>(3)?.unwrap_or_default() {
            status if failed > 0 && status != "cancelled" && tolerated(&runs, id, &name, total, failed) => {
                "completed".to_owned()
            }
            status => status,
        };
        let view = Data::from_pairs([
            ("status", Data::from(status)),
            ("result", as_data(rows.get::<Jsonb>(4)?)),
            ("error", as_data(rows.get::<Jsonb>(5)?)),
        ]);
        found.entry(id).or_default().insert(name, view);
    }
    Ok(found)
}

/// Did a task end well though some of its items failed?
fn tolerated(runs: &BTreeMap<i64, &Run>, id: i64, name: &str, total: u32, failed: u32) -> bool {
    let items = runs.get(&id).and_then(|run| run.graph.node(run.graph.find(name)?).items.as_ref());
    total > 0 && items.is_some_and(|items| items::tolerates(items, total, failed))
}
