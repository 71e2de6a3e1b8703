//! A router by Citus: the tests of any router, and tests that calls are part of the caller's transaction.
//!
//! Citus is in no registry: these tests run if `CITUS_PG_CONFIG` is the pg_config of a PostgreSQL that has it.

use super::load::{insist, nothing_is_lost};
use super::{Kind, PARTS, Routed, answer, child, everything_arrives};
use crate::servers::{LINES, Node};
use pg_workflow_client::Engine;
use pg_workflow_tests::Server;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// Creates a cluster of three servers; `None` if there is no Citus.
pub async fn create(test: &str) -> Option<([Node; 3], Server)> {
    if std::env::var("CITUS_PG_CONFIG").unwrap_or_default().is_empty() {
        eprintln!("skipped: CITUS_PG_CONFIG names no PostgreSQL with Citus");
        return None;
    }
    let lines = ["shared_preload_libraries = 'citus'", "max_prepared_transactions = 100", "max_connections = 200"];
    let server = |name: &str, more: &[&str]| {
        Server::of_tree("citus", &format!("{test}-{name}"), &[&LINES[..], &lines[..], more].concat())
    };
    let coordinator = server("coordinator", &["citus.recover_2pc_interval = '2s'"]);
    let nodes =
        [1, 2, 3].map(|number| Node::of(server(&number.to_string(), &[&format!("pg_workflow.node = {number}")])));
    let mut session = PgConnection::connect_with(&coordinator.options).await.unwrap();
    let port = coordinator.options.get_port();
    let host = format!("CREATE EXTENSION citus; SELECT citus_set_coordinator_host('127.0.0.1', {port})");
    session.execute(AssertSqlSafe(host)).await.unwrap();
    for node in &nodes {
        node.run("CREATE EXTENSION citus; ALTER DATABASE postgres SET citus.enable_ddl_propagation = off").await;
        // Existing sessions do not know the setting.
        node.pool.close().await;
    }
    let nodes = nodes.map(|node| Node::of(node.server));
    for (node, parts) in nodes.iter().zip(PARTS) {
        node.install(parts).await;
        let port = node.server.options.get_port();
        session.execute(AssertSqlSafe(format!("SELECT citus_add_node('127.0.0.1', {port})"))).await.unwrap();
    }
    Some((nodes, coordinator))
}

