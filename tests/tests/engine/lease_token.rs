//! Lease tokens: they cannot be guessed, and attempts to guess are noticed.

use crate::fixture::*;
use pg_workflow_tests::{Database, with_database};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use std::collections::BTreeSet;

const ONE: &str = "tasks: [{name: a, action: demo.a}]\n";

const LOWEST: i64 = 1 << 52;

const CHAIN: &str = "max_visits: 100
tasks:
  - {name: first, on_success: a}
  - {name: a, action: demo.a, on_success: a}
";

/// Returns a session of a new role of the worker level, and the role. All sessions use the real clock from now on,
/// because a worker cannot set another.
async fn worker(db: &Database, session: &mut Session) -> (Session, String) {
    let role = db.role().await;
    session.run(format!("SELECT workflow_grant('{role}', 'worker')")).await;
    session.run("RESET pg_workflow.test_now").await;
    (Session { connection: db.connect_as(&role).await }, role)
}

/// Returns the events about refused tokens: task, author and detail of each.
async fn refusals(session: &mut Session) -> Vec<(i64, String, Value)> {
    session.rows("SELECT task, author, detail FROM workflow.event WHERE kind = 'lease_refused' ORDER BY id").await
}

/// Returns what the server has logged about a role's tokens, each a message and its detail.
fn logged(role: &str) -> Vec<String> {
    let dir = std::env::var("PG_WORKFLOW_SERVER_DIR").expect("PG_WORKFLOW_SERVER_DIR names the server's directory");
    let log = std::fs::read_to_string(format!("{dir}/log")).expect("a log");
    let lines: Vec<&str> = log.lines().collect();
    let is_of = |line: &str| line.contains("LOG:") && line.contains(&format!("role {role} used"));
    (0..lines.len()).filter(|at| is_of(lines[*at])).map(|at| lines[at..lines.len().min(at + 2)].join("\n")).collect()
}

#[tokio::test]
async fn tokens_have_52_random_bits_and_are_exact_in_json() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[500]))").await;
        let claimed: Vec<(i64,)> =
            session.rows("SELECT c.lease_token FROM generate_series(1, 500) AS n, workflow_claim('w' || n) AS c").await;
        let drawn: Vec<(i64,)> = session.rows("SELECT workflow.draw_token() FROM generate_series(1, 9500)").await;
        let tokens: BTreeSet<i64> = claimed.iter().chain(&drawn).map(|(token,)| *token).collect();
        assert_eq!(tokens.len(), 10_000, "no two are the same");
        assert!(tokens.iter().all(|token| (LOWEST..2 * LOWEST).contains(token)));
        assert!(tokens.iter().all(|token| *token as f64 as i64 == *token && token.to_string().len() == 16));
        for bit in 0..52 {
            let set = tokens.iter().filter(|token| *token >> bit & 1 == 1).count();
            assert!((4_000..6_000).contains(&set), "bit {bit} is set in {set} of 10000");
        }
        // The next token is as likely to be lower as higher, and never close.
        let steps: Vec<i64> = claimed.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        let up = steps.iter().filter(|step| **step > 0).count();
        assert!((150..350).contains(&up), "{up} of 499 rise");
        assert!(steps.iter().all(|step| step.abs() > 1_000_000));
    })
    .await;
}

