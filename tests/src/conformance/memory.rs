//! The pure conductor, with its rows in memory.

use super::RerunTask;
use super::engine::{Engine, ReadyAction, ReadyTask, together};
use conductor::bounds::Bounds;
use conductor::engine::status::TaskEnd;
use conductor::expression;
use conductor::graph::Graph;
use conductor::language::parse::parse;
use conductor::testing::memory_host::{Ledger, RowStatus};
use serde_json::{Value, json};
use std::sync::Arc;

/// A player of one case.
#[derive(Default)]
pub struct Memory {
    ledger: Option<Ledger>,
}

impl Memory {
    fn ledger(&mut self) -> Result<&mut Ledger, String> {
        self.ledger.as_mut().ok_or_else(|| "not started".to_owned())
    }
}

impl Engine for Memory {
    fn start(&mut self, definition: &Value, parameters: &Value) -> Result<(), String> {
        self.ledger = None;
        let bounds = Bounds::default();
        let parsed = parse(definition.to_string(), &bounds);
        let definition = parsed.valid().ok_or_else(|| format!("{:?}", parsed.findings))?;
        let graph = Graph::compile(definition, bounds).map_err(|error| error.to_string())?;
        let parameters = defaults(definition.parameters.as_ref(), parameters);
        self.ledger = Some(Ledger::start(Arc::new(graph), expression::data(&parameters)));
        Ok(())
    }

    fn ready(&mut self) -> Result<Vec<ReadyTask>, String> {
        let ledger = self.ledger()?;
        let rows = ledger.ready().into_iter().map(|row| {
            let due = row.due.filter(|_| row.status == RowStatus::Delayed);
            let delay = due.map(|due| (due - ledger.now).ceil() as i64);
            let action = ReadyAction { action: row.action.clone(), input: json!(row.input), task_index: row.index };
            (ledger.name(row.key.node).to_owned(), row.key.route, delay, action)
        });
        Ok(together(rows.collect::<Vec<_>>()))
    }

    fn claim(&mut self, task: &str, route: u32, index: Option<u32>) -> Result<(), String> {
        let ledger = self.ledger()?;
        match ledger.find(task, route, index) {
            Some(row) => take(ledger, row),
            // A claim of a task with items as a whole claims its items one by one.
            None if index.is_none() && ledger.find(task, route, Some(0)).is_some() => Ok(()),
            None => Err(format!("there is no task {task} on route {route}")),
        }
    }

    fn complete(
        &mut self,
        task: &str,
        route: u32,
        index: Option<u32>,
        status: &str,
        result: Option<&Value>,
    ) -> Result<String, String> {
        let ledger = self.ledger()?;
        let row = ledger.find(task, route, index).ok_or_else(|| format!("there is no task {task} on route {route}"))?;
        // The recorded suite sometimes reports tasks that it has not claimed.
        take(ledger, row)?;
        let end = TaskEnd::parse(status).ok_or_else(|| format!("unknown status {status}"))?;
        let answer = ledger.report(row, end, result.map(expression::data)).map_err(|refused| refused.0)?;
        let whole = ledger.rows[row].index.map(|_| ledger.task_status(ledger.rows[row].key));
        Ok(whole.unwrap_or(answer).to_owned())
    }

    fn pause(&mut self) -> Result<(), String> {
        self.ledger()?.pause();
        Ok(())
    }

    fn resume(&mut self) -> Result<(), String> {
        self.ledger()?.resume();
        Ok(())
    }

    fn cancel(&mut self) -> Result<(), String> {
        self.ledger()?.cancel();
        Ok(())
    }

    fn rerun(&mut self, tasks: &[RerunTask]) -> Result<(), String> {
        let reset_items = tasks.iter().any(|task| task.reset_items);
        let tasks: Vec<_> = tasks.iter().map(|task| (task.task.clone(), task.route)).collect();
        self.ledger()?.rerun(&tasks, reset_items).map_err(|refused| refused.0)
    }

    fn output(&mut self) -> Result<Value, String> {
        Ok(json!(self.ledger()?.output))
    }

    fn status(&mut self) -> Result<(String, bool), String> {
        let execution = &self.ledger()?.execution;
        Ok((execution.status.name().to_owned(), execution.paused))
    }

    fn error(&mut self) -> Option<String> {
        self.ledger.as_ref()?.error_message().map(str::to_owned)
    }

    fn check(&mut self) -> Vec<String> {
        self.ledger.as_ref().map(Ledger::check).unwrap_or_default()
    }
}

/// Claims a row, after waiting for its delay.
fn take(ledger: &mut Ledger, row: usize) -> Result<(), String> {
    if let (RowStatus::Delayed, Some(due)) = (ledger.rows[row].status, ledger.rows[row].due) {
        ledger.wait(due - ledger.now);
    }
    ledger.claim(row).map_err(|refused| refused.0)
}

/// Returns the given values, with the defaults of a schema's properties filled in.
fn defaults(schema: Option<&Value>, given: &Value) -> Value {
    let properties = schema.and_then(|schema| schema["properties"].as_object());
    let mut parameters: serde_json::Map<String, Value> = properties
        .into_iter()
        .flatten()
        .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())))
        .collect();
    parameters.extend(given.as_object().cloned().unwrap_or_default());
    Value::Object(parameters)
}
