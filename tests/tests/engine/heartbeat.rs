//! Heartbeats: they extend leases, store progress, and tell a worker when to stop.

use crate::fixture::*;
use crate::lease::{ONE, start_many};
use pg_workflow_tests::with_database;
use serde_json::json;

/// Sends a heartbeat. Returns its answers, in order.
async fn heartbeat(session: &mut Session, tasks: &[&Task], lease: &str) -> Vec<String> {
    let of = |field: fn(&Task) -> i64| {
        let list: Vec<String> = tasks.iter().map(|task| field(task).to_string()).collect();
        format!("'{{{}}}'", list.join(","))
    };
    let rows: Vec<(i64, String)> = session
        .rows(format!(
            "SELECT * FROM workflow_heartbeat({}, {}, '{lease}')",
            of(|task| task.task),
            of(|task| task.lease_token)
        ))
        .await;
    assert_eq!(
        rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        tasks.iter().map(|task| task.task).collect::<Vec<_>>()
    );
    rows.into_iter().map(|row| row.1).collect()
}

#[tokio::test]
async fn a_heartbeat_prolongs_what_it_names_and_leaves_the_rest_to_end() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        start_many(&mut session, 4).await;
        let tasks = session.claim(4).await;
        let [a, b, c, d] = [&tasks[0], &tasks[1], &tasks[2], &tasks[3]];
        session.at(20.0).await;
        session.complete(d, json!(null)).await;
        assert_eq!(heartbeat(&mut session, &[b, a, d], "30 seconds").await, ["held", "held", "lost"]);
        session.at(30.0).await;
        let freed = session.claim(10).await;
        assert_eq!(freed.iter().map(|task| task.task).collect::<Vec<_>>(), [c.task]);
        assert_eq!(heartbeat(&mut session, &[a, b, c], "30 seconds").await, ["held", "held", "lost"]);
        session.at(59.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0);
        assert_eq!(session.complete(a, json!(null)).await, "completed");
        assert_eq!(session.complete(b, json!(null)).await, "completed");
        let refusal = session.refused(format!("SELECT workflow_complete({}, {})", c.task, c.lease_token)).await;
        assert_eq!(refusal.code(), ("55006", "WF615"));
        session.complete(&freed[0], json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn heartbeats_may_name_the_tasks_of_a_claim_in_turns() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        start_many(&mut session, 3).await;
        let tasks = session.claim(3).await;
        let [a, b, c] = [&tasks[0], &tasks[1], &tasks[2]];
        for round in 1..=5 {
            session.at(f64::from(round) * 20.0).await;
            for task in [a, b, c] {
                assert_eq!(heartbeat(&mut session, &[task], "30 seconds").await, ["held"], "round {round}");
            }
            assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0, "round {round}");
        }
        session.at(129.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0);
        session.at(130.0).await;
        assert_eq!(session.claim(10).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_heartbeat_can_also_shorten_a_lease() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin(ONE).await;
        let [task] = session.claim_named(["a"]).await;
        assert_eq!(heartbeat(&mut session, &[&task], "1 second").await, ["held"]);
        session.at(1.0).await;
        assert_eq!(session.claim(1).await[0].attempt, 2);
    })
    .await;
}

#[tokio::test]
async fn a_heartbeat_returns_the_tasks_to_stop() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(ONE).await;
        let [task] = session.claim_named(["a"]).await;
        session.run(format!("SELECT workflow_cancel({id})")).await;
        assert_eq!(heartbeat(&mut session, &[&task], "30 seconds").await, ["stop"]);
        session.complete(&task, json!(null)).await;
        assert_eq!(heartbeat(&mut session, &[&task], "30 seconds").await, ["lost"]);
        session.assert_ended(id, "cancelled", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_heartbeat_with_wrong_arguments_is_refused_and_with_unknown_tasks_says_lost() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin(ONE).await;
        let [task] = session.claim_named(["a"]).await;
        let (id, lease) = (task.task, task.lease_token);
        for call in [
            "NULL, '{1}'".to_owned(),
            "'{1}', NULL".into(),
            "'{1}', '{1, 2}'".into(),
            "'{1}', '{1}', '0'".into(),
            "'{1}', '{1}', '-1 second'".into(),
            "'{1}', '{1}', '31 days'".into(),
            "'{1}', '{1}', NULL".into(),
        ] {
            let refusal = session.refused(format!("SELECT * FROM workflow_heartbeat({call})")).await;
            assert_eq!(refusal.code(), ("22023", "WF613"), "{call}");
        }
        let before = session.contents_but_refusals().await;
        let rows: Vec<(Option<i64>, String)> = session
            .rows(format!(
                "SELECT * FROM workflow_heartbeat(ARRAY[NULL, {id}, {id}, 99, -1], ARRAY[{lease}, NULL, {lease} + 1, {lease}, {lease}])"
            ))
            .await;
        assert!(rows.iter().all(|(_, state)| state == "lost"), "{rows:?}");
        assert_eq!(rows.len(), 5);
        assert_eq!(session.contents_but_refusals().await, before);
        let none: Vec<(i64, String)> = session.rows("SELECT * FROM workflow_heartbeat('{}', '{}')").await;
        assert!(none.is_empty());
    })
    .await;
}

#[tokio::test]
async fn progress_that_a_heartbeat_brings_is_handed_to_the_next_attempt() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin("tasks: [{name: a, action: demo.a}, {name: b, action: demo.a}]").await;
        let [a, b] = session.claim_named(["a", "b"]).await;
        let beat = |progress: &str| {
            format!(
                "SELECT string_agg(state, ' ') FROM workflow_heartbeat(ARRAY[{}, {}], ARRAY[{}, 5], progress => {progress})",
                a.task, b.task, a.lease_token
            )
        };
        for at in 0..6 {
            let done = format!("ARRAY[jsonb_build_object('done', {at}), '1']");
            assert_eq!(session.value::<String>(beat(&done)).await, "held lost");
        }
        assert_eq!(session.value::<String>(beat("ARRAY[NULL, NULL]::jsonb[]")).await, "held lost");
        let stored: Vec<(String, Option<serde_json::Value>)> =
            session.rows(format!("SELECT task_name, progress FROM workflow_list_tasks({id})")).await;
        let progress = serde_json::json!({"done": 5});
        assert_eq!(stored, [("a".to_owned(), Some(progress.clone())), ("b".to_owned(), None)]);
        let why: String = session.value(format!("SELECT why FROM workflow_why({id}) WHERE task = 'a'")).await;
        assert!(why.ends_with(", progress {\"done\": 5}"), "{why}");
        for (wrong, code) in [("ARRAY['1']::jsonb[]", "WF613"), ("ARRAY[to_jsonb(repeat('x', 20000000)), NULL]", "WF614")] {
            assert_eq!(session.refused(beat(wrong)).await.code().1, code, "{wrong}");
        }
        session.at(40.0).await;
        session.run("SELECT workflow_tick()").await;
        let next: serde_json::Value =
            session.value("SELECT jsonb_agg(c.progress ORDER BY c.task_name) FROM workflow_claim('w2', 9) AS c").await;
        assert_eq!(next, serde_json::json!([progress, null]));
        // Late progress is dropped.
        assert_eq!(session.value::<String>(beat("ARRAY['9', NULL]::jsonb[]")).await, "lost lost");
    })
    .await;
}
