//! Recorded executions of scientific workflows in WfFormat (JSON, as WfCommons publishes them).

use crate::shape::Load;
use crate::{Error, Result};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

/// Reads all instances in a folder, in the order of their names.
pub fn read_all(folder: &Path) -> Result<Vec<Load>> {
    let io = |source| pg_workflow_bench::Error::Io { what: folder.display().to_string(), source };
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).map_err(io)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "json"));
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let document: Value = serde_json::from_str(&std::fs::read_to_string(path).map_err(io)?)?;
        instance(name, &document).ok_or_else(|| Error::Instance(path.display().to_string()))
    };
    paths.iter().map(read).collect()
}

/// Returns one instance, or `None` if it is not in WfFormat or has a cycle.
fn instance(name: String, document: &Value) -> Option<Load> {
    let workflow = document.get("workflow")?;
    // Since version 1.5, specification and measurements are separate.
    let tasks = workflow.pointer("/specification/tasks").or_else(|| workflow.get("tasks"))?.as_array()?;
    let key = |task: &Value| task.get("id").or_else(|| task.get("name"))?.as_str().map(str::to_owned);
    let seconds = |task: &Value| task.get("runtimeInSeconds").or_else(|| task.get("runtime"))?.as_f64();
    let measured = workflow.pointer("/execution/tasks").and_then(Value::as_array).into_iter().flatten();
    let runtimes: BTreeMap<String, f64> =
        measured.chain(tasks).filter_map(|task| Some((key(task)?, seconds(task)?))).collect();
    let keys: Vec<String> = tasks.iter().map(key).collect::<Option<_>>()?;
    let places: BTreeMap<&str, usize> = keys.iter().enumerate().map(|(place, key)| (key.as_str(), place)).collect();
    let mut before: Vec<Vec<usize>> = Vec::new();
    for task in tasks {
        let parents = task.get("parents").and_then(Value::as_array).into_iter().flatten();
        let mut parents: Vec<usize> = parents
            .map(|parent| parent.as_str().and_then(|parent| places.get(parent).copied()))
            .collect::<Option<_>>()?;
        parents.sort_unstable();
        parents.dedup();
        before.push(parents);
    }
    // Tasks are numbered in an order in which they can run.
    let mut after = vec![Vec::new(); before.len()];
    before.iter().enumerate().for_each(|(task, parents)| parents.iter().for_each(|parent| after[*parent].push(task)));
    let mut waits: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut open: VecDeque<usize> = (0..before.len()).filter(|task| waits[*task] == 0).collect();
    let (mut numbers, mut load) = (BTreeMap::new(), Load { name, graph: Vec::new(), seconds: Vec::new() });
    while let Some(task) = open.pop_front() {
        numbers.insert(task, load.graph.len());
        load.graph.push(before[task].iter().map(|parent| numbers[parent]).collect());
        load.seconds.push(runtimes.get(&keys[task]).copied().unwrap_or(0.0));
        for next in &after[task] {
            waits[*next] -= 1;
            open.extend((waits[*next] == 0).then_some(*next));
        }
    }
    (load.graph.len() == before.len()).then_some(load)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_forms_are_read_and_tasks_are_numbered_in_an_order_in_which_they_can_run() {
        let old = json!({"workflow": {"tasks": [
            {"name": "last", "parents": ["a", "b"], "runtime": 3.0},
            {"name": "a", "parents": [], "runtime": 1.0},
            {"name": "b", "parents": ["a", "a"], "runtime": 2.0}]}});
        let new = json!({"workflow": {
            "specification": {"tasks": [
                {"id": "last", "name": "x", "parents": ["a", "b"]}, {"id": "a", "name": "x", "parents": []},
                {"id": "b", "name": "x", "parents": ["a"]}]},
            "execution": {"tasks": [
                {"id": "a", "runtimeInSeconds": 1.0}, {"id": "b", "runtimeInSeconds": 2.0}, {"id": "last", "runtimeInSeconds": 3.0}]}}});
        for document in [old, new] {
            let load = instance("it".to_owned(), &document).unwrap();
            assert_eq!(load.graph, [vec![], vec![0], vec![0, 1]]);
            assert_eq!(load.seconds, [1.0, 2.0, 3.0]);
        }
        let cycle = json!({"workflow": {"tasks": [{"name": "a", "parents": ["b"]}, {"name": "b", "parents": ["a"]}]}});
        assert!(instance("it".to_owned(), &cycle).is_none());
    }
}
