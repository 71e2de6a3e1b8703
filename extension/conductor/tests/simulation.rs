//! Random workflows under random schedules: whatever happens in whatever order, the invariants hold and the end comes.
//!
//! `SCHEDULES=1000000 cargo test -p conductor --release --test simulation` plays more of them; `SEED=…` plays one again.

use conductor::definition::{Definition, Join, MaxFailures, OnItemFailure, Retry, Task, Transition, WithItems};
use conductor::expression::Data;
use conductor::graph::Graph;
use conductor::ledger::{Ledger, RowStatus};
use conductor::limits::Limits;
use conductor::state::{Status, TaskEnd};
use serde_json::json;
use std::sync::Arc;

/// A small generator: the same seed gives the same run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

fn workflow(chance: &mut Chance) -> Definition {
    let count = 2 + chance.below(7);
    let cyclic = chance.one_in(3);
    let tasks: Vec<Task> = (0..count).map(|number| task(chance, number, count, cyclic)).collect();
    Definition {
        reference: "sim.flow".into(),
        label: "simulated".into(),
        version: "1".into(),
        description: None,
        tags: vec![],
        enabled: true,
        parameters: None,
        output: None,
        vars: vec![assignment("n", json!(0))],
        tasks,
        output_map: vec![assignment("n", json!("{{ vars.n }}"))],
        timeout: None,
        cancellation_policy: Default::default(),
        max_visits: 4,
        finally: None,
    }
}

fn assignment(name: &str, value: serde_json::Value) -> conductor::definition::Assignment {
    conductor::definition::Assignment { name: name.into(), value }
}

fn task(chance: &mut Chance, number: usize, count: usize, cyclic: bool) -> Task {
    let next = (0..chance.below(4)).map(|_| transition(chance, number, count, cyclic)).collect();
    let joins = number > 1 && chance.one_in(3);
    Task {
        name: format!("t{number}"),
        action: (number == 0 || !chance.one_in(6)).then(|| "sim.work".to_owned()),
        input: json!({"n": "{{ vars.n }}"}),
        when: chance.one_in(8).then(|| "{{ vars.n is odd }}".to_owned()),
        delay: chance.one_in(8).then(|| json!(5)),
        timeout: None,
        join: joins.then(|| if chance.one_in(2) { Join::All } else { Join::Count(1 + chance.below(2) as u32) }),
        with_items: chance.one_in(5).then(|| items(chance)),
        retry: chance.one_in(5).then(|| retry(chance)),
        wait_for: None,
        priority: 0,
        publish: if chance.one_in(4) { vec![assignment("own", json!(number))] } else { vec![] },
        next,
    }
}

