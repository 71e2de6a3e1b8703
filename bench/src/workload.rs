//! The workloads: workflows of several shapes, and what a good engineer writes by hand instead. Their SQL is in
//! scripts/.

use crate::definition;

/// Input and result of a task; the same on both sides.
pub const PAYLOAD: &str = r#"{"order": 12345, "note": "pack and send it"}"#;
pub const RESULT: &str = r#"{"order": 12345, "note": "packed and sent."}"#;

/// Includes an SQL script of scripts/.
macro_rules! script {
    ($name:literal) => {
        include_str!(concat!("../scripts/", $name, ".sql"))
    };
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Workload {
    /// The yardstick: tasks in a table, inserted in batches or in bulk.
    Queue { bulk: Option<u32> },
    /// Hand-written executions of several steps in a row: the queue again for each step.
    Chain { steps: u32 },
    /// The same, but each step's successor is inserted as already claimed.
    EagerChain { steps: u32 },
    /// Workflow executions of several steps in a row.
    Linear { steps: u32 },
    /// The same under a limit of 100 keys, which is never reached.
    Limited { steps: u32 },
    /// Workflow executions of one task, then two, then one.
    Diamond,
    /// Workflow executions of many items in parallel, then one task.
    FanOut { items: u32 },
}

use Workload::{Chain, Diamond, EagerChain, FanOut, Limited, Linear, Queue};

impl Workload {
    /// Returns its name in the report.
    pub fn name(&self) -> String {
        match self {
            Queue { bulk: None } => "queue".into(),
            Queue { bulk: Some(tasks) } => format!("queue{tasks}"),
            Chain { steps } => format!("chain{steps}"),
            EagerChain { steps } => format!("eager{steps}"),
            Linear { steps } => format!("linear{steps}"),
            Limited { steps } => format!("limited{steps}"),
            Diamond => "diamond".into(),
            FanOut { items } => format!("fanout{items}"),
        }
    }

    /// Whether it belongs to this extension, rather than being written by hand.
    pub fn is_workflow(&self) -> bool {
        matches!(self, Linear { .. } | Limited { .. } | Diamond | FanOut { .. })
    }

    /// Returns the number of rows (executions, tasks of the queue) that a client inserts per run of the script.
    pub fn rows(&self, batch: u32) -> u32 {
        match self {
            Queue { bulk: Some(tasks) } => *tasks,
            FanOut { .. } => 1,
            _ => batch,
        }
    }

    /// Returns the number of tasks per inserted row.
    pub fn steps(&self) -> u32 {
        match self {
            Queue { .. } => 1,
            Chain { steps } | EagerChain { steps } | Linear { steps } | Limited { steps } => *steps,
            Diamond => 4,
            FanOut { items } => items + 1,
        }
    }

    /// Returns pgbench's script, with this many tasks per call.
    pub fn script(&self, batch: u32) -> String {
        let workflow = |calls: u32| {
            let step = script!("workflow_step").repeat(calls as usize);
            [script!("workflow_start"), &step, script!("workflow_finish")].concat()
        };
        let claimed =
            |rows: u32| [script!("queue_claim"), script!("queue_complete")].concat().repeat(calls(rows, batch));
        let chained = |steps: u32| [script!("chain_claim"), script!("chain_complete")].concat().repeat(steps as usize);
        let handed = |steps: u32| script!("chain_hand_over").repeat(steps as usize);
        match self {
            Queue { .. } => [script!("queue_insert"), &claimed(self.rows(batch))].concat(),
            Chain { steps } => [script!("chain_start"), &chained(*steps)].concat(),
            EagerChain { steps } => [script!("chain_start"), script!("chain_claim"), &handed(*steps)].concat(),
            Linear { steps } | Limited { steps } => workflow(*steps),
            Diamond => workflow(self.steps()),
            FanOut { items } => workflow(calls(*items, batch) as u32 + 1),
        }
    }

    /// Returns a script in which each call is a separate transaction in pgbench's log. It begins by inserting
    /// something; then claims and reports alternate. `phase` is 0 at first.
    pub fn call_by_call(&self) -> String {
        let [start, claim, finish] = match self {
            Queue { .. } => [script!("queue_insert"), script!("queue_claim"), script!("queue_complete")],
            _ => [script!("workflow_start"), script!("workflow_claim"), script!("workflow_finish")],
        };
        format!(
            "\\if :phase = 0\n{start}\\elif :phase % 2 = 1\n{claim}\\else\n{finish}\\endif\n\
             \\set phase (:phase + 1) % {}\n",
            self.calls_a_row()
        )
    }

    /// Returns the number of calls before that script repeats.
    pub fn calls_a_row(&self) -> u32 {
        1 + 2 * self.steps()
    }

    /// Returns a script of a single claim.
    pub fn claim(&self) -> &'static str {
        if self.is_workflow() { script!("workflow_claim") } else { script!("queue_claim") }
    }

    /// Returns the SQL that prepares a database for it.
    pub fn setup(&self) -> String {
        let (name, steps) = (self.name(), self.steps());
        let (yaml, last, items) = match self {
            Queue { .. } => return script!("queue_table").into(),
            Chain { .. } | EagerChain { .. } => return script!("chain_table").into(),
            Linear { .. } => (definition::linear(&name, steps), format!("step{steps}"), "NULL".into()),
            Limited { .. } => (definition::limited(&name, steps), format!("step{steps}"), "NULL".into()),
            Diamond => (definition::diamond(&name), "meet".into(), "NULL".into()),
            FanOut { items } => (definition::fan_out(&name, *items), "meet".into(), items.to_string()),
        };
        [
            "SELECT count(*) FROM workflow_register_action('bench.step');\n",
            "SELECT name FROM workflow_set_limit('bench', max_running => 10000);\n",
            &format!("SELECT count(*) FROM workflow_define($yaml$\n{yaml}$yaml$);\n"),
            script!("workflow_expected"),
            &format!("INSERT INTO expected VALUES ('bench.{name}', {steps}, '{last}', {items});\n"),
        ]
        .concat()
    }

    /// Returns a query for the rows inserted, the tasks completed, and the bytes of tables and indexes.
    pub fn state(&self) -> &'static str {
        match self {
            Queue { .. } => "SELECT count(*), count(*) FILTER (WHERE state = 2), pg_total_relation_size('q') FROM q",
            Chain { .. } | EagerChain { .. } => {
                "SELECT (SELECT count(*) FROM ex), (SELECT count(*) FROM tk WHERE state = 2),
                   pg_total_relation_size('ex') + pg_total_relation_size('tk')"
            }
            Linear { .. } | Limited { .. } | Diamond | FanOut { .. } => {
                "SELECT (SELECT count(*) FROM workflow.workflow_execution),
                   (SELECT count(*) FROM workflow.workflow_task_execution WHERE status = 'completed'),
                   (SELECT sum(pg_total_relation_size(oid)) FROM pg_class
                    WHERE relkind = 'r' AND relnamespace = 'workflow'::regnamespace)"
            }
        }
    }

    /// Returns the SQL that processes what a run has left, so that its end can be verified.
    pub fn drain(&self) -> String {
        match self {
            Queue { .. } => script!("queue_drain").into(),
            Chain { steps } | EagerChain { steps } => format!("SET bench.steps = {steps};\n{}", script!("chain_drain")),
            Linear { .. } | Limited { .. } | Diamond | FanOut { .. } => script!("workflow_drain").into(),
        }
    }

    /// Returns a query for everything that is wrong, one row each.
    pub fn check(&self) -> &'static str {
        match self {
            Queue { .. } => script!("queue_check"),
            Chain { .. } | EagerChain { .. } => script!("chain_check"),
            Linear { .. } | Limited { .. } | Diamond | FanOut { .. } => script!("workflow_check"),
        }
    }
}