#[tokio::test]
async fn a_router_by_citus_passes_every_call_on_in_the_transaction_of_the_caller() {
    let Some(routed) = Routed::create(Kind::Citus, "citus").await else { return };
    transactions_span_servers(&routed).await;
    every_form_of_a_query_arrives(&routed).await;
    what_is_not_passed_on_is_refused(&routed).await;
    the_table_that_calls_follow_stays(&routed).await;
    everything_arrives(&routed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_citus_nothing_is_lost_or_done_twice_while_parts_move_and_a_server_is_killed() {
    let Some(routed) = Routed::create(Kind::Citus, "citus-load").await else { return };
    nothing_is_lost(&routed).await;
}

/// Returns how many executions each server has.
async fn counts(routed: &Routed) -> [i64; 3] {
    let mut counts = [0; 3];
    for (node, count) in routed.nodes.iter().zip(&mut counts) {
        *count = node.value("SELECT count(*) FROM workflow.execution").await;
    }
    counts
}

/// Removes what a part of the test has started.
async fn clear(routed: &Routed) {
    for node in &routed.nodes {
        node.run("SELECT workflow_cancel(id, force => true) FROM workflow.execution").await;
        node.run("SELECT workflow_prune_many(array_agg(id)) FROM workflow.execution HAVING count(*) > 0").await;
    }
    assert_eq!(counts(routed).await, [0, 0, 0]);
}

async fn transactions_span_servers(routed: &Routed) {
    let mut transaction = routed.pool.begin().await.unwrap();
    for part in [1, 400, 700] {
        Engine::start(&mut *transaction, child(Some(part), None)).await.unwrap();
    }
    assert_eq!(counts(routed).await, [0, 0, 0], "not before the commit");
    transaction.rollback().await.unwrap();
    assert_eq!(counts(routed).await, [0, 0, 0]);

    let mut transaction = routed.pool.begin().await.unwrap();
    transaction.execute("CREATE TABLE public.orders (execution bigint)").await.unwrap();
    for part in [1, 400, 700] {
        let id = Engine::start(&mut *transaction, child(Some(part), None)).await.unwrap();
        sqlx::query("INSERT INTO public.orders VALUES ($1)").bind(id).execute(&mut *transaction).await.unwrap();
    }
    // A refused call ends as usual, and rolling back to a savepoint undoes one call.
    transaction.execute("SAVEPOINT s").await.unwrap();
    Engine::start(&mut *transaction, child(Some(401), None)).await.unwrap();
    let refused = transaction.execute("SELECT workflow_start('demo.none')").await.unwrap_err();
    assert!(refused.to_string().contains("WF616"), "{refused}");
    transaction.execute("ROLLBACK TO s").await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(counts(routed).await, [1, 1, 1]);
    assert_eq!(answer(&routed.pool, "SELECT count(*)::text FROM public.orders").await, r#"[Some("3")]"#);
    ends_are_not_told_by_a_transaction_of_several_servers(routed).await;
    clear(routed).await;
}

async fn ends_are_not_told_by_a_transaction_of_several_servers(routed: &Routed) {
    let set = "ALTER DATABASE postgres SET pg_workflow.notify_ends";
    for node in &routed.nodes {
        node.run(&format!("{set} = on")).await;
    }
    let mut session = PgConnection::connect_with(&routed.server.options).await.unwrap();
    let ended = "SELECT count(workflow_cancel(execution, force => true)) FROM public.orders";
    let refused = session.execute(ended).await.unwrap_err().to_string();
    assert!(refused.contains("cannot PREPARE a transaction that has executed"), "{refused}");
    for node in &routed.nodes {
        assert_eq!(node.value::<i64>("SELECT count(*) FROM workflow.execution WHERE status = 'running'").await, 1);
        node.run(&format!("{set} = off")).await;
    }
    let mut session = PgConnection::connect_with(&routed.server.options).await.unwrap();
    session.execute(ended).await.unwrap();
}

/// Citus itself delegates calls only in some forms of queries. The router's functions can be called in any form.
async fn every_form_of_a_query_arrives(routed: &Routed) {
    let run = async |sql: &str| {
        routed.pool.execute(AssertSqlSafe(sql)).await.unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
    };
    let start = "workflow_start('demo.child', part => 700)";
    run(&format!("INSERT INTO public.orders VALUES ({start})")).await;
    run(&format!("INSERT INTO public.orders SELECT {start} FROM (VALUES (1), (2)) AS v")).await;
    run(&format!("SELECT {start} FROM (VALUES (1), (2)) AS v")).await;
    // With one row, Citus would try to delegate the call and crash, if it were one that it delegates.
    run("SELECT r.* FROM (VALUES (700)) AS v (part), LATERAL workflow_find_part(v.part) AS r").await;
    run(&format!("SELECT {start} FROM (VALUES (1)) AS v")).await;
    run("SELECT r.* FROM unnest('{1,2}'::int[]) AS n, LATERAL workflow_status(workflow_start('demo.child', part => 699 + n)) AS r").await;
    run(&format!("WITH s AS MATERIALIZED (SELECT {start} AS id) UPDATE public.orders SET execution = s.id FROM s"))
        .await;
    run(&format!("DO $$ BEGIN PERFORM {start}; END $$")).await;
    assert_eq!(counts(routed).await, [0, 0, 10]);
    // A query of a distributed table is executed on the nodes, where the function is a different one.
    run("CREATE TABLE public.spread (n int); SELECT create_distributed_table('public.spread', 'n')").await;
    run("INSERT INTO public.spread SELECT generate_series(1, 20)").await;
    let elsewhere = answer(&routed.pool, &format!("SELECT {start}::text FROM public.spread")).await;
    assert!(elsewhere.starts_with("55000 WF622: "), "{elsewhere}");
    run("DROP TABLE public.spread").await;
    clear(routed).await;
}

async fn what_is_not_passed_on_is_refused(routed: &Routed) {
    let number: i32 = sqlx::query_scalar("SELECT number FROM workflow_router.server WHERE number & 255 = 3")
        .fetch_one(&routed.pool)
        .await
        .unwrap();
    let call = "workflow_node.workflow_pause_schedule";
    let not_delegated = format!("SELECT count(*)::text FROM {call}({number}, 'x') CROSS JOIN generate_series(1, 2)");
    let refused = answer(&routed.pool, &not_delegated).await;
    assert!(refused.starts_with("55000 WF611: Citus did not pass the call on"), "{refused}");
    assert!(refused.contains("It is meant for node 3, but this is the coordinator."), "{refused}");
    // On another node, as after a shard has been moved.
    let guard = answer(&routed.nodes[0].pool, &format!("SELECT workflow_node.guard({number})::text")).await;
    assert!(guard.contains("It is meant for node 3, but this is node 1."), "{guard}");
}

async fn the_table_that_calls_follow_stays(routed: &Routed) {
    let shard =
        "FROM citus_shards AS s WHERE s.table_name = 'workflow_node.place'::regclass ORDER BY s.nodeport LIMIT 1";
    let to = "(SELECT max(n.nodeport) FROM pg_dist_node AS n WHERE n.groupid <> 0)";
    let moved = |mode| {
        format!(
            "SELECT citus_move_shard_placement(s.shardid, s.nodename, s.nodeport, s.nodename, {to}, '{mode}')::text {shard}"
        )
    };
    for call in [
        &moved("block_writes"),
        &moved("force_logical"),
        "SELECT undistribute_table('workflow_node.place')::text",
        "SELECT alter_distributed_table('workflow_node.place', shard_count := 8)::text",
        "SELECT isolate_tenant_to_new_shard('workflow_node.place', 3, shard_transfer_mode := 'block_writes')::text",
    ] {
        let mut refused = answer(&routed.pool, call).await;
        while refused.contains("could not acquire the lock required") {
            // The previous call may still be ending.
            refused = answer(&routed.pool, call).await;
        }
        assert!(refused.starts_with("55000 WF611: the table workflow_node.place can't be moved"), "{refused}");
    }
    // With another number of shards, as after a server is added, the SQL recreates the table.
    sqlx::query("UPDATE workflow_router.version SET api = 'older'").execute(&routed.pool).await.unwrap();
    routed.install().await;
    let again = async || Engine::start(&routed.pool, child(Some(400), None)).await;
    assert_eq!(insist(again).await.unwrap() >> 48, 400);
    clear(routed).await;
}
