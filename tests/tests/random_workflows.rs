//! Random workflows under random schedules, on the conductor in memory and through SQL on a server: after every step,
//! both are in the same state. `SCHEDULES=…` plays more of them; `SEED=…` repeats one.

use conductor::bounds::Bounds;
use conductor::engine::status::TaskEnd;
use conductor::expression::Data;
use conductor::graph::Graph;
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::validate::check;
use conductor::testing::memory_host::{Ledger, ReportedRow, RowStatus, Signal, TaskRow};
use conductor::testing::simulation::{Chance, Step, workflow};
use conductor::view::task_lists::TaskLists;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const START: &str = "2026-01-01 00:00:00+00";

/// Identifies a row of a task: name, route, visit, item.
type Place = (String, u32, u32, Option<u32>);

/// A signal: name, key, payload, and the row that took it.
type Sent = (String, Option<String>, Value, Option<Place>);

/// The state of a row, as in the table.
#[derive(Debug, Clone, PartialEq)]
struct Look {
    status: String,
    skipped: bool,
    held: bool,
    due: Option<f64>,
    input: Value,
    result: Value,
    error: Value,
}

/// The state of an execution.
#[derive(Debug, PartialEq)]
struct Whole {
    status: String,
    paused: bool,
    ended: bool,
    variables: Value,
    output: Value,
    error_message: Option<String>,
    /// Its task lists, as stored at its end: current, completed, failed, skipped.
    lists: [Vec<String>; 4],
    rows: BTreeMap<Place, Look>,
    /// The oldest first.
    signals: Vec<Sent>,
}

fn json_of(data: &Option<Data>) -> Value {
    sort(&json!(data))
}

fn lists(lists: TaskLists) -> [Vec<String>; 4] {
    [lists.current, lists.completed, lists.failed, lists.skipped]
}

fn in_memory(ledger: &Ledger) -> Whole {
    let look = |row: &TaskRow| {
        let (status, skipped) = match row.status {
            RowStatus::Held | RowStatus::Delayed => ("requested", false),
            RowStatus::Ready => ("scheduled", false),
            RowStatus::Running => ("running", false),
            RowStatus::Ended(TaskEnd::Skipped) => ("completed", true),
            RowStatus::Ended(end) => (end.name(), false),
        };
        Look {
            status: status.to_owned(),
            skipped,
            held: row.status == RowStatus::Held,
            due: row.due,
            input: json_of(&row.input),
            result: json_of(&row.result),
            error: json_of(&row.error),
        }
    };
    let place = |row: &TaskRow| (ledger.name(row.key.node).to_owned(), row.key.route, row.key.visit, row.index);
    let signal = |sent: &Signal| {
        let taken_by = sent.taken_by.map(|row| place(&ledger.rows[row]));
        (sent.name.clone(), sent.key.clone(), json_of(&sent.payload), taken_by)
    };
    Whole {
        status: ledger.status().name().to_owned(),
        paused: ledger.execution.paused,
        ended: ledger.over,
        variables: json!(ledger.variables),
        output: json_of(&ledger.output),
        error_message: ledger.error_message().map(str::to_owned),
        lists: if ledger.over { lists(ledger.task_lists()) } else { Default::default() },
        rows: ledger.rows.iter().map(|row| (place(row), look(row))).collect(),
        signals: ledger.signals.iter().map(signal).collect(),
    }
}