fn transition(chance: &mut Chance, number: usize, count: usize, cyclic: bool) -> Transition {
    let conditions = ["{{ succeeded() }}", "{{ failed() }}", "{{ completed() }}", "{{ vars.n is even }}"];
    let mut targets = Vec::new();
    for _ in 0..chance.below(4) {
        let first = if cyclic { 1 } else { number + 1 };
        if first < count {
            let target = format!("t{}", first + chance.below(count - first));
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    if chance.one_in(12) {
        targets.push(["fail", "noop", "continue"][chance.below(3)].to_owned());
    }
    let publish = chance.one_in(2).then(|| assignment("n", json!("{{ vars.n + 1 }}")));
    Transition {
        when: chance.below(5).checked_sub(1).map(|which| conditions[which].to_owned()),
        publish: publish.into_iter().collect(),
        targets,
    }
}

fn items(chance: &mut Chance) -> WithItems {
    WithItems {
        items: json!((0..chance.below(6)).collect::<Vec<_>>()),
        names: vec![],
        concurrency: chance.one_in(2).then(|| json!(1 + chance.below(3))),
        batch_size: chance.one_in(4).then(|| json!(2)),
        on_item_failure: if chance.one_in(2) { OnItemFailure::FailFast } else { OnItemFailure::Continue },
        max_failures: chance.one_in(3).then_some(MaxFailures::Count(1)),
    }
}

fn retry(chance: &mut Chance) -> Retry {
    Retry {
        count: json!(1 + chance.below(2)),
        delay: chance.one_in(2).then(|| json!(3)),
        backoff: Default::default(),
        factor: 2.0,
        max_delay: None,
        jitter: 0.0,
        when: None,
        max_elapsed: None,
    }
}

/// What must hold after every event.
fn hold(ledger: &Ledger, story: &[String]) {
    let broken = ledger.check();
    assert!(broken.is_empty(), "{broken:?} after {story:#?}");
}

fn rows(ledger: &Ledger, wanted: impl Fn(RowStatus) -> bool) -> Vec<usize> {
    (0..ledger.rows.len()).filter(|row| wanted(ledger.rows[*row].status)).collect()
}

fn end(chance: &mut Chance) -> TaskEnd {
    match chance.below(20) {
        0..=12 => TaskEnd::Completed,
        13..=16 => TaskEnd::Failed,
        17 => TaskEnd::Timeout,
        18 => TaskEnd::Abandoned,
        _ => TaskEnd::Cancelled,
    }
}

/// One thing that may happen. What cannot must change nothing.
fn event(ledger: &mut Ledger, chance: &mut Chance, story: &mut Vec<String>) {
    let ready = rows(ledger, |status| matches!(status, RowStatus::Ready(_)));
    let running = rows(ledger, |status| status == RowStatus::Running);
    match chance.below(24) {
        0 => {
            story.push("pause".into());
            ledger.pause();
        }
        1 | 2 => {
            story.push("resume".into());
            ledger.resume();
        }
        3 if chance.one_in(3) && !ledger.over => {
            story.push("cancel".into());
            ledger.cancel();
        }
        4 if ledger.over => {
            story.push("rerun".into());
            let _ = ledger.rerun(&[]);
        }
        5 if !ledger.rows.is_empty() => {
            // A report that comes late, or twice, or too early.
            let row = chance.below(ledger.rows.len());
            if ledger.rows[row].status != RowStatus::Running {
                let before = (ledger.execution.clone(), ledger.rows.len());
                assert!(ledger.report(row, end(chance), None).is_err());
                assert_eq!(before, (ledger.execution.clone(), ledger.rows.len()));
            }
        }
        6..=13 if !ready.is_empty() => {
            let row = ready[chance.below(ready.len())];
            let claimed = ledger.claim(row);
            story.push(format!("claim {} {:?}: {claimed:?}", ledger.name(ledger.rows[row].key.node), ledger.rows[row]));
        }
        _ if !running.is_empty() => {
            let row = running[chance.below(running.len())];
            let end = end(chance);
            story.push(format!("report {} as {end:?}", ledger.name(ledger.rows[row].key.node)));
            ledger.report(row, end, Some(Data::from(1))).expect("it runs");
        }
        _ => {}
    }
}

fn play(seed: u64) -> Vec<String> {
    let mut chance = Chance(seed);
    let definition = workflow(&mut chance);
    let graph = Graph::compile(&definition, Limits::default()).expect("compiles");
    let mut story = vec![format!("SEED={seed} {}", serde_json::to_string(&definition).expect("serialises"))];
    let mut ledger = Ledger::start(Arc::new(graph), Data::from_pairs(Vec::<(String, Data)>::new()));
    hold(&ledger, &story);
    for _ in 0..40 {
        event(&mut ledger, &mut chance, &mut story);
        hold(&ledger, &story);
    }
    drain(&mut ledger, &mut story);
    story.push(format!("{:?} {:?} {:?}", ledger.status(), ledger.output, ledger.rows.len()));
    story
}

/// Everything is done well from here on: the end must come.
fn drain(ledger: &mut Ledger, story: &mut Vec<String>) {
    story.push("drain".into());
    ledger.resume();
    for _ in 0..100_000 {
        let live = rows(ledger, |status| !matches!(status, RowStatus::Ended(_)));
        let Some(row) = live.iter().find(|row| !matches!(ledger.rows[**row].status, RowStatus::Held)) else { break };
        let _ = ledger.claim(*row);
        ledger.report(*row, TaskEnd::Completed, None).expect("it runs");
        hold(ledger, story);
    }
    assert!(ledger.over, "{:?} has not ended: {:#?} {story:#?}", ledger.status(), ledger.execution);
    assert_ne!(ledger.status(), Status::Running, "{story:#?}");
}

#[test]
fn every_schedule_ends_and_breaks_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    if let Some(seed) = number("SEED") {
        println!("{:#?}", play(seed));
        return;
    }
    let schedules = number("SCHEDULES").unwrap_or(if cfg!(debug_assertions) { 5_000 } else { 100_000 });
    (0..schedules).for_each(|seed| drop(play(seed)));
}

#[test]
fn the_same_seed_replays_the_same_run() {
    (0..200).for_each(|seed| assert_eq!(play(seed), play(seed)));
}
