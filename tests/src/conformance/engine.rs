//! What a conformance case needs of an engine.

use super::RerunTask;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A task that can be claimed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadyTask {
    /// Its name.
    pub task: String,
    /// The way that led to it.
    pub route: u32,
    /// Seconds until it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<i64>,
    /// What workers are asked to do: one, or one an item.
    pub actions: Vec<ReadyAction>,
}

/// What a worker is asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadyAction {
    /// The action's ref.
    pub action: Option<String>,
    /// Its input.
    pub input: Value,
    /// Which item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_index: Option<u32>,
}

/// Plays one case. Errors say what was refused.
pub trait Engine {
    /// Defines and starts a workflow.
    fn start(&mut self, definition: &Value, parameters: &Value) -> Result<(), String>;
    /// What can be claimed, by task, route and item.
    fn ready(&mut self) -> Result<Vec<ReadyTask>, String>;
    /// Claims a task; again changes nothing.
    fn claim(&mut self, task: &str, route: u32, index: Option<u32>) -> Result<(), String>;
    /// Reports a task; the answer is the task's status as a whole.
    fn complete(
        &mut self,
        task: &str,
        route: u32,
        index: Option<u32>,
        status: &str,
        result: Option<&Value>,
    ) -> Result<String, String>;
    /// No new claims.
    fn pause(&mut self) -> Result<(), String>;
    /// Claims again.
    fn resume(&mut self) -> Result<(), String>;
    /// Nothing new starts.
    fn cancel(&mut self) -> Result<(), String>;
    /// Runs tasks again; none named: all that failed.
    fn rerun(&mut self, tasks: &[RerunTask]) -> Result<(), String>;
    /// The workflow's output, or null.
    fn output(&mut self) -> Result<Value, String>;
    /// The workflow's status, and whether it is paused.
    fn status(&mut self) -> Result<(String, bool), String>;
    /// Why the workflow failed.
    fn error(&mut self) -> Option<String>;
    /// Broken invariants.
    fn check(&mut self) -> Vec<String>;
}

/// Puts rows that can be claimed, in order, together by task and route.
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