impl Whole {
    /// Describes where they differ, or returns `None` if they do not.
    fn difference(&self, other: &Whole) -> Option<String> {
        let mut found = Vec::new();
        let mut note = |what: &str, mine: String, theirs: String| {
            if mine != theirs {
                found.push(format!("{what}: {mine} on the server, {theirs} in memory"));
            }
        };
        let head = |whole: &Whole| format!("{} paused {} ended {}", whole.status, whole.paused, whole.ended);
        note("status", head(self), head(other));
        // jsonb has its own order of keys in an object.
        let sorted = |value: &Value| sort(value).to_string();
        note("variables", sorted(&self.variables), sorted(&other.variables));
        note("output", sorted(&self.output), sorted(&other.output));
        note("error_message", format!("{:?}", self.error_message), format!("{:?}", other.error_message));
        note("lists", format!("{:?}", self.lists), format!("{:?}", other.lists));
        note("signals", format!("{:?}", self.signals), format!("{:?}", other.signals));
        let places: BTreeSet<&Place> = self.rows.keys().chain(other.rows.keys()).collect();
        for place in places {
            let look = |whole: &Whole| format!("{:?}", whole.rows.get(place));
            note(&format!("{place:?}"), look(self), look(other));
        }
        (!found.is_empty()).then(|| found.join("\n"))
    }
}

/// Sorts the keys of all objects in a value.
fn sort(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, Value> = fields.iter().map(|(name, value)| (name, sort(value))).collect();
            json!(fields)
        }
        Value::Array(list) => list.iter().map(sort).collect(),
        other => other.clone(),
    }
}

/// An execution on the server.
struct Served<'c> {
    connection: &'c mut PgConnection,
    /// Locks the execution occasionally.
    holder: &'c mut PgConnection,
    execution: i64,
    /// Ids and leases.
    ids: BTreeMap<Place, (i64, Option<i64>)>,
}

