//! Resolving a task manually: someone has done its work, or has decided that it need not be done.

use crate::cache::foreign_parts;
use crate::engine::advance::Advance;
use crate::engine::finish::finish;
use crate::engine::report_rounds::load_undo_inputs;
use crate::engine::rerun;
use crate::engine::run::Reports;
use crate::engine::settle::settle;
use crate::engine::signal::lock;
use crate::engine::task_report::{TaskReport, WorkerReport};
use crate::error::Error;
use crate::limits::admit::pass_up_slots;
use crate::pg::clock;
use crate::pg::jsonb::Jsonb;
use crate::pg::statements;
use crate::store::EndedRow;
use crate::store::reporter::Reporter;
use conductor::code::Code;
use conductor::engine::facts::Facts;
use conductor::engine::outcome::{ItemOutcomes, TaskOutcome, Times};
use conductor::engine::reported::{Advice, Reported};
use conductor::engine::state::TaskKey;
use conductor::engine::status::TaskEnd;
use conductor::expression::Data;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

/// How to resolve a task.
pub struct Resolution<'a> {
    /// Id of the task.
    pub task: i64,
    /// Its final status.
    pub end: TaskEnd,
    /// Its result.
    pub result: Option<Jsonb>,
    /// Its error, if it ends as failed.
    pub error: Option<Jsonb>,
    /// Reason given.
    pub reason: Option<&'a str>,
}

/// A locked task.
struct Row {
    status: String,
    held: bool,
    name: String,
    index: Option<i32>,
    route: u32,
    visit: u32,
    context: Vec<u32>,
    closing: bool,
    has_ended: bool,
    times: Times,
    /// Whether it already has an undo, because nobody knew whether it was done.
    is_numbered: bool,
    /// Whether its execution waits to begin.
    awaits_begin: bool,
}

/// Returns what can be done about a task whose execution has ended.
fn after_end(client: &SpiClient, run: i64, now: TimestampWithTimeZone) -> Result<String, Error> {
    let mut advance = Advance::new(client, now, BTreeMap::new());
    advance.load(vec![run])?;
    let hindrance = advance.runs.get(&run).map(|run| rerun::hindrance(client, run)).transpose()?.flatten();
    Ok(match hindrance {
        Some((_, hint)) => hint.to_owned(),
        None => format!("To continue it, SELECT workflow_rerun({run}), and resolve the task once it is waiting."),
    })
}

