//! Tasks that follow from a report go directly to the asking worker, but not past tasks that have waited long or are
//! more urgent.

use crate::fixture::*;
use pg_workflow_tests::with_database;

const CHAIN: &str = "max_visits: 1000
tasks:
  - {name: first, on_success: step}
  - {name: step, action: demo.a, on_success: step}
";

const OTHER: &str = "tasks:
  - {name: other, action: demo.b}
";

/// A worker that never claims without reporting what it has.
struct Worker {
    max_tasks: usize,
    actions: &'static str,
    holds: Vec<(i64, i64)>,
}

impl Worker {
    fn new(max_tasks: usize) -> Worker {
        Worker { max_tasks, actions: "NULL", holds: Vec::new() }
    }

    /// Reports all its tasks and claims more. Returns their names, in order.
    async fn turn(&mut self, session: &mut Session) -> Vec<String> {
        let outcomes: Vec<(i64, i64, &str)> =
            self.holds.iter().map(|(task, lease)| (*task, *lease, "completed")).collect();
        let claimed: Vec<(i64, i64, String)> = session
            .rows(format!(
                "SELECT task, lease_token, task_name FROM workflow_finish_and_claim('w', {}, {}, {})
                 WHERE state = 'claimed' ORDER BY task_name, task",
                outcome_array(&outcomes),
                self.max_tasks,
                self.actions
            ))
            .await;
        self.holds = claimed.iter().map(|(task, lease, _)| (*task, *lease)).collect();
        claimed.into_iter().map(|(.., name)| name).collect()
    }
}

async fn define(session: &mut Session) {
    session.define_as("demo.chain", CHAIN).await;
    session.define_as("demo.other", OTHER).await;
}

async fn start(session: &mut Session, workflow: &str, count: usize, priority: i32) {
    session
        .run(format!(
            "SELECT workflow_start_many('{workflow}', array_fill('{{}}'::jsonb, ARRAY[{count}]), priority => {priority})"
        ))
        .await;
}

/// Returns how many tasks were handed over, that is, have never been in the queue.
async fn waiting(session: &mut Session, name: &str) -> i64 {
    session
        .value(format!(
            "SELECT count(*) FROM workflow.workflow_task_execution WHERE task_name = '{name}' AND queue_at IS NOT NULL"
        ))
        .await
}

#[tokio::test]
async fn where_nobody_waits_long_all_that_follows_is_handed_over() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        define(&mut session).await;
        start(&mut session, "demo.chain", 4, 0).await;
        let mut worker = Worker::new(4);
        assert_eq!(worker.turn(&mut session).await, ["step"; 4]);
        start(&mut session, "demo.other", 10, 0).await;
        // Exact to the second: a task that is ten seconds ahead is passed over, one that is further ahead is not.
        session.at(10.0).await;
        assert_eq!(worker.turn(&mut session).await, ["step"; 4]);
        assert_eq!(waiting(&mut session, "other").await, 10);
        // A check that found no such task is valid for a second.
        session.at(10.9).await;
        assert_eq!(worker.turn(&mut session).await, ["step"; 4]);
        session.at(11.0).await;
        assert_eq!(worker.turn(&mut session).await, ["other", "other", "step", "step"]);
    })
    .await;
}

