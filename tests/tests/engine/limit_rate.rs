//! Limits with a rate: how fast tasks start.

use crate::fixture::*;
use crate::limits::{assert_sound, keys, set};
use pg_workflow_tests::with_database;
use serde_json::json;

#[tokio::test]
async fn tasks_begin_evenly_at_the_rate_and_after_a_rest_in_a_burst() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set(&mut session, "'mail', rate => 10, per => '1 second', burst => 3").await;
        session.define("tasks:\n  - {name: send, action: demo.a, limit: mail}\n").await;
        for _ in 0..40 {
            session.start().await;
        }
        let mut begun = Vec::new();
        for hundredth in 0..400 {
            let now = f64::from(hundredth) / 100.0;
            session.at(now).await;
            for task in session.claim(10).await {
                begun.push(now);
                session.complete(&task, json!(null)).await;
            }
        }
        assert_eq!(begun.len(), 40);
        assert_eq!(&begun[..4], [0.0, 0.0, 0.0, 0.1]);
        for (place, from) in begun.iter().enumerate() {
            let within = begun[place..].iter().take_while(|at| **at < from + 0.999).count();
            assert!(within <= 12, "{within} in the second from {from}");
        }
        assert_eq!(begun.last(), Some(&3.7));
        assert_sound(&mut session).await;
    })
    .await;
}

/// The state of a key does not depend on how far back its rate reaches.
#[tokio::test]
async fn a_burst_of_a_hundred_thousand_years_can_be_listed() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set(&mut session, "'mail', rate => 1, per => '31 days', burst => 1000000").await;
        session.define("tasks:\n  - {name: send, action: demo.a, limit: mail}\n").await;
        session.start().await;
        assert_eq!(session.claim(10).await.len(), 1);
        assert_eq!(keys(&mut session, "mail").await, [(String::new(), None, 0)]);
        session.run("SELECT workflow_hold('mail', NULL, workflow.now() + interval '5 s')").await;
        let waiting = session.start().await;
        assert!(session.claim(10).await.is_empty());
        session.run("DELETE FROM workflow.hold").await;
        let why: String = session.value(format!("SELECT why FROM workflow_why({waiting})")).await;
        assert!(
            why.starts_with(
                "is waiting for limit mail: 1 may start per 31 days, 0 tasks of the same action ahead of it"
            ),
            "{why}"
        );
    })
    .await;
}

/// A rate that is raised lets the next task start at the new interval, even if the old one would have let nothing start for
/// a month.
#[tokio::test]
async fn a_raised_rate_takes_effect_at_the_next_claim() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set(&mut session, "'mail', rate => 1, per => '31 days'").await;
        session.define("tasks:\n  - {name: send, action: demo.a, limit: mail}\n").await;
        for round in 0..7 {
            for waits in [true, false] {
                let start = f64::from(round) * 1000.0;
                session.at(start).await;
                session.run("SELECT workflow_delete_limit('mail')").await;
                set(&mut session, "'mail', rate => 1, per => '31 days'").await;
                session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[3]))").await;
                let first = session.claim(10).await;
                assert!(first.len() <= 1);
                if waits {
                    assert!(session.claim(10).await.is_empty());
                }
                set(&mut session, "'mail', rate => 1000, per => '1 second', burst => 10").await;
                session.claim(10).await;
                session.at(start + 0.1).await;
                session.claim(10).await;
                let left: i64 = session
                    .value("SELECT count(*) FROM workflow.workflow_task_execution WHERE status IN ('requested', 'scheduled')")
                    .await;
                assert_eq!(left, 0, "round {round}, {waits}");
                assert_sound(&mut session).await;
                session.run("SELECT workflow_cancel(e.id, force => true) FROM workflow.execution e WHERE NOT workflow.is_end(e.status)").await;
            }
        }
    })
    .await;
}

/// Nothing would ever end.
#[tokio::test]
async fn an_infinite_time_is_refused_as_the_current_one() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        for time in ["infinity", "-infinity", "soon"] {
            session.run(format!("SET pg_workflow.test_now = '{time}'")).await;
            let refusal = session.refused("SELECT workflow_tick()").await;
            assert_eq!(refusal.code(), ("22023", "WF613"), "{time}");
        }
    })
    .await;
}
