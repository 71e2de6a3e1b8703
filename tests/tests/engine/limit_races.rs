//! Several sessions under one limit: nobody waits, nothing is exceeded, and nothing is forgotten.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

const ONE: &str = "tasks:\n  - {name: charge, action: demo.a, limit: payments}\n";

async fn assert_sound(session: &mut Session) {
    let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
    assert_eq!(broken, []);
}

async fn started(session: &mut Session, count: usize) {
    for _ in 0..count {
        session.start().await;
    }
}

#[tokio::test]
async fn claims_in_open_transactions_share_a_limit_without_waiting() {
    with_database(async |db| {
        let (mut first, mut second) = (Session::new(db).await, Session::new(db).await);
        for session in [&mut first, &mut second] {
            session.run("SET lock_timeout = '1s'").await;
        }
        first.run("SELECT workflow_set_limit('payments', max_running => 3)").await;
        first.define(ONE).await;
        for round in 0..7 {
            first.at(f64::from(round) * 1000.0).await;
            second.at(f64::from(round) * 1000.0).await;
            started(&mut first, 6).await;
            first.run("BEGIN").await;
            let one = first.claim(1).await;
            assert_eq!(one.len(), 1);
            second.run("BEGIN").await;
            let two = second.claim(10).await;
            assert!(two.len() <= 2, "{two:?}");
            first.run("COMMIT").await;
            second.run("COMMIT").await;
            let rest = second.claim(10).await;
            assert!(two.len() + rest.len() <= 2);
            assert_sound(&mut first).await;
            for task in one.iter().chain(&two).chain(&rest) {
                first.complete(task, json!(null)).await;
            }
            let mut left = 6 - one.len() - two.len() - rest.len();
            for second_later in 1..100 {
                first.at(f64::from(round) * 1000.0 + f64::from(second_later)).await;
                for task in first.claim(10).await {
                    first.complete(&task, json!(null)).await;
                    left -= 1;
                }
            }
            assert_eq!(left, 0);
            assert_sound(&mut first).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_is_rolled_back_leaves_nothing_behind() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SELECT workflow_set_limit('payments', max_running => 1, rate => 1, per => '1 hour')").await;
        session.define(ONE).await;
        started(&mut session, 3).await;
        for _ in 0..7 {
            session.run("BEGIN").await;
            assert_eq!(session.claim(10).await.len(), 1);
            session.run("ROLLBACK").await;
            assert_sound(&mut session).await;
        }
        assert_eq!(session.claim(10).await.len(), 1);
    })
    .await;
}

/// Two transactions that do not see each other: one frees a slot that the other has just found taken.
#[tokio::test]
async fn a_slot_freed_while_somebody_is_sent_to_wait_is_found_later() {
    with_database(async |db| {
        let (mut session, mut reporter) = (Session::new(db).await, Session::new(db).await);
        session.run("SELECT workflow_set_limit('payments', max_running => 1)").await;
        session.define(ONE).await;
        for round in 0..7 {
            let start = f64::from(round) * 1000.0;
            session.at(start).await;
            reporter.at(start).await;
            started(&mut session, 2).await;
            let [task] = &session.claim(1).await[..] else { panic!("nothing claimed in round {round}") };
            reporter.run("BEGIN").await;
            reporter.complete(task, json!(null)).await;
            assert!(session.claim(10).await.is_empty());
            reporter.run("COMMIT").await;
            assert_sound(&mut session).await;
            session.at(start + 2.0).await;
            let [task] = &session.claim(10).await[..] else { panic!("forgotten in round {round}") };
            session.complete(task, json!(null)).await;
            assert_sound(&mut session).await;
        }
    })
    .await;
}

/// A start that saw waiting tasks commits after all of these are gone.
#[tokio::test]
async fn a_start_that_commits_late_is_not_forgotten() {
    with_database(async |db| {
        let (mut session, mut starter) = (Session::new(db).await, Session::new(db).await);
        session.run("SELECT workflow_set_limit('payments', max_running => 1)").await;
        session.define(ONE).await;
        started(&mut session, 2).await;
        let [task] = &session.claim(1).await[..] else { panic!("nothing claimed") };
        assert!(session.claim(10).await.is_empty());
        starter.run("BEGIN").await;
        starter.start().await;
        session.complete(task, json!(null)).await;
        let [task] = &session.claim(10).await[..] else { panic!("nothing claimed") };
        session.complete(task, json!(null)).await;
        for second in 1..20 {
            session.at(f64::from(second) * 10.0).await;
            assert!(session.claim(10).await.is_empty());
            session.run("SELECT workflow_tick()").await;
        }
        starter.run("COMMIT").await;
        session.at(300.0).await;
        assert_eq!(session.claim(10).await.len(), 1);
        assert_sound(&mut session).await;
        // Once nothing is waiting, the key is no longer checked.
        session.run("SELECT workflow_delete_limit('payments')").await;
        // Not before all transactions that were open at that time have ended, including those in other databases.
        for second in 1..100_000 {
            session.at(300.0 + f64::from(second)).await;
            session.run("SELECT workflow_tick()").await;
            if session.value::<i64>("SELECT count(*) FROM workflow.limit_key WHERE check_at IS NOT NULL").await == 0 {
                return;
            }
        }
        panic!("somebody looks for ever");
    })
    .await;
}

/// A start that saw waiting tasks while another session was recording that there are none is not forgotten either.
#[tokio::test]
async fn a_start_beside_the_last_look_at_a_key_is_not_forgotten() {
    with_database(async |db| {
        let (mut session, mut starter) = (Session::new(db).await, Session::new(db).await);
        let mut looker = Session::new(db).await;
        session.run("SELECT workflow_set_limit('payments', max_running => 1)").await;
        session.define(ONE).await;
        started(&mut session, 2).await;
        for _ in 0..2 {
            let [task] = &session.claim(1).await[..] else { panic!("nothing claimed") };
            session.claim(10).await;
            session.complete(task, json!(null)).await;
        }
        looker.at(10.0).await;
        looker.run("BEGIN; SELECT workflow_tick()").await;
        starter.run("BEGIN").await;
        starter.start().await;
        looker.run("COMMIT").await;
        for second in 1..20 {
            session.at(10.0 + f64::from(second) * 10.0).await;
            session.run("SELECT workflow_tick()").await;
        }
        starter.run("COMMIT").await;
        assert_sound(&mut session).await;
        session.at(300.0).await;
        assert_eq!(session.claim(10).await.len(), 1);
        assert_sound(&mut session).await;
    })
    .await;
}

/// Two transactions report and claim under two limits in opposite orders.
#[tokio::test]
async fn opposite_orders_do_not_deadlock() {
    with_database(async |db| {
        let (mut first, mut second) = (Session::new(db).await, Session::new(db).await);
        for session in [&mut first, &mut second] {
            session.run("SET lock_timeout = '2s'").await;
        }
        first.run("SELECT workflow_set_limit('x', max_running => 5, rate => 1000, per => '1 s', burst => 1000)").await;
        first.run("SELECT workflow_set_limit('y', max_running => 5, rate => 1000, per => '1 s', burst => 1000)").await;
        first
            .define("tasks:\n  - {name: one, action: demo.a, limit: x}\n  - {name: two, action: demo.b, limit: y}\n")
            .await;
        started(&mut first, 4).await;
        let claim = |action: &str| format!("SELECT count(*) FROM workflow_claim('w', 1, '{{{action}}}')");
        for (a, b) in [("demo.a", "demo.b"), ("demo.b", "demo.a")] {
            first.run("BEGIN").await;
            second.run("BEGIN").await;
            assert_eq!(first.value::<i64>(claim(a)).await, 1);
            second.run(claim(b)).await;
            first.run(claim(b)).await;
            second.run(claim(a)).await;
            first.run("COMMIT").await;
            second.run("COMMIT").await;
            assert_sound(&mut first).await;
        }
    })
    .await;
}

/// A claim finds a task whose limit someone else has locked, and puts it back. The same claim stops the task's execution,
/// because another of its tasks has lost its lease too often: what was put back is withdrawn, and no worker gets it.
#[tokio::test]
async fn a_task_put_back_by_the_claim_that_stops_its_execution_is_withdrawn() {
    with_database(async |db| {
        let (mut worker, mut holder) = (Session::new(db).await, Session::new(db).await);
        worker.run("SET pg_workflow.max_lost_leases = 1").await;
        worker.run("SELECT workflow_set_limit('mail', rate => 100, per => '1 s', burst => 100)").await;
        worker.define("tasks: [{name: a, action: demo.a}, {name: b, action: demo.b, limit: mail}]\n").await;
        worker.define_as("demo.first", "tasks: [{name: first, action: demo.b, limit: mail}]\n").await;
        for round in 0..7 {
            let start = f64::from(round) * 10_000.0;
            worker.at(start).await;
            // The key exists from now on, until some tick finds it unused.
            worker.run("SELECT workflow_start('demo.first')").await;
            worker.work("first", json!(null)).await;
            let execution = worker.start().await;
            worker.run("SELECT * FROM workflow_claim('w1', actions => ARRAY['demo.a'])").await;
            worker.at(start + 60.0).await;
            holder.run("BEGIN; SELECT FROM workflow.limit_key WHERE limit_name = 'mail' FOR UPDATE").await;
            assert_eq!(worker.claim(9).await, []);
            holder.run("ROLLBACK").await;
            worker.run("SELECT workflow_tick()").await;
            worker.assert_ended(execution, "failed", json!(null)).await;
            assert!(worker.claim(9).await.is_empty());
            assert_sound(&mut worker).await;
        }
    })
    .await;
}

/// Someone holds a limit that is being deleted at the same time: the hold can be released although the limit is gone.
#[tokio::test]
async fn a_hold_set_while_its_limit_is_deleted_can_be_released() {
    with_database(async |db| {
        let (mut owner, mut operator) = (Session::new(db).await, Session::new(db).await);
        operator.run("SET lock_timeout = '1s'").await;
        owner.run("SELECT workflow_set_limit('payments', max_running => 3)").await;
        owner.run("BEGIN").await;
        owner.run("SELECT workflow_delete_limit('payments')").await;
        operator.run("SELECT workflow_hold('payments', NULL, workflow.now() + interval '1 h')").await;
        owner.run("COMMIT").await;
        let holds = "SELECT count(*) FROM workflow_list_holds()";
        assert_eq!(operator.value::<i64>(holds).await, 1);
        operator.run("SELECT workflow_release('payments')").await;
        assert_eq!(operator.value::<i64>(holds).await, 0);
        assert_eq!(operator.refused("SELECT workflow_release('payments')").await.code().1, "WF616");
    })
    .await;
}