#[tokio::test]
async fn what_waits_too_long_gets_half_of_the_room_and_all_of_it_where_there_is_one() {
    with_database(async |db| {
        for (max_tasks, handed) in [(1, 0), (2, 1), (3, 1), (5, 2), (100, 50)] {
            let mut session = Session::new(db).await;
            define(&mut session).await;
            start(&mut session, "demo.chain", max_tasks, 0).await;
            let mut worker = Worker::new(max_tasks);
            assert_eq!(worker.turn(&mut session).await.len(), max_tasks);
            start(&mut session, "demo.other", max_tasks, 0).await;
            session.at(11.0).await;
            let names = worker.turn(&mut session).await;
            assert_eq!(names.len(), max_tasks);
            assert_eq!(names.iter().filter(|name| *name == "step").count(), handed, "of {max_tasks}");
            assert_eq!(waiting(&mut session, "step").await as usize, max_tasks - handed);
            session.run("TRUNCATE workflow.execution, workflow.lease CASCADE").await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_room_is_filled_with_what_has_waited_longest() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        define(&mut session).await;
        session.define_as("demo.third", "tasks: [{name: third, action: demo.c}]\n").await;
        start(&mut session, "demo.chain", 4, 0).await;
        let mut worker = Worker::new(4);
        worker.turn(&mut session).await;
        start(&mut session, "demo.third", 1, 0).await;
        session.at(1.0).await;
        start(&mut session, "demo.other", 5, 0).await;
        session.at(60.0).await;
        assert_eq!(worker.turn(&mut session).await, ["other", "step", "step", "third"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_more_urgent_goes_first_and_what_is_urgent_itself_is_handed_over() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        define(&mut session).await;
        start(&mut session, "demo.chain", 1, 5).await;
        let mut worker = Worker::new(1);
        assert_eq!(worker.turn(&mut session).await, ["step"]);
        // Less urgent, and waiting for less than the five minutes by which the chain is ahead of it.
        start(&mut session, "demo.other", 1, 0).await;
        session.at(309.0).await;
        assert_eq!(worker.turn(&mut session).await, ["step"]);
        // More urgent: noticed at the next check. The chain then queues, and earlier tasks come first.
        start(&mut session, "demo.other", 1, 6).await;
        session.at(310.0).await;
        assert_eq!(worker.turn(&mut session).await, ["other"]);
        assert_eq!(worker.turn(&mut session).await, ["other"]);
        assert_eq!(worker.turn(&mut session).await, ["step"]);
        // Equally urgent: it waits for its turn.
        start(&mut session, "demo.other", 1, 5).await;
        assert_eq!(worker.turn(&mut session).await, ["step"]);
        session.at(321.0).await;
        assert_eq!(worker.turn(&mut session).await, ["other"]);
    })
    .await;
}

#[tokio::test]
async fn a_steady_stream_of_chains_starves_nobody() {
    with_database(async |db| {
        for max_tasks in [1, 2, 8] {
            let mut session = Session::new(db).await;
            define(&mut session).await;
            let mut worker = Worker::new(max_tasks);
            start(&mut session, "demo.chain", max_tasks, 0).await;
            worker.turn(&mut session).await;
            start(&mut session, "demo.other", 3 * max_tasks, 0).await;
            // The chains never end, and new ones begin all the time.
            let mut served = 0;
            let mut turns = 0;
            while served < 3 * max_tasks {
                turns += 1;
                assert!(turns < 40, "{served} served");
                session.at(f64::from(turns)).await;
                start(&mut session, "demo.chain", 1, 0).await;
                served += worker.turn(&mut session).await.iter().filter(|name| *name == "other").count();
            }
            session.run("TRUNCATE workflow.execution, workflow.lease CASCADE").await;
        }
    })
    .await;
}

#[tokio::test]
async fn only_what_the_worker_can_do_and_in_the_part_of_what_follows_is_looked_at() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        define(&mut session).await;
        start(&mut session, "demo.chain", 1, 0).await;
        session.run("SELECT workflow_start('demo.other', priority => 1000)").await;
        session.run("SELECT workflow_start('demo.chain', priority => 1000, part => 3)").await;
        let mut worker = Worker { actions: "ARRAY['demo.a', 'demo.c'], parts => '{0}'", ..Worker::new(1) };
        for turn in 0..5 {
            session.at(f64::from(turn) * 20.0).await;
            assert_eq!(worker.turn(&mut session).await, ["step"]);
        }
        assert_eq!(waiting(&mut session, "other").await, 1);
    })
    .await;
}

#[tokio::test]
async fn the_grace_can_be_set() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        define(&mut session).await;
        start(&mut session, "demo.chain", 1, 0).await;
        let mut worker = Worker::new(1);
        worker.turn(&mut session).await;
        start(&mut session, "demo.other", 2, 0).await;
        session.at(3600.0).await;
        session.run("SET pg_workflow.hand_over_grace = '1h'").await;
        assert_eq!(worker.turn(&mut session).await, ["step"]);
        session.run("SET pg_workflow.hand_over_grace = 0").await;
        assert_eq!(worker.turn(&mut session).await, ["other"]);
        let error = session.refused("SET pg_workflow.hand_over_grace = -1").await;
        assert_eq!(error.sqlstate, "22023");
    })
    .await;
}

/// Reports the claimed tasks of these names in one call that also asks for more. Returns the names of those handed out.
async fn report_and_ask(session: &mut Session, tasks: &[(&Task, &str)]) -> Vec<String> {
    let outcomes: Vec<(i64, i64, &str)> = tasks.iter().map(|(task, end)| (task.task, task.lease_token, *end)).collect();
    let sql = "SELECT task_name FROM workflow_finish_and_claim('w', $1, 10) WHERE state = 'claimed' ORDER BY task_name";
    let names: Vec<(String,)> = session.rows(sql.replace("$1", &outcome_array(&outcomes))).await;
    names.into_iter().map(|(name,)| name).collect()
}

#[tokio::test]
async fn what_a_later_report_of_the_call_withdraws_is_not_handed_over() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        // The first report makes `last` begin and withdraws `c`; the second fails the execution.
        let failing = "tasks:
  - {name: a, action: demo.a, on_success: last}
  - {name: b, action: demo.a}
  - {name: c, action: demo.a, delay: 60, on_success: last}
  - {name: last, action: demo.a, join: {count: 1, rest: cancel}}
";
        for _ in 0..6 {
            let id = session.begin(failing).await;
            let [a, b] = session.claim_named(["a", "b"]).await;
            assert_eq!(report_and_ask(&mut session, &[(&a, "completed"), (&b, "failed")]).await, [""; 0]);
            session.assert_ended(id, "failed", serde_json::json!(null)).await;
        }
        // The first report makes `f` begin and withdraws an item; the second makes the join cancel `f`.
        let joining = "tasks:
  - {name: a, action: demo.a, with_items: {items: [1, 2], min_successes: 1, concurrency: 1}, on_success: f}
  - {name: f, action: demo.a, on_success: j}
  - {name: b, action: demo.a, on_success: j}
  - {name: j, action: demo.a, join: {count: 1, rest: cancel}}
";
        for _ in 0..6 {
            session.begin(joining).await;
            let [a, b] = session.claim_named(["a", "b"]).await;
            assert_eq!(report_and_ask(&mut session, &[(&a, "completed"), (&b, "completed")]).await, ["j"]);
        }
    })
    .await;
}