impl Served<'_> {
    async fn run(&mut self, sql: String) -> Result<(), sqlx::Error> {
        self.connection.execute(AssertSqlSafe(sql)).await.map(drop)
    }

    async fn at(&mut self, seconds: f64) {
        let now = format!("('{START}'::timestamptz + {seconds} * interval '1 s')::text");
        self.run(format!("SELECT set_config('pg_workflow.test_now', {now}, false)")).await.expect("the clock is set");
    }

    /// Processes everything that is due.
    async fn tick(&mut self) {
        let tick = "SELECT workflow_tick() AS done";
        while sqlx::query(tick).fetch_one(&mut *self.connection).await.expect("ticked").get::<i32, _>("done") > 0 {}
    }

    async fn look(&mut self) -> Whole {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT t.id, t.lease, t.task_name, t.route, t.visit, t.task_index, t.status::text, t.skipped, t.held,
                    extract(epoch FROM t.due_at - '{START}')::float8 AS due, t.input, t.result, t.error
             FROM workflow.workflow_task_execution t
             JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
             WHERE w.execution = {}",
            self.execution
        )));
        let found = rows.fetch_all(&mut *self.connection).await.expect("its tasks");
        let number = |row: &sqlx::postgres::PgRow, name: &str| row.get::<i32, _>(name) as u32;
        let value =
            |row: &sqlx::postgres::PgRow, name: &str| sort(&row.get::<Option<Value>, _>(name).unwrap_or_default());
        let mut rows = BTreeMap::new();
        let mut places = BTreeMap::new();
        self.ids.clear();
        for row in &found {
            let index = row.get::<Option<i32>, _>("task_index").map(|index| index as u32);
            let place = (row.get("task_name"), number(row, "route"), number(row, "visit"), index);
            self.ids.insert(place.clone(), (row.get("id"), row.get("lease")));
            places.insert(row.get::<i64, _>("id"), place.clone());
            let look = Look {
                status: row.get("status"),
                skipped: row.get("skipped"),
                held: row.get("held"),
                due: row.get("due"),
                input: value(row, "input"),
                result: value(row, "result"),
                error: value(row, "error"),
            };
            rows.insert(place, look);
        }
        let whole = sqlx::query(
            "SELECT status::text, paused, ended, variables, output, error_message FROM workflow_status($1)",
        );
        let whole = whole.bind(self.execution).fetch_one(&mut *self.connection).await.expect("its status");
        let stored = sqlx::query(
            "SELECT current_tasks, completed_tasks, failed_tasks, skipped_tasks FROM workflow.workflow_execution WHERE execution = $1",
        );
        let stored = stored.bind(self.execution).fetch_one(&mut *self.connection).await.expect("its lists");
        let ended: bool = whole.get("ended");
        Whole {
            status: whole.get("status"),
            paused: whole.get("paused"),
            ended,
            variables: value(&whole, "variables"),
            output: value(&whole, "output"),
            error_message: whole.get("error_message"),
            lists: if ended { [0, 1, 2, 3].map(|column| stored.get(column)) } else { Default::default() },
            rows,
            signals: self.signals(&places).await,
        }
    }

    async fn signals(&mut self, places: &BTreeMap<i64, Place>) -> Vec<Sent> {
        let rows = sqlx::query(
            "SELECT s.name, s.key, s.payload, s.task FROM workflow.signal s
             JOIN workflow.workflow_execution w ON w.part = s.part AND w.id = s.execution
             WHERE w.execution = $1 ORDER BY s.id",
        );
        let rows = rows.bind(self.execution).fetch_all(&mut *self.connection).await.expect("its signals");
        let signal = |row: &sqlx::postgres::PgRow| {
            let payload = row.get::<Option<Value>, _>("payload").unwrap_or_default();
            let taken_by = row.get::<Option<i64>, _>("task").map(|task| places[&task].clone());
            (row.get("name"), row.get("key"), payload, taken_by)
        };
        rows.iter().map(signal).collect()
    }

    fn id(&self, ledger: &Ledger, row: usize) -> (i64, Option<i64>) {
        let row = &ledger.rows[row];
        self.ids[&(ledger.name(row.key.node).to_owned(), row.key.route, row.key.visit, row.index)]
    }

    /// Claims exactly these rows, after moving them to the head of the queue.
    async fn claim(&mut self, ids: Vec<i64>) -> Result<(), String> {
        let first = "UPDATE workflow.workflow_task_execution SET queue_at = '-infinity' WHERE id = ANY ($1)";
        sqlx::query(first).bind(&ids).execute(&mut *self.connection).await.expect("moved ahead");
        let mut got: Vec<i64> = Vec::new();
        // A task that has lost two leases is claimed alone.
        while got.len() < ids.len() {
            let claim = sqlx::query("SELECT task FROM workflow_claim('sim', $1, NULL, '1 day')");
            let claim = claim.bind((ids.len() - got.len()) as i32);
            let rows = claim.fetch_all(&mut *self.connection).await.expect("claimed");
            got.extend(rows.iter().map(|row| row.get::<i64, _>("task")));
            if rows.is_empty() {
                break;
            }
        }
        let mut wanted = ids;
        got.sort_unstable();
        wanted.sort_unstable();
        (got == wanted)
            .then_some(())
            .ok_or_else(|| format!("rows {wanted:?} are to be claimed and {got:?} on the server were"))
    }

    async fn report(&mut self, ledger: &Ledger, outcomes: &[ReportedRow]) -> Vec<Option<String>> {
        self.try_report(ledger, outcomes).await.expect("reported")
    }

    /// Reports rows. Returns `None` if it would have to wait.
    async fn try_report(&mut self, ledger: &Ledger, outcomes: &[ReportedRow]) -> Option<Vec<Option<String>>> {
        let text = |data: &Option<Data>| data.as_ref().map_or("NULL".to_owned(), |data| format!("'{}'", json!(data)));
        let list = outcomes.iter().map(|outcome| {
            let (id, lease) = self.id(ledger, outcome.row);
            let (lease, end) = (lease.unwrap_or(1), outcome.end.name());
            format!(
                "({id}, {lease}, '{end}', {}, {}, NULL, NULL, NULL, NULL)::workflow.outcome",
                text(&outcome.result),
                text(&outcome.error)
            )
        });
        let sql = format!("SELECT state FROM workflow_finish(ARRAY[{}])", list.collect::<Vec<_>>().join(", "));
        match sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *self.connection).await {
            Ok(rows) => Some(rows.iter().map(|row| row.get("state")).collect()),
            Err(error) => {
                let code = error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned());
                assert_eq!(code.as_deref(), Some("55P03"), "{error}");
                None
            }
        }
    }

    /// Reports while another session has locked the execution: at least the first of these, if they need not wait for
    /// that, then the others. Pending reports are processed with the others, or by a tick.
    async fn report_busy(&mut self, ledger: &Ledger, outcomes: &[ReportedRow], busy: usize) -> Vec<Option<String>> {
        let hold =
            format!("BEGIN; SELECT FROM workflow.workflow_execution WHERE id = {} FOR NO KEY UPDATE", self.execution);
        self.holder.execute(AssertSqlSafe(hold)).await.expect("it is locked");
        let (first, rest) = outcomes.split_at(busy);
        // A report that waits ends with an error, and is repeated.
        self.run("BEGIN; SET LOCAL lock_timeout = '10ms'; SAVEPOINT report".to_owned()).await.expect("a transaction");
        let first_answers = self.try_report(ledger, first).await;
        if first_answers.is_none() {
            self.run("ROLLBACK TO report".to_owned()).await.expect("as before");
        }
        self.run("COMMIT".to_owned()).await.expect("committed");
        self.holder.execute("COMMIT").await.expect("it is free");
        let Some(mut answers) = first_answers else { return self.report(ledger, outcomes).await };
        match rest {
            [] => self.tick().await,
            rest => answers.extend(self.report(ledger, rest).await),
        }
        answers
    }

    /// Performs the same step as in the ledger, which has not taken it yet. A refused step must not have changed
    /// anything, which shows when both are compared.
    async fn take(&mut self, step: &Step, ledger: &Ledger, chance: &mut Chance) -> Result<(), String> {
        let execution = self.execution;
        match step {
            Step::Claim(rows) => self.claim(rows.iter().map(|row| self.id(ledger, *row).0).collect()).await?,
            Step::Report(outcomes) => {
                let answers = match chance.below(4) {
                    0 => self.report_busy(ledger, outcomes, 1 + chance.below(outcomes.len())).await,
                    _ => self.report(ledger, outcomes).await,
                };
                if answers.iter().any(Option::is_none) {
                    return Err(format!("reports are refused on the server: {answers:?}"));
                }
            }
            Step::Stale(outcome) => drop(self.report(ledger, std::slice::from_ref(outcome)).await),
            Step::Lose(row) => {
                let (task, lease) = self.id(ledger, *row);
                let lease = lease.unwrap_or_default();
                let expire = format!("SELECT state FROM workflow_heartbeat('{{{task}}}', '{{{lease}}}', '1 us')");
                self.run(expire).await.expect("it is held for no time");
                self.at(ledger.now + 1e-6).await;
                self.tick().await;
                self.at(ledger.now).await;
            }
            Step::Wait(seconds) => {
                self.at(ledger.now + seconds).await;
                self.tick().await;
            }
            Step::Pause => drop(self.run(format!("SELECT workflow_pause({execution})")).await),
            Step::Resume => drop(self.run(format!("SELECT workflow_resume({execution})")).await),
            Step::Signal(name, key, payload) => {
                let signal = sqlx::query("SELECT workflow_signal($1, $2, $3, $4)").bind(execution).bind(name);
                drop(
                    signal
                        .bind(payload.as_ref().map(|data| json!(data)))
                        .bind(key)
                        .execute(&mut *self.connection)
                        .await,
                );
            }
            Step::Cancel => drop(self.run(format!("SELECT workflow_cancel({execution})")).await),
            Step::ForceCancel => drop(self.run(format!("SELECT workflow_cancel({execution}, force => true)")).await),
            Step::Rerun(tasks, reset_items) => {
                let (names, routes): (Vec<String>, Vec<i32>) =
                    tasks.iter().map(|(name, route)| (name.clone(), *route as i32)).unzip();
                let rerun = sqlx::query("SELECT workflow_rerun($1, $2, $3, $4)");
                let rerun = rerun.bind(execution).bind(names).bind(reset_items).bind(routes);
                drop(rerun.execute(&mut *self.connection).await);
            }
        }
        Ok(())
    }
}

