//! A router by PL/Proxy: every call reaches the right server, and returns the same as if it had been made there.

mod citus;
mod load;
mod ratio;

use crate::program::{Program, command};
use crate::servers::{CHILD, Node, PARENT, pool};
use pg_workflow_client::model::ScheduleInput;
use pg_workflow_client::{
    ClaimInput, ClaimedTask, Engine, Error, Outcome, SearchFilter, SignalInput, StartInput, StartManyInput,
};
use pg_workflow_tests::{Server, with_database};
use serde_json::json;
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plproxy,
    Citus,
}

/// Three servers, and a router.
struct Routed {
    kind: Kind,
    nodes: [Node; 3],
    server: Server,
    pool: PgPool,
}

/// The parts of the servers.
const PARTS: [&str; 3] = ["0-340", "341-681", "682-1023"];

impl Routed {
    /// Creates them; `None` if this kind of router is not available.
    async fn create(kind: Kind, test: &str) -> Option<Routed> {
        let (nodes, server) = match kind {
            Kind::Plproxy => plproxy(test).await?,
            Kind::Citus => citus::create(test).await?,
        };
        Engine::publish_definitions(&nodes[0].pool).await.unwrap();
        for node in &nodes[1..] {
            let statement = Engine::subscribe_definitions(&node.pool, &nodes[0].url()).await.unwrap();
            node.run(&statement).await;
        }
        let routed = Routed { kind, pool: pool(&server.options), nodes, server };
        routed.install().await;
        sqlx::query("SELECT workflow_register_action('demo.one')").execute(&routed.pool).await.unwrap();
        Engine::define(&routed.pool, CHILD).await.unwrap();
        Engine::define(&routed.pool, PARENT).await.unwrap();
        for node in &routed.nodes[1..] {
            node.follows(&routed.nodes[0]).await;
        }
        Some(routed)
    }

    /// Runs the SQL that the program prints.
    async fn install(&self) {
        let urls = self.nodes.each_ref().map(Node::url);
        let kind = match self.kind {
            Kind::Plproxy => "plproxy",
            Kind::Citus => "citus",
        };
        let mut arguments = vec!["router", kind];
        urls.iter().for_each(|url| arguments.extend(["--server", url]));
        let output = command(&arguments).output().await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let sql = String::from_utf8(output.stdout).unwrap();
        self.pool.execute(AssertSqlSafe(sql)).await.unwrap_or_else(|error| panic!("{error:?}"));
    }

    async fn check(&self) {
        for node in &self.nodes {
            node.check().await;
        }
    }
}

async fn plproxy(test: &str) -> Option<([Node; 3], Server)> {
    if pg_workflow_tests::major() != 15 {
        eprintln!("skipped: Debian has PL/Proxy for PostgreSQL 15");
        return None;
    }
    if !Server::has_library("plproxy") {
        eprintln!("skipped: there is no PL/Proxy here; scripts/prepare 15 plproxy adds it");
        return None;
    }
    let nodes = [
        Node::create(&format!("{test}-1"), 1, PARTS[0]).await,
        Node::create(&format!("{test}-2"), 2, PARTS[1]).await,
        Node::create(&format!("{test}-3"), 3, PARTS[2]).await,
    ];
    Some((nodes, Server::create(&format!("{test}-router"), &[])))
}

/// Makes a call. Returns its result, or how it was refused.
async fn answer(pool: &PgPool, call: &str) -> String {
    match sqlx::query_scalar::<_, Option<String>>(AssertSqlSafe(call)).fetch_all(pool).await {
        Ok(rows) => format!("{rows:?}"),
        Err(sqlx::Error::Database(error)) => {
            let error = error.downcast::<sqlx::postgres::PgDatabaseError>();
            format!("{} {} / {:?} / {:?}", error.code(), error.message(), error.detail(), error.hint())
        }
        Err(error) => panic!("{error:?}\n{call}"),
    }
}

const API: &str =
    "SELECT p.proname::text, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.pronargs::int,
    (SELECT string_agg('NULL::' || format_type(t.type, NULL), ', ') FROM unnest(p.proargtypes::oid[]) AS t (type))
  FROM pg_proc AS p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname LIKE 'workflow\\_%' ORDER BY 1, 2";

#[tokio::test]
async fn a_server_that_has_not_been_given_a_number_can_be_routed_to() {
    with_database(async |db| {
        let program = Program::new(db, "router_alone");
        let options = db.options();
        let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
        let url = format!("postgres://{user}@{host}:{port}/{}", db.name);
        let sql = program.good(&["router", "plproxy", "--server", &url]).await;
        assert!(sql.contains("workflow_start"), "{sql}");
    })
    .await;
}

