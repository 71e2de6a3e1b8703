//! Calls that concern many parts at once: each statement does its work for all of them.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;
use std::collections::BTreeSet;

const CHAIN: &str = "max_visits: 1000
tasks:
  - {name: first, on_success: step}
  - {name: step, action: demo.a, on_success: step}
";

/// Starts executions in every `step`th part below `end`; returns them.
async fn start_in_parts(session: &mut Session, step: i32, end: i32, per_part: i32) -> Vec<i64> {
    let many = format!("workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[{per_part}]), part => part)");
    let rows: Vec<(i64,)> =
        session.rows(format!("SELECT {many} FROM generate_series(0, {} , {step}) AS part", end - 1)).await;
    rows.into_iter().map(|(id,)| id).collect()
}

fn parts(tasks: &[Task]) -> BTreeSet<i64> {
    tasks.iter().map(|task| task.task >> 48).collect()
}

fn done(tasks: &[Task]) -> Vec<(i64, i64, &'static str)> {
    tasks.iter().map(|task| (task.task, task.lease_token, "completed")).collect()
}

/// The part from which a claim starts is random, so this is repeated.
#[tokio::test]
async fn a_claim_finds_each_task_once_whatever_part_it_starts_from() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}, {name: b, action: demo.b}]").await;
        start_in_parts(&mut session, 20, 1024, 1).await;
        for _ in 0..12 {
            session.run("BEGIN").await;
            let some = session.claim(40).await;
            let rest: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w2', 1000, '{demo.a,demo.b}')").await;
            session.run("ROLLBACK").await;
            assert_eq!((some.len(), rest.len()), (40, 64));
            let ids: BTreeSet<i64> = some.iter().chain(&rest).map(|task| task.task).collect();
            assert_eq!(ids.len(), 104);
            // One part is exhausted before the next is searched.
            assert!((20..=21).contains(&parts(&some).len()), "{}", parts(&some).len());
        }
    })
    .await;
}

/// A claim that is rolled back leaves tasks in the queue that must not start. One call puts back those of all parts
/// that it exhausts, and still finds all others.
#[tokio::test]
async fn stray_tasks_of_all_parts_are_put_back_by_one_claim() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let mut claimer = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}, {name: b, action: demo.b}]").await;
        let executions = start_in_parts(&mut session, 100, 1000, 3).await;
        claimer.run("BEGIN").await;
        let claimed: Vec<Task> = claimer.rows("SELECT * FROM workflow_claim('w1', 1000, '{demo.a}')").await;
        assert_eq!(claimed.len(), 30);
        // Of each part, one is cancelled, one paused, and one goes on.
        for (place, execution) in executions.iter().enumerate() {
            match place % 3 {
                0 => session.run(format!("SELECT workflow_cancel({execution})")).await,
                1 => session.run(format!("SELECT workflow_pause({execution})")).await,
                _ => {}
            }
        }
        claimer.run("ROLLBACK").await;
        let tasks: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w2', 1000, '{demo.a,demo.b}')").await;
        assert_eq!((tasks.len(), parts(&tasks).len()), (20, 10));
        let states: Vec<(String, String, i64)> = session
            .rows(
                "SELECT e.status::text, t.status::text, count(*)
                 FROM workflow.workflow_task_execution t JOIN workflow.execution e ON e.id = t.workflow_execution
                 WHERE t.action_ref = 'demo.a' AND t.queue_at IS NULL GROUP BY 1, 2 ORDER BY 1, 2",
            )
            .await;
        let expected = [("cancelled", "cancelled", 10), ("running", "running", 10), ("running", "scheduled", 10)];
        assert_eq!(states, expected.map(|(execution, task, count)| (execution.into(), task.into(), count)));
        session.finish(&done(&tasks)).await;
        for execution in executions.iter().skip(1).step_by(3) {
            session.run(format!("SELECT workflow_resume({execution})")).await;
        }
        let tasks: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w2', 1000)").await;
        assert_eq!((tasks.len(), parts(&tasks).len()), (20, 10));
        session.finish(&done(&tasks)).await;
        let open: i64 =
            session.value("SELECT count(*) FROM workflow.execution e WHERE NOT workflow.is_end(e.status)").await;
        assert_eq!(open, 0);
    })
    .await;
}

