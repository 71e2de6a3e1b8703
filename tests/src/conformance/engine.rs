//! The operations of an engine that conformance cases need.

use super::RerunTask;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A task that can be claimed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadyTask {
    /// Its name.
    pub task: String,
    /// The route that led to it.
    pub route: u32,
    /// Seconds until it can be claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<i64>,
    /// Requests to workers: one, or one per item.
    pub actions: Vec<ReadyAction>,
}

/// A request to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadyAction {
    /// The action's ref.
    pub action: Option<String>,
    /// Its input.
    pub input: Value,
    /// Index of the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_index: Option<u32>,
}

/// A player of one case. An error says what was refused.
pub trait Engine {
    /// Defines and starts a workflow.
    fn start(&mut self, definition: &Value, parameters: &Value) -> Result<(), String>;
    /// Returns the tasks that can be claimed, by task, route and item.
    fn ready(&mut self) -> Result<Vec<ReadyTask>, String>;
    /// Claims a task; claiming it again changes nothing.
    fn claim(&mut self, task: &str, route: u32, index: Option<u32>) -> Result<(), String>;
    /// Reports a task. Returns the status of the task as a whole.
    fn complete(
        &mut self,
        task: &str,
        route: u32,
        index: Option<u32>,
        status: &str,
        result: Option<&Value>,
    ) -> Result<String, String>;
    /// Stops new claims.
    fn pause(&mut self) -> Result<(), String>;
    /// Allows claims again.
    fn resume(&mut self) -> Result<(), String>;
    /// Lets nothing new start.
    fn cancel(&mut self) -> Result<(), String>;
    /// Reruns tasks, or all that failed if none are named.
    fn rerun(&mut self, tasks: &[RerunTask]) -> Result<(), String>;
    /// Returns the workflow's output, or null.
    fn output(&mut self) -> Result<Value, String>;
    /// Returns the workflow's status, and whether it is paused.
    fn status(&mut self) -> Result<(String, bool), String>;
    /// Returns why the workflow failed.
    fn error(&mut self) -> Option<String>;
    /// Returns broken invariants.
    fn check(&mut self) -> Vec<String>;
}

/// Groups claimable rows, which are in order, by task and route.
pub fn together(rows: impl IntoIterator<Item = (String, u32, Option<i64>, ReadyAction)>) -> Vec<ReadyTask> {
    let mut tasks: Vec<ReadyTask> = Vec::new();
    for (task, route, delay, action) in rows {
        match tasks.last_mut() {
            Some(last) if last.task == task && last.route == route && action.task_index.is_some() => {
                last.actions.push(action);
            }
            _ => tasks.push(ReadyTask { task, route, delay, actions: vec![action] }),
        }
    }
    tasks
}
