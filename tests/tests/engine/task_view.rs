//! A task as expressions see it is the same whatever was reported together.

use crate::fixture::Session;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

const LOOK: &str = "tasks:
  - {name: first, action: demo.a, on_complete: gate}
  - {name: other, action: demo.b, on_complete: gate}
  - {name: gate, join: all, on_success: look}
  - {name: look, action: demo.c, input: {whole: '{{ task.first }}', other: '{{ task.other }}', all: '{{ task | list }}', word: \"{{ task_status('other') }}\"}}
";

#[tokio::test]
async fn a_task_as_a_whole_says_all_there_is_however_it_was_reported() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.at(1.5).await;
        let mut seen = Vec::new();
        for together in [true, false] {
            session.begin(LOOK).await;
            let [first, other] = session.claim_named(["first", "other"]).await;
            let reports = [(first.task, first.lease_token, "completed"), (other.task, other.lease_token, "timeout")];
            if together {
                session.finish(&reports).await;
            } else {
                session.finish(&reports[..1]).await;
                session.finish(&reports[1..]).await;
            }
            let [look] = session.claim_named(["look"]).await;
            seen.push(look.input.clone().unwrap());
            session.complete(&look, json!(null)).await;
        }
        assert_eq!(seen[0], seen[1]);
        let whole = json!({"status": "completed", "result": null, "error": null, "attempts": 1,
            "started_at": "2026-01-01T00:00:01.500+00:00", "completed_at": "2026-01-01T00:00:01.500+00:00"});
        assert_eq!(seen[0]["whole"], whole);
        assert_eq!((&seen[0]["other"]["status"], &seen[0]["word"]), (&json!("failed"), &json!("failed")));
        assert_eq!(seen[0]["all"], json!(["first", "gate", "other"]));
    })
    .await;
}

#[tokio::test]
async fn finally_sees_the_verdict_and_every_error() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "finally: tidy
tasks:
  - {name: a, action: demo.a}
  - {name: b, action: demo.b}
  - {name: tidy, action: demo.c, input: {verdict: '{{ system.verdict }}', id: '{{ system.execution }}', errors: \"{{ system.errors | map(attribute='message') | list }}\"}}
";
        for fails in [true, false] {
            let id = session.begin(rest).await;
            let [a, b] = session.claim_named(["a", "b"]).await;
            for (task, why) in [(a, "x"), (b, "y")] {
                if fails {
                    session.fail(&task, json!({"message": why})).await;
                } else {
                    session.complete(&task, json!(null)).await;
                }
            }
            let [tidy] = session.claim_named(["tidy"]).await;
            let input = tidy.input.clone().unwrap();
            assert_eq!(input["id"], json!(id));
            assert_eq!(input["verdict"], if fails { "failed" } else { "completed" });
            let said = |task: &str, why: &str| format!("task {task} ended as failed and no transition handles it: {why}");
            let expected = if fails { json!([said("a", "x"), said("b", "y")]) } else { json!([]) };
            assert_eq!(input["errors"], expected);
            session.complete(&tidy, json!(null)).await;
            let status: Value = session.status(id).await;
            assert_eq!(status["errors"].as_array().unwrap().len(), if fails { 2 } else { 0 });
            assert_eq!(status["closing_tasks"], if fails { json!(["tidy"]) } else { json!([]) });
        }
    })
    .await;
}
