//! The state of an execution, as a row and as a diagram.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

const REST: &str = "tasks:
  - {name: build, action: demo.a, on_success: [scan, ship]}
  - {name: scan, action: demo.b, when: '{{ false }}'}
  - {name: ship, action: demo.c, on_failure: mend}
  - {name: mend, action: demo.d}
";

#[tokio::test]
async fn status_tells_what_happens() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(REST).await;
        let lists = async |session: &mut Session| {
            let status = session.status(id).await;
            json!([status["current_tasks"], status["completed_tasks"], status["failed_tasks"], status["skipped_tasks"]])
        };
        let status = session.status(id).await;
        assert_eq!((&status["execution"], &status["workflow_ref"]), (&json!(id), &json!("demo.w")));
        assert_eq!(status["created"], "2026-01-01T00:00:00+00:00");
        assert_eq!(lists(&mut session).await, json!([["build"], [], [], []]));
        let [build] = session.claim_named(["build"]).await;
        assert_eq!(lists(&mut session).await, json!([["build"], [], [], []]));
        session.at(2.0).await;
        session.complete(&build, json!(null)).await;
        assert_eq!(lists(&mut session).await, json!([["ship"], ["build"], [], ["scan"]]));
        let [ship] = session.claim_named(["ship"]).await;
        session.fail(&ship, json!(null)).await;
        assert_eq!(lists(&mut session).await, json!([["mend"], ["build"], ["ship"], ["scan"]]));
        session.at(7.0).await;
        session.work("mend", json!(null)).await;
        assert_eq!(lists(&mut session).await, json!([[], ["build", "mend"], ["ship"], ["scan"]]));
        assert_eq!(session.status(id).await["updated"], "2026-01-01T00:00:07+00:00");
        let detail: Vec<(String, String, Option<i64>)> = session
            .rows("SELECT task_name, summary::text, duration_ms FROM workflow.workflow_task_detail ORDER BY id")
            .await;
        assert_eq!(detail.len(), 4, "{detail:?}");
        assert_eq!(detail[0], ("build".into(), "completed".into(), Some(2000)));
    })
    .await;
}

#[tokio::test]
async fn status_and_graph_of_what_is_not_there_are_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(REST).await;
        for (call, sqlstate, code) in [
            ("workflow_status(NULL)", "22023", "WF613"),
            ("workflow_status(99)", "P0002", "WF616"),
            ("workflow_status(-1)", "P0002", "WF616"),
            ("workflow_graph(NULL::bigint)", "22023", "WF613"),
            ("workflow_graph(NULL::text)", "22023", "WF613"),
            ("workflow_graph(99)", "P0002", "WF616"),
            ("workflow_graph('demo.none')", "P0002", "WF616"),
            ("workflow_graph('demo.w', 'png')", "22023", "WF613"),
            ("workflow_graph('demo.w', NULL)", "22023", "WF613"),
            ("workflow_check(0)", "22023", "WF613"),
            ("workflow_check(NULL)", "22023", "WF613"),
        ] {
            let refusal = session.refused(format!("SELECT * FROM {call}")).await;
            assert_eq!(refusal.code(), (sqlstate, code), "{call}: {refusal:#?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_graph_is_drawn_of_a_workflow_and_coloured_for_an_execution() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(REST).await;
        let plain: String = session.value("SELECT workflow_graph('demo.w')").await;
        assert!(plain.starts_with("flowchart") || plain.starts_with("graph") || plain.starts_with("---"), "{plain}");
        let dot: String = session.value("SELECT workflow_graph('demo.w', 'dot')").await;
        assert!(dot.starts_with("digraph"), "{dot}");
        for name in ["build", "scan", "ship", "mend"] {
            assert!(plain.contains(name) && dot.contains(name), "{name}");
        }
        session.work("build", json!(null)).await;
        session.claim_named(["ship"]).await;
        let coloured: String = session.value(format!("SELECT workflow_graph({id})")).await;
        for word in ["completed", "running", "skipped"] {
            assert!(coloured.contains(word) && !plain.contains(word), "{word}: {coloured}");
        }
        let dot: String = session.value(format!("SELECT workflow_graph({id}, 'dot')")).await;
        assert!(dot.starts_with("digraph"), "{dot}");
    })
    .await;
}
