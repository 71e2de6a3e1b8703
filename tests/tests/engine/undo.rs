//! Undo: what was completed is undone once the workflow fails, times out or is cancelled.

use crate::fixture::{Session, Task};
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

/// Three steps, of which the first two can be undone; the second has items.
pub const ORDER: &str = "parameters: {type: object, properties: {n: {type: integer, default: 7}}}

timeout: 1h
finally: tell
tasks:
  - {name: charge, action: demo.a, input: {amount: '{{ parameters.n }}'}, on_success: reserve,
     undo: {action: demo.b, input: {payment: '{{ result().payment }}', amount: '{{ input.amount }}'}, retry: {count: 1}}}
  - {name: reserve, action: demo.a, with_items: {items: '{{ [10, 20] }}', concurrency: 1}, input: {item: '{{ item }}'}, on_success: ship,
     undo: {action: demo.c, input: {item: '{{ item }}', place: '{{ index }}', got: '{{ result() }}'}}}
  - {name: ship, action: demo.d}
  - {name: tell, action: demo.e, input: {verdict: '{{ system.verdict }}'}}
";

impl Session {
    /// Brings an order to its last step, which is claimed.
    pub async fn shipping(&mut self) -> (i64, Task) {
        let id = self.begin(ORDER).await;
        self.work("charge", json!({"payment": "p1"})).await;
        self.work("reserve", json!("r10")).await;
        self.work("reserve", json!("r20")).await;
        let [ship] = self.claim_named(["ship"]).await;
        (id, ship)
    }

    /// Returns how far an execution has been undone.
    pub async fn undo(&mut self, id: i64) -> Option<String> {
        self.value(format!("SELECT undo FROM workflow_status({id})")).await
    }

    /// Claims the only undo and reports it as done.
    pub async fn undo_one(&mut self, name: &str, input: Value) {
        let [task] = self.claim_named([name]).await;
        assert_eq!(task.input, Some(input));
        assert_eq!(self.complete(&task, json!(null)).await, "completed");
    }

    pub async fn undo_all(&mut self) {
        self.undo_one("undo:reserve", json!({"item": 20, "place": 1, "got": "r20"})).await;
        self.undo_one("undo:reserve", json!({"item": 10, "place": 0, "got": "r10"})).await;
        self.undo_one("undo:charge", json!({"payment": "p1", "amount": 7})).await;
    }

    /// Returns the kinds of the events about an execution as a whole.
    pub async fn undo_events(&mut self, id: i64) -> Vec<String> {
        let sql = format!(
            "SELECT kind FROM workflow_list_events({id}) WHERE kind LIKE 'undo%' OR kind = 'undoing' ORDER BY id"
        );
        self.rows::<(String,)>(sql).await.into_iter().map(|row| row.0).collect()
    }
}

