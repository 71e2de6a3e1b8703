//! A random workflow: nested forks, joins, cycles, items, retries, delays, timeouts, signals, decisions, a `finally`
//! task.

use super::Chance;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Returns the source of a workflow. It can be compiled, although validation may still find something in it.
pub fn workflow(chance: &mut Chance) -> Value {
    let count = 2 + chance.below(7);
    let cyclic = chance.one_in(3);
    let mut tasks: Vec<Value> = (0..count).map(|number| task(chance, number, count, cyclic)).collect();
    join(chance, &mut tasks);
    let mut source = json!({
        "ref": "sim.flow", "label": "Simulated", "version": "1", "max_visits": 4,
        "vars": [{"n": 0}, {"own": null}, {"last": null}],
        "output_map": [{"n": "{{ vars.n }}"}, {"own": "{{ vars.own }}"}, {"last": "{{ vars.last }}"}],
    });
    if chance.one_in(3) {
        tasks.extend(finally(chance));
        source["finally"] = json!("last");
    }
    if chance.one_in(4) {
        source["undo_order"] = json!("parallel");
    }
    if chance.one_in(6) {
        source["undo_on"] = json!(chance.pick(&[["failed"].as_slice(), &["cancelled", "timeout"], &[]]));
    }
    if chance.one_in(6) {
        source["timeout"] = json!(20 + chance.below(40));
    }
    source["tasks"] = json!(tasks);
    source
}

fn task(chance: &mut Chance, number: usize, count: usize, cyclic: bool) -> Value {
    let mut task = json!({"name": format!("t{number}")});
    let works = number == 0 || !chance.one_in(6);
    let waits = number > 0 && chance.one_in(6);
    if chance.one_in(8) {
        task["when"] = json!("{{ vars.n is odd }}");
    }
    if chance.one_in(8) {
        task["delay"] = json!(5);
    }
    if waits {
        let mut wait = json!({"signal": chance.pick(&["go", "go {{ vars.n }}"])});
        if chance.one_in(3) {
            wait["timeout"] = json!(6);
        }
        task["wait_for"] = wait;
        work(chance, &mut task);
    } else if works {
        task["action"] = json!("sim.work");
        task["input"] = json!({"n": "{{ vars.n }}", "own": "{{ vars.own }}"});
        if chance.one_in(4) {
            let two = json!({"name": "two", "key": "{{ vars.n % 2 }}"});
            task["limit"] = chance.pick(&[json!(["one"]), json!([two]), json!([two, "one"])]).clone();
        }
        work(chance, &mut task);
    }
    match chance.below(4) {
        0 => sugar(chance, &mut task, number, count, cyclic),
        _ => {
            let next: Vec<Value> = (0..chance.below(4)).map(|_| transition(chance, number, count, cyclic)).collect();
            task["next"] = json!(next);
        }
    }
    task
}

/// Returns the last task, and sometimes one that follows it.
fn finally(chance: &mut Chance) -> Vec<Value> {
    // After some failures its input cannot be rendered.
    let input = if chance.one_in(6) { "{{ task.t1.result }}" } else { "{{ vars.n }}" };
    let mut last = json!({"name": "last", "action": "sim.work", "input": {"n": input}});
    work(chance, &mut last);
    if chance.one_in(2) {
        return vec![last];
    }
    let mut after = json!({"name": "after_last", "action": "sim.work"});
    work(chance, &mut after);
    last["next"] = json!([{"when": chance.pick(&["{{ succeeded() }}", "{{ failed() }}"]), "do": ["after_last"]}]);
    vec![last, after]
}

/// Adds fields that only a task that works or waits can have.
fn work(chance: &mut Chance, task: &mut Value) {
    if chance.one_in(5) {
        task["timeout"] = json!(7);
    }
    if chance.one_in(5) {
        let mut retry = json!({"count": 1 + chance.below(2)});
        if chance.one_in(2) {
            retry["delay"] = json!(3);
            retry["backoff"] = json!(chance.pick(&["constant", "linear", "exponential"]));
        }
        if chance.one_in(4) {
            retry["max_elapsed"] = json!(10);
        }
        if chance.one_in(4) {
            retry["when"] = json!("{{ failed() and error() is defined }}");
        }
        if chance.one_in(4) {
            retry["each"] = json!("task");
        }
        task["retry"] = retry;
    }
    if chance.one_in(4) {
        // After some results it cannot be rendered.
        let input = chance.pick(&[
            "{{ result() }}",
            "{{ input }}",
            "{{ vars.n }}",
            "{{ 1 / (2 - result() | default(1, true)) }}",
        ]);
        let mut undo = json!({"action": "sim.undo", "input": {"n": input}});
        if chance.one_in(3) {
            undo["retry"] = json!({"count": 2, "delay": chance.below(3)});
        }
        if chance.one_in(4) {
            undo["when_unknown"] = json!("skip");
        }
        task["undo"] = undo;
    }
    if chance.one_in(6) {
        let mut repeat = json!({"until": "{{ result() != 1 }}", "max": 1 + chance.below(3)});
        if chance.one_in(2) {
            repeat["delay"] = json!(2);
        }
        if chance.one_in(4) {
            repeat["timeout"] = json!(9);
        }
        task["repeat"] = repeat;
    }
    if chance.one_in(4) {
        let mut items = json!({"items": (0..chance.below(6)).collect::<Vec<_>>()});
        if chance.one_in(2) {
            items["concurrency"] = json!(1 + chance.below(3));
        }
        if chance.one_in(4) {
            items["batch_size"] = json!(2);
        }
        if chance.one_in(2) {
            items["on_item_failure"] = json!("continue");
        }
        match chance.below(6) {
            0 | 1 => items["max_failures"] = json!(1),
            2 => {
                items["min_successes"] = json!(chance.pick(&["1%", "50%", "100%"]));
                items["rest"] = json!(chance.pick(&["allow_finish", "cancel_running"]));
                items["on_item_failure"] = json!("continue");
            }
            _ => {}
        }
        task["with_items"] = items;
        task["input"]["item"] = json!("{{ item }}");
        if task["wait_for"].is_object() && chance.one_in(2) {
            task["wait_for"]["signal"] = json!("go {{ index }}");
        }
    }
}

