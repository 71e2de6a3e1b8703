//! The loads under which everything is measured. README.md explains the choice.

use crate::latency::Caller;
use crate::pgbench::Load;
use crate::stage::Scene;
use crate::throughput::Side;
use crate::workload::Workload;
use crate::{Error, Result};

const QUEUE: Workload = Workload::Queue { bulk: None };
const LINEAR3: Workload = Workload::Linear { steps: 3 };
const LINEAR10: Workload = Workload::Linear { steps: 10 };
const LIMITED3: Workload = Workload::Limited { steps: 3 };
const CHAIN3: Workload = Workload::Chain { steps: 3 };
const CHAIN10: Workload = Workload::Chain { steps: 10 };
const EAGER3: Workload = Workload::EagerChain { steps: 3 };
const EAGER10: Workload = Workload::EagerChain { steps: 10 };

const BATCHES: [u32; 3] = [1, 10, 100];
const CLIENTS: [u32; 4] = [1, 4, 8, 16];
/// Values of the other parameters while one is varied.
const BASE: Load = Load { batch: 100, clients: 8, synchronous_commit: true };

/// Comparisons under one load, each of one side with another. All sides run in alternation.
#[derive(Clone, Debug, PartialEq)]
pub struct Contest {
    /// Name for BENCH_ONLY; None: the workload of each comparison.
    name: Option<&'static str>,
    pub load: Load,
    /// Factor by which a run is longer than usual.
    pub stretch: u32,
    pub pairs: Vec<(Side, Side)>,
}

/// Runs that alternate, round by round, before the next experiment begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Experiment {
    Throughput(Contest),
    Latency(Vec<Caller>),
    Idle(Vec<Side>),
}

impl Contest {
    fn new(load: Load, pairs: &[(Workload, Workload)]) -> Contest {
        let fresh = |workload: &Workload| Side { workload: *workload, scene: Scene::Fresh };
        let pairs = pairs.iter().map(|(ours, yardstick)| (fresh(ours), fresh(yardstick))).collect();
        Contest { name: None, load, stretch: 1, pairs }
    }

    /// Returns comparisons of workloads in a scene, each with itself outside of the scene, and the first with the
    /// second.
    fn scene(name: &'static str, scene: Scene, load: Load, workloads: [Workload; 2]) -> Contest {
        let side = |scene, workload| Side { workload, scene };
        let [ours, yardstick] = workloads;
        let pairs = vec![
            (side(scene, ours), side(Scene::Fresh, ours)),
            (side(scene, yardstick), side(Scene::Fresh, yardstick)),
            (side(scene, ours), side(scene, yardstick)),
        ];
        Contest { name: Some(name), load, stretch: 1, pairs }
    }

    /// Returns all sides, each once.
    pub fn sides(&self) -> Vec<Side> {
        let mut sides = Vec::new();
        for side in self.pairs.iter().flat_map(|(ours, yardstick)| [ours, yardstick]) {
            if !sides.contains(side) {
                sides.push(*side);
            }
        }
        sides
    }
}

impl Experiment {
    /// Returns the number of runs per round.
    pub fn runs(&self) -> usize {
        match self {
            Experiment::Throughput(contest) => contest.sides().len(),
            Experiment::Latency(callers) => callers.len(),
            Experiment::Idle(sides) => sides.len(),
        }
    }

    /// Returns the length of each run.
    pub fn seconds(&self, seconds: u32) -> u32 {
        match self {
            Experiment::Throughput(contest) => seconds * contest.stretch,
            Experiment::Latency(_) | Experiment::Idle(_) => seconds,
        }
    }

    fn sides(&self) -> Vec<Side> {
        match self {
            Experiment::Throughput(contest) => contest.sides(),
            Experiment::Latency(callers) => {
                callers.iter().map(|caller| Side { workload: caller.workload, scene: Scene::Fresh }).collect()
            }
            Experiment::Idle(sides) => sides.clone(),
        }
    }

