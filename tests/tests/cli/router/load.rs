//! Executions through a router while parts move and a server is killed. `EXECUTIONS=20000` makes it a long test, and
//! `ROUNDS=7` measures more often.

use super::{Kind, Routed};
use crate::program::command;
use crate::servers::{Node, WORK};
use pg_workflow_client::model::ScheduleInput;
use pg_workflow_client::{Answer, ClaimInput, ClaimedTask, Engine, Error, Outcome, SignalInput, StartManyInput};
use serde_json::json;
use sqlx::postgres::PgPool;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// The parts that move, from one server to another.
const MOVES: [(&str, usize, usize); 2] = [("7", 0, 2), ("341-344", 1, 0)];

/// Tokens under which a task's report was accepted: a second one would be a second effect.
struct Ledger {
    entries: Mutex<BTreeMap<i64, i64>>,
    kind: Kind,
}

impl Ledger {
    fn enter(&self, tasks: &[Outcome], answers: &[Answer]) {
        let mut entries = self.entries.lock().unwrap();
        for (outcome, answer) in tasks.iter().zip(answers) {
            assert_eq!(outcome.task, answer.task, "answers are in order");
            match &answer.state {
                Ok(_) => {
                    let known = entries.entry(outcome.task).or_insert(outcome.lease_token);
                    assert_eq!(*known, outcome.lease_token, "task {} took effect twice", outcome.task);
                }
                // The transaction that created and claimed the task has been committed, but the server was killed when it
                // had only prepared its share: the task will exist when Citus has found that.
                Err(refusal) if self.kind == Kind::Citus && refusal.code == "WF616" => {}
                // The move waited for this very transaction, in which the router waits for five seconds at most.
                Err(refusal) if self.kind == Kind::Citus && refusal.code == "WF622" => {}
                // The lease expired while nobody could report.
                Err(refusal) => assert_eq!(refusal.code, "WF615", "{refusal:?}"),
            }
        }
    }

    fn len(&self) -> usize {
        self.entries.lock().unwrap().len()
    }
}

/// Whether an error without a code of its own means a lost connection that Citus notices between two of its statements.
fn is_without_code(error: &Error) -> bool {
    let text = format!("{error:?}");
    ["server closed the connection unexpectedly", "failure on connection marked as essential"]
        .iter()
        .any(|message| text.contains(message))
}

