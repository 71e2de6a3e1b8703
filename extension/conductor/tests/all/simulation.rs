//! Random workflows under random schedules: whatever happens in whatever order, the invariants hold and the end is
//! reached.
//!
//! `SCHEDULES=1000000 cargo test -p conductor --release --test all every_schedule` runs more of them; `SEED=…` reruns one.

use conductor::bounds::Bounds;
use conductor::engine::status::{Status, TaskEnd};
use conductor::expression::Data;
use conductor::graph::Graph;
use conductor::language::parse::parse;
use conductor::testing::memory_host::{Ledger, ReportedRow, RowStatus, Signal, TaskRow};
use conductor::testing::simulation::{Chance, Step, admitted, workflow};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Number of schedules run for each workflow.
const SCHEDULES_OF_ONE: u64 = 4;

/// A workflow's number, its source and its graphs.
type Compiled = (u64, String, [Arc<Graph>; 2]);

thread_local! {
    /// The workflow that was compiled last, and its number; and the same with limits that keep all changes of variables
    /// apart.
    static COMPILED: RefCell<Option<Compiled>> = const { RefCell::new(None) };
}

/// Returns the source of the workflow with this number, and its graphs.
fn compiled(number: u64) -> (String, [Arc<Graph>; 2]) {
    COMPILED.with_borrow_mut(|last| match last {
        Some((known, source, graphs)) if *known == number => (source.clone(), graphs.clone()),
        _ => {
            let source = workflow(&mut Chance::new(number)).to_string();
            let parsed = parse(&source, &Bounds::default());
            let definition = parsed.valid().unwrap_or_else(|| panic!("{:?} in {source}", parsed.findings));
            let apart = Bounds { rewritten_bytes: 0, context_changes: 1, ..Bounds::default() };
            let graphs = [Bounds::default(), apart]
                .map(|bounds| Arc::new(Graph::compile(definition, bounds).expect("compiles")));
            *last = Some((number, source.clone(), graphs.clone()));
            (source, graphs)
        }
    })
}

/// An execution and what has happened to it.
struct Play {
    ledger: Ledger,
    /// The same execution where changes of variables are kept apart.
    apart: Ledger,
    story: Vec<String>,
}

impl Play {
    fn begin(seed: u64) -> Play {
        let (source, graphs) = compiled(seed / SCHEDULES_OF_ONE);
        let [ledger, apart] = graphs.map(|graph| Ledger::start(graph, Data::from_pairs(Vec::<(String, Data)>::new())));
        Play { ledger, apart, story: vec![format!("SEED={seed}"), source] }
    }

    /// Takes a step. A rejected step must change nothing; reports that arrive together must have the same effect as one
    /// by one.
    fn take(&mut self, step: Step) {
        self.story.push(format!("{:?}", self.named(&step)));
        let before = self.ledger.clone();
        let taken = step.take(&mut self.ledger);
        assert_eq!(taken, step.take(&mut self.apart), "how variables are stored changes an answer: {:#?}", self.story);
        if taken.is_err() {
            self.assert_same(&before, "what was refused has changed something");
        }
        match step {
            Step::Report(outcomes) if outcomes.len() > 1 => {
                taken.unwrap_or_else(|refused| panic!("{refused}: {:#?}", self.story));
                if let Some(apart) = apart(before, &outcomes) {
                    self.assert_same(&apart, "reports do something else apart");
                }
            }
            Step::Signal(name, Some(key), _) if before.signals.iter().any(|sent| is_same(sent, &name, &key)) => {
                self.assert_same(&before, "a signal that came before has changed something");
            }
            Step::Stale(_) => assert!(taken.is_err(), "a report that is stale was taken: {:#?}", self.story),
            _ => {}
        }
        self.assert_sound();
    }

    /// Checks what must hold after every step.
    fn assert_sound(&self) {
        let broken = self.ledger.check();
        assert!(broken.is_empty(), "{broken:?} after {:#?}", self.story);
        // The variables that all branches have published are one view; which branch sees which is another, and the one
        // that matters.
        let (mut mine, mut theirs) = (look(&self.ledger), look(&self.apart));
        (mine.1, theirs.1) = Default::default();
        assert!(mine == theirs, "how variables are stored shows:\n{mine:#?}\n{theirs:#?}\nafter {:#?}", self.story);
    }

    fn assert_same(&self, other: &Ledger, what: &str) {
        let (mine, theirs) = (look(&self.ledger), look(other));
        assert!(mine == theirs, "{what}:\n{mine:#?}\n{theirs:#?}\nafter {:#?}", self.story);
    }

    /// Describes a step, with rows given by the names of their tasks.
    fn named(&self, step: &Step) -> String {
        let name = |row: usize| match self.ledger.rows.get(row) {
            Some(row) => {
                let name = self.ledger.name(row.key.node);
                format!("{name} route {} visit {} item {:?}", row.key.route, row.key.visit, row.index)
            }
            None => String::new(),
        };
        match step {
            Step::Claim(rows) => format!("claim {:?}", rows.iter().map(|row| name(*row)).collect::<Vec<_>>()),
            Step::Report(outcomes) => {
                let reports = outcomes.iter().map(|outcome| format!("{} {:?}", name(outcome.row), outcome.end));
                format!("report {:?}", reports.collect::<Vec<_>>())
            }
            other => format!("{other:?}"),
        }
    }
}

fn is_same(sent: &Signal, name: &str, key: &str) -> bool {
    sent.name == name && sent.key.as_deref() == Some(key)
}