    /// Returns the names by which BENCH_ONLY can select it.
    fn names(&self) -> Vec<String> {
        match self {
            Experiment::Throughput(contest) => contest.pairs.iter().map(|pair| contest.name_of(pair)).collect(),
            Experiment::Latency(_) => vec!["latency".into()],
            Experiment::Idle(_) => vec!["idle".into()],
        }
    }

    /// Returns what is left of it if only these names are selected.
    fn only(mut self, wanted: impl Fn(&String) -> bool) -> Option<Experiment> {
        if let Experiment::Throughput(contest) = &mut self {
            let pairs = contest.pairs.clone();
            contest.pairs = pairs.into_iter().filter(|pair| wanted(&contest.name_of(pair))).collect();
        }
        self.names().iter().any(wanted).then_some(self)
    }
}

impl Contest {
    fn name_of(&self, (ours, _): &(Side, Side)) -> String {
        self.name.map_or_else(|| ours.workload.name(), str::to_owned)
    }
}

/// Returns all experiments.
pub fn full() -> Vec<Experiment> {
    let mut contests = Vec::new();
    for synchronous_commit in [true, false] {
        for clients in CLIENTS.into_iter().filter(|n| synchronous_commit || [1, BASE.clients].contains(n)) {
            for batch in BATCHES {
                let mut pairs = vec![(LINEAR3, QUEUE), (LINEAR10, QUEUE)];
                if clients == BASE.clients && (synchronous_commit || batch == BASE.batch) {
                    pairs.extend([(LINEAR10, EAGER10), (LINEAR3, EAGER3), (LINEAR10, CHAIN10), (LINEAR3, CHAIN3)]);
                }
                if clients == BASE.clients && synchronous_commit {
                    pairs.push((Workload::Diamond, QUEUE));
                }
                contests.push(Contest::new(Load { batch, clients, synchronous_commit }, &pairs));
            }
        }
    }
    for batch in BATCHES {
        contests.push(Contest::new(Load { batch, ..BASE }, &[fan_out(100)]));
    }
    for clients in [1, BASE.clients] {
        contests.push(Contest::new(Load { clients, ..BASE }, &[fan_out(10_000)]));
    }
    contests.push(join());
    contests.push(limits());
    for batch in [1, BASE.batch] {
        contests.push(Contest::scene("finished", Scene::Finished, Load { batch, ..BASE }, [LINEAR10, QUEUE]));
    }
    contests.push(Contest { stretch: 10, ..Contest::scene("snapshot", Scene::Snapshot, BASE, [LINEAR10, QUEUE]) });

    let mut experiments: Vec<Experiment> = contests.into_iter().map(Experiment::Throughput).collect();
    experiments.extend([true, false].map(|paced| Experiment::Latency(callers(paced))));
    experiments.push(Experiment::Idle(idlers(&[Scene::Fresh, Scene::Finished])));
    experiments
}

/// Returns the experiments for the main ratios, which take a few minutes.
pub fn quick() -> Vec<Experiment> {
    let pairs = [(LINEAR3, QUEUE), (LINEAR10, QUEUE), (LINEAR10, EAGER10), (LINEAR3, EAGER3)];
    let mut contests = [1, BASE.batch].map(|batch| Contest::new(Load { batch, ..BASE }, &pairs)).to_vec();
    let mut snapshot = Contest { stretch: 3, ..Contest::scene("snapshot", Scene::Snapshot, BASE, [LINEAR10, QUEUE]) };
    // The effect of a snapshot on the queue is not a goal.
    snapshot.pairs.truncate(1);
    contests.push(snapshot);
    let mut experiments: Vec<Experiment> = contests.into_iter().map(Experiment::Throughput).collect();
    experiments.push(Experiment::Idle(idlers(&[Scene::Fresh])));
    experiments
}

/// Compares a fan-out with a queue that gets as many tasks at once as the fan-out has items.
fn fan_out(items: u32) -> (Workload, Workload) {
    (Workload::FanOut { items }, Workload::Queue { bulk: Some(items) })
}

/// Returns the experiment that shows whether the cost per item depends on the number of items: with one client, so that
/// everything it does belongs to one execution.
fn join() -> Contest {
    let of = |items| Workload::FanOut { items };
    let load = Load { clients: 1, synchronous_commit: false, ..BASE };
    Contest { name: Some("join"), ..Contest::new(load, &[(of(10_000), of(1000)), (of(10_000), of(100))]) }
}

