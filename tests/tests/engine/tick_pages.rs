//! A tick reads only what is due, however much is waiting for later, and in whatever part.

use crate::fixture::*;
use pg_workflow_tests::with_database;

const LATER: &str = "timeout: 86400
tasks:
  - {name: a, action: demo.a, delay: 86400}
";

/// Number of tasks, executions and leases that are not due yet.
const WAITING: i64 = 20_000;

/// Multiplies the waiting rows over a number of parts.
async fn fill(session: &mut Session, parts: i32) {
    let id = format!("workflow.make_id((n % {parts})::int, 1000000 + n)");
    session
        .run(format!(
            "INSERT INTO workflow.execution (part, id, action_ref) SELECT (n % {parts})::int, {id}, 'demo.w' FROM generate_series(1, {WAITING}) AS n;
             INSERT INTO workflow.workflow_execution (part, id, execution, workflow_def, version, due_at, status)
             SELECT (n % {parts})::int, {id}, {id}, w.workflow_def, w.version, w.due_at + n * interval '1 s', 'running'
             FROM generate_series(1, {WAITING}) AS n, (SELECT * FROM workflow.workflow_execution LIMIT 1) AS w;
             INSERT INTO workflow.workflow_task_execution (part, id, workflow_execution, task_name, action_ref, status, due_at)
             SELECT (n % {parts})::int, {id}, {id}, 'a', 'demo.a', 'requested', t.due_at + n * interval '1 s'
             FROM generate_series(1, {WAITING}) AS n, (SELECT * FROM workflow.workflow_task_execution LIMIT 1) AS t;
             INSERT INTO workflow.lease (part, id, token, worker, role, expires_from, until, tasks)
             SELECT (n % {parts})::int, {id}, {id}, 'w', 'postgres', d.until, d.until, ARRAY[{id}]
             FROM generate_series(1, {WAITING}) AS n, LATERAL (SELECT workflow.now() + n * interval '1 s') AS d(until);
             INSERT INTO workflow.schedule (name, cron, time_zone, workflow_ref, parameters, missed, grace, overlap, priority, part, next_at)
             SELECT n::text, '@daily', 'UTC', 'demo.w', '{{}}', 'once', '1 s', true, 0, (n % {parts})::int, workflow.now() + n * interval '1 s'
             FROM generate_series(1, {WAITING}) AS n"
        ))
        .await;
}

/// Returns how many pages of our tables and indexes this transaction has read.
pub async fn pages(session: &mut Session) -> i64 {
    session
        .value(
            "SELECT sum(pg_stat_get_xact_blocks_fetched(c.oid))::bigint FROM pg_class AS c
             WHERE c.relnamespace = 'workflow'::regnamespace",
        )
        .await
}

/// Autovacuum may have counted the rows at any moment: here after a great many were deleted, which makes the tables look
/// empty however many come later.
#[tokio::test]
async fn a_tick_with_nothing_due_reads_a_handful_of_pages_however_much_waits() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin(LATER).await;
        for (parts, maintenance) in [(1, "ANALYZE"), (64, "ANALYZE"), (1024, "VACUUM"), (1, "VACUUM ANALYZE"), (64, "")] {
            // These rows break the engine's rules, and are rolled back.
            session.run("BEGIN").await;
            fill(&mut session, parts).await;
            for statistics in [false, true] {
                if statistics {
                    session.run("ANALYZE").await;
                }
                for tick in ["workflow_tick()", "workflow_tick(1000, ARRAY[0])", "workflow_tick(1, ARRAY[5, 700])"] {
                    // Planning also reads a few pages: both ends of an index. Cached plans are replaced at the sixth
                    // call.
                    for call in 0..7 {
                        let before = pages(&mut session).await;
                        assert_eq!(session.value::<i32>(format!("SELECT {tick}")).await, 0);
                        let read = pages(&mut session).await - before;
                        assert!(
                            read < 110,
                            "{tick}, {parts} parts, statistics {statistics}, call {call}, then {maintenance}: {read} pages"
                        );
                    }
                }
            }
            session.run("ROLLBACK").await;
            session.run(maintenance).await;
        }
    })
    .await;
}

const SOON: &str = "tasks:
  - {name: a, action: demo.a, delay: 10}
";

/// Returns the parts in which something can be claimed.
async fn queued_parts(session: &mut Session) -> Vec<i32> {
    session
        .value(
            "SELECT coalesce(array_agg(DISTINCT part ORDER BY part), '{}') FROM workflow.workflow_task_execution
             WHERE queue_at IS NOT NULL",
        )
        .await
}

#[tokio::test]
async fn what_was_due_first_comes_first_whatever_its_part() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(SOON).await;
        session.run("SELECT workflow_start('demo.w', part => 7)").await;
        session.at(1.0).await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[50]), part => 3)").await;
        session.at(2.0).await;
        session.run("SELECT workflow_start('demo.w', part => 1)").await;
        session.at(20.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick(1)").await, 1);
        assert_eq!(queued_parts(&mut session).await, [7]);
        assert_eq!(session.value::<i32>("SELECT workflow_tick(50)").await, 50);
        assert_eq!(queued_parts(&mut session).await, [3, 7]);
        assert_eq!(session.value::<i32>("SELECT workflow_tick(1)").await, 1);
        assert_eq!(queued_parts(&mut session).await, [1, 3, 7]);
        // Only in the parts named.
        session.run("SELECT workflow_start('demo.w', part => 1), workflow_start('demo.w', part => 9)").await;
        session.at(40.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick(10, ARRAY[9, 1000])").await, 1);
        assert_eq!(queued_parts(&mut session).await, [1, 3, 7, 9]);
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
    })
    .await;
}

#[tokio::test]
async fn what_somebody_has_locked_does_not_take_the_place_of_others() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(SOON).await;
        let locked = session.start().await;
        session.at(1.0).await;
        session.run("SELECT workflow_start('demo.w', part => 5)").await;
        session.at(20.0).await;
        let mut other = Session::new(db).await;
        other.run("BEGIN").await;
        other
            .run(format!("SELECT FROM workflow.workflow_execution WHERE execution = {locked} FOR NO KEY UPDATE"))
            .await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick(1)").await, 1);
        assert_eq!(queued_parts(&mut session).await, [5]);
        other.run("COMMIT").await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick(1)").await, 1);
        assert_eq!(queued_parts(&mut session).await, [0, 5]);
    })
    .await;
}