/// Whatever it holds for one lease holds for one per part: handed over, their tasks keep their tokens, and a lease of
/// which only some tasks are reported keeps the others.
#[tokio::test]
async fn leases_of_many_parts_are_reused_unless_they_contain_more_tasks() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(CHAIN).await;
        start_in_parts(&mut session, 10, 200, 2).await;
        let mut tasks = session.claim(40).await;
        tasks.sort_by_key(|task| task.task);
        assert_eq!(parts(&tasks).len(), 20);
        let leases = "SELECT count(*) FROM workflow.lease";
        for second in 1..8 {
            session.at(f64::from(second)).await;
            let tokens: Vec<i64> = tasks.iter().map(|task| task.lease_token).collect();
            let call = format!("workflow_finish_and_claim('w1', {}, 40)", outcome_array(&done(&tasks)));
            tasks = session.rows(format!("SELECT * FROM {call} WHERE state = 'claimed'")).await;
            tasks.sort_by_key(|task| task.task);
            assert_eq!(tasks.iter().map(|task| task.lease_token).collect::<Vec<_>>(), tokens, "{second}");
            assert_eq!(session.value::<i64>(leases).await, 20);
        }
        // Of every second part, only one task is reported.
        let (reported, left): (Vec<Task>, Vec<Task>) =
            tasks.into_iter().enumerate().fold((Vec::new(), Vec::new()), |mut both, (place, task)| {
                if place % 4 == 1 {
                    both.1.push(task)
                } else {
                    both.0.push(task)
                }
                both
            });
        let call = format!("workflow_finish_and_claim('w1', {}, 40)", outcome_array(&done(&reported)));
        let next: Vec<Task> = session.rows(format!("SELECT * FROM {call} WHERE state = 'claimed'")).await;
        assert_eq!((next.len(), session.value::<i64>(leases).await), (30, 30));
        let mut held = next;
        held.extend(left);
        let ids = |tasks: &[Task], which: fn(&Task) -> i64| {
            tasks.iter().map(|task| which(task).to_string()).collect::<Vec<_>>().join(",")
        };
        let beat = format!(
            "SELECT DISTINCT state FROM workflow_heartbeat('{{{}}}', '{{{}}}')",
            ids(&held, |task| task.task),
            ids(&held, |task| task.lease_token)
        );
        assert_eq!(session.rows::<(String,)>(beat).await, [("held".to_owned(),)]);
        let answers = session.finish(&done(&held)).await;
        assert!(answers.iter().all(|answer| answer.word() == "completed"), "{answers:?}");
        assert_eq!(session.value::<i64>(leases).await, 0);
    })
    .await;
}

/// Failures wait for their executions; successes whose execution somebody else has locked do not.
#[tokio::test]
async fn reports_on_many_parts_lock_all_executions_that_are_free() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let mut other = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]").await;
        let executions = start_in_parts(&mut session, 50, 1000, 2).await;
        let tasks = session.claim(40).await;
        other.run("BEGIN").await;
        let locked = executions[0];
        other
            .run(format!(
                "SELECT FROM workflow.workflow_execution WHERE part = {} AND id = {locked} FOR UPDATE",
                locked >> 48
            ))
            .await;
        let mine: Vec<Task> = session
            .rows(format!(
                "SELECT t.id AS task, t.lease AS lease_token, t.workflow_execution AS execution, t.task_name, t.task_index,
                        t.action_ref AS action, t.input, t.attempt
                 FROM workflow.workflow_task_execution t WHERE t.workflow_execution = {locked}"
            ))
            .await;
        let outcomes: Vec<(i64, i64, &str)> = tasks
            .iter()
            .enumerate()
            .map(|(place, task)| {
                let fails = place % 3 == 0 && task.task != mine[0].task;
                (task.task, task.lease_token, if fails { "failed" } else { "completed" })
            })
            .collect();
        let answers = session.finish(&outcomes).await;
        for (outcome, answer) in outcomes.iter().zip(&answers) {
            assert_eq!(answer.word(), outcome.2, "{answer:?}");
        }
        assert_eq!(session.status(locked).await["status"], json!("running"));
        other.run("COMMIT").await;
        session.claim(1).await;
        let statuses: Vec<(String, i64)> =
            session.rows("SELECT status::text, count(*) FROM workflow.execution GROUP BY 1 ORDER BY 1").await;
        let failed = outcomes.iter().filter(|outcome| outcome.2 == "failed").count() as i64;
        assert_eq!(statuses, [("completed".to_owned(), 40 - failed), ("failed".to_owned(), failed)]);
    })
    .await;
}