#[tokio::test]
async fn guesses_around_a_token_hold_nothing_and_each_call_leaves_one_event() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        let (mut guesser, role) = worker(db, &mut session).await;
        session.start().await;
        session.start().await;
        let [victim, other]: [Task; 2] = session.claim(2).await.try_into().unwrap();
        let guesses: Vec<(i64, i64, &str)> = (1..=2000)
            .flat_map(|step| [victim.lease_token - step, victim.lease_token + step])
            .map(|token| (victim.task, token, "completed"))
            .collect();
        let list = |of: fn(&(i64, i64, &str)) -> i64| {
            let values: Vec<String> = guesses.iter().map(|guess| of(guess).to_string()).collect();
            format!("'{{{}}}'", values.join(","))
        };
        let before = session.contents_but_refusals().await;
        let detail = json!({"refused": 4000, "tasks": [victim.task.to_string()]});
        let named = format!("w9 (role {role})");
        let (reports, heartbeat) =
            (outcome_array(&guesses), format!("{}, {}", list(|guess| guess.0), list(|guess| guess.1)));
        for (place, (call, author)) in [
            (format!("SELECT coalesce(state, code) FROM workflow_finish({reports})"), &role),
            (format!("SELECT coalesce(state, code) FROM workflow_finish_and_claim('w9', {reports})"), &named),
            (format!("SELECT state FROM workflow_heartbeat({heartbeat}, '1 day')"), &role),
        ]
        .into_iter()
        .enumerate()
        {
            let answers: Vec<(String,)> = guesser.rows(call.clone()).await;
            assert_eq!(answers.len(), 4000);
            assert!(answers.iter().all(|(word,)| word == "WF615" || word == "lost"), "{answers:?}");
            assert_eq!(session.contents_but_refusals().await, before, "{place}");
            let told = refusals(&mut session).await;
            assert_eq!(told.len(), place + 1, "one event a call");
            assert_eq!(told[place], (victim.task, author.clone(), detail.clone()));
        }
        // At most ten tasks are named, each once; a correct token among them is accepted and not mentioned.
        let mut mixed = vec![(other.task, other.lease_token, "completed"), (victim.task, 1, "completed")];
        mixed.push((victim.task, 2, "failed"));
        let answers = session.finish(&mixed).await;
        assert_eq!(answers.iter().map(Answer::word).collect::<Vec<_>>(), ["completed", "WF615", "WF615"]);
        let told = refusals(&mut session).await;
        assert_eq!(told[3].2, json!({"refused": 2, "tasks": [victim.task.to_string()]}));
        // Repeating a report with its own token is not refused.
        assert_eq!(session.finish(&mixed[..1]).await[0].word(), "completed");
        assert_eq!(session.finish(&[(victim.task, victim.lease_token, "completed")]).await[0].word(), "completed");
        assert_eq!(refusals(&mut session).await.len(), 4);
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[15]))").await;
        let many: Vec<_> = session.claim(15).await.iter().map(|task| (task.task, 5, "completed")).collect();
        session.finish(&many).await;
        let named: Vec<String> = many[..10].iter().map(|report| report.0.to_string()).collect();
        assert_eq!(refusals(&mut session).await[4].2, json!({"refused": 15, "tasks": named}));
    })
    .await;
}

#[tokio::test]
async fn the_server_log_is_written_even_if_the_caller_rolls_back() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let (mut guesser, role) = worker(db, &mut session).await;
        session.begin(ONE).await;
        let [task] = session.claim_named(["a"]).await;
        let (id, guess) = (task.task, task.lease_token ^ 1);
        for function in ["workflow_complete", "workflow_fail"] {
            let call = format!("SELECT {function}($1, $2)");
            let error = sqlx::query(AssertSqlSafe(call)).bind(id).bind(guess).fetch_all(&mut guesser.connection).await;
            assert_eq!(Refusal::of(error.unwrap_err()).code(), ("55006", "WF615"), "{function}");
        }
        assert_eq!(logged(&role).len(), 2);
        // The server itself never logs a caught error.
        guesser
            .run(format!(
                "DO $$ BEGIN
                   FOR n IN 1 .. 3 LOOP
                     BEGIN PERFORM workflow_complete({id}, n); EXCEPTION WHEN object_in_use THEN NULL; END;
                   END LOOP;
                 END $$"
            ))
            .await;
        assert_eq!(logged(&role).len(), 5);
        assert_eq!(refusals(&mut session).await, []);
        for call in [
            format!("workflow_finish({})", outcome_array(&[(id, 7, "completed"), (id, 8, "completed")])),
            format!("workflow_heartbeat('{{{id}, {id}}}', '{{7, 8}}')"),
        ] {
            guesser.run(format!("BEGIN; SELECT * FROM {call}; ROLLBACK")).await;
        }
        let logged = logged(&role);
        assert_eq!(logged.len(), 7);
        assert_eq!(refusals(&mut session).await, []);
        for (entry, count) in logged.iter().zip([1, 1, 1, 1, 1, 2, 2]) {
            let tokens =
                if count == 1 { "a wrong or stale lease token".into() } else { format!("{count} wrong or stale") };
            assert!(entry.contains(&format!("LOG:  WF615: role {role} used {tokens}")), "{entry}");
            assert!(entry.ends_with(&format!("DETAIL:  tasks: {id}")), "{entry}");
        }
        assert!(!logged.concat().contains(&guess.to_string()));
        // A task that does not exist, and refusals for other reasons, are not guesses.
        guesser.connection.execute("SELECT workflow_complete(99, 1)").await.unwrap_err();
        guesser.run("SELECT * FROM workflow_heartbeat('{99}', '{1}')").await;
        assert_eq!(self::logged(&role).len(), 7);
        session.complete(&task, json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_refused_heartbeat_waits_for_nobody() {
    with_database(async |db| {
        let (mut session, mut busy) = (Session::new(db).await, Session::new(db).await);
        session.begin(ONE).await;
        let [task] = session.claim_named(["a"]).await;
        session.run("SET lock_timeout = '10s'").await;
        let heartbeat = format!("SELECT state FROM workflow_heartbeat('{{{}}}', '{{1}}')", task.task);
        for (lock, told) in [("NO KEY UPDATE", 1), ("KEY SHARE", 2), ("UPDATE", 2)] {
            busy.run(format!("BEGIN; SELECT FROM workflow.workflow_execution FOR {lock}")).await;
            assert_eq!(session.value::<String>(heartbeat.clone()).await, "lost", "{lock}");
            assert_eq!(refusals(&mut busy).await.len(), told, "{lock}");
            busy.run("COMMIT").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_seed_gives_the_same_tokens_in_two_sessions() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[8]))").await;
        let mut seen = Vec::new();
        for _ in 0..2 {
            let mut seeded = Session::new(db).await;
            let mut tokens = Vec::new();
            for set in ["= 7", "= 7", "= 8", "= 7"] {
                seeded.run(format!("SET pg_workflow.test_seed {set}")).await;
                tokens.push(seeded.value::<i64>("SELECT workflow.draw_token()").await);
            }
            assert_eq!(tokens[0], tokens[3], "it begins anew when it changes");
            assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), 3);
            assert!(tokens.iter().all(|token| (LOWEST..2 * LOWEST).contains(token)));
            seeded.run("SET pg_workflow.test_seed = 9").await;
            tokens.push(seeded.claim(1).await[0].lease_token);
            seeded.run("SELECT * FROM workflow_finish((SELECT array_agg(ROW(id, lease, 'completed', NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome)
                          FROM workflow.workflow_task_execution WHERE status = 'running'))").await;
            seen.push(tokens);
            seeded.run("RESET pg_workflow.test_seed").await;
            let random = seeded.claim(1).await[0].lease_token;
            assert!(seen.iter().flatten().all(|token| *token != random));
        }
        assert_eq!(seen[0], seen[1]);
        let (mut plain, _) = worker(db, &mut session).await;
        // Before the library is loaded, anybody can set a setting of any name; it then has no effect.
        plain.run("SET pg_workflow.test_seed = 1").await;
        plain.run("SELECT workflow_tick()").await;
        assert_eq!(plain.value::<String>("SHOW pg_workflow.test_seed").await, "0");
        let error = plain.connection.execute("SET pg_workflow.test_seed = 1").await.unwrap_err();
        assert_eq!(Refusal::of(error).sqlstate, "42501");
    })
    .await;
}

