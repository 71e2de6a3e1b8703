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
