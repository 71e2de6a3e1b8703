//! pg_workflow with the worker of its Rust client. It receives the same commands as the other drivers (bench/README.md,
//! "Comparison with other systems").

use pg_workflow_client::worker::{CancellationToken, Worker};
use pg_workflow_client::{Engine, StartManyInput};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::error::Error;
use std::io::{BufRead, Read, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Number of tasks that a worker holds.
const CONCURRENCY: usize = 1000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    let answer = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["enqueue", jobs, steps] => enqueue(&pool, jobs.parse()?, steps).await?,
        ["work"] => work(pool).await?,
        _ => return Err(format!("{words:?}: say enqueue JOBS STEPS, or work").into()),
    };
    println!("{answer}");
    Ok(())
}

async fn enqueue(pool: &PgPool, jobs: usize, steps: &str) -> Result<Value, Box<dyn Error>> {
    let payload = json!({"order": 12345, "note": "pack and send it"});
    let mut connection = pool.acquire().await?;
    let begin = Instant::now();
    for start in (0..jobs).step_by(1000) {
        let parameters = vec![payload.clone(); 1000.min(jobs - start)];
        let r#ref = format!("bench.linear{steps}");
        Engine::start_many(&mut *connection, StartManyInput { r#ref, parameters, ..Default::default() }).await?;
    }
    Ok(json!({"done": jobs, "seconds": begin.elapsed().as_secs_f64()}))
}

async fn work(pool: PgPool) -> Result<Value, Box<dyn Error>> {
    let done = Arc::new(AtomicU64::new(0));
    let counter = done.clone();
    let worker = Worker::builder(pool)
        .concurrency(CONCURRENCY)
        .task_handler("bench.step", move |task, _| {
            counter.fetch_add(1, Ordering::Relaxed);
            async move { Ok(task.input.unwrap_or_default()) }
        })
        .build()?;
    println!("ready");
    stdin().lock().read_line(&mut String::new())?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    std::thread::spawn(move || {
        let _ = stdin().lock().read_to_end(&mut Vec::new());
        stopped.cancel();
    });
    worker.run(stop).await?;
    Ok(json!({"done": done.load(Ordering::Relaxed)}))
}
