//! The overhead of a router: the same work done directly on the server that has the part, and through the router, in
//! turn.

use super::Routed;
use pg_workflow_client::{ClaimInput, Engine, Outcome, StartManyInput};
use serde_json::json;
use sqlx::postgres::PgPool;
use std::time::Instant;

const CHAIN: &str = "
ref: demo.chain
label: Ten steps
version: 1.0.0
tasks:
  - {name: a, action: demo.one, on_success: b}
  - {name: b, action: demo.one, on_success: c}
  - {name: c, action: demo.one, on_success: d}
  - {name: d, action: demo.one, on_success: e}
  - {name: e, action: demo.one, on_success: f}
  - {name: f, action: demo.one, on_success: g}
  - {name: g, action: demo.one, on_success: h}
  - {name: h, action: demo.one, on_success: i}
  - {name: i, action: demo.one, on_success: j}
  - {name: j, action: demo.one}
";

const PART: i32 = 700;

/// Starts chains and processes them in batches. Returns the microseconds per step.
async fn steps(pool: &PgPool, batch: usize, chains: usize) -> f64 {
    let mut session = pool.acquire().await.unwrap();
    let began = Instant::now();
    let mut left = chains;
    while left > 0 {
        let count = left.min(batch);
        left -= count;
        let input = StartManyInput {
            r#ref: "demo.chain".to_owned(),
            parameters: vec![json!({}); count],
            part: Some(PART),
            ..StartManyInput::default()
        };
        Engine::start_many(&mut *session, input).await.unwrap();
    }
    let input = ClaimInput { worker: "clerk".to_owned(), max_tasks: batch as i32, ..ClaimInput::default() };
    let (mut outcomes, mut done): (Vec<Outcome>, usize) = (Vec::new(), 0);
    while done < chains * 10 {
        let (answers, tasks) = Engine::finish_and_claim(&mut *session, &outcomes, &input).await.unwrap();
        assert!(answers.iter().all(|answer| answer.state.is_ok()), "{answers:?}");
        done += answers.len();
        outcomes = tasks.iter().map(|task| Outcome::completed(task.task, task.lease_token, None)).collect();
    }
    began.elapsed().as_secs_f64() * 1e6 / (chains * 10) as f64
}

/// Prints the time per step directly on the server that has the part, the time through the router, and their ratio.
pub async fn measure(routed: &Routed, rounds: usize) {
    Engine::define(&routed.pool, CHAIN).await.unwrap();
    for node in &routed.nodes[1..] {
        node.follows(&routed.nodes[0]).await;
    }
    let owner = &routed.nodes[2].pool;
    for (batch, chains) in [(1, 30), (10, 100), (100, 300)] {
        steps(owner, batch, batch).await;
        steps(&routed.pool, batch, batch).await;
        let (mut direct, mut through) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            direct.push(steps(owner, batch, chains).await);
            through.push(steps(&routed.pool, batch, chains).await);
        }
        let (direct, through) = (least(&direct), least(&through));
        println!(
            "batch {batch}: {direct:.0} µs a step at the server, {through:.0} µs through the router: {:.2}",
            through / direct
        );
    }
}

/// Returns the fastest round: anything else that runs on the machine can only make rounds slower.
fn least(rounds: &[f64]) -> f64 {
    rounds.iter().copied().fold(f64::INFINITY, f64::min)
}