#[tokio::test]
async fn what_was_completed_last_is_undone_first_before_the_last_task() {
    for stop in ["failed", "cancelled", "timeout"] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            let (id, ship) = session.shipping().await;
            assert_eq!(session.undo(id).await, None);
            match stop {
                "failed" => drop(session.fail(&ship, json!({"message": "no truck"})).await),
                "cancelled" => session.run(format!("SELECT workflow_cancel({id})")).await,
                _ => {
                    session
                        .run(format!(
                            "SELECT workflow_heartbeat('{{{}}}', '{{{}}}', '2 h')",
                            ship.task, ship.lease_token
                        ))
                        .await;
                    session.at(3600.0).await;
                    session.run("SELECT workflow_tick()").await;
                }
            }
            if stop != "failed" {
                // Running tasks may finish. They have no undo.
                assert_eq!(session.undo(id).await.as_deref(), Some("pending"));
                session.complete(&ship, json!(null)).await;
            }
            assert_eq!(session.undo(id).await.as_deref(), Some("running"));
            session.undo_all().await;
            assert_eq!(session.undo(id).await.as_deref(), Some("done"));
            let [tell] = session.claim_named(["tell"]).await;
            assert_eq!(tell.input, Some(json!({"verdict": stop})));
            session.complete(&tell, json!(null)).await;
            session.assert_ended(id, stop, json!(null)).await;
            assert_eq!(session.undo_events(id).await, ["undoing", "undone"]);
            // It cannot run forward again.
            let refusal = session.refused(format!("SELECT workflow_rerun({id})")).await;
            assert_eq!(refusal.code(), ("55000", "WF612"));
            assert!(refusal.message.contains("has undone its completed tasks"), "{refusal:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn nothing_is_undone_after_a_success_nor_where_the_workflow_says_so() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let (id, ship) = session.shipping().await;
        session.complete(&ship, json!(null)).await;
        let [tell] = session.claim_named(["tell"]).await;
        session.fail(&tell, json!({"message": "no mail"})).await;
        // A last task that fails after a success undoes nothing.
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.undo(id).await, None);
        let id = session
            .begin("undo_on: [cancelled]\ntasks:\n- {name: x, action: demo.a, undo: {action: demo.b}, on_success: y}\n- {name: y, action: demo.c}\n")
            .await;
        session.work("x", json!(null)).await;
        let [y] = session.claim_named(["y"]).await;
        session.fail(&y, json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.undo(id).await, None);
        // It can still be rerun, and undone when it is cancelled then.
        session.run(format!("SELECT workflow_rerun({id})")).await;
        session.run(format!("SELECT workflow_cancel({id})")).await;
        session.work("undo:x", json!(null)).await;
        session.assert_ended(id, "cancelled", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_pause_holds_an_undo() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let (id, ship) = session.shipping().await;
        session.fail(&ship, json!(null)).await;
        let [first] = session.claim_named(["undo:reserve"]).await;
        session.run(format!("SELECT workflow_pause({id})")).await;
        session.complete(&first, json!(null)).await;
        session.claim_named([]).await;
        session.run(format!("SELECT workflow_resume({id})")).await;
        session.undo_one("undo:reserve", json!({"item": 10, "place": 0, "got": "r10"})).await;
        session.undo_one("undo:charge", json!({"payment": "p1", "amount": 7})).await;
        session.work("tell", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn all_can_be_undone_at_once_also_more_than_one_step_takes_up() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin("undo_order: parallel\ntasks:\n- {name: x, action: demo.a, with_items: '{{ range(250) | list }}', undo: {action: demo.b, input: {i: '{{ index }}'}}, on_success: y}\n- {name: y, action: demo.c}\n")
            .await;
        let items = session.claim(1000).await;
        let outcomes: Vec<_> = items.iter().map(|task| (task.task, task.lease_token, "completed")).collect();
        session.finish(&outcomes).await;
        let [y] = session.claim_named(["y"]).await;
        session.fail(&y, json!(null)).await;
        let mut undone = Vec::new();
        for expected in [100, 100, 50] {
            let tasks = session.claim(1000).await;
            assert_eq!(tasks.len(), expected);
            undone.extend(tasks.iter().map(|task| task.input.as_ref().unwrap()["i"].as_i64().unwrap()));
            let outcomes: Vec<_> = tasks.iter().map(|task| (task.task, task.lease_token, "completed")).collect();
            session.finish(&outcomes).await;
        }
        session.assert_ended(id, "failed", json!(null)).await;
        undone.sort_unstable();
        assert_eq!(undone, (0..250).collect::<Vec<i64>>());
    })
    .await;
}

#[tokio::test]
async fn a_failed_output_undoes_and_so_does_a_cancel_of_the_last_task() {
    const SOURCE: &str = "finally: tell
tasks:
  - {name: charge, action: demo.a, undo: {action: demo.b}}
  - {name: tell, action: demo.e}
output_map: [{share: '{{ 1 / task.charge.result }}'}]
";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(SOURCE).await;
        session.work("charge", json!(0)).await;
        session.work("tell", json!(null)).await;
        session.work("undo:charge", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert!(session.status(id).await["error_message"].as_str().unwrap().starts_with("WF606"));
        let id = session.start().await;
        session.work("charge", json!(1)).await;
        let [tell] = session.claim_named(["tell"]).await;
        session.run(format!("SELECT workflow_cancel({id})")).await;
        session.complete(&tell, json!(null)).await;
        session.work("undo:charge", json!(null)).await;
        session.assert_ended(id, "cancelled", json!({"share": 1.0})).await;
    })
    .await;
}

