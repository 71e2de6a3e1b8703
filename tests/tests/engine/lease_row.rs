//! Rows of leases that a call writes: one row is reused for as long as a worker continues.

use crate::fixture::*;
use pg_workflow_tests::with_database;

const CHAIN: &str = "max_visits: 1000
tasks:
  - {name: first, on_success: step}
  - {name: step, action: demo.a, on_success: step}
";

/// Number of times a task that follows itself is executed.
async fn start_chains(session: &mut Session, count: usize) {
    session.define(CHAIN).await;
    session.run(format!("SELECT workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[{count}]))")).await;
}

/// Reports these tasks and claims the same number. Returns the claimed tasks, and how many leases were inserted,
/// deleted, updated, and updated without touching any index.
async fn turn(session: &mut Session, tasks: &[Task]) -> (Vec<Task>, [i64; 4]) {
    let counts = "SELECT ARRAY[pg_stat_get_xact_tuples_inserted(c), pg_stat_get_xact_tuples_deleted(c),
                    pg_stat_get_xact_tuples_updated(c), pg_stat_get_xact_tuples_hot_updated(c)]
                  FROM CAST('workflow.lease'::regclass AS oid) AS c";
    let done: Vec<_> = tasks.iter().map(|task| (task.task, task.lease_token, "completed")).collect();
    session.run("BEGIN").await;
    let before: Vec<i64> = session.value(counts).await;
    let call = format!("workflow_finish_and_claim('w1', {}, {})", outcome_array(&done), done.len());
    let next = session.rows::<Task>(format!("SELECT * FROM {call} WHERE state = 'claimed'")).await;
    let after: Vec<i64> = session.value(counts).await;
    session.run("COMMIT").await;
    assert_eq!(next.len(), tasks.len());
    (next, std::array::from_fn(|which| after[which] - before[which]))
}

fn tokens(tasks: &[Task]) -> Vec<i64> {
    tasks.iter().map(|task| task.lease_token).collect()
}

#[tokio::test]
async fn tasks_handed_over_reuse_the_lease_that_was_reported() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        start_chains(&mut session, 2).await;
        let mut tasks = session.claim(2).await;
        let first = tokens(&tasks);
        for second in 1..20 {
            session.at(0.1 * f64::from(second)).await;
            let (next, written) = turn(&mut session, &tasks).await;
            assert_eq!((tokens(&next), written), (first.clone(), [0, 0, 1, 1]), "{second}");
            tasks = next;
        }
        // Ten seconds later, the index of expired leases is updated.
        session.at(10.0).await;
        let (next, written) = turn(&mut session, &tasks).await;
        assert_eq!((tokens(&next), written), (first.clone(), [0, 0, 1, 0]));
        // Tasks reported under the token are done, whatever is claimed under it now.
        let again = session.finish(&[(tasks[0].task, first[0], "completed")]).await;
        assert_eq!(again[0].word(), "completed");
        assert_eq!(session.claim(2).await, []);
        session.at(40.0).await;
        assert_eq!(session.claim(2).await.iter().map(|task| task.attempt).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(session.finish(&[(next[0].task, first[0], "completed")]).await[0].word(), "WF615");
    })
    .await;
}

/// If a lease contains more tasks than were reported, the tasks that follow get a lease of their own, and keep it.
#[tokio::test]
async fn what_follows_a_part_of_a_lease_has_one_of_its_own() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        start_chains(&mut session, 3).await;
        let tasks = session.claim(3).await;
        let (next, written) = turn(&mut session, &tasks[..1]).await;
        assert_eq!(written, [1, 0, 0, 0]);
        assert_ne!(next[0].lease_token, tasks[0].lease_token);
        let (last, written) = turn(&mut session, &next).await;
        assert_eq!((tokens(&last), written), (tokens(&next), [0, 0, 1, 1]));
    })
    .await;
}

