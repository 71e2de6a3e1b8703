//! Several servers: parts that move while work continues, and replicated definitions.

use crate::program::command;
use crate::servers::{CHILD, LIMITED, Node, PARENT, WORK};
use pg_workflow_client::worker::{CancellationToken, Worker};
use pg_workflow_client::{
    ClaimInput, ClaimedTask, Cluster, Engine, Error, Outcome, SignalInput, StartInput, StartManyInput,
};
use serde_json::json;
use sqlx::postgres::PgPool;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{sleep, timeout};

const PART: i32 = 7;

/// Whether the tests are skipped: several servers take time, and other majors do not differ here.
fn is_skipped() -> bool {
    let skipped = ![15, 18].contains(&pg_workflow_tests::major());
    if skipped {
        eprintln!("skipped: several servers are tested on the oldest and the newest major");
    }
    skipped
}

/// Creates two servers: the first has the lower half of the parts and defines the workflows, and the second replicates
/// them.
async fn two(test: &str) -> (Node, Node) {
    let a = Node::create(&format!("{test}-a"), 1, "0-511").await;
    let b = Node::create(&format!("{test}-b"), 2, "512-1023").await;
    Engine::publish_definitions(&a.pool).await.unwrap();
    let statement = Engine::subscribe_definitions(&b.pool, &a.url()).await.unwrap();
    b.run(&statement).await;
    a.run("SELECT workflow_register_action('demo.one'), workflow_set_limit('few', 2)").await;
    b.run("SELECT workflow_set_limit('few', 2)").await;
    Engine::define(&a.pool, CHILD).await.unwrap();
    Engine::define(&a.pool, PARENT).await.unwrap();
    Engine::define(&a.pool, LIMITED).await.unwrap();
    b.becomes("SELECT count(*) = 3 FROM workflow.workflow_definition_version").await;
    b.becomes("SELECT count(*) = 4 FROM workflow.action").await;
    (a, b)
}

/// Runs the program to its end. Returns its exit status and all its output.
async fn move_part(from: &Node, to: &Node, more: &[&str]) -> (i32, String) {
    let (source, target) = (from.url(), to.url());
    let arguments = ["move-part", "7", "--from", &source, "--to", &target];
    let output = timeout(Duration::from_secs(120), command(&[&arguments, more].concat()).output());
    let output = output.await.expect("it ends").unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    (output.status.code().unwrap_or(-1), text)
}

async fn move_well(from: &Node, to: &Node) {
    let (status, text) = move_part(from, to, &[]).await;
    assert_eq!(status, 0, "{text}");
}

