//! Limits under random schedules: sessions whose transactions overlap start, claim, report, expire, pause, cancel,
//! rerun, erase, hold, release, and change limits; some are rolled back. After every statement, everything that runs is
//! counted from outside. `SEED=…` plays one schedule again; `STORMS=…` plays as many more.

mod act;
mod recount;

use crate::fixture::*;
use act::{Act, World};
use pg_workflow_tests::{Database, with_database};
use recount::Recount;
use serde_json::json;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Executor, Row};

/// Number of sessions whose transactions overlap.
const SESSIONS: usize = 4;

const STEPS: usize = 120;

/// SplitMix64.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// A session, with what its open transaction has done so far.
struct Actor {
    session: Session,
    is_open: bool,
    claimed: Vec<(i64, i64)>,
    reported: Vec<(i64, i64)>,
}

impl Actor {
    async fn new(db: &Database) -> Actor {
        let mut session = Session::new(db).await;
        session.run("SET lock_timeout = '30ms'").await;
        Actor { session, is_open: false, claimed: Vec::new(), reported: Vec::new() }
    }

    /// Ends the transaction. Afterwards, its claims are visible to all, or never happened.
    async fn end(&mut self, world: &mut World, commits: bool) {
        self.session.run(if commits { "COMMIT" } else { "ROLLBACK" }).await;
        self.is_open = false;
        let (claimed, reported) = (std::mem::take(&mut self.claimed), std::mem::take(&mut self.reported));
        world.held.extend(if commits { claimed } else { reported });
    }

    /// Runs a statement. Returns nothing if it was refused, or would have had to wait for a lock.
    async fn attempt(&mut self, act: &Act) -> Option<Vec<PgRow>> {
        let error = match self.session.connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(act.sql.as_str()))).await {
            Ok(rows) => return Some(rows),
            Err(error) => Refusal::of(error),
        };
        let may_wait = error.sqlstate == "55P03" && !act.never_waits;
        assert!(may_wait || error.message.starts_with("WF"), "{}\n{error:#?}", act.sql);
        None
    }
}

/// Lets one session run one statement.
async fn step(actors: &mut [Actor], eye: &mut Session, world: &mut World, recount: &mut Recount) {
    let number = world.chance.below(actors.len());
    let others_are_open = actors.iter().enumerate().any(|(other, actor)| other != number && actor.is_open);
    let actor = &mut actors[number];
    if actor.is_open && world.chance.below(3) == 0 {
        let commits = world.chance.below(4) > 0;
        println!("{number}: {}", if commits { "COMMIT" } else { "ROLLBACK" });
        actor.end(world, commits).await;
        recount.ended(number, commits);
        return;
    }
    actor.session.at(world.now).await;
    if !actor.is_open && world.chance.below(2) == 0 {
        println!("{number}: BEGIN");
        actor.session.run("BEGIN").await;
        actor.is_open = true;
    }
    let act = world.choose(actor.is_open, others_are_open, &actor.claimed);
    println!("{number}, {} s: {}", world.now, act.sql);
    let before = recount::running(&mut actor.session).await;
    let Some(rows) = actor.attempt(&act).await else {
        if actor.is_open {
            actor.end(world, false).await;
            recount.ended(number, false);
        }
        return;
    };
    world.ids.extend(rows.iter().filter(|_| act.starts).filter_map(|row| row.get::<Option<i64>, _>(0)));
    actor.claimed.extend(
        rows.iter()
            .filter(|row| act.claims && row.get::<String, _>(2) == "claimed")
            .map(|row| (row.get::<i64, _>(0), row.get::<i64, _>(1))),
    );
    if let Some(task) = act.reports {
        actor.claimed.retain(|claimed| *claimed != task);
        if let Some(place) = world.held.iter().position(|held| *held == task) {
            actor.reported.push(world.held.swap_remove(place));
        }
    }
    recount.check(number, &mut actor.session, eye, before, world.now).await;
    if !actor.is_open {
        recount.ended(number, true);
        world.held.append(&mut actor.claimed);
        actor.reported.clear();
    }
}

async fn assert_sound(eye: &mut Session) {
    let broken: Vec<(String, String)> = eye.rows("SELECT invariant, detail FROM workflow_check()").await;
    assert_eq!(broken, []);
}

async fn storm(db: &Database, seed: u64) {
    let mut world = World::new(Chance::new(seed));
    let mut eye = Session::new(db).await;
    let mut actors = Vec::new();
    for _ in 0..SESSIONS {
        actors.push(Actor::new(db).await);
    }
    act::prepare(&mut eye).await;
    let mut recount = Recount::new(SESSIONS);
    for count in 0..STEPS {
        world.now += world.chance.one_of(&[0.0, 0.0, 0.1, 0.1, 1.0, 1.0, 7.0, 35.0]);
        step(&mut actors, &mut eye, &mut world, &mut recount).await;
        if count % 8 == 0 {
            assert_sound(&mut eye).await;
        }
    }
    for (number, actor) in actors.iter_mut().enumerate().filter(|(_, actor)| actor.is_open) {
        actor.end(&mut world, true).await;
        recount.ended(number, true);
    }
    recount.assert_rates();
    assert_sound(&mut eye).await;
    drain(&mut eye, world.now).await;
}

/// Processes everything that is left: in the end, everything that waits gets through.
async fn drain(session: &mut Session, mut now: f64) {
    session.at(now).await;
    session.run("SELECT workflow_resume(id) FROM workflow.workflow_execution WHERE paused AND depth = 0").await;
    // Otherwise, keys under a hold of one day would not be checked in time.
    session
        .run("SELECT workflow_release(name, target => target) FROM workflow_list_holds() WHERE target <> 'action'")
        .await;
    let live = "SELECT count(*) FROM workflow.execution e WHERE NOT workflow.is_end(e.status)";
    for round in 0..900 {
        now += 1.0;
        session.at(now).await;
        session.run("SELECT workflow_tick()").await;
        for task in session.claim(50).await {
            session.complete(&task, json!(null)).await;
        }
        if round % 20 == 0 {
            assert_sound(session).await;
            if session.value::<i64>(live).await == 0 {
                break;
            }
        }
    }
    let waiting: Vec<(i64, Option<String>, String)> = session
        .rows("SELECT e.id, w.task, w.why FROM workflow.execution e CROSS JOIN LATERAL workflow_why(e.id) w WHERE NOT workflow.is_end(e.status)")
        .await;
    assert_eq!(waiting, []);
    assert_sound(session).await;
    let taken: i64 = session.value("SELECT count(*) FROM workflow.limit_slot WHERE task IS NOT NULL").await;
    assert_eq!(taken, 0);
}

/// Returns the seeds to play: those in the environment, or a few fixed ones.
pub fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SEED") {
        return vec![seed];
    }
    match number("STORMS") {
        Some(storms) => {
            let first = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
            (first..first + storms).collect()
        }
        // One more for each major version, because a schedule takes some seconds.
        None => vec![1, pg_workflow_tests::major().into()],
    }
}

#[tokio::test]
async fn no_schedule_exceeds_a_limit_leaks_a_slot_or_starves_a_task() {
    for seed in seeds() {
        println!("SEED={seed}");
        with_database(async |db| storm(db, seed).await).await;
    }
}