/// Returns the experiment that shows the cost of a limit that is never reached.
fn limits() -> Contest {
    Contest { name: Some("limits"), ..Contest::new(BASE, &[(LIMITED3, LINEAR3)]) }
}

fn callers(paced: bool) -> Vec<Caller> {
    let caller = |clients, workload| Caller { workload, load: Load { batch: 1, clients, ..BASE }, paced };
    CLIENTS.into_iter().flat_map(|clients| [caller(clients, LINEAR3), caller(clients, QUEUE)]).collect()
}

fn idlers(scenes: &[Scene]) -> Vec<Side> {
    let idler = |workload, scene| Side { workload, scene };
    scenes.iter().flat_map(|scene| [idler(LINEAR10, *scene), idler(QUEUE, *scene)]).collect()
}

/// Returns the experiments selected by name; all of them if no name is given.
pub fn select(experiments: Vec<Experiment>, only: &[String]) -> Result<Vec<Experiment>> {
    if only.is_empty() {
        return Ok(experiments);
    }
    let mut names: Vec<String> = experiments.iter().flat_map(Experiment::names).collect();
    names.sort();
    names.dedup();
    if let Some(name) = only.iter().find(|name| !names.contains(name)) {
        return Err(Error::Name { name: name.clone(), names: names.join(", ") });
    }
    Ok(experiments.into_iter().filter_map(|experiment| experiment.only(|name| only.contains(name))).collect())
}

/// Returns the workloads and scenes that experiments need.
pub fn needs(experiments: &[Experiment]) -> (Vec<Workload>, Vec<Scene>) {
    let (mut workloads, mut scenes) = (Vec::new(), Vec::new());
    for side in experiments.iter().flat_map(Experiment::sides) {
        if !workloads.contains(&side.workload) {
            workloads.push(side.workload);
        }
        if !scenes.contains(&side.scene) {
            scenes.push(side.scene);
        }
    }
    (workloads, scenes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(names: &[&str]) -> Result<Vec<Experiment>> {
        select(full(), &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn every_workload_of_ours_is_beside_one_written_by_hand_on_every_axis() {
        let contests =
            full().into_iter().filter_map(|e| if let Experiment::Throughput(c) = e { Some(c) } else { None });
        let loads: Vec<Load> = contests.filter(|c| c.pairs.contains(&pair(LINEAR10, QUEUE))).map(|c| c.load).collect();
        assert_eq!(loads.len(), BATCHES.len() * (CLIENTS.len() + 2));
        for load in &loads {
            assert!(load.synchronous_commit || [1, 8].contains(&load.clients), "{load}");
        }
        let (workloads, scenes) = needs(&full());
        assert_eq!(workloads.iter().filter(|workload| workload.is_workflow()).count(), 7);
        assert_eq!(scenes.len(), 3);
    }

    #[test]
    fn a_side_that_several_are_compared_with_runs_once_a_round() {
        let contest = Contest::scene("finished", Scene::Finished, BASE, [LINEAR10, QUEUE]);
        assert_eq!((contest.pairs.len(), contest.sides().len()), (3, 4));
    }

    #[test]
    fn what_is_named_is_all_that_is_measured() {
        let chosen = only(&["linear10", "snapshot"]).unwrap();
        let names: Vec<String> = chosen.iter().flat_map(Experiment::names).collect();
        assert!(names.iter().all(|name| name == "linear10" || name == "snapshot"), "{names:?}");
        assert_eq!(names.iter().filter(|name| *name == "snapshot").count(), 3);
        assert_eq!(needs(&chosen).1, [Scene::Fresh, Scene::Snapshot]);
        let error = only(&["linear11"]).unwrap_err().to_string();
        assert!(
            error.contains("linear11") && error.contains("fanout100, fanout10000, finished, idle, join"),
            "{error}"
        );
    }

    fn pair(ours: Workload, yardstick: Workload) -> (Side, Side) {
        Contest::new(BASE, &[(ours, yardstick)]).pairs[0]
    }
}