/// Returns a workflow without findings, and its graph.
fn valid(seed: u64) -> Option<(String, Arc<Graph>)> {
    let source = workflow(&mut Chance::new(seed)).to_string();
    let definition = check(&source, &EmptyCatalogue, &Bounds::default()).definition?;
    Some((source, Arc::new(Graph::compile(&definition, Bounds::default()).expect("compiles"))))
}

/// The first difference, and what led to it.
async fn play(
    connection: &mut PgConnection,
    holder: &mut PgConnection,
    seed: u64,
    source: &str,
    graph: Arc<Graph>,
) -> Result<(), String> {
    let (mut chance, mut busy) = (Chance::new(!seed), Chance::new(seed.rotate_left(32)));
    let mut served = Served { connection, holder, execution: 0, ids: BTreeMap::new() };
    served.at(0.0).await;
    sqlx::query("SELECT ref FROM workflow_define($1)")
        .bind(source)
        .execute(&mut *served.connection)
        .await
        .expect("defined");
    let start = sqlx::query("SELECT workflow_start('sim.flow', run_at => workflow.now()) AS id")
        .fetch_one(&mut *served.connection)
        .await;
    served.execution = start.expect("started").get("id");
    let mut ledger = Ledger::start(graph, Data::from_pairs(Vec::<(String, Data)>::new()));
    let mut story = vec![format!("SEED={seed}"), source.to_owned()];
    let mut drawn = 0;
    loop {
        let (stored, kept) = (served.look().await, in_memory(&ledger));
        if let Some(difference) = stored.difference(&kept) {
            return Err(format!("{difference}\nafter {story:#?}"));
        }
        drawn += 1;
        let step = match drawn {
            0..=30 => Step::draw(&mut chance, &ledger),
            _ => Step::next_toward_end(&ledger),
        };
        match step {
            None if drawn > 30 => break,
            None => {}
            // The error of a task that is not taken over names its worker, which the ledger does not know.
            Some(Step::Lose(row)) if ledger.abandons(row, ledger.rows[row].lost_leases + 1) => {}
            Some(step) => {
                story.push(format!("{step:?}"));
                served
                    .take(&step, &ledger, &mut busy)
                    .await
                    .map_err(|failure| format!("{failure}\nafter {story:#?}"))?;
                // A refusal shows when both are compared.
                let _ = step.take(&mut ledger);
            }
        }
    }
    assert!(ledger.over, "{story:#?}");
    Ok(())
}

