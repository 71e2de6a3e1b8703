//! A provider that answers 429 above ten calls per second and tenant, two worker processes, one of which is killed, and
//! three tenants, one of which starts far more than can be done. `PAYMENTS=50000 DURATION=120` runs the full test,
//! which also asserts how long the small tenants wait.

use crate::fixture::*;
use pg_workflow_tests::{Database, with_database};
use std::collections::BTreeMap;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Number of calls per second that the provider accepts from a tenant. The limit allows a tenth less.
const TAKEN: usize = 10;
const ALLOWED: usize = 9;

/// Number of calls per second that the limit allows after it has been changed.
const LOWERED: usize = 4;

/// Maximum number of concurrent calls of a tenant.
const AT_ONCE: usize = 5;

const WORKFLOW: &str = "parameters: {type: object, required: [tenant], properties: {tenant: {type: string}}}
fair_by: '{{ parameters.tenant }}'
tasks:
  - name: charge
    action: pay.charge
    input: {tenant: '{{ parameters.tenant }}'}
    limit: {name: provider, key: '{{ parameters.tenant }}'}
    retry: {count: 20, delay: 1}
";

/// What the provider has seen of a tenant.
#[derive(Default)]
struct Seen {
    calls: Vec<Instant>,
    refused: usize,
    open: usize,
    most_open: usize,
}

type Books = Arc<Mutex<BTreeMap<String, Seen>>>;

async fn answer(stream: TcpStream, books: Books) -> Result<(), std::io::Error> {
    let mut stream = BufReader::new(stream);
    let mut tenant = String::new();
    stream.read_line(&mut tenant).await?;
    let tenant = tenant.trim().to_owned();
    let status = {
        let mut books = books.lock().unwrap();
        let seen = books.entry(tenant.clone()).or_default();
        let now = Instant::now();
        let recent = seen.calls.iter().rev().take_while(|call| now - **call < Duration::from_secs(1)).count();
        seen.calls.push(now);
        seen.refused += usize::from(recent >= TAKEN);
        seen.open += 1;
        seen.most_open = seen.most_open.max(seen.open);
        if recent >= TAKEN { "429\n" } else { "200\n" }
    };
    // Duration of a payment, unless the caller dies.
    let mut nothing = [0];
    let _ = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut nothing)).await;
    books.lock().unwrap().get_mut(&tenant).expect("seen").open -= 1;
    stream.write_all(status.as_bytes()).await
}

/// Opens the provider. Returns its address.
async fn open(books: &Books) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let books = books.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, books.clone()));
        }
    });
    address
}

struct Payer(Child);

impl Payer {
    fn start(db: &Database, provider: &str, number: usize) -> Payer {
        let options = db.options();
        let url =
            format!("postgres://{}@{}:{}/{}", options.get_username(), options.get_host(), options.get_port(), db.name);
        let mut payer = Command::new(env!("CARGO_BIN_EXE_payer"));
        payer.args([&format!("payer {number}"), provider]).env("DATABASE_URL", url);
        Payer(payer.spawn().expect("the worker starts"))
    }
}