#[tokio::test]
async fn a_router_passes_every_call_on_and_answers_as_the_servers_do() {
    let Some(routed) = Routed::create(Kind::Plproxy, "router").await else { return };
    everything_arrives(&routed).await;
}

async fn everything_arrives(routed: &Routed) {
    it_has_every_function_and_refuses_as_the_servers_do(routed).await;
    it_keeps_rights(routed).await;
    calls_arrive_where_the_part_is(routed).await;
    searches_and_schedules_are_those_of_all_servers(routed).await;
    a_schedule_is_in_one_part_and_a_key_in_each(routed).await;
    a_dead_server_is_passed_over(routed).await;
    the_page_runs(routed).await;
    routed.check().await;
}

async fn it_has_every_function_and_refuses_as_the_servers_do(routed: &Routed) {
    type Row = (String, String, String, i32, Option<String>);
    let direct: Vec<Row> = sqlx::query_as(API).fetch_all(&routed.nodes[0].pool).await.unwrap();
    let through: Vec<Row> = sqlx::query_as(API).fetch_all(&routed.pool).await.unwrap();
    assert_eq!(direct, through);
    let (mut same, mut unavailable) = (0, Vec::new());
    // Through the router, these do not depend on a server, or check all arguments first.
    let others = ["workflow_announce_idle", "workflow_start_from_row"];
    for (name, _, result, count, nulls) in direct.iter().filter(|row| row.3 > 0 && !others.contains(&row.0.as_str())) {
        let call = match result.starts_with("SETOF") || result.starts_with("TABLE") {
            true => format!("SELECT r::text FROM {name}({}) AS r", nulls.as_deref().unwrap()),
            false => format!("SELECT {name}({})::text", nulls.as_deref().unwrap()),
        };
        let call = if result == "void" {
            format!("SELECT NULL FROM (SELECT {name}({})) AS r", nulls.as_deref().unwrap())
        } else {
            call
        };
        let through = answer(&routed.pool, &call).await;
        if through.contains("is not available through a router") {
            assert!(through.starts_with("55000 WF611: "), "{through}");
            unavailable.push(name.as_str());
            continue;
        }
        assert_eq!(through, answer(&routed.nodes[0].pool, &call).await, "{call} of {count}");
        same += 1;
    }
    assert_eq!((same, unavailable.len()), (125, 18), "{unavailable:?}");
}