/// Applies the same reports one by one. Returns `None` if one of them has cancelled running tasks that are no longer
/// needed; reported together, it does so after all of them.
fn apart(mut ledger: Ledger, outcomes: &[ReportedRow]) -> Option<Ledger> {
    for outcome in outcomes {
        let ran = |row: usize| ledger.rows[row].status == RowStatus::Running && row != outcome.row;
        let others: Vec<usize> = (0..ledger.rows.len()).filter(|row| ran(*row)).collect();
        ledger.report_all(std::slice::from_ref(outcome)).expect("it runs");
        if others.iter().any(|row| ledger.rows[*row].status == RowStatus::Ended(TaskEnd::Cancelled)) {
            return None;
        }
    }
    Some(ledger)
}

/// Returns everything about a ledger that is visible from outside.
fn look(ledger: &Ledger) -> (String, String, Vec<String>) {
    let row = |row: &TaskRow| {
        let ended = matches!(row.status, RowStatus::Ended(_));
        let place = (ledger.name(row.key.node), row.key.route, row.key.visit, row.index);
        format!(
            "{place:?} {:?} {:?} {:?} {:?} {:?}",
            row.status,
            row.due,
            row.input,
            row.result,
            (row.error.clone(), ended)
        )
    };
    let mut rows: Vec<String> = ledger.rows.iter().map(row).collect();
    rows.sort();
    let whole = format!(
        "{:?} paused {} over {} output {:?} signals {:?}",
        ledger.status(),
        ledger.execution.paused,
        ledger.over,
        ledger.output,
        ledger.signals
    );
    (whole, format!("{:?}", ledger.variables), rows)
}

fn play(seed: u64) -> Vec<String> {
    let mut chance = Chance::new(!seed);
    let mut play = Play::begin(seed);
    play.assert_sound();
    for _ in 0..40 {
        if let Some(step) = Step::draw(&mut chance, &play.ledger) {
            play.take(step);
        }
    }
    // From here on everything succeeds, and the end must be reached.
    for _ in 0..10_000 {
        let Some(step) = Step::next_toward_end(&play.ledger) else { break };
        play.take(step);
    }
    assert!(play.ledger.over, "it has not ended: {:#?} {:#?}", play.ledger.execution, play.story);
    assert_ne!(play.ledger.status(), Status::Running, "{:#?}", play.story);
    play.story.push(format!("{:#?}", look(&play.ledger)));
    play.story
}

#[test]
fn every_schedule_ends_and_breaks_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    if let Some(seed) = number("SEED") {
        println!("{:#?}", play(seed));
        return;
    }
    let schedules = number("SCHEDULES").unwrap_or(if cfg!(debug_assertions) { 5_000 } else { 50_000 });
    // Consecutive schedules share a workflow, which each thread compiles once.
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let share = schedules.div_ceil(threads);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let seeds = thread * share..((thread + 1) * share).min(schedules);
            scope.spawn(|| seeds.for_each(|seed| drop(play(seed))));
        }
    });
}

#[test]
fn signals_come_early_late_twice_and_too_late() {
    let mut seen = [0; 5];
    for seed in 0..2_000 {
        let mut play = Play::begin(seed);
        let mut chance = Chance::new(!seed);
        for _ in 0..40 {
            let before = play.ledger.clone();
            let Some(step) = Step::draw(&mut chance, &play.ledger) else { continue };
            play.take(step.clone());
            let taken = |ledger: &Ledger| ledger.signals.iter().filter(|signal| signal.taken_by.is_some()).count();
            let timeouts = |ledger: &Ledger| {
                let late = |row: &&TaskRow| row.signal.is_some() && row.status == RowStatus::Ended(TaskEnd::Timeout);
                ledger.rows.iter().filter(late).count()
            };
            let more = play.ledger.signals.len() > before.signals.len();
            let took = taken(&play.ledger) > taken(&before);
            let is_signal = matches!(step, Step::Signal(..));
            seen[0] += u32::from(is_signal && more && took);
            seen[1] += u32::from(is_signal && more && !took);
            seen[2] += u32::from(is_signal && !more);
            seen[3] += u32::from(!is_signal && took);
            seen[4] += u32::from(timeouts(&play.ledger) > timeouts(&before));
        }
    }
    let [delivered, kept, refused_or_known, taken_later, timed_out] = seen;
    assert!(seen.iter().all(|count| *count > 10), "{delivered} {kept} {refused_or_known} {taken_later} {timed_out}");
}

#[test]
fn limits_hold_tasks_back_and_let_them_begin() {
    let (mut held_back, mut begun_later) = (0, 0);
    for seed in 0..2_000 {
        let mut play = Play::begin(seed);
        let mut chance = Chance::new(!seed);
        let mut waiting: BTreeSet<usize> = BTreeSet::new();
        for step in 0..400 {
            let ledger = &play.ledger;
            let claimable: Vec<usize> = (0..ledger.rows.len()).filter(|row| ledger.rows[*row].is_claimable()).collect();
            let admitted = admitted(ledger, claimable.clone());
            let held: Vec<usize> = claimable.into_iter().filter(|row| !admitted.contains(row)).collect();
            held_back += held.len();
            waiting.extend(held);
            let next = if step < 40 { Step::draw(&mut chance, ledger) } else { Step::next_toward_end(ledger) };
            if let Some(step) = next {
                if let Step::Claim(rows) = &step {
                    begun_later += rows.iter().filter(|row| waiting.contains(row)).count();
                }
                play.take(step);
            }
        }
        assert!(play.ledger.over, "{:#?}", play.story);
    }
    assert!(held_back > 1000 && begun_later > 100, "{held_back} {begun_later}");
}

#[test]
fn the_same_seed_replays_the_same_run() {
    (0..200).for_each(|seed| assert_eq!(play(seed), play(seed)));
}
