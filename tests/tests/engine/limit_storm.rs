//! Limits under random claims, reports, expiries, pauses, cancels, reruns, holds and changes, by several sessions.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

const CHILD: &str = "tasks:\n  - {name: inner, action: demo.c, limit: [one, {name: two, key: x}]}\n";

const STORM: &str = "parameters: {type: object, properties: {key: {type: integer, default: 1}}}
tasks:
  - {name: start, action: demo.a, limit: {name: two, key: '{{ parameters.key }}'}, on_success: [each, call]}
  - name: each
    action: demo.b
    with_items: [1, 2, 3]
    limit: [{name: two, key: '{{ item }}'}, fast]
    retry: {count: 2, delay: 3}
    timeout: 40
  - {name: call, action: demo.child, limit: {name: two, key: x}, on_failure: repair}
  - {name: repair, action: demo.d, limit: one}
";

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

async fn assert_sound(session: &mut Session, seed: u64, step: usize) {
    let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
    assert_eq!(broken, [], "seed {seed}, step {step}");
    let above: Vec<(String, String, i64)> = session
        .rows(
            "SELECT k.limit_name, k.key, count(s.task) FROM workflow.limit_key k JOIN workflow.limit_slot s ON s.key = k.id
             JOIN workflow.limit_rule r ON r.name = k.limit_name GROUP BY k.limit_name, k.key HAVING count(s.task) > CASE k.limit_name WHEN 'one' THEN 1 ELSE 3 END",
        )
        .await;
    assert_eq!(above, [], "seed {seed}, step {step}");
}

async fn storm(db: &pg_workflow_tests::Database, seed: u64) {
    let mut chance = Chance(seed);
    let mut sessions = [Session::new(db).await, Session::new(db).await, Session::new(db).await];
    let [first, ..] = &mut sessions;
    first.run("SELECT workflow_set_limit('one', max_running => 1), workflow_set_limit('two', max_running => 2), workflow_set_limit('fast', rate => 5, per => '1 s')").await;
    first.define_as("demo.child", CHILD).await;
    first.define(STORM).await;
    let mut held: Vec<Task> = Vec::new();
    let (mut now, mut ids) = (0.0, Vec::new());
    for step in 0..120 {
        now += [0.0, 0.1, 1.0, 10.0][chance.below(4)];
        let session = &mut sessions[chance.below(3)];
        session.at(now).await;
        match chance.below(14) {
            0 | 1 => ids.push(session.start_with(json!({"key": chance.below(3)})).await),
            2..=5 => {
                // Some claims are rolled back.
                let is_kept = chance.below(4) > 0;
                session.run("BEGIN").await;
                let claimed = session.claim(1 + chance.below(6) as i32).await;
                session.run(if is_kept { "COMMIT" } else { "ROLLBACK" }).await;
                if is_kept {
                    held.extend(claimed);
                }
            }
            6..=9 if !held.is_empty() => {
                let task = held.swap_remove(chance.below(held.len()));
                let report = match chance.below(5) {
                    0 => "'failed', NULL, '{\"type\": \"x\"}', NULL, NULL, NULL, NULL",
                    1 => "'failed', NULL, NULL, NULL, NULL, '2 s', NULL",
                    _ => "'completed', NULL, NULL, NULL, NULL, NULL, NULL",
                };
                session
                    .run(format!(
                        "SELECT state FROM workflow_finish(ARRAY[({}, {}, {report})::workflow.outcome])",
                        task.task, task.lease_token
                    ))
                    .await;
            }
            10 => session.run("SELECT workflow_tick()").await,
            11 if !ids.is_empty() => {
                let id = ids[chance.below(ids.len())];
                let call = ["workflow_pause", "workflow_resume", "workflow_cancel", "workflow_rerun"][chance.below(4)];
                // Whatever the answer is.
                session
                    .run(format!("DO $$ BEGIN PERFORM {call}({id}); EXCEPTION WHEN object_not_in_prerequisite_state THEN NULL; END $$"))
                    .await;
            }
            12 => {
                let most = 1 + chance.below(3);
                session.run(format!("SELECT workflow_set_limit('two', max_running => {most})")).await
            }
            13 => {
                let hold = [
                    "'two', NULL, workflow.now() + interval '3 s'",
                    "'one', NULL, workflow.now() + interval '1 s'",
                    "'demo.b', NULL, workflow.now() + interval '2 s', target => 'action'",
                    "'demo.w', NULL, workflow.now() + interval '2 s', target => 'workflow'",
                ][chance.below(4)];
                session.run(format!("SELECT workflow_hold({hold})")).await;
            }
            _ => {}
        }
        if step % 10 == 0 {
            assert_sound(&mut sessions[0], seed, step).await;
        }
    }
    // Everything that waits gets its turn eventually.
    let [session, ..] = &mut sessions;
    session.run("SELECT workflow_resume(id) FROM workflow.workflow_execution WHERE paused AND depth = 0").await;
    for round in 0..600 {
        now += 1.0;
        session.at(now).await;
        session.run("SELECT workflow_tick()").await;
        for task in session.claim(50).await {
            session.complete(&task, json!(null)).await;
        }
        if round % 20 == 0 {
            assert_sound(session, seed, 1000 + round).await;
            let live: i64 = session.value("SELECT count(*) FROM workflow.execution e WHERE e.status = 'running'").await;
            if live == 0 {
                break;
            }
        }
    }
    let waiting: Vec<(i64, Option<String>, String)> = session
        .rows("SELECT e.id, w.task, w.why FROM workflow.execution e CROSS JOIN LATERAL workflow_why(e.id) w WHERE e.status = 'running'")
        .await;
    assert_eq!(waiting, [], "seed {seed}");
    assert_sound(session, seed, 9999).await;
    let taken: i64 = session.value("SELECT count(*) FROM workflow.limit_slot WHERE task IS NOT NULL").await;
    assert_eq!(taken, 0, "seed {seed}");
}

#[tokio::test]
async fn no_schedule_exceeds_a_limit_leaks_a_slot_or_starves_a_task() {
    let seeds = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).map_or(1..5, |seed: u64| seed..seed + 1);
    for seed in seeds {
        with_database(async |db| storm(db, seed).await).await;
    }
}
