//! The cost of one event, in graphs of different sizes and at different times of an execution: `cargo bench -p
//! conductor`.

use conductor::bounds::Bounds;
use conductor::engine::commands::Changes;
use conductor::engine::conductor::Conductor;
use conductor::engine::facts::Facts;
use conductor::engine::outcome::Times;
use conductor::engine::reported::{Advice, Reported};
use conductor::engine::state::{Execution, State, TaskKey};
use conductor::engine::status::TaskEnd;
use conductor::expression::Data;
use conductor::graph::Graph;
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::validate::check;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group};
use std::hint::black_box;

mod curves;

const HEAD: &str = "ref: bench.it\nlabel: It\nversion: 1.0.0\nvars: [{n: 0}]\noutput_map: [{n: '{{ vars.n }}'}]\n";

/// Tasks in sequence.
fn line(tasks: usize) -> String {
    let task = |n: usize| {
        let next = if n + 1 < tasks { format!(", do: t{}", n + 1) } else { String::new() };
        format!(
            "  - {{name: t{n}, action: bench.work, input: {{n: '{{{{ vars.n }}}}'}}, \
             next: [{{when: '{{{{ succeeded() }}}}', publish: [{{n: '{{{{ vars.n + 1 }}}}'}}]{next}}}]}}\n"
        )
    };
    format!("{HEAD}tasks:\n{}", (0..tasks).map(task).collect::<String>())
}

/// Parallel tasks, and one that joins them.
fn fan(tasks: usize, publish: &str) -> String {
    let task = |n: usize| format!("  - {{name: t{n}, action: bench.work{publish}, on_success: meet}}\n");
    let tasks: String = (0..tasks).map(task).collect();
    format!("{HEAD}tasks:\n{tasks}  - {{name: meet, action: bench.work, join: all}}\n")
}

/// One task with this many items, and one after it.
fn items(count: usize) -> String {
    format!(
        "{HEAD}tasks:\n  - {{name: each, action: bench.work, with_items: {{items: '{{{{ range({count}) | list }}}}', \
         concurrency: 10}}, input: {{n: '{{{{ item }}}}'}}, on_success: meet}}\n  - {{name: meet, action: bench.work}}\n"
    )
}

fn compile(source: &str) -> Graph {
    let bounds = Bounds { tasks: 10_000, ..Bounds::default() };
    let checked = check(source, &EmptyCatalogue, &bounds);
    let definition = checked.definition.unwrap_or_else(|| panic!("{:?}", checked.findings));
    Graph::compile(&definition, bounds).expect("compiles")
}

fn facts() -> Facts {
    let nothing = || Some(conductor::engine::variables::empty());
    Facts { parameters: nothing(), variables: nothing(), all_tasks: true, ..Facts::default() }
}

/// Applies one event.
fn conduct(
    graph: &Graph,
    facts: &Facts,
    before: Execution,
    event: impl FnOnce(&mut Conductor),
) -> (Execution, Changes) {
    let mut conductor = Conductor::new(graph, facts, before);
    event(&mut conductor);
    conductor.done().expect("all facts are there")
}

fn start(graph: &Graph) -> (Execution, Facts) {
    let mut facts = facts();
    let (execution, changes) = conduct(graph, &facts, Execution::new(), |conductor| conductor.start(None, 0.0));
    facts.variables = changes.variables;
    (execution, facts)
}

fn completed(graph: &Graph, task: &str, index: Option<u32>) -> Reported<'static> {
    Reported {
        key: TaskKey { node: graph.find(task).expect("the task is there"), route: 0, visit: 0 },
        index,
        context: &[],
        retries: 0,
        max_retries: 0,
        elapsed: 0.0,
        end: TaskEnd::Completed,
        result: Some(Data::from(1)),
        error: Some(Data::from(())),
        jitter: 0.5,
        advice: Advice::None,
        closing: false,
        repetitions: 0,
        times: Times::default(),
        input: None,
        undo: None,
        undoable: None,
        order: 1,
    }
}

/// Returns the execution after items 0 to `count - 1` have ended, reported in batches of 100.
fn after_items(graph: &Graph, count: u32) -> (Execution, Facts) {
    let (mut execution, facts) = start(graph);
    for hundred in (0..count).collect::<Vec<_>>().chunks(100) {
        execution = conduct(graph, &facts, execution, |conductor| {
            for index in hundred {
                conductor.finish(&completed(graph, "each", Some(*index)));
            }
        })
        .0;
    }
    (execution, facts)
}