#[tokio::test]
async fn the_server_does_what_the_conductor_does() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("SEED") {
        Some(seed) => vec![seed],
        None => {
            let valid = (0..).filter(|seed| valid(*seed).is_some());
            // Most of what they find does not depend on the server's version.
            let enough = if pg_workflow_tests::major() == 15 { 300 } else { 150 };
            valid.take(number("SCHEDULES").unwrap_or(enough) as usize).collect()
        }
    };
    with_database(async |db| {
        let (mut connection, mut holder) = (db.connect().await, db.connect().await);
        // The limits hold nothing back here: which task begins next is chosen by the schedule.
        let prepare = "SELECT workflow_register_action('sim.work'), workflow_register_action('sim.undo'),
                              workflow_set_limit('one', max_running => 1000), workflow_set_limit('two', max_running => 1000)";
        connection.execute(prepare).await.expect("registered");
        let mut failures = Vec::new();
        for seed in seeds {
            let (source, graph) = valid(seed).expect("a valid workflow");
            if let Err(failure) = play(&mut connection, &mut holder, seed, &source, graph).await {
                failures.push(failure);
                // The next step could claim tasks that it leaves.
                connection.execute("DELETE FROM workflow.execution").await.expect("removed");
            }
        }
        let shown = failures.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("\n\n");
        assert!(failures.is_empty(), "{} schedules end in a difference: {shown}", failures.len());
    })
    .await;
}
