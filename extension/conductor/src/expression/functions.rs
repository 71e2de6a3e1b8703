//! Functions for expressions that MiniJinja itself does not have.
//!
//! Functions about the task that just ended read the name [`OUTCOME`], which users' expressions cannot: private names
//! are rejected.

use crate::interrupt;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, State};

/// The scope's private name for how the task ended.
pub const OUTCOME: &str = "__outcome";
/// Its private field for the exact end: `status` has the same value for several kinds of failure.
pub const END: &str = "__end";
/// The scope's private name for the tasks by name, regardless of what `task` refers to in the user's expression.
pub const TASKS: &str = "task";

/// Names of all functions.
#[cfg(test)]
pub const NAMES: [&str; 10] =
    ["result", "error", "succeeded", "failed", "timed_out", "completed", "cancelled", "skipped", "zip", "task_status"];

/// Registers them with an environment.
pub fn register(environment: &mut Environment<'static>) {
    environment.add_function("result", |state: &State| outcome(state, "result"));
    environment.add_function("error", |state: &State| outcome(state, "error"));
    environment.add_function("succeeded", |state: &State| status_in(state, &["completed"]));
    environment.add_function("failed", |state: &State| status_in(state, &["failed", "timeout", "abandoned"]));
    environment.add_function("timed_out", |state: &State| status_in(state, &["timeout"]));
    environment.add_function("cancelled", |state: &State| status_in(state, &["cancelled"]));
    environment.add_function("skipped", |state: &State| status_in(state, &["skipped"]));
    environment.add_function("completed", |state: &State| outcome(state, "status").map(|_| true));
    environment.add_function("zip", zip);
    environment.add_function("task_status", task_status);
    environment.add_function("debug", debug);
}

fn outcome(state: &State, key: &str) -> Result<Value, Error> {
    match state.lookup(OUTCOME) {
        Some(outcome) if !outcome.is_none() && !outcome.is_undefined() => outcome.get_attr(key),
        _ => Err(Error::new(
            ErrorKind::InvalidOperation,
            "no task has ended here: this function is only available once a task has ended",
        )),
    }
}

fn status_in(state: &State, wanted: &[&str]) -> Result<bool, Error> {
    let end = outcome(state, END)?;
    Ok(end.as_str().is_some_and(|end| wanted.contains(&end)))
}

/// `debug(a, …)`: MiniJinja's function, limited to its arguments. Without arguments, its output would have no limit.
fn debug(state: &State, values: minijinja::value::Rest<Value>) -> Result<String, Error> {
    if values.is_empty() {
        return Err(Error::new(ErrorKind::MissingArgument, "debug() requires at least one argument"));
    }
    Ok(minijinja::functions::debug(state, values))
}

/// `zip(a, b, …)`: the lists zipped, as long as the shortest.
fn zip(lists: minijinja::value::Rest<Value>) -> Result<Value, Error> {
    let lists = lists
        .iter()
        .map(|list| Ok(interrupt::checked(list.try_iter()?).collect::<Vec<_>>()))
        .collect::<Result<Vec<_>, Error>>()?;
    let length = lists.iter().map(Vec::len).min().unwrap_or(0);
    let rows = interrupt::checked(0..length)
        .map(|row| Value::from(lists.iter().map(|list| list[row].clone()).collect::<Vec<_>>()));
    Ok(Value::from(rows.collect::<Vec<_>>()))
}

/// `task_status('name')`: the same as `task.name.status`, or none for a task that has not ended.
fn task_status(state: &State, name: &str) -> Result<Value, Error> {
    let Some(tasks) = state.lookup(TASKS) else { return Ok(Value::from(())) };
    let status = tasks.get_attr(name)?;
    if status.is_undefined() {
        return Ok(Value::from(()));
    }
    status.get_attr("status")
}
