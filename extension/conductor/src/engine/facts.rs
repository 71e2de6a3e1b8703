//! What expressions read: the facts of an execution, as far as they were loaded.

use crate::engine::state::TaskKey;
use crate::expression::Data;
use crate::expression::functions::OUTCOME;
use minijinja::value::{Enumerator, Object, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What was loaded of an execution before a step. If a step needs something that was not loaded, it reports it as
/// missing.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The parameters.
    pub parameters: Option<Data>,
    /// `workflow_execution.variables`.
    pub variables: Option<Data>,
    /// Ended tasks by name: `{status, result, error}`, the newest of each name; undefined for one that was looked up
    /// and has not ended.
    pub tasks: Arc<BTreeMap<String, Data>>,
    /// Whether `tasks` holds all ended tasks, so that a name that is not in it has not ended.
    pub all_tasks: bool,
    /// Results of tasks with items, in item order, including those of this batch.
    pub results: BTreeMap<TaskKey, Data>,
    /// `system.…`
    pub system: Option<Data>,
}

/// Records whether a step needed something that had not been loaded.
#[derive(Debug, Clone, Default)]
pub struct Missing(Arc<AtomicBool>);

impl Missing {
    /// Notes that something was missing.
    pub fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether anything was missing.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How the task ended whose transitions are being tested.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// `completed`, `failed`, …
    pub status: &'static str,
    /// The reported result; none: not loaded.
    pub result: Option<Data>,
    /// The reported error; none: not loaded.
    pub error: Option<Data>,
}

impl Outcome {
    /// Returns it as `task.name` in expressions.
    pub(crate) fn value(&self, missing: &Missing) -> Data {
        Value::from_object(Ended { outcome: self.clone(), missing: missing.clone() })
    }
}

/// An item of `with_items`.
#[derive(Debug, Clone)]
pub struct Item {
    /// The item, or the batch's items.
    pub item: Data,
    /// Its index, from 0.
    pub index: u32,
    /// The batch's index.
    pub batch: Option<u32>,
}

/// What one expression reads.
pub struct Scope<'a> {
    /// What was loaded.
    pub facts: &'a Facts,
    /// The branch's variables; none: not loaded.
    pub vars: Option<Data>,
    /// Tasks that have ended since the facts were loaded, by name.
    pub ended: &'a Arc<BTreeMap<String, Data>>,
    /// The task that ended, by name.
    pub task: Option<(&'a str, &'a Outcome)>,
    /// The item.
    pub item: Option<&'a Item>,
    /// Set when something was needed that was not loaded.
    pub missing: &'a Missing,
}

impl Scope<'_> {
    /// Returns the scope as a MiniJinja value.
    pub fn value(&self) -> Value {
        let outcome = self.task.map(|(_, outcome)| outcome.value(self.missing));
        Value::from_object(Root {
            parameters: self.facts.parameters.clone(),
            vars: self.vars.clone(),
            tasks: Value::from_object(Tasks {
                tasks: self.facts.tasks.clone(),
                all: self.facts.all_tasks,
                ended: self.ended.clone(),
                current: self.task.map(|(name, _)| name.to_owned()).zip(outcome.clone()),
                missing: self.missing.clone(),
            }),
            outcome,
            item: self.item.cloned(),
            system: self.facts.system.clone(),
            missing: self.missing.clone(),
        })
    }
}

struct Root {
    parameters: Option<Data>,
    vars: Option<Data>,
    tasks: Value,
    outcome: Option<Value>,
    item: Option<Item>,
    system: Option<Data>,
    missing: Missing,
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let loaded = |value: &Option<Data>| {
            if value.is_none() {
                self.missing.note();
            }
            value.clone()
        };
        match key.as_str()? {
            "parameters" => loaded(&self.parameters),
            "vars" => loaded(&self.vars),
            "task" => Some(self.tasks.clone()),
            "system" => loaded(&self.system),
            "item" => self.item.as_ref().map(|item| item.item.clone()),
            "index" => self.item.as_ref().map(|item| Value::from(item.index)),
            "batch" => self.item.as_ref().and_then(|item| item.batch).map(Value::from),
            OUTCOME => self.outcome.clone(),
            _ => None,
        }
    }
}

struct Ended {
    outcome: Outcome,
    missing: Missing,
}

impl Object for Ended {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let loaded = |value: &Option<Data>| {
            if value.is_none() {
                self.missing.note();
            }
            value.clone().or(Some(Value::from(())))
        };
        match key.as_str()? {
            "status" => Some(Value::from(self.outcome.status)),
            "result" => loaded(&self.outcome.result),
            "error" => loaded(&self.outcome.error),
            _ => None,
        }
    }
}

struct Tasks {
    tasks: Arc<BTreeMap<String, Data>>,
    all: bool,
    ended: Arc<BTreeMap<String, Data>>,
    current: Option<(String, Value)>,
    missing: Missing,
}

impl Object for Tasks {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        match &self.current {
            Some((current, outcome)) if current == name => Some(outcome.clone()),
            _ => {
                let found = self.ended.get(name).or_else(|| self.tasks.get(name)).cloned();
                if found.is_none() && !self.all {
                    self.missing.note();
                }
                found
            }
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        if !self.all {
            self.missing.note();
        }
        Enumerator::Values(self.tasks.keys().map(|name| Value::from(name.as_str())).collect())
    }
}

macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}
opaque_debug!(Root, Ended, Tasks);