impl Resolution<'_> {
    /// Ends a waiting task, or makes an unhandled failed one count as completed; its execution continues.
    pub fn apply(&self, client: &SpiClient, now: TimestampWithTimeZone) -> Result<(), Error> {
        let task = self.task;
        foreign_parts::check_id(task)?;
        let run = statements::run(client, include_str!("../../queries/find_run_of_task.sql"), &[task.into()])?.first();
        let Some(run) = run.get::<i64>(1)? else { return Err(self.missing()) };
        lock(client, now, run, "Use workflow_update_task_execution.")?;
        let row = self.load(client, now)?;
        if row.has_ended {
            if self.end == TaskEnd::Completed && self.count_undo_as_done(client, run, &row, now)? {
                return Ok(());
            }
            return Err(self.refused(&format!("its execution {run} has ended"), &after_end(client, run, now)?));
        }
        let log = |client: &SpiClient| {
            let arguments = [task.into(), self.end.name().into(), self.reason.into(), now.into()];
            statements::run(client, include_str!("../../queries/log_resolve.sql"), &arguments).map(drop)
        };
        match row.status.as_str() {
            "running" => {
                let hint = "Wait until it ends or its lease expires, or cancel the execution that it has called.";
                Err(self.refused("it is running", hint))
            }
            "requested" | "scheduled" if row.held => {
                let hint = "Resolve it once its turn has come.";
                Err(self.refused("it is waiting for its turn", hint))
            }
            // Nothing may follow from it before then.
            "requested" if row.awaits_begin => {
                let why = format!("its execution {run} is waiting to begin");
                Err(self.refused(&why, "Resolve it once the execution has begun, or cancel the execution."))
            }
            "requested" | "scheduled" => {
                log(client)?;
                pass_up_slots(client, vec![task])?;
                self.end(client, now)
            }
            "completed" => Err(self.refused(
                "it has completed",
                "If what follows it has to run again, rerun the execution or start a new one.",
            )),
            _ => {
                let mut advance = Advance::new(client, now, BTreeMap::new());
                advance.load(vec![run])?;
                self.count_as_done(&mut advance, run, &row)?;
                log(client)?;
                settle(&mut advance, None)?;
                Ok(())
            }
        }
    }

    fn refused(&self, why: &str, hint: &str) -> Error {
        Error::refused(Code::WRONG_STATE, format!("task {} cannot be resolved: {why}", self.task), hint)
    }

    fn missing(&self) -> Error {
        let hint = "Pass the id of a row of workflow.workflow_task_execution.";
        Error::refused(Code::NOT_FOUND, format!("there is no task {}", self.task), hint)
    }

    fn load(&self, client: &SpiClient, now: TimestampWithTimeZone) -> Result<Row, Error> {
        let row =
            statements::run(client, include_str!("../../queries/load_resolved.sql"), &[self.task.into()])?.first();
        let number = |column| Ok::<u32, Error>(row.get::<i32>(column)?.unwrap_or_default() as u32);
        let Some(status) = row.get::<String>(1)? else {
            return Err(self.refused("it is being claimed or reported", "Try again in a moment."));
        };
        Ok(Row {
            status: if row.get::<bool>(9)? == Some(true) { "completed".to_owned() } else { status },
            held: row.get::<bool>(2)?.unwrap_or_default(),
            name: row.get::<String>(3)?.unwrap_or_default(),
            index: row.get::<i32>(4)?,
            route: number(5)?,
            visit: number(6)?,
            context: row.get::<Vec<i32>>(7)?.unwrap_or_default().into_iter().map(|id| id as u32).collect(),
            closing: row.get::<bool>(8)?.unwrap_or_default(),
            has_ended: row.get::<bool>(10)?.unwrap_or_default(),
            times: Times {
                started: row.get::<TimestampWithTimeZone>(11)?.map(clock::moment),
                completed: Some(clock::moment(now)),
                attempts: number(12)?,
            },
            is_numbered: row.get::<bool>(13)?.unwrap_or_default(),
            awaits_begin: row.get::<bool>(14)?.unwrap_or_default(),
        })
    }

    /// Makes a failed undo count as done even though its execution has ended. Returns whether the task is such an undo.
    fn count_undo_as_done(
        &self,
        client: &SpiClient,
        run: i64,
        row: &Row,
        now: TimestampWithTimeZone,
    ) -> Result<bool, Error> {
        let mut advance = Advance::new(client, now, BTreeMap::new());
        advance.load(vec![run])?;
        let node = advance.runs.get(&run).and_then(|run| run.graph.find(&row.name));
        let Some(node) = node else { return Ok(false) };
        let key = TaskKey { node, route: row.route, visit: row.visit };
        let is_undo = advance.runs.get(&run).is_some_and(|run| run.graph.node(node).undoes.is_some());
        let found = advance
            .conduct(run, Facts::default(), &Reports::default(), |conductor| is_undo && conductor.resolve_undo(key))?;
        if found != Some(true) {
            return Ok(false);
        }
        let (end, result) = (self.end, self.result);
        advance.batch.end_task(EndedRow {
            id: self.task,
            end,
            result,
            error: None,
            progress: None,
            role: None,
            written: false,
        });
        let arguments = [self.task.into(), end.name().into(), self.reason.into(), now.into()];
        statements::run(client, include_str!("../../queries/log_resolve.sql"), &arguments)?;
        settle(&mut advance, None)?;
        Ok(true)
    }

    /// Ends a waiting task, without retries or repetitions.
    fn end(&self, client: &SpiClient, now: TimestampWithTimeZone) -> Result<(), Error> {
        let outcome = TaskReport::of_worker(WorkerReport {
            task: Some(self.task),
            status: Some(self.end.name().to_owned()),
            result: self.result,
            error: self.error,
            may_retry: Some(false),
            ..WorkerReport::default()
        });
        finish(client, vec![outcome], now, Reporter::Operator, None)?;
        Ok(())
    }

    /// Makes a failed task count as done.
    fn count_as_done(&self, advance: &mut Advance, run: i64, row: &Row) -> Result<(), Error> {
        let found = advance.runs.get(&run).and_then(|run| Some((run, run.graph.find(&row.name)?)));
        let Some((known, node)) = found else { return Err(self.missing()) };
        let key = TaskKey { node, route: row.route, visit: row.visit };
        if row.index.is_some() {
            return Err(
                self.refused("it is an item of a task that has failed", "Rerun the execution once it has ended.")
            );
        }
        if !known.before.state.failures.contains(&key) || known.graph.node(node).handles_failures {
            let why = format!("it ended as {}, which the workflow handles", row.status);
            return Err(
                self.refused(&why, "Resolve the task that the workflow is waiting for now, or cancel the execution.")
            );
        }
        if self.end != TaskEnd::Completed {
            return Err(self.refused(&format!("it has already ended as {}", row.status), "Pass the status completed."));
        }
        let data = |value: Option<Jsonb>| value.map_or_else(|| Data::from(()), Jsonb::data);
        let outcome = TaskOutcome {
            end: self.end,
            result: Some(data(self.result)),
            error: Some(Data::from(())),
            times: Some(row.times),
            items: match known.graph.node(node).items {
                None => ItemOutcomes::None,
                Some(_) => ItemOutcomes::NotLoaded,
            },
        };
        let inputs = load_undo_inputs(advance.client, vec![self.task])?;
        let (input, undo) = inputs.get(&self.task).cloned().unzip();
        let reported = Reported {
            key,
            index: None,
            context: &row.context,
            retries: 0,
            max_retries: 0,
            repetitions: 0,
            elapsed: 0.0,
            end: outcome.end,
            result: outcome.result.clone(),
            error: outcome.error.clone(),
            jitter: 0.0,
            advice: Advice::Never,
            closing: row.closing,
            times: row.times,
            input,
            undo,
            undoable: None,
            order: self.task,
        };
        let trouble = advance.conduct(run, Facts::default(), &Reports::default(), |conductor| {
            conductor.resolve(&reported, outcome.clone(), row.is_numbered)
        })?;
        if let Some(cause) = trouble.flatten() {
            let hint = "Pass a result that the workflow can continue with.";
            return Err(self.refused(&cause.message, hint));
        }
        advance.batch.end_task(EndedRow {
            id: self.task,
            end: self.end,
            result: self.result,
            error: None,
            progress: None,
            role: None,
            written: false,
        });
        Ok(())
    }
}
