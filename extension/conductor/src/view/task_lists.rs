//! The tasks of an execution by standing: current, completed, failed or skipped.

use std::collections::{HashMap, HashSet};

/// The standing of a task's row. A task with items has the greatest standing of its items: it has not ended until the
/// last item has, and it has failed if one of them has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Its condition was false.
    Skipped,
    /// It ended successfully.
    Completed,
    /// It was cancelled, and is not in any list.
    Cancelled,
    /// It ended with a failure.
    Failed,
    /// It has not ended.
    Current,
}

/// A row of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRow {
    /// Its id; older rows have smaller ones.
    pub id: i64,
    /// The task's name.
    pub name: String,
    /// The route that led there.
    pub route: i32,
    /// Number of times it ran before.
    pub visit: i32,
    /// Its standing.
    pub standing: Standing,
}

/// Names of tasks, in the order in which the tasks first appeared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskLists {
    /// Tasks that have not ended.
    pub current: Vec<String>,
    /// Tasks that ended successfully.
    pub completed: Vec<String>,
    /// Tasks that ended with a failure.
    pub failed: Vec<String>,
    /// Tasks whose condition was false.
    pub skipped: Vec<String>,
}

impl TaskLists {
    /// Builds the lists from all rows of an execution. A task that ran more than once, on several routes or in a cycle,
    /// may be in several lists, but only once in each.
    pub fn new(mut rows: Vec<TaskRow>) -> TaskLists {
        rows.sort_unstable_by_key(|row| row.id);
        let mut places = HashMap::new();
        let mut tasks: Vec<(&str, Standing)> = Vec::new();
        for row in &rows {
            let place = *places.entry((row.name.as_str(), row.route, row.visit)).or_insert(tasks.len());
            match tasks.get_mut(place) {
                Some((_, standing)) => *standing = row.standing.max(*standing),
                None => tasks.push((&row.name, row.standing)),
            }
        }
        let mut lists = TaskLists::default();
        let mut seen = HashSet::new();
        for (name, standing) in tasks {
            let list = match standing {
                Standing::Current => &mut lists.current,
                Standing::Completed => &mut lists.completed,
                Standing::Failed => &mut lists.failed,
                Standing::Skipped => &mut lists.skipped,
                Standing::Cancelled => continue,
            };
            if seen.insert((name, standing)) {
                list.push(name.to_owned());
            }
        }
        lists
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::*;

    fn lists(rows: &[(&str, i32, i32, Standing)]) -> TaskLists {
        let row = |(id, (name, route, visit, standing)): (usize, &(&str, i32, i32, Standing))| TaskRow {
            id: id as i64,
            name: (*name).to_owned(),
            route: *route,
            visit: *visit,
            standing: *standing,
        };
        // The order in which they are read does not matter.
        TaskLists::new(rows.iter().enumerate().map(row).rev().collect())
    }

    #[test]
    fn each_task_stands_in_its_list_in_the_order_in_which_it_appeared() {
        let rows = [("c", 0, 0, Completed), ("a", 0, 0, Completed), ("b", 0, 0, Failed), ("d", 0, 0, Skipped)];
        let found = lists(&[&rows[..], &[("e", 0, 0, Cancelled), ("f", 0, 0, Current)]].concat());
        assert_eq!(found.completed, ["c", "a"]);
        assert_eq!(found.failed, ["b"]);
        assert_eq!(found.skipped, ["d"]);
        assert_eq!(found.current, ["f"]);
    }

    #[test]
    fn items_are_one_task_and_the_worst_counts() {
        let of = |standings: &[Standing]| lists(&standings.iter().map(|one| ("a", 0, 0, *one)).collect::<Vec<_>>());
        assert_eq!(of(&[Completed, Completed]).completed, ["a"]);
        assert_eq!(of(&[Completed, Failed, Cancelled]).failed, ["a"]);
        assert_eq!(of(&[Completed, Current, Failed]).current, ["a"]);
        assert_eq!(of(&[Completed, Cancelled]), TaskLists::default());
    }

    #[test]
    fn a_task_that_ran_more_than_once_stands_once_in_each_list() {
        let rows = [("a", 0, 0, Failed), ("b", 0, 0, Completed), ("a", 0, 1, Completed), ("a", 1, 0, Completed)];
        let found = lists(&rows);
        assert_eq!(found.completed, ["b", "a"]);
        assert_eq!(found.failed, ["a"]);
    }
}