/// A worker whose tasks are in several parts holds, reports and loses all of them together.
#[tokio::test]
async fn leases_of_several_parts_are_found_by_their_tasks() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(CHAIN).await;
        for part in [0, 3, 1023] {
            session
                .run(format!(
                    "SELECT workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[3]), part => {part})"
                ))
                .await;
        }
        let rows = "SELECT count(*) FROM workflow.lease l CROSS JOIN unnest(l.tasks) AS o(id)
                    JOIN workflow.workflow_task_execution t ON t.part = l.part AND t.id = o.id
                    WHERE t.status = 'running' AND t.lease = l.token AND o.id >> 48 = l.part";
        let leases = "SELECT array_agg(part ORDER BY part) FROM workflow.lease";
        let tasks = session.claim(9).await;
        assert_eq!((tasks.len(), session.value::<i64>(rows).await), (9, 9));
        assert_eq!(session.value::<Vec<i32>>(leases).await, [0, 3, 1023]);
        // One task of each part is extended: the other tasks of the lease are left in a separate row, in their part.
        let of = |part: i64| tasks.iter().find(|task| task.task >> 48 == part).unwrap();
        let held = [of(0), of(3), of(1023)];
        let list = |of: fn(&Task) -> i64| {
            let values: Vec<String> = held.iter().map(|task| of(task).to_string()).collect();
            format!("'{{{}}}'", values.join(","))
        };
        let heartbeat = format!(
            "SELECT state FROM workflow_heartbeat({}, {}, '1 hour')",
            list(|task| task.task),
            list(|task| task.lease_token)
        );
        let states: Vec<(String,)> = session.rows(heartbeat).await;
        assert!(states.iter().all(|(state,)| state == "held"), "{states:?}");
        assert_eq!((states.len(), session.value::<i64>(rows).await), (3, 9));
        assert_eq!(session.value::<Vec<i32>>(leases).await, [0, 0, 3, 3, 1023, 1023]);
        assert_eq!(refusals(&mut session).await, []);
        // The leases left behind expire on time; the extended ones continue, and are passed on in each part.
        session.at(31.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 6);
        assert_eq!(session.value::<Vec<i32>>(leases).await, [0, 3, 1023]);
        let done: Vec<_> = held.iter().map(|task| (task.task, task.lease_token, "completed")).collect();
        let call = format!("SELECT * FROM workflow_finish_and_claim('w2', {}, 9)", outcome_array(&done));
        let next: Vec<(i64, i64, String)> =
            session.rows(format!("SELECT task, lease_token, state FROM ({call}) AS f")).await;
        let claimed: Vec<_> = next.iter().filter(|row| row.2 == "claimed").collect();
        assert_eq!((next.len(), claimed.len(), session.value::<i64>(rows).await), (12, 9, 9));
        let done: Vec<_> = claimed.iter().map(|row| (row.0, row.1, "completed")).collect();
        assert!(session.finish(&done).await.iter().all(|answer| answer.word() == "completed"));
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.lease").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_task_never_gets_the_token_it_had() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin("tasks: [{name: a, action: demo.a, retry: {count: 3}}]\n").await;
        let mut task = session.claim(1).await.remove(0);
        let mut tokens = BTreeSet::from([task.lease_token]);
        // All tasks of the lease are reported, and the task is claimed again in the same call.
        for attempt in 2..=4 {
            let call = format!(
                "SELECT * FROM workflow_finish_and_claim('w1', {}, 1) WHERE state = 'claimed'",
                outcome_array(&[(task.task, task.lease_token, "failed")])
            );
            task = session.rows::<Task>(call).await.remove(0);
            assert_eq!(task.attempt, attempt);
            assert!(tokens.insert(task.lease_token));
        }
    })
    .await;
}

