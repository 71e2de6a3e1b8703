//! What expressions read: the facts of an execution, as far as they were loaded.

use crate::engine::moment::Moment;
use crate::engine::outcome::{ItemOutcomes, ItemSummary, RowEnd, TaskOutcome, Times};
use crate::engine::published::KnownChanges;
use crate::engine::state::{Context, TaskKey};
use crate::graph::NodeId;

use crate::expression::Data;
use crate::expression::functions::{END, OUTCOME};
use crate::language::task_fields::{FIELDS, ITEM_FIELDS};
use minijinja::value::{Enumerator, Object, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tasks by name, each with its place in the order in which tasks were created.
pub type EndedTasks = Arc<BTreeMap<String, (i64, Data)>>;

/// The place of a task that cannot run a second time.
pub(crate) const ONLY: i64 = i64::MAX;

/// What was loaded of an execution before a step. If a step needs something that was not loaded, it records that as
/// missing.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The parameters.
    pub parameters: Option<Data>,
    /// `workflow_execution.variables`.
    pub variables: Option<Data>,
    /// What branches have published on top of the variables.
    pub changes: Arc<KnownChanges>,
    /// Ended tasks by name, the newest of each name, as [`TaskOutcome::value`] gives them; undefined for one that was
    /// looked up and has not ended.
    pub tasks: EndedTasks,
    /// Whether `tasks` holds all ended tasks, so that a name that is not in it has not ended.
    pub all_tasks: bool,
    /// The items of tasks, in order, as they stand after this batch.
    pub items: BTreeMap<TaskKey, Vec<RowEnd>>,
    /// What remains to be undone, last completed first, limited to what one step processes, and what could not be
    /// rendered; `None` if not loaded.
    pub undoable: Option<Vec<Undoable>>,
    /// The time.
    pub now: Moment,
    /// `system.…`, apart from what this step has added to it.
    pub system: Option<Data>,
}

/// A completed task that can be undone.
#[derive(Debug, Clone)]
pub struct Undoable {
    /// Its row.
    pub row: i64,
    /// The action that it has run.
    pub action: Option<String>,
    /// The task that undoes it.
    pub node: NodeId,
    /// Its number in the order of completion.
    pub number: u32,
    /// The context it saw.
    pub context: Context,
    /// What undoes it, as in [`NewUndo`](super::commands::NewUndo).
    pub call: Data,
    /// What rendering the call again reads; `None` if it has been rendered.
    pub unrendered: Option<Box<Unrendered>>,
}

/// A task whose undo could not be rendered.
#[derive(Debug, Clone)]
pub struct Unrendered {
    /// The task's input.
    pub input: Data,
    /// How the task ended.
    pub outcome: TaskOutcome,
}

/// Record of whether a step needed something that had not been loaded.
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

impl TaskOutcome {
    /// Returns it as `task.name` in expressions.
    pub fn value(&self, missing: &Missing) -> Data {
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
    /// The branch's variables; `None` if not loaded.
    pub vars: Option<Data>,
    /// Tasks that have ended since the facts were loaded, by name.
    pub ended: &'a EndedTasks,
    /// The task that ended, by name.
    pub task: Option<(&'a str, &'a TaskOutcome)>,
    /// The item.
    pub item: Option<&'a Item>,
    /// The task's own input.
    pub input: Option<&'a Data>,
    /// `system.…`; `None` if not loaded.
    pub system: Option<Data>,
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
            input: self.input.cloned(),
            system: self.system.clone(),
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
    input: Option<Data>,
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
            "input" => self.input.clone(),
            "item" => self.item.as_ref().map(|item| item.item.clone()),
            "index" => self.item.as_ref().map(|item| Value::from(item.index)),
            "batch" => self.item.as_ref().and_then(|item| item.batch).map(Value::from),
            OUTCOME => self.outcome.clone(),
            _ => None,
        }
    }
}

/// A task that has ended, as expressions see it.
struct Ended {
    outcome: TaskOutcome,
    missing: Missing,
}

impl Ended {
    fn loaded<T>(&self, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.missing.note();
        }
        value
    }

    fn times(&self) -> Option<Times> {
        self.loaded(self.outcome.times)
    }

    fn items(&self) -> Option<&ItemSummary> {
        match &self.outcome.items {
            ItemOutcomes::None => None,
            ItemOutcomes::NotLoaded => self.loaded(None),
            ItemOutcomes::Loaded(items) => Some(items),
        }
    }
}

impl Object for Ended {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let nothing = || Value::from(());
        let time = |time: Option<Moment>| time.map_or_else(nothing, Moment::value);
        match key.as_str()? {
            END => Some(Value::from(self.outcome.end.name())),
            "status" => Some(Value::from(self.outcome.end.summary())),
            "result" => self.loaded(self.outcome.result.clone()).or_else(|| Some(nothing())),
            "error" => self.loaded(self.outcome.error.clone()).or_else(|| Some(nothing())),
            "started_at" => Some(time(self.times().and_then(|times| times.started))),
            "completed_at" => Some(time(self.times().and_then(|times| times.completed))),
            "attempts" => Some(Value::from(self.times().map_or(0, |times| times.attempts))),
            "errors" => self.items().map(|items| Value::from(items.errors.clone())),
            "counts" => self.items().map(|items| items.counts.clone()),
            "ended_by" => self.items().map(|items| items.ended_by.map_or_else(nothing, Value::from)),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let of_items: &[&str] = if matches!(self.outcome.items, ItemOutcomes::None) { &[] } else { &ITEM_FIELDS };
        Enumerator::Values(FIELDS.iter().chain(of_items).map(|name| Value::from(*name)).collect())
    }
}

struct Tasks {
    tasks: EndedTasks,
    all: bool,
    ended: EndedTasks,
    current: Option<(String, Value)>,
    missing: Missing,
}

impl Object for Tasks {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        match &self.current {
            Some((current, outcome)) if current == name => Some(outcome.clone()),
            _ => {
                // The newest run counts, whenever it ended.
                let found = [&self.tasks, &self.ended].into_iter().filter_map(|tasks| tasks.get(name));
                let found = found.max_by_key(|(order, _)| *order).map(|(_, task)| task.clone());
                let is_only = self.ended.get(name).is_some_and(|(order, _)| *order == ONLY);
                if !(is_only || self.all || self.tasks.contains_key(name)) {
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
        let known = self.tasks.iter().filter(|(_, (_, task))| !task.is_undefined()).map(|(name, _)| name.as_str());
        let ended = self.ended.keys().map(String::as_str);
        let names: BTreeSet<&str> =
            known.chain(ended).chain(self.current.iter().map(|(name, _)| name.as_str())).collect();
        Enumerator::Values(names.into_iter().map(Value::from).collect())
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
