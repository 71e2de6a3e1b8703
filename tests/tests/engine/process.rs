//! Workers as processes: what happens to their tasks when they are killed, or suspended for longer than their leases.

use crate::fixture::*;
use pg_workflow_tests::{Database, with_database};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

const ONE: &str = "tasks: [{name: a, action: demo.a}]\n";

/// A worker in a separate process. It is killed at the end, whether or not the test passes.
struct Process {
    child: Child,
    /// Its handlers continue until this is closed.
    gate: Option<ChildStdin>,
}

impl Process {
    fn new(db: &Database, name: &str, concurrency: usize) -> Process {
        let options = db.options();
        let url =
            format!("postgres://{}@{}:{}/{}", options.get_username(), options.get_host(), options.get_port(), db.name);
        let mut child = Command::new(env!("CARGO_BIN_EXE_mortal_worker"))
            .args([name, &concurrency.to_string()])
            .env("DATABASE_URL", url)
            .env("RUST_LOG", "info")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the worker starts");
        let gate = child.stdin.take();
        Process { child, gate }
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Waits until it is suspended, because a signal takes a moment.
    fn stop(&self) {
        self.signal("-STOP");
        let stat = format!("/proc/{}/stat", self.child.id());
        while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
            std::thread::yield_now();
        }
    }

    /// Waits until it has reported this number of tasks as lost, which it learns from a heartbeat or from the answer to
    /// its report, whichever comes first.
    fn wait_for_losses(&mut self, tasks: usize) {
        let mut lines = BufReader::new(self.child.stderr.take().unwrap()).lines();
        let lost = |line: &String| line.contains("the report is refused") || line.contains("the lease is lost");
        for _ in 0..tasks {
            lines.by_ref().map_while(Result::ok).find(lost).expect("it says so");
        }
        // Nobody reads its output any longer, so writing must not block it.
        std::thread::spawn(move || lines.count());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Waits until a worker has this number of leases.
async fn wait_for_leases(session: &mut Session, worker: &str, count: i64) {
    let begun = Instant::now();
    let held = format!("SELECT count(*) FROM workflow.lease WHERE worker = '{worker}'");
    while session.value::<i64>(held.as_str()).await != count {
        assert!(begun.elapsed() < Duration::from_secs(60), "{worker} does not claim");
        tokio::task::yield_now().await;
    }
}

/// Returns how many tasks are in more than one valid lease. Must always be 0.
async fn held_twice(session: &mut Session) -> i64 {
    session
        .value(
            "SELECT count(*) FROM (
               SELECT o.id FROM workflow.lease l CROSS JOIN unnest(l.tasks) AS o(id)
               JOIN workflow.workflow_task_execution t ON t.id = o.id AND t.lease = l.token AND t.status = 'running'
               GROUP BY o.id HAVING count(*) > 1) AS twice",
        )
        .await
}

/// Starts executions of one task, of which a process claims as many as it can.
async fn begin(session: &mut Session, executions: usize) {
    session.define(ONE).await;
    session.run(format!("SELECT workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[{executions}]))")).await;
}

/// Checks that every execution has completed, each by the report of one worker.
async fn done_by(session: &mut Session) -> Vec<(String, i64)> {
    session
        .rows(
            "SELECT t.result #>> '{}', count(*) FROM workflow.workflow_task_execution t
             JOIN workflow.workflow_execution w ON w.id = t.workflow_execution
             JOIN workflow.execution e ON e.id = w.execution
             WHERE t.status = 'completed' AND e.status = 'completed' GROUP BY 1 ORDER BY 1",
        )
        .await
}

#[tokio::test]
async fn what_a_killed_worker_held_others_do_and_nothing_counts_twice() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        begin(&mut session, 110).await;
        let killed = Process::new(db, "killed", 100);
        wait_for_leases(&mut session, "killed", 100).await;
        killed.signal("-KILL");
        // Its leases are still valid: others get the tasks that it has not claimed.
        let rest = session.claim(1000).await;
        assert_eq!(rest.len(), 10);
        for task in &rest {
            session.complete(task, json!("other")).await;
        }
        let mut late = Session::new(db).await;
        late.run("SELECT set_config('pg_workflow.test_now', (clock_timestamp() + interval '1 hour')::text, false)")
            .await;
        let taken_over = late.claim(1000).await;
        assert_eq!(taken_over.len(), 100);
        assert!(taken_over.iter().all(|task| task.attempt == 2));
        assert_eq!(held_twice(&mut session).await, 0);
        for task in &taken_over {
            assert_eq!(late.complete(task, json!("other")).await, "completed");
        }
        assert_eq!(done_by(&mut session).await, [("other".to_owned(), 110)]);
        assert_eq!(late.value::<i32>("SELECT workflow_tick()").await, 0);
        assert!(late.claim(1000).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_stood_still_for_longer_than_its_leases_harms_nothing_when_it_goes_on() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        begin(&mut session, 20).await;
        let mut frozen = Process::new(db, "frozen", 20);
        wait_for_leases(&mut session, "frozen", 20).await;
        frozen.stop();
        let mut late = Session::new(db).await;
        late.run("SELECT set_config('pg_workflow.test_now', (clock_timestamp() + interval '1 hour')::text, false)")
            .await;
        let taken_over = late.claim(1000).await;
        assert_eq!(taken_over.len(), 20);
        for task in &taken_over[..10] {
            assert_eq!(late.complete(task, json!("quick")).await, "completed");
        }
        assert_eq!(held_twice(&mut session).await, 0);
        // It wakes up with all its work done, and reports it: the leases are stale, whether another worker is doing the
        // tasks or has done them.
        frozen.gate = None;
        let before = session.contents_but_refusals().await;
        frozen.signal("-CONT");
        frozen.wait_for_losses(20);
        assert_eq!(session.contents_but_refusals().await, before, "a late report has changed something");
        for task in &taken_over[10..] {
            assert_eq!(late.complete(task, json!("quick")).await, "completed");
        }
        assert_eq!(done_by(&mut session).await, [("quick".to_owned(), 20)]);
        // It still works: asked to end, it exits successfully.
        frozen.signal("-TERM");
        assert!(frozen.child.wait().unwrap().success());
    })
    .await;
}
