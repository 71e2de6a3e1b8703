//! Measures how many blocks each page of the console reads, and how long it takes, with twenty thousand ended
//! executions and with a million: `pages [EXECUTIONS]`, on a separate server. Fails if a page reads more than [`MOST`]
//! times as many blocks with a million: then its cost grows with the number of executions.

use pg_workflow_tests::Server;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FEW: usize = 20_000;
const MANY: usize = 1_000_000;
/// Maximum factor: indexes of a million rows have one more level than those of a few thousand.
const MOST: f64 = 2.0;
/// Number of tries, of which the best one counts.
const TRIES: usize = 5;

const PAGES: &[&str] = &[
    "/",
    "/executions",
    "/executions?status=failed",
    "/executions?workflow=shop.mail",
    "/executions?text=DECLINED",
    "/executions?text=nothing",
    "/executions?status=failed&code=declined",
    "/executions?attributes=%7B%22order%22%3A5000%7D",
    "/executions?failed_task=true",
    "/executions?ended_from=2026-01-02+10:00&ended_to=2026-01-02+12:00",
    "/executions/1000",
    "/executions/15000",
    "/approvals",
    "/jobs",
    "/work",
    "/work?action=demo.limited",
    "/limits",
    "/schedules",
    "/definitions",
    "/definitions/shop.order",
    "/draft",
];

const CREATE: &str =
    "CREATE EXTENSION pg_workflow; CREATE EXTENSION pg_stat_statements; CREATE TABLE changed (at timestamptz);";

/// Of ten thousand tasks that wait for a limit, two run.
const LIMITED: &str = "SELECT workflow_register_action('demo.limited'); SELECT workflow_set_limit('few', max_running => 2);
SELECT workflow_define('{ref: demo.limited, label: W, version: 1, tasks: [{name: a, action: demo.limited, limit: few}]}');
SELECT workflow_start_many('demo.limited', array_fill('{}'::jsonb, ARRAY[10000]));
SELECT workflow_claim('w', 10);";

const ENDED: &str = include_str!("../../../bench/scripts/ended_executions.sql");

/// What a page costs.
#[derive(Clone, Copy)]
struct Cost {
    blocks: i64,
    took: Duration,
}

/// A console that runs until it is dropped.
struct Console {
    process: Child,
    address: String,
}

impl Console {
    fn start(server: &Server) -> Console {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/pg-workflow");
        let mut process = Command::new(program)
            // A page is made anew when it is opened, not by the clock.
            .args(["console", "--listen", "127.0.0.1:0", "--refresh", "3600"])
            .env("DATABASE_URL", server.options.to_url_lossy().as_str())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("it says where it listens");
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
        Console { process, address }
    }

    fn open(&self, page: &str) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let request = format!("GET {page} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{page}: {}", answer.lines().next().unwrap_or_default());
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::main]
async fn main() {
    let many = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(MANY);
    let (few, many) = (measure(FEW).await, measure(many).await);
    println!("{:>8} {:>8} {:>6} {:>8} {:>8}", "blocks", "many", "ratio", "ms", "many");
    let mut grows = false;
    for ((page, few), many) in PAGES.iter().zip(few).zip(many) {
        let ratio = many.blocks as f64 / few.blocks.max(1) as f64;
        grows |= ratio > MOST;
        let word = if ratio > MOST { " GROWS" } else { "" };
        let milliseconds = |cost: Cost| cost.took.as_secs_f64() * 1e3;
        println!(
            "{:8} {:8} {ratio:6.2} {:8.1} {:8.1} {page}{word}",
            few.blocks,
            many.blocks,
            milliseconds(few),
            milliseconds(many)
        );
    }
    if grows {
        std::process::exit(1);
    }
}

/// Returns the costs of all pages with this number of ended executions.
async fn measure(executions: usize) -> Vec<Cost> {
    let preloaded = "shared_preload_libraries = 'pg_workflow, pg_stat_statements'";
    let server = Server::create("pages", &["shared_buffers = 512MB", "max_wal_size = 4GB", preloaded]);
    let mut session = server.options.connect().await.expect("connected");
    eprintln!("pages: {executions} executions");
    run(&mut session, CREATE).await;
    run(&mut session, &ENDED.replace(":executions", &executions.to_string())).await;
    run(&mut session, LIMITED).await;
    run(&mut session, "VACUUM ANALYZE").await;
    let console = Console::start(&server);
    let mut costs = Vec::new();
    for page in PAGES {
        let mut tries = Vec::new();
        for _ in 0..TRIES {
            // Otherwise the page that was made last would be served again.
            run(&mut session, "INSERT INTO changed VALUES (now())").await;
            run(&mut session, "SELECT pg_stat_statements_reset()").await;
            let began = Instant::now();
            console.open(page);
            let took = began.elapsed();
            let blocks = "SELECT coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint FROM pg_stat_statements
                          WHERE query !~ 'pg_stat_statements'";
            let blocks = sqlx::query_scalar(blocks).fetch_one(&mut session).await.expect("the statistics");
            tries.push(Cost { blocks, took });
        }
        let blocks = tries.iter().map(|cost| cost.blocks).min().unwrap_or_default();
        let took = tries.iter().map(|cost| cost.took).min().unwrap_or_default();
        costs.push(Cost { blocks, took });
    }
    costs
}

async fn run(session: &mut PgConnection, sql: &str) {
    if let Err(error) = session.execute(AssertSqlSafe(sql)).await {
        panic!("{error}\n{sql}");
    }
}
