//! Commands that control executions.

use crate::program::{Program, printed, told};
use futures::TryStreamExt;
use pg_workflow_client::{Engine, ExecutionFilter, Page, walk};
use pg_workflow_tests::with_database;
use serde_json::json;

const ORDER: &str = "ref: shop.order
label: Order
version: 1.0.0
parameters: {required: [order], properties: {order: {type: integer}, note: {type: string}}}
tasks:
  - {name: charge, action: shop.charge, input: {order: \"{{ parameters.order }}\"}, on_success: approve}
  - {name: approve, wait_for: {signal: approved}, on_success: ship}
  - {name: ship, action: shop.ship}
output_map: [{order: \"{{ parameters.order }}\"}]
";

pub async fn defined<'d>(db: &'d pg_workflow_tests::Database, test: &str) -> Program<'d> {
    let program = Program::new(db, test);
    program.file("pack/actions.yaml", "[shop.charge, shop.ship]");
    program.file("pack/order.yaml", ORDER);
    program.good(&["apply", &program.folder.join("pack").to_string_lossy()]).await;
    program
}

#[tokio::test]
async fn an_execution_is_driven_from_the_command_line() {
    with_database(async |db| {
        let program = defined(db, "driven").await;
        let id = program.good(&["start", "shop.order", "-p", "order=42", "-p", "note=plain text"]).await;
        let id = id.trim();
        let early = program.good(&["start", "shop.order", "-p", "order=7", "--key", "k"]).await;
        assert_eq!(early, program.good(&["start", "shop.order", "-p", "order=7", "--key", "k"]).await);
        let status = program.json(&["status", "--json", id]).await;
        assert_eq!(status["parameters"], json!({"order": 42, "note": "plain text"}));
        assert_eq!(status["current_tasks"], json!(["charge"]));
        assert!(program.good(&["status", id]).await.starts_with(&format!("shop.order {id}: running, started ")));
        assert!(program.good(&["why", id]).await.contains("task charge "));
        let tasks = program.json(&["tasks", "--json", id]).await;
        assert_eq!(tasks[0]["input"], json!({"order": 42}));
        assert!(program.good(&["tasks", id]).await.lines().nth(1).unwrap().contains("charge"));
        assert_eq!(program.good(&["pause", id, "--reason", "lunch"]).await, format!("{id} running\n"));
        let listed = program.json(&["list", "--json", "--paused"]).await;
        assert_eq!((listed.as_array().unwrap().len(), &listed[0]["workflow_ref"]), (1, &json!("shop.order")));
        assert!(program.good(&["list"]).await.contains("  paused  "));
        program.good(&["resume", id]).await;
        let events = program.json(&["events", "--json", id]).await;
        assert!(events.as_array().unwrap().iter().any(|event| event["kind"] == "pause" && event["message"] == "lunch"));

        let (claim, finish) = (
            "SELECT task, lease_token FROM workflow_claim('test', 10, ARRAY['shop.charge', 'shop.ship'])",
            "SELECT workflow_complete($1, $2)",
        );
        let work = async || {
            let claimed: Vec<(i64, i64)> = sqlx::query_as(claim).fetch_all(&db.pool).await.unwrap();
            for (task, token) in claimed {
                sqlx::query(finish).bind(task).bind(token).execute(&db.pool).await.unwrap();
            }
        };
        assert_eq!(
            program.good(&["signal", early.trim(), "approved"]).await,
            "kept for the next task that waits for it\n"
        );
        work().await;
        assert_eq!(program.good(&["signal", id, "approved", "--payload", "{by: me}"]).await, "delivered\n");
        work().await;
        let status = program.json(&["status", "--wait", "--json", id]).await;
        assert_eq!((&status["status"], &status["output"]), (&json!("completed"), &json!({"order": 42})));
        let bars = program.good(&["timeline", id]).await;
        assert!(bars.lines().count() == 3 && bars.contains('█'), "{bars}");
        assert!(program.good(&["timeline", "--mermaid", id]).await.starts_with("gantt"));
        let svg = program.good(&["timeline", "--svg", id]).await;
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
        assert!(
            svg.contains(&format!("Execution {id}, from ")) && svg.matches(": completed</title>").count() == 3,
            "{svg}"
        );
        let png = program.folder.join("timeline.png");
        assert_eq!(program.good(&["timeline", "--png", "--output", &png.to_string_lossy(), id]).await, "");
        assert!(std::fs::read(png).unwrap().starts_with(b"\x89PNG\r\n"));
        assert!(program.bad(2, &["timeline", "--png", "--json", id]).await.contains("cannot be used with"));
        assert!(program.bad(2, &["timeline", "--png", "--svg", id]).await.contains("cannot be used with"));
        let drawn = program.good(&["graph", id]).await;
        assert_eq!(drawn, "  ✓ charge\n  ✓ approve\n  ✓ ship\n");
        let svg = program.good(&["graph", "--svg", id]).await;
        assert!(svg.starts_with("<svg ") && svg.contains("<title>ship: completed</title>"), "{svg}");
        assert!(program.good(&["graph", "--format", "mermaid", "shop.order"]).await.starts_with("flowchart"));
        let watched = program.good(&["watch", "--json", id]).await;
        assert!(watched.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{watched}");
        assert!(watched.lines().count() >= 3, "{watched}");
    })
    .await;
}

#[tokio::test]
async fn many_executions_are_controlled_at_once() {
    with_database(async |db| {
        let program = defined(db, "many").await;
        let mut ids = Vec::new();
        for order in 0..3 {
            ids.push(program.good(&["start", "shop.order", "-p", &format!("order={order}")]).await.trim().to_owned());
        }
        let listed = program.good(&["list", "--ids", "--workflow", "shop.order", "-n", "2"]).await;
        assert_eq!(listed, format!("{}\n{}\n", ids[2], ids[1]), "newest first");
        let output = program.run_with(&["cancel", "-", "999999", "--reason", "test"], &ids.join("\n")).await;
        assert_eq!(printed(&output), ids.iter().map(|id| format!("{id} cancelled\n")).collect::<String>());
        let told = told(&output);
        assert!(told.starts_with("error: execution 999999: WF616: "), "{told}");
        assert_eq!(output.status.code(), Some(1), "what is refused for one does not keep the others from it");
        assert_eq!(program.good(&["list", "--ids", "--status", "running"]).await, "");
        program.good(&["rerun", &ids[0], "--task", "charge"]).await;
        assert_eq!(program.good(&["list", "--ids", "--status", "running"]).await, format!("{}\n", ids[0]));
        program.good(&["cancel", "--force", &ids[0]]).await;
        let told = program.bad(1, &["status", "--wait", &ids[0]]).await;
        assert_eq!(told, "");
    })
    .await;
}

#[tokio::test]
async fn refusals_are_shown_as_the_server_raised_them() {
    with_database(async |db| {
        let program = defined(db, "refused").await;
        let told = program.bad(1, &["start", "shop.order"]).await;
        assert!(told.starts_with("error: WF601: ") && told.contains("order"), "{told}");
        let told = program.bad(1, &["start", "shop.none"]).await;
        assert!(told.starts_with("error: WF616: "), "{told}");
        for arguments in [
            &["start", "shop.order", "--parameters", "[1]"][..],
            &["start", "shop.order", "-p", "order"],
            &["status", "many"],
            &["cancel", "many"],
            &["list", "--status", "gone"],
            &["start", "shop.order", "--at", "soon"],
        ] {
            let told = program.bad(2, arguments).await;
            assert!(told.starts_with("error: "), "{told}");
        }
    })
    .await;
}

#[tokio::test]
async fn executions_of_all_parts_are_listed_page_by_page() {
    with_database(async |db| {
        let program = defined(db, "pages").await;
        let mut ids: Vec<i64> = Vec::new();
        for (order, part) in ["0", "7", "3", "0"].into_iter().enumerate() {
            let id = program.good(&["start", "shop.order", "-p", &format!("order={order}"), "--part", part]).await;
            ids.push(id.trim().parse().unwrap());
        }
        ids.sort_unstable_by(|a, b| b.cmp(a));
        for size in 1..6 {
            let listed = walk(Page::of(size), async |page| {
                Engine::list_executions(&db.pool, &ExecutionFilter::default(), page).await
            });
            let listed: Vec<i64> = listed.map_ok(|row| row.execution).try_collect().await.unwrap();
            assert_eq!(listed, ids, "in pages of {size}");
        }
    })
    .await;
}