/// Returns the number of calls needed to claim this many tasks.
fn calls(tasks: u32, batch: u32) -> usize {
    tasks.div_ceil(batch) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_script_has_a_commit_a_step_and_two_around() {
        let script = Linear { steps: 3 }.script(10);
        assert_eq!(script.matches("\\gset").count(), 5);
        assert_eq!(script.matches("workflow_finish_and_claim").count(), 3);
    }

    #[test]
    fn a_chain_has_two_commits_a_step_and_an_eager_one_one() {
        let commits =
            |w: Workload| w.script(10).lines().filter(|line| line.ends_with(';') || line.contains("\\gset")).count();
        assert_eq!(commits(Chain { steps: 10 }), 1 + 2 * 10);
        assert_eq!(commits(EagerChain { steps: 10 }), 2 + 10);
    }

    #[test]
    fn a_fan_out_is_claimed_by_batches_and_then_joined() {
        let fan_out = FanOut { items: 100 };
        assert_eq!(fan_out.script(10).matches("workflow_finish_and_claim").count(), 11);
        assert_eq!((fan_out.rows(10), fan_out.steps()), (1, 101));
        let queue = Queue { bulk: Some(100) };
        assert_eq!(queue.script(10).matches("SKIP LOCKED").count(), 10);
        assert_eq!((queue.rows(10), queue.steps()), (100, 1));
    }

    #[test]
    fn what_is_claimed_is_what_was_put_in() {
        for workload in [Queue { bulk: None }, Linear { steps: 3 }, Diamond] {
            let script = workload.script(10);
            let claims = script.matches("SKIP LOCKED").count() + script.matches("workflow_finish_and_claim").count();
            assert_eq!(claims as u32, workload.steps(), "{}", workload.name());
        }
    }
}
