//! Statements that the sessions of the storm run.

use super::Chance;
use crate::fixture::Session;

const CHILD: &str = "tasks:\n  - {name: inner, action: demo.c, limit: [one, {name: two, key: x}]}\n";

const STORM: &str = "parameters: {type: object, properties: {key: {type: integer, default: 1}}}
tasks:
  - {name: start, action: demo.a, limit: {name: two, key: '{{ parameters.key }}'}, on_success: [each, call, turn]}
  - name: each
    action: demo.b
    with_items: [1, 2, 3]
    limit: [{name: two, key: '{{ item }}'}, fast]
    retry: {count: 2, delay: 3}
    timeout: 40
  - {name: call, action: demo.child, limit: {name: two, key: x}, on_failure: repair}
  - {name: repair, action: demo.d, limit: [{name: pulse, key: '{{ parameters.key }}'}, one]}
  - {name: turn, action: demo.turn, input: {key: '{{ parameters.key }}'}}
";

/// Workflows under concurrency, each with its `when_full`.
const TURNS: [(&str, &str); 3] = [("demo.turn", "wait"), ("demo.skip", "skip"), ("demo.newest", "cancel_oldest")];

fn turns(when_full: &str, most: usize) -> String {
    format!(
        "parameters: {{type: object, properties: {{key: {{type: integer, default: 1}}}}}}
concurrency: {{key: '{{{{ parameters.key }}}}', max: {most}, when_full: {when_full}}}
timeout: 300
tasks:
  - {{name: first, action: demo.a, limit: {{name: pulse, key: '{{{{ parameters.key }}}}'}}, on_success: second}}
  - {{name: second, action: demo.b, retry: {{count: 1}}}}
"
    )
}

/// Limits and workflows of the storm.
pub async fn prepare(session: &mut Session) {
    session
        .run(
            "SELECT workflow_set_limit('one', max_running => 1), workflow_set_limit('two', max_running => 2),
               workflow_set_limit('fast', rate => 5, per => '1 s'), workflow_set_limit('pulse', max_running => 3, rate => 4, per => '2 s', burst => 3)",
        )
        .await;
    for (reference, when_full) in TURNS {
        session.define_as(reference, &turns(when_full, 2)).await;
    }
    session.define_as("demo.child", CHILD).await;
    session.define(STORM).await;
}

/// A statement.
pub struct Act {
    pub sql: String,
    /// Whether it must never wait for a lock.
    pub never_waits: bool,
    /// Whether its rows are ids of executions, or null.
    pub starts: bool,
    /// Whether its rows are tasks, tokens and states.
    pub claims: bool,
    /// The task that it reports, with its token.
    pub reports: Option<(i64, i64)>,
}

impl Act {
    fn new(sql: impl Into<String>) -> Act {
        Act { sql: sql.into(), never_waits: false, starts: false, claims: false, reports: None }
    }
}

/// Knowledge shared by the sessions.
pub struct World {
    pub chance: Chance,
    pub now: f64,
    /// Executions that were started, some of them by transactions that were rolled back.
    pub ids: Vec<i64>,
    /// Tasks that were claimed and not reported, with their tokens.
    pub held: Vec<(i64, i64)>,
}

impl World {
    pub fn new(chance: Chance) -> World {
        World { chance, now: 0.0, ids: Vec::new(), held: Vec::new() }
    }

    /// Returns the next statement of a session, which may have claimed tasks in its open transaction.
    pub fn choose(&mut self, is_open: bool, others_are_open: bool, claimed: &[(i64, i64)]) -> Act {
        let mine: Vec<(i64, i64)> = self.held.iter().chain(claimed).copied().collect();
        match self.chance.below(26) {
            0..=5 => self.start(),
            6..=11 => self.claim(),
            12..=16 if !mine.is_empty() => self.report(&mine),
            17 | 18 => Act { never_waits: true, ..Act::new("SELECT workflow_tick()") },
            19 | 20 if !self.ids.is_empty() => self.control(others_are_open),
            21 => self.set_limit(),
            22 => self.hold(),
            23 => self.release(),
            24 if !is_open => self.redefine(),
            _ => self.claim(),
        }
    }