#[tokio::test]
async fn a_task_that_was_resolved_by_hand_is_undone_like_one_that_completed() {
    const SOURCE: &str = "tasks:
  - {name: fork, on_success: [charge, other]}
  - {name: charge, action: demo.a, undo: {action: demo.b, input: {payment: '{{ result() }}'}}}
  - {name: other, action: demo.c}
";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(SOURCE).await;
        let [charge, other] = session.claim_named(["charge", "other"]).await;
        session.fail(&charge, json!(null)).await;
        session
            .run(format!("SELECT workflow_resolve({}, 'completed', '\"by phone\"', 'charged by phone')", charge.task))
            .await;
        session.complete(&other, json!(null)).await;
        session.undo_one("undo:charge", json!({"payment": "by phone"})).await;
        session.assert_ended(id, "failed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn an_undo_is_shown_in_tasks_graph_and_timeline() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let (id, ship) = session.shipping().await;
        session.fail(&ship, json!(null)).await;
        session.undo_all().await;
        let tasks: Vec<(String, Option<String>)> = session
            .rows(format!(
                "SELECT u.task_name, t.task_name FROM workflow_list_tasks({id}) u
                 LEFT JOIN workflow_list_tasks({id}) t ON t.task = u.undoes WHERE u.undoes IS NOT NULL ORDER BY u.task"
            ))
            .await;
        let pair = |name: &str| (format!("undo:{name}"), Some(name.to_owned()));
        assert_eq!(tasks, [pair("reserve"), pair("reserve"), pair("charge")]);
        let graph: String = session.value(format!("SELECT workflow_graph({id})")).await;
        assert!(graph.contains("u0[/\"undo:charge<br/>demo.b\"/]\n  t0 -. \"undo\" .-> u0"), "{graph}");
        assert!(graph.contains("class u0 completed"), "{graph}");
        let dot: String = session.value("SELECT workflow_graph('demo.w', 'dot')").await;
        assert!(dot.contains("t0 -> u0 [style=dotted, label=\"undo\"];"), "{dot}");
        let timeline: String = session.value(format!("SELECT workflow_timeline({id})")).await;
        assert!(timeline.contains("section undo#58;charge"), "{timeline}");
    })
    .await;
}

#[tokio::test]
async fn an_undo_may_be_a_workflow() {
    const REFUND: &str = "tasks:\n  - {name: pay, action: demo.b}\n";
    const SOURCE: &str = "tasks:
  - {name: charge, action: demo.a, undo: {action: demo.refund, retry: {count: 1}}, on_success: x}
  - {name: x, action: demo.c}
";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.refund", REFUND).await;
        let id = session.begin(SOURCE).await;
        session.work("charge", json!(null)).await;
        let [x] = session.claim_named(["x"]).await;
        session.fail(&x, json!(null)).await;
        // It fails once, and is called again.
        let [pay] = session.claim_named(["pay"]).await;
        session.fail(&pay, json!({"message": "bank down"})).await;
        let tree = format!("SELECT task_name FROM workflow_tree({id}) WHERE depth = 1 ORDER BY execution DESC LIMIT 1");
        assert_eq!(session.value::<String>(tree).await, "undo:charge");
        session.work("pay", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.undo(id).await.as_deref(), Some("done"));
    })
    .await;
}

#[tokio::test]
async fn what_is_resolved_while_others_are_undone_is_undone_too() {
    const SOURCE: &str = "tasks:
  - {name: a, action: demo.a, undo: {action: demo.b}, on_success: charge}
  - {name: charge, action: demo.c, undo: {action: demo.d}}
";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(SOURCE).await;
        session.work("a", json!(null)).await;
        let [charge] = session.claim_named(["charge"]).await;
        session.fail(&charge, json!(null)).await;
        session.run(format!("SELECT workflow_resolve({})", charge.task)).await;
        session.work("undo:a", json!(null)).await;
        session.work("undo:charge", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.undo(id).await.as_deref(), Some("done"));
    })
    .await;
}