fn transition(chance: &mut Chance, number: usize, count: usize, cyclic: bool) -> Value {
    let conditions = [
        "{{ succeeded() }}",
        "{{ failed() }}",
        "{{ timed_out() }}",
        "{{ completed() }}",
        "{{ vars.n is even }}",
        "{{ result() != 1 }}",
        "{{ task.t0 is defined and task.t0.status == 'completed' }}",
    ];
    let mut targets: Vec<String> = Vec::new();
    for _ in 0..chance.below(4) {
        targets.extend(target(chance, number, count, cyclic).filter(|target| !targets.contains(target)));
    }
    if chance.one_in(12) {
        targets.push(chance.pick(&["fail", "noop", "continue"]).to_string());
    }
    let mut transition = json!({});
    if chance.below(5) > 0 {
        transition["when"] = json!(chance.pick(&conditions));
    }
    let seen = ["status", "error", "errors", "counts", "ended_by"];
    match chance.below(5) {
        0 => transition["publish"] = json!([{"n": "{{ vars.n + 1 }}"}]),
        1 => {
            let looked = format!("{{{{ task.t{}.{} | default(none) }}}}", chance.below(number + 1), chance.pick(&seen));
            transition["publish"] = json!([{"last": looked}]);
        }
        2 => transition["publish"] = json!([{"n": "{{ vars.n + 1 }}"}, {"last": "{{ result() }}"}]),
        _ => {}
    }
    if !targets.is_empty() {
        transition["do"] = json!(targets);
    }
    transition
}

/// Adds sugar for transitions.
fn sugar(chance: &mut Chance, task: &mut Value, number: usize, count: usize, cyclic: bool) {
    if chance.one_in(2) {
        task["publish"] = json!([{"own": number}, {"last": "{{ result() }}"}]);
    }
    let [first, second] = [(); 2].map(|()| target(chance, number, count, cyclic));
    let (Some(first), Some(second)) = (first, second) else { return };
    match chance.below(4) {
        0 => task["on_complete"] = json!(first),
        1 => (task["on_success"], task["on_failure"]) = (json!(first), json!(second)),
        2 => (task["on_success"], task["on_timeout"]) = (json!(first), json!(second)),
        _ => {
            let when = chance.pick(&["{{ vars.n is odd }}", "{{ failed() }}", "{{ result() == 1 }}"]);
            task["decision"] = json!([{"when": when, "next": first}, {"default": true, "next": second}]);
        }
    }
}

/// Draws a task further on or, if there are cycles, any but the first.
fn target(chance: &mut Chance, number: usize, count: usize, cyclic: bool) -> Option<String> {
    let first = if cyclic && chance.one_in(3) { 1 } else { number + 1 };
    (first < count).then(|| format!("t{}", first + chance.below(count - first)))
}

/// Turns some of the tasks with several inbound tasks into joins.
fn join(chance: &mut Chance, tasks: &mut [Value]) {
    let mut inbound: BTreeMap<String, usize> = BTreeMap::new();
    for task in tasks.iter() {
        let text = task.to_string();
        let leads_to = |name: &str| text.contains(&format!("\"{name}\"")) && task["name"] != name;
        for name in tasks.iter().filter_map(|task| task["name"].as_str()).filter(|name| leads_to(name)) {
            *inbound.entry(name.to_owned()).or_default() += 1;
        }
    }
    for (name, ways) in inbound {
        let task = tasks.iter_mut().find(|task| task["name"] == name.as_str() && ways > 1);
        if let Some(task) = task.filter(|_| chance.one_in(2)) {
            let count = if chance.one_in(2) { json!("all") } else { json!(1 + chance.below(ways)) };
            let cancels = chance.one_in(3);
            task["join"] = if cancels { json!({"count": count, "rest": "cancel"}) } else { count };
        }
    }
}