/// Measures one event, from the same state each time.
fn event(
    group: &mut criterion::BenchmarkGroup<criterion::measurement::WallTime>,
    id: BenchmarkId,
    graph: &Graph,
    (before, facts): (Execution, Facts),
    reported: &Reported,
) {
    group.bench_function(id, |bencher| {
        bencher.iter_batched(
            || before.clone(),
            |before| {
                black_box(conduct(graph, &facts, before, |conductor| {
                    conductor.finish(reported);
                }))
            },
            BatchSize::SmallInput,
        );
    });
}

fn definitions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("define");
    for tasks in [3, 10, 100, 1000] {
        let source = line(tasks);
        group.throughput(Throughput::Elements(tasks as u64));
        group
            .bench_function(BenchmarkId::from_parameter(tasks), |bencher| bencher.iter(|| compile(black_box(&source))));
    }
    group.finish();
}

fn starts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("start");
    for tasks in [3, 10, 100, 1000] {
        let graph = compile(&line(tasks));
        group.bench_function(BenchmarkId::from_parameter(tasks), |bencher| bencher.iter(|| start(black_box(&graph))));
    }
    group.finish();
}

fn completions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("completion");
    for tasks in [3, 10, 100, 1000] {
        let graph = compile(&line(tasks));
        let task = format!("t{}", tasks / 2);
        event(&mut group, BenchmarkId::from_parameter(tasks), &graph, start(&graph), &completed(&graph, &task, None));
    }
    group.finish();
}

/// Measures the last arrival at a join of many tasks.
fn arrivals(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("arrival");
    for tasks in [3, 10, 100, 1000] {
        let graph = compile(&fan(tasks, ""));
        let before = before_the_last(&graph, tasks);
        event(&mut group, BenchmarkId::from_parameter(tasks), &graph, before, &completed(&graph, "t0", None));
    }
    group.finish();
}

/// Returns the execution after all but one of the tasks of a fan have ended.
fn before_the_last(graph: &Graph, tasks: usize) -> (Execution, Facts) {
    let (execution, mut facts) = start(graph);
    let (execution, changes) = conduct(graph, &facts, execution, |conductor| {
        for n in 1..tasks {
            conductor.finish(&completed(graph, &format!("t{n}"), None));
        }
    });
    facts.variables = changes.variables.or(facts.variables);
    (execution, facts)
}

/// Measures serializing and deserializing the state between events: with a join at which all but one task have arrived,
/// and with one whose tasks have each published a value.
fn memories(criterion: &mut Criterion) {
    for (name, publish) in [("remember", ""), ("remember_values", ", publish: [{n: '{{ result() }}'}]")] {
        let mut group = criterion.benchmark_group(name);
        for tasks in [3, 10, 100, 1000] {
            let state = before_the_last(&compile(&fan(tasks, publish)), tasks).0.state;
            group.bench_function(BenchmarkId::from_parameter(tasks), |bencher| {
                bencher.iter(|| {
                    let text = serde_json::to_string(black_box(&state)).expect("it can be written");
                    serde_json::from_str::<State>(&text).expect("it can be read")
                });
            });
        }
        group.finish();
    }
}

/// Measures an item among 10,000, early and late.
fn item_completions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("item");
    let graph = compile(&items(10_000));
    for done in [10, 100, 1000, 9_990] {
        let before = after_items(&graph, done);
        event(&mut group, BenchmarkId::from_parameter(done), &graph, before, &completed(&graph, "each", Some(done)));
    }
    group.finish();
}

/// Measures all items of a task in batches of 100, from the start to what follows the task.
fn item_joins(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("items");
    group.sample_size(20);
    for count in [100, 1000, 10_000] {
        let graph = compile(&items(count));
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| after_items(black_box(&graph), count as u32));
        });
    }
    group.finish();
}

criterion_group!(benches, definitions, starts, completions, arrivals, item_completions, item_joins, memories);

fn main() -> std::io::Result<()> {
    benches();
    Criterion::default().configure_from_args().final_summary();
    curves::write()
}