/// What a session knows about a lease was true at the claim: another session may have split it by a heartbeat since
/// then.
#[tokio::test]
async fn a_lease_that_another_session_has_split_is_not_reused() {
    with_database(async |db| {
        let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
        start_chains(&mut session, 2).await;
        let claimed = session.claim(2).await;
        let (mut tasks, written) = turn(&mut session, &claimed).await;
        assert_eq!(written, [0, 0, 1, 1]);
        let named = format!("'{{{}}}', '{{{}}}', '1 hour'", tasks[0].task, tasks[0].lease_token);
        other.run(format!("SELECT workflow_heartbeat({named})")).await;
        // The row with the token now has only one of the two.
        let (next, written) = turn(&mut session, &tasks).await;
        assert_eq!(written, [1, 0, 0, 0]);
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow_check()").await, 0);
        tasks = next;
        // It is not tried again and again.
        for expected in [[1, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]] {
            let (next, written) = turn(&mut session, &tasks).await;
            assert_eq!(written, expected);
            tasks = next;
        }
        let held: i64 = session
            .value(
                "SELECT count(*) FROM workflow.lease l CROSS JOIN unnest(l.tasks) AS o(id)
                 JOIN workflow.workflow_task_execution t ON t.id = o.id AND t.status = 'running' AND t.lease = l.token",
            )
            .await;
        assert_eq!(held, 2);
        // They run under the newest remaining lease, which expires on time.
        for (second, attempts) in [(30.0, [vec![2, 2], vec![]]), (3600.0, [vec![3], vec![3]])] {
            session.at(second).await;
            session.run("SELECT workflow_tick()").await;
            // Those that have lost two leases are claimed alone.
            for attempts in attempts {
                let freed: Vec<i32> = session.claim(2).await.iter().map(|task| task.attempt).collect();
                assert_eq!(freed, attempts, "{second}");
            }
        }
    })
    .await;
}

/// One write, and one entry in each index, for every call of a worker that keeps working.
#[tokio::test]
async fn a_lease_whose_tasks_were_all_reported_is_reused_by_the_next_claim() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]\n").await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[6]))").await;
        let mut tasks = session.claim(2).await;
        let changes = "SELECT pg_stat_get_xact_tuples_inserted(c), pg_stat_get_xact_tuples_deleted(c),
                         pg_stat_get_xact_tuples_updated(c) FROM CAST('workflow.lease'::regclass AS oid) AS c";
        for (reported, expected) in [(2, (0, 0, 1)), (1, (1, 0, 0))] {
            let done: Vec<_> =
                tasks.iter().take(reported).map(|task| (task.task, task.lease_token, "completed")).collect();
            session.run("BEGIN").await;
            let before = session.rows::<(i64, i64, i64)>(changes).await[0];
            let call = format!("workflow_finish_and_claim('w1', {}, 2)", outcome_array(&done));
            tasks = session.rows::<Task>(format!("SELECT * FROM {call} WHERE state = 'claimed'")).await;
            let after = session.rows::<(i64, i64, i64)>(changes).await[0];
            session.run("COMMIT").await;
            assert_eq!(
                (after.0 - before.0, after.1 - before.1, after.2 - before.2),
                expected,
                "{reported} of 2 reported"
            );
            assert_eq!(tasks.len(), 2);
            let lease = tasks[0].lease_token;
            let held: Vec<i64> = session.value(format!("SELECT tasks FROM workflow.lease WHERE id = {lease}")).await;
            assert_eq!(held, tasks.iter().map(|task| task.task).collect::<Vec<_>>());
        }
    })
    .await;
}

/// The index of expired leases only has multiples of ten seconds; whether a lease has expired is determined to the
/// microsecond.
#[tokio::test]
async fn a_lease_ends_when_it_says() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]\n").await;
        let ends = [0.000_001, 1.0, 9.999_999, 10.0, 10.000_001, 15.0, 20.0, 31.5];
        for end in ends {
            session.start().await;
            let lease = format!("SELECT count(*) FROM workflow_claim('w1', 1, lease => '{end} s')");
            assert_eq!(session.value::<i64>(lease).await, 1);
        }
        let freed = "SELECT count(*) FROM workflow.workflow_task_execution WHERE status = 'scheduled'";
        for (ended, end) in ends.into_iter().enumerate() {
            session.at(end - 0.000_001).await;
            session.run("SELECT workflow_tick()").await;
            assert_eq!(session.value::<i64>(freed).await, ended as i64, "before {end}");
            session.at(end).await;
            session.run("SELECT workflow_tick()").await;
            assert_eq!(session.value::<i64>(freed).await, ended as i64 + 1, "at {end}");
        }
    })
    .await;
}
