//! `bulk`, `jobs`, and limits and holds in `top`.

use crate::control::defined;
use crate::program::{Program, printed, told};
use pg_workflow_client::Engine;
use pg_workflow_client::model::{HoldTarget, LimitInput};
use pg_workflow_tests::with_database;
use serde_json::json;

/// Starts some orders, and returns their ids.
async fn start(program: &Program<'_>, orders: std::ops::Range<i64>) -> Vec<String> {
    let mut ids = Vec::new();
    for order in orders {
        let (order, parity) = (format!("order={order}"), format!("parity={}", order % 2));
        let id = program.good(&["start", "shop.order", "-p", &order, "--attribute", &parity]).await;
        ids.push(id.trim().to_owned());
    }
    ids
}

#[tokio::test]
async fn a_job_does_the_same_to_all_that_match() {
    with_database(async |db| {
        let program = defined(db, "bulk").await;
        let ids = start(&program, 0..5).await;
        let even = ["--workflow", "shop.order", "--attribute", "parity=0"];
        let counted = program.good(&[&["bulk", "cancel", "--dry-run"][..], &even].concat()).await;
        assert_eq!(counted, "3 executions would be processed\n");
        assert_eq!(program.good(&["jobs"]).await.lines().count(), 1, "a dry run creates no job");

        let job = program.good(&[&["bulk", "cancel", "--reason", "test"][..], &even].concat()).await;
        let job = job.trim();
        let listed = program.json(&["jobs", "--json"]).await;
        assert_eq!((&listed[0]["action"], &listed[0]["status"]), (&json!("cancel"), &json!("running")));
        assert_eq!(listed[0]["filter"], json!({"workflow": "shop.order", "attributes": {"parity": 0}}));
        assert_eq!(program.good(&["jobs", "stop", job]).await, format!("{job} stopped\n"));
        assert_eq!(program.bad(1, &["jobs", "wait", job]).await, "", "one that is stopped is not waited for");
        assert_eq!(program.good(&["jobs", "resume", job]).await, format!("{job} running\n"));

        let waiting = program.command(&["jobs", "wait", job]).output();
        let ticking = async {
            loop {
                sqlx::query("SELECT workflow_tick()").execute(&db.pool).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        let output = tokio::select! { output = waiting => output.unwrap(), () = ticking => unreachable!() };
        assert_eq!(printed(&output), format!("job {job} completed: 3 processed\n"), "{}", told(&output));
        assert_eq!(output.status.code(), Some(0));
        for (number, id) in ids.iter().enumerate() {
            let expected = if number % 2 == 0 { "cancelled" } else { "running" };
            assert_eq!(program.json(&["status", "--json", id]).await["status"], expected);
        }
        assert!(program.good(&["jobs"]).await.contains("  completed  3 "), "{}", program.good(&["jobs"]).await);
    })
    .await;
}

#[tokio::test]
async fn executions_that_refuse_are_counted_with_the_reason() {
    with_database(async |db| {
        let program = defined(db, "bulk_refused").await;
        start(&program, 0..2).await;
        // What is running cannot be rerun.
        let mut command = program.command(&["bulk", "rerun", "--workflow", "shop.order", "--wait"]);
        let ticking = async {
            loop {
                sqlx::query("SELECT workflow_tick()").execute(&db.pool).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        let output = tokio::select! { output = command.output() => output.unwrap(), () = ticking => unreachable!() };
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        let printed = printed(&output);
        assert!(printed.starts_with("job ") && printed.contains("completed: 0 processed, 2 refused\n"), "{printed}");
        assert!(printed.contains("\n  2 refused, such as: WF612: "), "{printed}");
        // The server says what an action does not take.
        let told = program.bad(1, &["bulk", "pause", "--workflow", "shop.order", "--force"]).await;
        assert!(told.starts_with("error: WF613: "), "{told}");
        let told = program.bad(1, &["jobs", "wait", "999"]).await;
        assert_eq!(told, "error: there is no bulk job 999\n  hint: See `pg-workflow jobs`.\n");
        let told = program.bad(1, &["jobs", "stop", "999"]).await;
        assert!(told.starts_with("error: WF616: "), "{told}");
    })
    .await;
}

#[tokio::test]
async fn hundreds_of_ids_are_processed_in_few_calls() {
    with_database(async |db| {
        let program = defined(db, "bulk_ids").await;
        let counting = format!("ALTER DATABASE {} SET track_functions = 'pl'", db.name);
        sqlx::query(sqlx::AssertSqlSafe(counting)).execute(&db.pool).await.unwrap();
        let parameters = vec![json!({"order": 1}); 450];
        let ids: Vec<i64> = sqlx::query_scalar("SELECT workflow_start_many('shop.order', $1)")
            .bind(&parameters)
            .fetch_all(&db.pool)
            .await
            .unwrap();
        let given: Vec<String> = ids.iter().map(i64::to_string).collect();
        let output = program.run_with(&["cancel", "-"], &given.join("\n")).await;
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        assert_eq!(printed(&output), given.iter().map(|id| format!("{id} cancelled\n")).collect::<String>());
        // 200 at a time. The session's figures arrive a moment after its end.
        let calls = "SELECT pg_stat_clear_snapshot() IS NULL, coalesce(sum(calls), 0)::bigint \
                     FROM pg_stat_user_functions WHERE funcname = 'workflow_cancel_many'";
        let counted = async {
            while sqlx::query_as::<_, (bool, i64)>(calls).fetch_one(&db.pool).await.unwrap().1 != 3 {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), counted).await.expect("three calls");
    })
    .await;
}

#[tokio::test]
async fn limits_and_holds_are_shown_at_the_top() {
    with_database(async |db| {
        let program = Program::new(db, "top_limits");
        let limit = LimitInput { name: "payments".to_owned(), max_running: Some(1), ..LimitInput::default() };
        Engine::set_limit(&db.pool, limit).await.unwrap();
        program.file("pack/actions.yaml", "[shop.charge]");
        program.file(
            "pack/pay.yaml",
            "ref: shop.pay\nlabel: Pay\nversion: 1.0.0\nparameters: {properties: {by: {type: string}}, required: [by]}\n\
             tasks: [{name: charge, action: shop.charge, limit: {name: payments, key: \"{{ parameters.by }}\"}}]\n",
        );
        program.good(&["apply", &program.folder.join("pack").to_string_lossy()]).await;
        let shown = program.good(&["top", "--once"]).await;
        assert!(!shown.contains("Limits"), "{shown}");
        for by in ["ann", "ann", "ann", "bob"] {
            program.good(&["start", "shop.pay", "-p", &format!("by={by}")]).await;
        }
        sqlx::query("SELECT workflow_claim('till', 10)").execute(&db.pool).await.unwrap();
        let until = chrono::Utc::now() + chrono::TimeDelta::hours(48);
        let target = HoldTarget::Limit { name: "payments", key: Some("bob") };
        Engine::hold(&db.pool, target, until, Some("a dispute")).await.unwrap();
        Engine::hold(&db.pool, HoldTarget::Action("shop.charge"), until, None).await.unwrap();
        let shown = program.good(&["top", "--once"]).await;
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let lines: Vec<Vec<String>> = shown.lines().map(words).collect();
        let at = lines.iter().position(|line| line.first().is_some_and(|word| word == "LIMIT")).expect(&shown);
        assert_eq!(lines[at + 1][..6], ["payments", "ann", "1", "of", "1", "2"], "{shown}");
        assert_eq!(lines[at + 2][..6], ["payments", "bob", "1", "of", "1", "0"], "{shown}");
        assert!(shown.contains(": a dispute\n") && shown.contains("limit payments, key bob  "), "{shown}");
        assert!(shown.contains("\naction shop.charge "), "{shown}");
        let overview = program.json(&["top", "--json"]).await;
        let keys = overview["limits"][0]["keys"].as_array().unwrap();
        assert_eq!((&keys[0]["key"], &keys[0]["waiting"]), (&json!("ann"), &json!(2)));
        assert_eq!(overview["holds"].as_array().unwrap().len(), 2);
    })
    .await;
}