/// Installing it again changes nothing, and another version of the API replaces everything except privileges.
async fn it_keeps_rights(routed: &Routed) {
    sqlx::raw_sql("CREATE ROLE router_clerk LOGIN").execute(&routed.pool).await.unwrap();
    // Citus has created the role on the nodes, too.
    for node in routed.nodes.iter().filter(|_| routed.kind == Kind::Plproxy) {
        node.run("CREATE ROLE router_clerk LOGIN").await;
    }
    sqlx::query("SELECT workflow_grant('router_clerk', 'worker')").execute(&routed.pool).await.unwrap();
    routed.install().await;
    sqlx::query("UPDATE workflow_router.version SET api = 'older'").execute(&routed.pool).await.unwrap();
    routed.install().await;
    let clerk = pool(&routed.server.options.clone().username("router_clerk"));
    assert_eq!(claim(&clerk).await.len(), 0);
    let refused = Engine::start(&clerk, StartInput { r#ref: "demo.child".to_owned(), ..StartInput::default() }).await;
    assert!(matches!(refused, Err(Error::Privilege(_))), "{refused:?}");
    // A role that is no worker on the servers is refused by them, whatever the router grants.
    routed.nodes[0].run("SELECT workflow_revoke('router_clerk', 'worker')").await;
    let status = answer(&clerk, "SELECT workflow_complete(5, 7)").await;
    assert!(status.starts_with("42501 permission denied"), "{status}");
    for node in &routed.nodes[1..] {
        node.run("SELECT workflow_revoke('router_clerk', 'worker')").await;
    }
}

async fn claim(pool: &PgPool) -> Vec<ClaimedTask> {
    let input = ClaimInput { worker: "clerk".to_owned(), max_tasks: 100, ..ClaimInput::default() };
    Engine::claim(pool, &input).await.unwrap_or_else(|error| panic!("{error:?}"))
}

fn child(part: Option<i32>, key: Option<&str>) -> StartInput {
    let idempotency_key = key.map(str::to_owned);
    StartInput { r#ref: "demo.child".to_owned(), idempotency_key, part, ..StartInput::default() }
}

async fn calls_arrive_where_the_part_is(routed: &Routed) {
    let router = &routed.pool;
    // By part, by key, and anywhere.
    let by_part = Engine::start(router, child(Some(700), None)).await.unwrap().unwrap();
    assert_eq!(by_part >> 48, 700);
    let by_key = Engine::start(router, child(None, Some("acme"))).await.unwrap().unwrap();
    assert_eq!(by_key >> 48, i64::from(Engine::part(&routed.nodes[2].pool, "acme").await.unwrap()));
    assert_eq!(Engine::start(router, child(None, Some("acme"))).await.unwrap(), Some(by_key));
    let mut parts = BTreeMap::new();
    for _ in 0..20 {
        *parts.entry(Engine::start(router, child(None, None)).await.unwrap().unwrap() >> 48).or_insert(0) += 1;
    }
    assert!(parts.len() > 5, "{parts:?}");
    let many = StartManyInput {
        r#ref: "demo.child".to_owned(),
        parameters: vec![json!({}); 4],
        idempotency_keys: Some(["a", "b", "acme", "a"].map(|key| Some(key.to_owned())).to_vec()),
        ..StartManyInput::default()
    };
    let started = Engine::start_many(router, many).await.unwrap();
    assert_eq!((started[2], started[3]), (Some(by_key), started[0]));

    batches_are_answered_in_order(router).await;

    let signalled =
        Engine::signal(router, by_part, SignalInput { name: "x".to_owned(), ..SignalInput::default() }).await;
    assert!(signalled.unwrap_err().code().is_some_and(|code| code.starts_with("WF")));
    let counted = "SELECT sum(executions)::bigint FROM workflow.execution_count WHERE status = 'completed'";
    assert_eq!(sqlx::query_scalar::<_, i64>(counted).fetch_one(router).await.unwrap(), 24);
}

/// A batch for all servers, in mixed order, in both protocols.
async fn batches_are_answered_in_order(router: &PgPool) {
    let mut tasks = claim(router).await;
    assert_eq!(tasks.len(), 24);
    tasks.sort_by_key(|task| std::cmp::Reverse(task.lease_token ^ task.task));
    let leases: Vec<(i64, i64)> = tasks.iter().map(|task| (task.task, task.lease_token)).collect();
    let beats = Engine::heartbeat(router, &leases, Duration::from_secs(30)).await.unwrap();
    assert!(beats.iter().map(|beat| beat.task).eq(tasks.iter().map(|task| task.task)));
    let (first, second) = tasks.split_at(12);
    let outcomes: Vec<Outcome> = first.iter().map(|t| Outcome::completed(t.task, t.lease_token, None)).collect();
    let answers = Engine::finish(router, &outcomes).await.unwrap();
    assert!(answers.iter().map(|answer| answer.task).eq(first.iter().map(|task| task.task)));
    assert!(answers.iter().all(|answer| answer.state.is_ok()), "{answers:?}");
    let mut reports: Vec<_> = second
        .iter()
        .map(|t| json!({"task": t.task.to_string(), "lease_token": t.lease_token.to_string(), "status": "completed"}))
        .collect();
    reports.insert(3, json!({"task": "x"}));
    let answered: serde_json::Value = sqlx::query_scalar("SELECT workflow_finish_and_claim_json('clerk', $1, 5)")
        .bind(json!(reports))
        .fetch_one(router)
        .await
        .unwrap();
    let answers = answered["answers"].as_array().unwrap();
    let reported = |answer: &serde_json::Value| answer["task"].clone();
    assert!(answers.iter().map(reported).eq(reports.iter().map(|report| report["task"].clone())), "{answered}");
    assert_eq!(answers[3]["code"], "WF613");
    assert_eq!(answers.iter().filter(|answer| answer["state"] == "completed").count(), 12);
    assert_eq!(answered["tasks"], json!([]));
}

async fn searches_and_schedules_are_those_of_all_servers(routed: &Routed) {
    let router = &routed.pool;
    // From the newest on, page by page.
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = Engine::search(router, &SearchFilter::default(), 7, after.as_deref()).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.cursor.clone());
        found.extend(page.into_iter().filter_map(|row| row.execution));
    }
    let mut ordered: Vec<(chrono::DateTime<chrono::Utc>, i64)> = Vec::new();
    for node in &routed.nodes {
        let own: Vec<(chrono::DateTime<chrono::Utc>, i64)> =
            sqlx::query_as("SELECT created, id FROM workflow.workflow_execution").fetch_all(&node.pool).await.unwrap();
        assert!(!own.is_empty());
        ordered.extend(own);
    }
    ordered.sort_by(|a, b| b.cmp(a));
    assert_eq!(found, ordered.into_iter().map(|(_, id)| id).collect::<Vec<_>>());

    // A schedule is on the server of its name's part, and is found there.
    let schedule = ScheduleInput {
        name: "yearly".to_owned(),
        cron: "@yearly".to_owned(),
        r#ref: "demo.child".to_owned(),
        ..ScheduleInput::default()
    };
    Engine::schedule(router, schedule).await.unwrap();
    let part: i32 = sqlx::query_scalar("SELECT workflow_part('yearly')").fetch_one(router).await.unwrap();
    let owner = routed.nodes.iter().position(|node| node.url() == owner_of(routed, part)).unwrap();
    assert_eq!(routed.nodes[owner].value::<i64>("SELECT count(*) FROM workflow_list_schedules()").await, 1);
    assert!(sqlx::query_scalar::<_, bool>("SELECT workflow_unschedule('yearly')").fetch_one(router).await.unwrap());
}

/// The second of two calls is refused, even if both are made at the same time. Keys are unique within a part, as on one
/// server.
async fn a_schedule_is_in_one_part_and_a_key_in_each(routed: &Routed) {
    for name in ["one", "two", "three", "four", "five"] {
        let schedule = async |part: i32| {
            answer(
                &routed.pool,
                &format!("SELECT part::text FROM workflow_schedule('{name}', '@yearly', 'demo.child', part => {part})"),
            )
            .await
        };
        let answers = tokio::join!(schedule(1), schedule(400), schedule(700));
        let answers = [answers.0, answers.1, answers.2];
        let refused =
            answers.iter().filter(|answer| answer.starts_with("55000 WF611: the schedule exists on another server"));
        assert_eq!(refused.count(), 2, "{answers:?}");
        let found = answer(&routed.pool, &format!("SELECT part::text FROM workflow_find_schedule('{name}')")).await;
        assert!(answers.contains(&found), "{answers:?} {found}");
        assert_eq!(
            answer(&routed.pool, &format!("SELECT workflow_unschedule('{name}')::text")).await,
            r#"[Some("true")]"#
        );
    }
    let mut ids = Vec::new();
    for part in [1, 700, 1, 700] {
        ids.push(Engine::start(&routed.pool, child(Some(part), Some("twice"))).await.unwrap().unwrap());
    }
    assert_eq!((ids[0] >> 48, ids[1] >> 48, ids[2], ids[3]), (1, 700, ids[0], ids[1]));
    let found = answer(&routed.pool, "SELECT workflow_find_by_key('demo.child', 'twice', 700)::text").await;
    assert_eq!(found, format!("[Some(\"{}\")]", ids[1]));
    for id in &ids[..2] {
        answer(&routed.pool, &format!("SELECT workflow_cancel({id}, force => true)::text")).await;
    }
}

/// Claims skip it; calls for its parts fail because it is away, and succeed when it is back.
async fn a_dead_server_is_passed_over(routed: &Routed) {
    let router = &routed.pool;
    routed.nodes[1].server.kill();
    Engine::start(router, child(Some(1), None)).await.unwrap();
    assert_eq!(claim(router).await.len(), 1);
    let lost = Engine::start(router, child(Some(400), None)).await.unwrap_err();
    assert!(lost.is_transient(), "{lost:?}");
    assert_eq!(Engine::tick(router, 100, None).await.unwrap(), 0);
    routed.nodes[1].server.start();
    // Connections made before turn out to be lost when they are used.
    let again = async || Engine::start(router, child(Some(400), Some("again"))).await;
    load::insist(again).await.expect("it is started");
}

/// Returns the URL of the server that has a part initially.
fn owner_of(routed: &Routed, part: i32) -> String {
    routed.nodes[match part {
        0..=340 => 0,
        341..=681 => 1,
        _ => 2,
    }]
    .url()
}

/// Runs the SQL for routers in docs/scaling.md.
async fn the_page_runs(routed: &Routed) {
    let page = include_str!("../../../docs/scaling.md");
    let blocks: Vec<&str> =
        page.split("```sql router\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
    assert_eq!(blocks.len(), 2);
    // A new session: existing ones may still have connections to a server that was killed.
    let options = routed.pool.connect_options();
    let mut session = PgConnection::connect_with(&options).await.unwrap();
    for block in blocks {
        session.execute(AssertSqlSafe(block)).await.unwrap_or_else(|error| panic!("{error:?}\n{block}"));
        for node in &routed.nodes[1..] {
            node.follows(&routed.nodes[0]).await;
        }
    }
}