/// Calls one server after the other until one has the part.
async fn on_owner<T>(nodes: [&Node; 2], mut call: impl AsyncFnMut(&PgPool) -> Result<T, Error>) -> T {
    loop {
        for node in nodes {
            match call(&node.pool).await {
                Err(error) if error.code() == Some("WF622") => {}
                Err(error) if error.is_transient() => {}
                ended => return ended.unwrap_or_else(|error| panic!("{error:?}")),
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Reports a task together with an entry in the ledger of the server that takes the report.
async fn report(pool: &PgPool, task: &ClaimedTask) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query("INSERT INTO public.ledger VALUES ($1)").bind(task.task).execute(&mut *transaction).await?;
    Engine::complete(&mut *transaction, task.task, task.lease_token, None).await?;
    Ok(transaction.commit().await?)
}

async fn claim(pool: &PgPool) -> Vec<ClaimedTask> {
    // Longer than any test, so that no lease expires.
    let lease = Duration::from_secs(3600);
    let input = ClaimInput { worker: "clerk".to_owned(), max_tasks: 5, lease, ..ClaimInput::default() };
    match Engine::claim(pool, &input).await {
        Ok(tasks) => tasks,
        Err(error) if error.is_transient() => Vec::new(),
        Err(error) => panic!("{error:?}"),
    }
}

/// Starts executions with keys and sends each its signal.
async fn start(nodes: [&Node; 2], count: usize) {
    for number in 0..count {
        let input = StartInput {
            r#ref: "demo.parent".to_owned(),
            idempotency_key: Some(format!("key {number}")),
            part: Some(PART),
            ..StartInput::default()
        };
        let execution =
            on_owner(nodes, async |pool| Engine::start(pool, input.clone()).await).await.expect("it is started");
        let signal = SignalInput { name: "go".to_owned(), key: Some("once".to_owned()), ..SignalInput::default() };
        on_owner(nodes, async |pool| Engine::signal(pool, execution, signal.clone()).await).await;
    }
}

/// Claims and reports on both servers until the ledgers have this number of entries.
async fn work(nodes: [&Node; 2], total: i64) {
    loop {
        for node in nodes {
            for task in claim(&node.pool).await {
                on_owner(nodes, async |pool| report(pool, &task).await).await;
            }
            let _ = Engine::tick(&node.pool, 100, None).await;
        }
        if ledger(nodes).await.values().sum::<i64>() >= total {
            return;
        }
    }
}

/// Returns how many times each task is in the ledgers.
async fn ledger(nodes: [&Node; 2]) -> BTreeMap<i64, i64> {
    let mut all = BTreeMap::new();
    for node in nodes {
        let rows: Vec<(i64,)> =
            sqlx::query_as("SELECT task FROM public.ledger").fetch_all(&node.pool).await.unwrap_or_default();
        rows.into_iter().for_each(|(task,)| *all.entry(task).or_default() += 1);
    }
    all
}

#[tokio::test]
async fn a_part_moves_there_and_back_under_load_and_nothing_is_lost_or_done_twice() {
    if is_skipped() {
        return;
    }
    let (a, b) = two("load").await;
    let nodes = [&a, &b];
    const COUNT: usize = 60;
    let total = COUNT as i64 * WORK;
    a.run(&format!("SELECT workflow_schedule('yearly', '@yearly', 'demo.parent', part => {PART})")).await;
    // Both start the same executions, whichever server they ask first.
    let load =
        async { tokio::join!(start(nodes, COUNT), start([&b, &a], COUNT), work(nodes, total), work([&b, &a], total)) };
    let moves = async {
        move_well(&a, &b).await;
        assert_eq!(b.value::<String>("SELECT workflow_find_parts()").await, "7,512-1023");
        move_well(&b, &a).await;
        move_well(&a, &b).await;
    };
    timeout(Duration::from_secs(300), async { tokio::join!(load, moves) }).await.expect("it ends");

    b.becomes("SELECT workflow_tick() IS NOT NULL AND NOT EXISTS (SELECT FROM workflow.execution WHERE status <> 'completed')").await;
    let ledger = ledger(nodes).await;
    assert_eq!(ledger.values().copied().max(), Some(1), "nothing twice");
    assert_eq!(ledger.len() as i64, total, "nothing lost");
    let counts: (i64, i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE parent IS NULL), count(*) FILTER (WHERE parent IS NOT NULL),
           (SELECT count(*) FROM workflow_search(attributes => '{\"tenant\": \"acme\"}', max_rows => 1000)) FROM workflow.execution",
    )
    .fetch_one(&b.pool)
    .await
    .unwrap();
    assert_eq!(counts, (COUNT as i64, COUNT as i64, 2 * COUNT as i64));
    assert_eq!(b.value::<i64>("SELECT count(*) FROM workflow_list_schedules()").await, 1);
    for table in ["execution", "workflow_task_execution", "event", "signal", "lease", "schedule", "branch_change"] {
        let left = a.value::<i64>(&format!("SELECT count(*) FROM workflow.{table} WHERE part = {PART}")).await;
        assert_eq!(left, 0, "{table}");
    }
    a.check().await;
    b.check().await;
    clients_find_the_server_of_a_part(&a, &b).await;
}

/// Part 7 is on the second server, which the client does not know yet.
async fn clients_find_the_server_of_a_part(a: &Node, b: &Node) {
    a.run("TRUNCATE public.ledger").await;
    b.run("TRUNCATE public.ledger").await;
    let cluster = Cluster::with_placement(vec![(a.pool.clone(), "0-511"), (b.pool.clone(), "512-1023")]).unwrap();
    let child = |part| StartInput { r#ref: "demo.child".to_owned(), part, ..StartInput::default() };
    let moved = cluster.start(child(Some(PART))).await.unwrap().expect("it is started");
    assert_eq!((moved >> 48, cluster.placement(PART)), (i64::from(PART), Some(1)));
    assert_eq!(Engine::part(&a.pool, "acme").await.unwrap(), Engine::part(&b.pool, "acme").await.unwrap());
    let keyed = StartInput { idempotency_key: Some("acme".to_owned()), ..child(None) };
    let first = cluster.start(keyed.clone()).await.unwrap().expect("it is started");
    assert_eq!(cluster.start(keyed).await.unwrap(), Some(first));
    assert_eq!(first >> 48, i64::from(cluster.part("acme").await.unwrap()));
    let many = StartManyInput {
        r#ref: "demo.child".to_owned(),
        parameters: vec![json!({}); 4],
        idempotency_keys: Some(["a", "b", "acme", "a"].map(|key| Some(key.to_owned())).to_vec()),
        ..StartManyInput::default()
    };
    let started = cluster.start_many(many).await.unwrap();
    assert_eq!((started[2], started[3]), (Some(first), started[0]));

    // A batch is split, and answered in order.
    let input = ClaimInput { worker: "clerk".to_owned(), max_tasks: 100, ..ClaimInput::default() };
    let mut tasks = cluster.claim(&input).await.unwrap();
    assert_eq!(tasks.len(), 4);
    tasks.sort_by_key(|task| task.lease_token);
    let leases: Vec<(i64, i64)> = tasks.iter().map(|task| (task.task, task.lease_token)).collect();
    let beats = cluster.heartbeat(&leases, Duration::from_secs(30)).await.unwrap();
    assert_eq!(
        beats.iter().map(|beat| beat.task).collect::<Vec<_>>(),
        tasks.iter().map(|t| t.task).collect::<Vec<_>>()
    );
    let outcomes: Vec<Outcome> = tasks.iter().map(|t| Outcome::completed(t.task, t.lease_token, None)).collect();
    let answers = cluster.finish(&outcomes).await.unwrap();
    assert_eq!(answers.iter().map(|a| a.task).collect::<Vec<_>>(), tasks.iter().map(|t| t.task).collect::<Vec<_>>());
    assert!(answers.iter().all(|answer| answer.state.is_ok()));
    assert!(cluster.status(moved).await.unwrap().ended);

    // A worker for both servers continues while one is down, and serves it again afterwards.
    let [here, there] = [Some(3), Some(PART)].map(|part| cluster.start(child(part)));
    let (here, there) = (here.await.unwrap().expect("it is started"), there.await.unwrap().expect("it is started"));
    b.server.stop("immediate");
    let shutdown = CancellationToken::new();
    let build = |pool| {
        Worker::builder(pool).listen(false).handler("demo.one", |_: serde_json::Value, _| async { Ok(json!(null)) })
    };
    let watched = async {
        a.becomes(&format!("SELECT ended FROM workflow_status({here})")).await;
        b.server.start();
        on_owner([a, b], async |pool| Engine::status(pool, there).await).await;
        b.becomes(&format!("SELECT ended FROM workflow_status({there})")).await;
        shutdown.cancel();
    };
    let (worked, ()) = tokio::join!(cluster.work(build, shutdown.clone()), watched);
    worked.unwrap();
}

/// The steps of a move, each as SQL at one of the servers.
async fn step(a: &Node, b: &Node, number: usize) {
    let part = PART;
    match number {
        0 => _ = Engine::offer_part(&a.pool, part).await.unwrap(),
        1 => a.run(&format!("SELECT pg_create_logical_replication_slot('pg_workflow_part_{part}', 'pgoutput')")).await,
        2 => {
            let offer = Engine::offer_part(&a.pool, part).await.unwrap();
            let name = format!("127.0.0.1:{}/postgres", a.server.options.get_port());
            Engine::receive_part(&b.pool, part, &name, &a.url(), &offer).await.unwrap();
        }
        3 => {
            b.becomes(&format!("SELECT tables = copied FROM workflow_find_arriving({part})")).await;
            Engine::fence_part(&a.pool, part, "b").await.unwrap();
        }
        4 => Engine::close_part(&a.pool, part).await.unwrap(),
        _ => {
            let export = Engine::export_part(&a.pool, part).await.unwrap();
            let lsn = export["lsn"].as_str().unwrap().to_owned();
            a.becomes(&format!("SELECT workflow_find_leaving({part}, '{lsn}') = 0")).await;
            Engine::accept_part(&b.pool, part, &export).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_move_interrupted_at_any_step_can_be_continued_or_undone() {
    if is_skipped() {
        return;
    }
    let (a, b) = two("steps").await;
    let input = StartInput { r#ref: "demo.parent".to_owned(), part: Some(PART), ..StartInput::default() };
    Engine::start(&a.pool, input.clone()).await.unwrap();
    let held = claim(&a.pool).await;
    assert_eq!(held.len(), 1);
    // Two of these are running under a limit, and two are waiting for it.
    for _ in 0..4 {
        let limited = StartInput { r#ref: "demo.limited".to_owned(), part: Some(PART), ..StartInput::default() };
        Engine::start(&a.pool, limited).await.unwrap();
    }
    let limited = claim(&a.pool).await;
    assert_eq!(limited.len(), 2);
    let (mut from, mut to) = (&a, &b);
    for last in [1, 3, 4, 5] {
        // Aborted, as long as that is possible.
        for number in 0..=last {
            step(from, to, number).await;
        }
        if last < 5 {
            if last == 3 {
                to.crash();
            }
            let (status, text) = move_part(from, to, &["--abort"]).await;
            assert_eq!(status, 0, "{last}: {text}");
            assert_eq!(Engine::find_part(&from.pool, PART).await.unwrap().status, "here");
            assert_eq!(to.refusal(&format!("SELECT workflow_start('demo.parent', part => {PART})")).await, "WF622");
            from.check().await;
            for number in 0..=last {
                step(from, to, number).await;
            }
        } else {
            let (status, text) = move_part(from, to, &["--abort"]).await;
            assert_eq!(status, 1, "{last}: {text}");
            assert!(text.contains("has accepted it"), "{text}");
        }
        if last == 4 {
            from.crash();
        }
        move_well(from, to).await;
        // Doing it again changes nothing.
        move_well(from, to).await;
        assert_eq!(Engine::find_part(&to.pool, PART).await.unwrap().status, "here");
        from.check().await;
        to.check().await;
        (from, to) = (to, from);
    }
    // Tasks that ran under the limit still do, and the others get their turn after them.
    const SLOTS: &str = "SELECT count(*) FROM workflow.limit_slot WHERE task IS NOT NULL";
    assert_eq!((from.value::<i64>(SLOTS).await, to.value::<i64>(SLOTS).await), (2, 0));
    assert_eq!(claim(&from.pool).await.len(), 0);
    for task in &limited {
        report(&from.pool, task).await.unwrap();
    }
    assert_eq!(claim(&from.pool).await.len(), 2);
    // The lease taken before all this is still valid.
    let beats =
        Engine::heartbeat(&from.pool, &[(held[0].task, held[0].lease_token)], Duration::from_secs(60)).await.unwrap();
    assert_eq!(beats[0].state, pg_workflow_client::LeaseState::Held);
    let beats =
        Engine::heartbeat(&to.pool, &[(held[0].task, held[0].lease_token)], Duration::from_secs(60)).await.unwrap();
    assert_eq!(beats[0].state, pg_workflow_client::LeaseState::Elsewhere);
    report(&from.pool, &held[0]).await.unwrap();
    assert_eq!(to.refusal(&format!("SELECT workflow_start('demo.parent', part => {PART})")).await, "WF622");
}
