//! `mcp`, used by a client of the protocol.

use crate::program::Program;
use pg_workflow_tests::with_database;
use rmcp::model::CallToolRequestParams;
use rmcp::service::RunningService;
use rmcp::transport::TokioChildProcess;
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Value, json};

type Client = RunningService<RoleClient, ()>;

async fn connect(program: &Program<'_>, more: &[&str]) -> Client {
    let arguments = [&["mcp"], more].concat();
    ().serve(TokioChildProcess::new(program.command(&arguments)).unwrap()).await.unwrap()
}

/// Calls a tool. The error is the tool's message.
async fn call(client: &Client, tool: &str, arguments: Value) -> Result<Value, String> {
    let arguments = arguments.as_object().unwrap().clone();
    let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
    let answer = client.call_tool(request).await.map_err(|error| error.to_string())?;
    let text = answer.content[0].as_text().unwrap().text.clone();
    if answer.is_error == Some(true) { Err(text) } else { Ok(serde_json::from_str(&text).unwrap()) }
}

fn pack(program: &Program<'_>) -> String {
    program.file("pack/actions.yaml", "[shop.mail]");
    program.file("pack/it.yaml", "ref: shop.it\nlabel: It\nversion: 1.0.0\ntasks: [{name: a, action: shop.mail, on_success: b}, {name: b, wait_for: {signal: hello}}]\n");
    program.folder.join("pack").to_string_lossy().into_owned()
}

#[tokio::test]
async fn an_assistant_reads_and_changes_nothing() {
    with_database(async |db| {
        let program = Program::new(db, "mcp_read");
        program.good(&["apply", &pack(&program)]).await;
        let id: i64 = program.good(&["start", "shop.it"]).await.trim().parse().unwrap();
        let client = connect(&program, &[]).await;
        let tools = client.list_all_tools().await.unwrap();
        assert!(tools.iter().all(|tool| tool.annotations.as_ref().unwrap().read_only_hint == Some(true)));
        assert!(tools.len() > 8);

        let listed = call(&client, "list_executions", json!({"statuses": ["running"], "limit": 5})).await.unwrap();
        assert_eq!(listed[0]["execution"], id);
        assert_eq!(call(&client, "execution_status", json!({"execution": id})).await.unwrap()["status"], "running");
        let why = call(&client, "why_execution", json!({"execution": id})).await.unwrap();
        assert_eq!(why[0]["task"], "a");
        for (tool, arguments) in [
            ("list_workflows", json!({})),
            ("workflow_source", json!({"ref": "shop.it"})),
            ("list_tasks", json!({"execution": id})),
            ("list_events", json!({"execution": id})),
            ("execution_tree", json!({"execution": id})),
            ("overview", json!({})),
        ] {
            let answer = call(&client, tool, arguments).await;
            assert!(answer.is_ok(), "{tool}: {answer:?}");
        }
        let findings = call(&client, "validate_definition", json!({"source": "ref: a.bc"})).await.unwrap();
        assert_eq!(findings[0]["code"], "WF004");
        let source = "{ref: shop.x, label: X, version: 1.0.0, tasks: [{name: a, action: shop.mail}]}";
        let script = json!({"default": {"result": 1}, "tests": [{"name": "t", "expect": {"status": "completed"}}]});
        let tested = call(&client, "test_definition", json!({"source": source, "script": script})).await.unwrap();
        assert_eq!(tested[0]["passed"], true);

        let refused = call(&client, "start_execution", json!({"ref": "shop.it"})).await.unwrap_err();
        assert!(refused.contains("there is no tool start_execution"), "{refused}");
        let missing = call(&client, "execution_status", json!({"execution": 999_999})).await.unwrap_err();
        assert!(missing.starts_with("WF616: "), "{missing}");
        let wrong = call(&client, "execution_status", json!({"execution": "x"})).await.unwrap_err();
        assert!(wrong.starts_with("execution: invalid type"), "{wrong}");
        let misspelt = call(&client, "list_executions", json!({"status": ["failed"]})).await.unwrap_err();
        assert!(
            misspelt.starts_with("list_executions has no argument status\n  hint: Its arguments are "),
            "{misspelt}"
        );
        client.cancel().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_assistant_that_may_controls_executions() {
    with_database(async |db| {
        let program = Program::new(db, "mcp_control");
        program.good(&["apply", &pack(&program)]).await;
        let client = connect(&program, &["--allow-control"]).await;
        let started = call(&client, "start_execution", json!({"ref": "shop.it", "parameters": {}})).await.unwrap();
        let id = &started["execution"];
        for (tool, more, state) in [
            ("pause_execution", json!({}), "running"),
            ("resume_execution", json!({}), "running"),
            ("signal_execution", json!({"name": "hello", "payload": {"x": 1}}), "kept"),
            ("cancel_execution", json!({"reason": "not needed"}), "cancelled"),
            ("rerun_execution", json!({"tasks": ["a"]}), "running"),
        ] {
            let mut arguments = more;
            arguments["execution"] = id.clone();
            assert_eq!(call(&client, tool, arguments).await, Ok(json!(state)), "{tool}");
        }
        client.cancel().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_assistant_learns_at_once_why_there_is_no_connection_and_may_try_again() {
    with_database(async |db| {
        let program = Program::new(db, "mcp_connection");
        let role = db.role().await;
        db.run(&format!("ALTER ROLE {role} CONNECTION LIMIT 0")).await;
        let mut command = program.command(&["mcp"]);
        command.env("PGUSER", &role).env("PGCONNECT_TIMEOUT", "3600");
        let client = ().serve(TokioChildProcess::new(command).unwrap()).await.unwrap();
        let called = call(&client, "overview", json!({}));
        let told =
            tokio::time::timeout(std::time::Duration::from_secs(60), called).await.expect("it answers").unwrap_err();
        assert!(told.contains("too many connections for role"), "{told}");
        db.run(&format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await;
        let told = call(&client, "overview", json!({})).await.unwrap_err();
        assert!(told.contains("permission denied"), "{told}");
        // The connection is lost, and made again.
        db.run(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")).await;
        let told = call(&client, "overview", json!({})).await.unwrap_err();
        assert!(told.contains("permission denied"), "{told}");
        client.cancel().await.unwrap();
    })
    .await;
}