/// Repeats a call until it succeeds. It may fail only because a server is away, or because a part takes longer to move than
/// the router waits.
pub async fn insist<T>(mut call: impl AsyncFnMut() -> Result<T, Error>) -> T {
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) if error.is_transient() || is_without_code(&error) || error.code() == Some("WF622") => {
                sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Starts executions with keys, each of them twice and a sixth of them in parts that move, and sends each its signal.
async fn start(router: &PgPool, count: usize, mirrored: bool) {
    let numbers: Vec<usize> = if mirrored { (0..count).rev().collect() } else { (0..count).collect() };
    for batch in numbers.chunks(100) {
        let (moving, others): (Vec<usize>, Vec<usize>) = batch.iter().partition(|number| *number % 6 == 0);
        for (numbers, part) in [(moving, true), (others, false)] {
            for part in if part { vec![Some(7), Some(342)] } else { vec![None] } {
                let chosen =
                    numbers.iter().filter(|number| part.is_none() || (**number % 12 == 0) == (part == Some(7)));
                let keys: Vec<Option<String>> = chosen.map(|number| Some(format!("key {number}"))).collect();
                if keys.is_empty() {
                    continue;
                }
                let input = StartManyInput {
                    r#ref: "demo.parent".to_owned(),
                    parameters: vec![json!({}); keys.len()],
                    idempotency_keys: Some(keys),
                    part,
                    ..StartManyInput::default()
                };
                let started = insist(async || Engine::start_many(router, input.clone()).await).await;
                let ids: Vec<i64> = started.into_iter().map(|id| id.expect("it is started")).collect();
                let signal =
                    SignalInput { name: "go".to_owned(), key: Some("once".to_owned()), ..SignalInput::default() };
                send(router, &ids, &signal).await;
            }
        }
    }
}

/// Sends a signal to each execution, again if a part takes longer to move than the router waits.
async fn send(router: &PgPool, executions: &[i64], signal: &SignalInput) {
    loop {
        let answers = insist(async || Engine::signal_many(router, executions, signal.clone()).await).await;
        let codes: Vec<Option<&str>> = answers.iter().map(|answer| answer.code.as_deref()).collect();
        assert!(codes.iter().all(|code| matches!(code, None | Some("WF622"))), "{answers:?}");
        if codes.iter().all(Option::is_none) {
            return;
        }
    }
}

/// Claims and reports until it is done.
async fn work(router: &PgPool, ledger: &Ledger, done: &AtomicBool) {
    // Short enough that tasks that a killed server has handed out, and nobody has received, become available again.
    let lease = Duration::from_secs(10);
    let input = ClaimInput { worker: "clerk".to_owned(), max_tasks: 50, lease, ..ClaimInput::default() };
    let mut outcomes: Vec<Outcome> = Vec::new();
    while !done.load(Ordering::Relaxed) || !outcomes.is_empty() {
        let (answers, tasks) = insist(async || Engine::finish_and_claim(router, &outcomes, &input).await).await;
        ledger.enter(&outcomes, &answers);
        outcomes =
            tasks.iter().map(|task: &ClaimedTask| Outcome::completed(task.task, task.lease_token, None)).collect();
        if outcomes.is_empty() {
            insist(async || Engine::tick(router, 1000, None).await).await;
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Waits until nothing is left to do on any server.
async fn settled(nodes: &[Node; 3]) {
    let query = "SELECT NOT EXISTS (SELECT FROM workflow.execution WHERE status <> 'completed')";
    for node in nodes {
        while !insist(async || Ok(sqlx::query_scalar::<_, bool>(query).fetch_one(&node.pool).await?)).await {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn move_parts(nodes: &[Node; 3], (parts, from, to): (&str, usize, usize)) {
    let (from, to) = (nodes[from].url(), nodes[to].url());
    let output = command(&["move-part", parts, "--from", &from, "--to", &to]).output();
    let output = timeout(Duration::from_secs(600), output).await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn count(nodes: &[Node; 3], query: &str) -> i64 {
    let mut sum = 0;
    for node in nodes {
        sum += node.value::<i64>(query).await;
    }
    sum
}

/// Waits until the ledger has this many entries.
async fn reported(ledger: &Ledger, entries: usize) {
    while ledger.len() < entries {
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_a_router_nothing_is_lost_or_done_twice_while_parts_move_and_a_server_is_killed() {
    let Some(routed) = Routed::create(Kind::Plproxy, "load").await else { return };
    nothing_is_lost(&routed).await;
}

pub async fn nothing_is_lost(routed: &Routed) {
    let executions: usize = std::env::var("EXECUTIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(120);
    let (router, nodes) = (&routed.pool, &routed.nodes);
    // The part of this schedule moves, and the schedule is found afterwards.
    let schedule = ScheduleInput {
        name: "yearly".to_owned(),
        cron: "@yearly".to_owned(),
        r#ref: "demo.child".to_owned(),
        part: Some(7),
        ..ScheduleInput::default()
    };
    Engine::schedule(router, schedule).await.unwrap();
    let (ledger, done) = (Ledger { entries: Mutex::default(), kind: routed.kind }, AtomicBool::new(false));
    let total = executions * WORK as usize;
    let began = Instant::now();
    let load = async {
        tokio::join!(start(router, executions, false), start(router, executions, true));
        reported(&ledger, total).await;
        settled(nodes).await;
        done.store(true, Ordering::Relaxed);
    };
    let trouble = async {
        reported(&ledger, total / 10).await;
        move_parts(nodes, MOVES[0]).await;
        reported(&ledger, total / 3).await;
        nodes[1].server.kill();
        nodes[1].server.start();
        reported(&ledger, total / 2).await;
        move_parts(nodes, MOVES[1]).await;
    };
    let clerks = async { tokio::join!(work(router, &ledger, &done), work(router, &ledger, &done)) };
    timeout(Duration::from_secs(3000), async { tokio::join!(load, trouble, clerks) }).await.expect("it ends");
    let took = began.elapsed().as_secs_f64();

    assert_eq!(ledger.len(), total, "every task took effect once");
    let tasks =
        "SELECT count(*) FROM workflow.workflow_task_execution WHERE action_ref = 'demo.one' AND status = 'completed'";
    assert_eq!(count(nodes, tasks).await, total as i64);
    for relation in ["IS NULL", "IS NOT NULL"] {
        let query = format!("SELECT count(*) FROM workflow.execution WHERE parent {relation}");
        assert_eq!(count(nodes, &query).await, executions as i64, "{relation}");
    }
    for (part, here, there) in [(7, 2, 0), (342, 0, 1)] {
        let rows = format!("SELECT count(*) FROM workflow.execution WHERE part = {part}");
        assert!(nodes[here].value::<i64>(&rows).await > 0, "{part} has moved");
        assert_eq!(nodes[there].value::<i64>(&rows).await, 0, "{part} has moved");
    }
    // The schedule fires on the server that now has its part, and the router finds it.
    nodes[2]
        .run("BEGIN; SET LOCAL pg_workflow.test_now = '2200-01-01 00:00:01+00'; SELECT workflow_tick(); COMMIT")
        .await;
    // A session of the router may still have a connection to the server that was killed.
    let paused = insist(async || Engine::pause_schedule(router, "yearly").await).await;
    assert!(paused.last_at.is_some(), "it has fired");
    routed.check().await;
    // A small number of executions says nothing about speed, but the calls must succeed.
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok());
    super::ratio::measure(routed, rounds.unwrap_or(if executions >= 1000 { 7 } else { 1 })).await;
    routed.check().await;
    println!(
        "{executions} executions with as many called ones, {total} tasks: {took:.0} s, {:.0} tasks a second",
        total as f64 / took
    );
}