impl Drop for Payer {
    /// Kills it with SIGKILL.
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Changes the limit, as an operator at a terminal would.
fn set_limit(db: &Database, rate: usize) {
    let sql =
        format!("SELECT workflow_set_limit('provider', max_running => {AT_ONCE}, rate => {rate}, per => '1 second')");
    let status = Command::new("psql")
        .args(["--no-psqlrc", "--quiet", "--output=/dev/null", "--dbname", &db.name, "--command", &sql])
        .status();
    assert!(status.unwrap().success());
}

/// Fails if a tenant has more claims within any second than the rate allows. Claims are in seconds, by the server's
/// clock.
fn assert_rate(tenant: &str, claims: &[f64], rate: usize) {
    for window in claims.windows(rate + 1) {
        assert!(window[rate] - window[0] > 0.999_999, "{tenant}: {} claims in a second: {window:?}", rate + 1);
    }
}

/// Returns when tasks of each tenant were claimed, in seconds.
async fn claims(session: &mut Session) -> BTreeMap<String, Vec<f64>> {
    let rows: Vec<(String, Vec<f64>)> = session
        .rows(
            "SELECT e.config ->> 'tenant', array_agg(extract(epoch FROM v.created)::float8 ORDER BY v.created)
             FROM workflow.event v JOIN workflow.execution e ON e.id = v.execution WHERE v.kind = 'started' GROUP BY 1",
        )
        .await;
    rows.into_iter().collect()
}

/// Returns how long first attempts of the small tenants waited to be claimed: the 95th percentile in seconds, and their
/// number.
async fn wait_of_small_tenants(session: &mut Session) -> (f64, i64) {
    let rows: Vec<(f64, i64)> = session
        .rows(
            "SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM v.created - t.created))::float8, count(*)
             FROM workflow.event v JOIN workflow.workflow_task_execution t ON t.id = v.task JOIN workflow.execution e ON e.id = v.execution
             WHERE v.kind = 'started' AND v.detail ->> 'attempt' = '1' AND e.config ->> 'tenant' <> 'big'",
        )
        .await;
    rows[0]
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

async fn now(session: &mut Session) -> f64 {
    session.value("SELECT extract(epoch FROM clock_timestamp())::float8").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_called_as_often_as_it_allows_and_small_tenants_do_not_wait_for_a_large_one() {
    if pg_workflow_tests::major() != 15 {
        println!("skipped: the provider is called for seconds, and what limits it is the same on other majors");
        return;
    }
    let (payments, seconds) = (number("PAYMENTS"), number("DURATION").unwrap_or(9));
    with_database(async |db| {
        let mut session = Session { connection: db.connect().await };
        session.run(format!("ALTER DATABASE {} SET pg_workflow.log_transitions = on", db.name)).await;
        session.run("SELECT workflow_register_action('pay.charge')").await;
        set_limit(db, ALLOWED);
        session.run(format!("SELECT workflow_define($${}$$)", source("pay.order", WORKFLOW))).await;
        let big = payments.unwrap_or(400);
        for first in (0..big).step_by(1000) {
            let count = (big - first).min(1000);
            let many = "array_fill('{\"tenant\": \"big\"}'::jsonb, ARRAY[$1])";
            let start = format!("SELECT count(*) FROM workflow_start_many('pay.order', {many})");
            session.value::<i64>(start.replace("$1", &count.to_string())).await;
        }
        let books = Books::default();
        let provider = open(&books).await;
        let mut payers = vec![Payer::start(db, &provider, 0), Payer::start(db, &provider, 1)];
        let mut lowered = None;
        // Each round takes a third of a second, with one start by each of the small tenants, and the other events in
        // between.
        let (killed_at, changed_at, rounds) = (seconds, seconds * 2, seconds * 3);
        for round in 0..rounds {
            for tenant in ["small", "smaller"] {
                session.run(format!("SELECT workflow_start('pay.order', '{{\"tenant\": \"{tenant}\"}}')")).await;
            }
            tokio::time::sleep(Duration::from_millis(333)).await;
            if round == killed_at {
                payers.remove(0);
                payers.push(Payer::start(db, &provider, 2));
            }
            if round == changed_at {
                set_limit(db, LOWERED);
                lowered = Some(now(&mut session).await);
            }
        }
        let over = now(&mut session).await;
        drop(payers);
        judge(&mut session, lowered.expect("it was lowered"), over).await;
        let (p95, count) = wait_of_small_tenants(&mut session).await;
        for (tenant, seen) in books.lock().unwrap().iter() {
            println!(
                "{tenant}: {} calls, {} refused, at most {} at once",
                seen.calls.len(),
                seen.refused,
                seen.most_open
            );
            assert!(seen.most_open <= AT_ONCE, "{tenant}: {} calls at once", seen.most_open);
            if payments.is_some() {
                assert_eq!(seen.refused, 0, "{tenant}");
            }
        }
        println!("{count} payments of small tenants waited {p95:.3} s (95 %)");
        if payments.is_some() {
            assert!(p95 < 1.0, "small tenants wait {p95} s");
        }
        clear(&mut session).await;
    })
    .await;
}

/// Checks that claims never exceeded the limit, before and after it was lowered, and that the large tenant used its
/// share.
async fn judge(session: &mut Session, lowered: f64, over: f64) {
    for (tenant, claims) in claims(session).await {
        assert_rate(&tenant, &claims, ALLOWED);
        let later: Vec<f64> = claims.iter().copied().filter(|time| *time > lowered + 1.0).collect();
        assert_rate(&tenant, &later, LOWERED);
        let (first, count) = (claims[0], claims.len());
        println!("{tenant}: {count} claims, {} of them since the limit was lowered", later.len());
        if tenant == "big" {
            let possible = (lowered - first) * ALLOWED as f64 + (over - lowered) * LOWERED as f64;
            println!("big: {count} of at most {possible:.0} claims");
        }
    }
}

/// Ends what is left, and checks that no slot is taken.
async fn clear(session: &mut Session) {
    session
        .run("SELECT set_config('pg_workflow.test_now', (clock_timestamp() + interval '1 hour')::text, false)")
        .await;
    while session.value::<i32>("SELECT workflow_tick()").await > 0 {}
    let taken = "SELECT count(*) FROM workflow.limit_slot WHERE task IS NOT NULL";
    assert_eq!(session.value::<i64>(taken).await, 0);
}
