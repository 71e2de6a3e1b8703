//! Locks of a claim: the tasks that it takes, and no others.

use crate::fixture::*;
use pg_workflow_tests::{Server, with_database};
use sqlx::{AssertSqlSafe, Executor};

const FOUR: &str = "tasks:
  - {name: a, action: demo.a}
  - {name: b, action: demo.b}
  - {name: c, action: demo.c}
  - {name: d, action: demo.d}
";

const ACTIONS: &str = "ARRAY['demo.a', 'demo.b', 'demo.c', 'demo.d']";

async fn start(session: &mut Session, count: i32) {
    session.run(format!("SELECT workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[{count}]))")).await;
}

/// Claims tasks. Returns their actions, with the number of tasks of each.
async fn claim(session: &mut Session, worker: &str, max_tasks: i32, actions: &str) -> Vec<(String, i64)> {
    let claim = format!(
        "SELECT action, count(*) FROM workflow_claim('{worker}', {max_tasks}, {actions}) GROUP BY 1 ORDER BY 1"
    );
    session.rows(claim).await
}

fn total(claimed: &[(String, i64)]) -> i64 {
    claimed.iter().map(|(_, count)| count).sum()
}

#[tokio::test]
async fn a_claim_over_several_actions_leaves_to_others_what_it_does_not_take() {
    with_database(async |db| {
        for actions in [ACTIONS, "NULL"] {
            let mut session = Session::new(db).await;
            session.define(FOUR).await;
            start(&mut session, 10).await;
            let mut other = Session::new(db).await;
            for max_tasks in [1, 7] {
                session.run("BEGIN").await;
                assert_eq!(total(&claim(&mut session, "w", max_tasks, actions).await), i64::from(max_tasks));
                other.run("BEGIN").await;
                // All other tasks, at the same time.
                let rest = claim(&mut other, "x", 100, actions).await;
                assert_eq!(total(&rest), 40 - i64::from(max_tasks), "{rest:?}");
                other.run("ROLLBACK").await;
                session.run("ROLLBACK").await;
            }
            session.run("SELECT workflow_cancel(id) FROM workflow.execution WHERE NOT workflow.is_end(status)").await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_waited_longest_comes_first_across_the_actions() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(FOUR).await;
        start(&mut session, 1).await;
        session.at(1.0).await;
        session.define_as("demo.late", "tasks: [{name: a, action: demo.a}]").await;
        session.run("SELECT workflow_start_many('demo.late', array_fill('{}'::jsonb, ARRAY[10]))").await;
        session.at(2.0).await;
        // The four oldest, although there are more tasks of one action.
        let of_each = |action: &str| (format!("demo.{action}"), 1);
        let first = claim(&mut session, "w", 4, ACTIONS).await;
        assert_eq!(first, [of_each("a"), of_each("b"), of_each("c"), of_each("d")]);
        assert_eq!(claim(&mut session, "w", 20, ACTIONS).await, [("demo.a".to_owned(), 10)]);
    })
    .await;
}

/// Tasks that must not begin remain in the queue if a claim of them is rolled back after a pause.
#[tokio::test]
async fn what_must_not_begin_keeps_nobody_from_what_may() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(FOUR).await;
        start(&mut session, 3).await;
        session.run("BEGIN").await;
        assert_eq!(total(&claim(&mut session, "w", 3, "'{demo.a}'").await), 3);
        let mut other = Session::new(db).await;
        other.run("SELECT workflow_pause(id) FROM workflow.execution").await;
        session.run("ROLLBACK").await;
        assert_eq!(
            session
                .value::<i64>("SELECT count(*) FROM workflow.workflow_task_execution WHERE queue_at IS NOT NULL")
                .await,
            3
        );
        session.at(1.0).await;
        session.define_as("demo.late", "tasks: [{name: b, action: demo.b}]").await;
        session.run("SELECT workflow_start_many('demo.late', array_fill('{}'::jsonb, ARRAY[5]))").await;
        assert_eq!(claim(&mut session, "w", 2, ACTIONS).await, [("demo.b".to_owned(), 2)]);
        assert_eq!(claim(&mut session, "w", 10, "NULL").await, [("demo.b".to_owned(), 3)]);
    })
    .await;
}

