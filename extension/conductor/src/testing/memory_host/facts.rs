//! What the rows of a ledger tell the conductor.

use super::{Ledger, RowStatus, TaskRow};
use crate::engine::facts::Facts;
use crate::engine::items::tolerates;
use crate::engine::state::{TaskEnd, TaskKey};
use crate::expression::Data;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Ledger {
    /// Returns all facts there are.
    pub(super) fn facts(&self) -> Facts {
        let mut runs: BTreeMap<TaskKey, (usize, Vec<&TaskRow>)> = BTreeMap::new();
        for (place, row) in self.rows.iter().enumerate() {
            let run = runs.entry(row.key).or_default();
            run.0 = place;
            run.1.push(row);
        }
        let mut results = BTreeMap::new();
        let mut ended: Vec<(usize, String, Data)> = Vec::new();
        for (key, (place, rows)) in runs {
            let list = rows
                .iter()
                .filter(|row| row.started || row.index.is_none())
                .map(|row| row.result.clone().unwrap_or(Data::from(())));
            let list: Vec<Data> = list.collect();
            let result = match rows[0].index {
                None => list.first().cloned().unwrap_or(Data::from(())),
                Some(_) => Data::from(list),
            };
            if rows[0].index.is_some() {
                results.insert(key, result.clone());
            }
            if let Some(status) = self.whole_end(key, &rows) {
                let error = rows.iter().find_map(|row| row.error.clone()).unwrap_or(Data::from(()));
                let view = [("status", Data::from(status)), ("result", result), ("error", error)];
                ended.push((place, self.name(key.node).to_owned(), Data::from_pairs(view)));
            }
        }
        // The newest run of each name.
        ended.sort_by_key(|(place, ..)| *place);
        Facts {
            parameters: Some(self.parameters.clone()),
            variables: Some(self.variables.clone()),
            tasks: Arc::new(ended.into_iter().map(|(_, name, view)| (name, view)).collect()),
            all_tasks: true,
            results,
            system: Some(Data::from_pairs([("workflow_ref", self.graph.reference.as_str())])),
        }
    }

    /// Returns how a task ended, all its items taken together; none: it has not ended.
    fn whole_end(&self, key: TaskKey, rows: &[&TaskRow]) -> Option<&'static str> {
        let end = |row: &&TaskRow| match row.status {
            RowStatus::Ended(end) => Some(end),
            _ => None,
        };
        let ends = rows.iter().map(end).collect::<Option<Vec<TaskEnd>>>()?;
        let worst = [TaskEnd::Skipped, TaskEnd::Cancelled, TaskEnd::Failed, TaskEnd::Timeout, TaskEnd::Abandoned];
        let worst = worst.into_iter().find(|end| ends.contains(end)).unwrap_or(TaskEnd::Completed);
        let failed = ends.iter().filter(|end| end.is_failure()).count() as u32;
        let tolerates = |items| tolerates(items, ends.len() as u32, failed);
        let tolerated = rows[0].index.is_some() && self.graph.node(key.node).items.as_ref().is_some_and(tolerates);
        Some(if worst.is_failure() && tolerated { TaskEnd::Completed.name() } else { worst.name() })
    }
}