    fn start(&mut self) -> Act {
        let (key, part) = (self.chance.below(2), self.chance.below(3));
        let (reference, _) = self.chance.one_of(&TURNS);
        let turn = format!("'{reference}', '{{\"key\": {key}}}', part => {part}");
        let call = match self.chance.below(6) {
            0 | 1 => format!("workflow_start('demo.w', '{{\"key\": {}}}', part => {part})", self.chance.below(3)),
            2 | 3 => format!("workflow_start({turn})"),
            4 => format!("workflow_start({turn}, run_at => workflow.now() + interval '{} s')", self.chance.below(9)),
            _ => format!("workflow_start_many('{reference}', array_fill('{{\"key\": {key}}}'::jsonb, ARRAY[3]))"),
        };
        Act { never_waits: true, starts: true, ..Act::new(format!("SELECT {call}")) }
    }

    fn claim(&mut self) -> Act {
        let actions = self.chance.one_of(&["NULL", "NULL", "'{demo.a}'", "'{demo.b,demo.c}'"]);
        let most = 1 + self.chance.below(6);
        let sql = format!("SELECT task, lease_token, 'claimed' FROM workflow_claim('w', {most}, {actions})");
        Act { never_waits: true, claims: true, ..Act::new(sql) }
    }

    fn report(&mut self, mine: &[(i64, i64)]) -> Act {
        let (task, token) = self.chance.one_of(mine);
        let report = self.chance.one_of(&[
            "'completed', NULL, NULL, NULL, NULL, NULL, NULL",
            "'completed', NULL, NULL, NULL, NULL, NULL, NULL",
            "'failed', NULL, '{\"type\": \"x\"}', NULL, NULL, NULL, NULL",
            "'failed', NULL, NULL, NULL, NULL, '2 s', NULL",
        ]);
        let outcomes = format!("ARRAY[({task}, {token}, {report})::workflow.outcome]");
        let call = match self.chance.below(3) {
            0 => format!("workflow_finish({outcomes})"),
            _ => format!("workflow_finish_and_claim('w', {outcomes}, {})", 1 + self.chance.below(4)),
        };
        let sql = format!("SELECT task, lease_token, coalesce(state, code) FROM {call}");
        Act { claims: true, reports: Some((task, token)), ..Act::new(sql) }
    }

    fn control(&mut self, others_are_open: bool) -> Act {
        let places = self.ids.len();
        let id = self.ids[self.chance.below(places)];
        Act::new(match self.chance.below(7) {
            0 => format!("SELECT workflow_pause({id})"),
            1 | 2 => format!("SELECT workflow_resume({id})"),
            3 => format!("SELECT workflow_cancel({id})"),
            4 => format!("SELECT workflow_cancel({id}, force => true)"),
            // It would retry for a while.
            5 if !others_are_open => format!("SELECT workflow_erase({id})"),
            _ => format!("SELECT workflow_rerun({id})"),
        })
    }

    fn set_limit(&mut self) -> Act {
        Act::new(match self.chance.below(5) {
            0 => "SELECT workflow_delete_limit('two')".to_owned(),
            1 => format!("SELECT workflow_set_limit('one', max_running => {})", 1 + self.chance.below(2)),
            _ => format!("SELECT workflow_set_limit('two', max_running => {})", 1 + self.chance.below(3)),
        })
    }

    fn hold(&mut self) -> Act {
        let hold = self.chance.one_of(&[
            "'one', NULL, workflow.now() + interval '1 s'",
            "'fast', NULL, workflow.now() + interval '3 s'",
            "'@demo.turn', NULL, workflow.now() + interval '3 s'",
            "'@demo.turn', '1', workflow.now() + interval '5 s'",
            "'demo.b', NULL, workflow.now() + interval '2 s', target => 'action'",
            "'demo.w', NULL, workflow.now() + interval '2 s', target => 'workflow'",
            "'two', NULL, workflow.now() + interval '1 d'",
            "'@demo.newest', NULL, workflow.now() + interval '1 d'",
            "'demo.w', NULL, workflow.now() + interval '1 d', target => 'workflow'",
        ]);
        Act::new(format!("SELECT workflow_hold({hold})"))
    }

    fn release(&mut self) -> Act {
        let hold = self.chance.one_of(&["'one'", "'two'", "'@demo.newest'", "'demo.w', target => 'workflow'"]);
        Act::new(format!("SELECT workflow_release({hold})"))
    }

    fn redefine(&mut self) -> Act {
        let (reference, when_full) = self.chance.one_of(&TURNS);
        let source = crate::fixture::source(reference, &turns(when_full, 1 + self.chance.below(3)));
        Act::new(format!("SELECT ref FROM workflow_define($${source}$$)"))
    }
}