/// The statement, on a table whose rows have the same position in each partition.
#[tokio::test]
async fn a_claim_of_one_part_takes_nothing_of_others_where_tasks_are_partitioned() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]").await;
        session.run("SELECT workflow_start('demo.w', part => part) FROM generate_series(0, 3) AS part").await;
        session
            .run(
                "CREATE TABLE parted (LIKE workflow.workflow_task_execution) PARTITION BY LIST (part);
                 CREATE TABLE parted_0 PARTITION OF parted FOR VALUES IN (0); CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
                 CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2); CREATE TABLE parted_3 PARTITION OF parted FOR VALUES IN (3);
                 INSERT INTO parted SELECT * FROM workflow.workflow_task_execution",
            )
            .await;
        let on_parted = |text: &str| {
            let lines = text.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
            lines.replace("workflow.workflow_task_execution", "parted")
        };
        let across = on_parted(include_str!("../../../extension/queries/claim_across.sql"));
        let many = on_parted(include_str!("../../../extension/queries/claim.sql"));
        let one = on_parted(include_str!("../../../extension/queries/claim_one.sql"));
        for (kind, text, types, arguments) in [
            ("one action", &many, "int, text, bigint, bigint", "2, 'demo.a', 10, 0"),
            ("two actions", &across, "int, text[], bigint, bigint", "2, '{demo.a, demo.b}', 10, 0"),
            ("one task", &one, "int, text, bigint", "2, 'demo.a', 0"),
        ] {
            session.run("BEGIN; SET LOCAL plan_cache_mode = force_generic_plan").await;
            session.run(format!("PREPARE claim ({types}, timestamptz, timestamptz, bigint, bool) AS {text}")).await;
            session.run(format!("EXECUTE claim ({arguments}, now(), '-infinity', 0, true)")).await;
            let running: Vec<i32> =
                session.value("SELECT coalesce(array_agg(part), '{}') FROM parted WHERE status = 'running'").await;
            assert_eq!(running, [2], "{kind}");
            session.run("ROLLBACK").await;
            session.run("DEALLOCATE claim").await;
        }
    })
    .await;
}

/// Makes a queued task's xmax a multixact with the same number as a transaction in progress. The two have separate
/// counters: on a fresh server, transactions are ahead, and the number of a waiting transaction is overtaken.
#[tokio::test]
async fn a_task_whose_xmax_looks_like_a_running_transaction_can_be_claimed() {
    let server = Server::create("multixact", &["max_connections=20"]);
    let mut session = Session::open(&server.options).await;
    session.run("CREATE EXTENSION pg_workflow").await;
    session.begin("tasks: [{name: a, action: demo.a}]").await;
    let mut running = Session::open(&server.options).await;
    running.run("BEGIN").await;
    let transaction: i64 = running.value("SELECT pg_current_xact_id()::text::bigint").await;
    session.run("CHECKPOINT").await;
    let next: i64 = session.value("SELECT next_multixact_id::text::bigint FROM pg_control_checkpoint()").await;
    session.run(format!("CREATE TABLE filler AS SELECT n FROM generate_series(1, {}) AS n", transaction - next)).await;
    let (mut one, mut other) = (Session::open(&server.options).await, Session::open(&server.options).await);
    // Each row is locked by a separate subtransaction, and then by another session: one multixact per row, in this
    // order.
    one.run(
        "BEGIN;
         DO $$
         DECLARE
           place tid;
         BEGIN
           FOR place IN SELECT f.ctid FROM filler AS f ORDER BY f.n LOOP
             BEGIN
               PERFORM FROM filler AS f WHERE f.ctid = place FOR KEY SHARE;
             EXCEPTION WHEN division_by_zero THEN NULL;
             END;
           END LOOP;
           PERFORM FROM workflow.workflow_task_execution FOR KEY SHARE;
         END $$",
    )
    .await;
    other.run("BEGIN; DO $$ BEGIN PERFORM FROM filler ORDER BY n FOR KEY SHARE; END $$").await;
    other.run("DO $$ BEGIN PERFORM FROM workflow.workflow_task_execution FOR KEY SHARE; END $$").await;
    one.run("COMMIT").await;
    other.run("COMMIT").await;
    let xmax: i64 = session.value("SELECT xmax::text::bigint FROM workflow.workflow_task_execution").await;
    assert_eq!(xmax, transaction, "the test has not made what it is about");
    let claimed: i64 = session.value("SELECT count(*) FROM workflow_claim('w')").await;
    assert_eq!(claimed, 1);
    running.connection.execute(AssertSqlSafe("ROLLBACK")).await.unwrap();
}
