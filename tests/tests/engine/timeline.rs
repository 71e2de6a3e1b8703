//! When the tasks of an execution ran, as a diagram.

use crate::fixture::*;
use pg_workflow_client::Engine;
use pg_workflow_tests::with_database;
use serde_json::json;

/// Returns the milliseconds since 1970 at a number of seconds after the start.
fn ms(seconds: i64) -> i64 {
    1_767_225_600_000 + seconds * 1000
}

#[tokio::test]
async fn a_timeline_has_a_bar_a_task_and_gathers_many_items() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: build, action: demo.a, retry: {count: 1}, on_success: [gate, ship, tell]}
  - {name: gate}
  - {name: ship, action: demo.b, with_items: {items: [a, b]}, input: {x: '{{ item }}'}}
  - {name: tell, action: demo.c, with_items: {items: '{{ range(11) | list }}', on_item_failure: continue}, input: {x: '{{ item }}'}}
",
            )
            .await;
        let [build] = session.claim_named(["build"]).await;
        session.at(1.0).await;
        session.fail(&build, json!(null)).await;
        session.at(2.0).await;
        let [build] = session.claim_named(["build"]).await;
        session.at(5.0).await;
        session.complete(&build, json!(null)).await;
        let ship: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w1', 1, '{demo.b}')").await;
        let tell: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w1', 2, '{demo.c}')").await;
        session.at(6.0).await;
        session.complete(&ship[0], json!(null)).await;
        session.fail(&tell[0], json!(null)).await;
        session.at(9.0).await;
        let expected = format!(
            "gantt
  title demo.w, execution {id}
  dateFormat x
  axisFormat %H:%M:%S
  section build
  build, attempt 2 :done, t0, {}, {}
  section gate
  gate :done, milestone, t1, {}, {}
  section ship
  ship 0 :done, t2, {}, {}
  ship 1, pending :t3, {}, {}
  section tell
  tell, 11 items, 1 failed, running :active, t4, {}, {}
",
            ms(2), ms(5), ms(5), ms(5), ms(5), ms(6), ms(5), ms(9), ms(5), ms(9)
        );
        assert_eq!(Engine::timeline(&mut session.connection, id, 100).await.unwrap(), expected);
        let short = Engine::timeline(&mut session.connection, id, 2).await.unwrap();
        assert!(short.ends_with("\n  %% 3 more are left out\n"), "{short}");
        assert_eq!(short.lines().filter(|line| line.contains(" :")).count(), 2);
        for (call, sqlstate, code) in [
            ("workflow_timeline(NULL)".to_owned(), "22023", "WF613"),
            ("workflow_timeline(99)".into(), "P0002", "WF616"),
            (format!("workflow_timeline({id}, 0)"), "22023", "WF613"),
            (format!("workflow_timeline({id}, NULL)"), "22023", "WF613"),
        ] {
            let refusal = session.refused(format!("SELECT {call}")).await;
            assert_eq!(refusal.code(), (sqlstate, code), "{call}: {refusal:#?}");
        }
    })
    .await;
}