#[tokio::test]
async fn lease_rows_are_found_by_their_keys() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(CHAIN).await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[20]))").await;
        let scans = "SELECT pg_stat_get_xact_numscans('workflow.lease'::regclass)";
        let tasks = session.claim(3).await;
        let (id, token) = (tasks[0].task, tasks[0].lease_token);
        let reports: Vec<_> = tasks.iter().map(|task| (task.task, task.lease_token, "completed")).collect();
        for call in [
            "workflow_claim('w2', 2)".to_owned(),
            format!("workflow_heartbeat('{{{id}, {id}}}', '{{{token}, 1}}')"),
            format!("workflow_finish({})", outcome_array(&reports[..1])),
            format!("workflow_finish_and_claim('w1', {}, 2)", outcome_array(&reports[1..])),
            "workflow_tick()".to_owned(),
        ] {
            session.run("BEGIN").await;
            let before: i64 = session.value(scans).await;
            session.run(format!("SELECT * FROM {call}")).await;
            assert_eq!(session.value::<i64>(scans).await - before, 0, "{call} reads all leases");
            session.run("COMMIT").await;
        }
    })
    .await;
}

#[tokio::test]
async fn events_name_the_role_beside_the_name_that_a_worker_chose() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let retry = "tasks: [{name: a, action: demo.a, retry: {count: 5}}]\n";
        let id = session.begin(retry).await;
        let (mut one, first) = worker(db, &mut session).await;
        let (mut two, second) = worker(db, &mut session).await;
        // It claims under another name, and discloses its token.
        let name = "boss (role postgres)";
        let claim = format!("SELECT task, lease_token FROM workflow_claim('{name}', lease => '1 microsecond')");
        let [(task, token)]: [(i64, i64); 1] = one.rows(claim.clone()).await.try_into().unwrap();
        two.run(format!("SELECT workflow_fail({task}, {token})")).await;
        // The lease expires, whoever ticks.
        one.rows::<(i64, i64)>(claim).await;
        session.run("SELECT workflow_tick()").await;
        let [(task, token)]: [(i64, i64); 1] =
            two.rows("SELECT task, lease_token FROM workflow_claim('w2')").await.try_into().unwrap();
        two.run(format!(
            "SELECT * FROM workflow_finish(ARRAY[ROW({task}, {token}, 'failed', NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome])"
        ))
        .await;
        let told: Vec<(String, String)> =
            session.rows(format!("SELECT kind, author FROM workflow_list_events({id})")).await;
        let told: Vec<(&str, &str)> = told.iter().map(|(kind, author)| (kind.as_str(), author.as_str())).collect();
        let author = |worker: &str, role: &str| format!("{worker} (role {role})");
        let expected = [
            ("retrying", author(name, &second)),
            ("lease_expired", author(name, &first)),
            ("retrying", author("w2", &second)),
        ];
        assert_eq!(told, expected.iter().map(|(kind, author)| (*kind, author.as_str())).collect::<Vec<_>>());
        // The role is that of SET ROLE.
        session.run(format!("SET ROLE {first}; SELECT workflow_claim('w3', parts => '{{0}}'); RESET ROLE")).await;
        let role: String = session.value("SELECT role FROM workflow.lease WHERE worker = 'w3'").await;
        assert_eq!(role, first);
    })
    .await;
}
