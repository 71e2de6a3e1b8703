//! The conductor from outside, by subject: findings, semantics, rehearsals, hostile input and random schedules. One program,
//! because each takes seconds to compile and to link.

mod branch_findings;
mod cron;
mod every_finding;
mod expression_findings;
mod fuzz;
mod graph_findings;
mod habit_findings;
mod hostile_expressions;
mod hostile_input;
mod interrupt;
mod keep_findings;
mod language_additions;
mod language_docs;
mod missing_findings;
mod normal_form;
mod output_findings;
mod planted_mistakes;
mod positions;
mod rehearsal_answers;
mod rehearsal_expectations;
mod rehearsal_explore;
mod rehearsal_findings;
mod rendered_size;
mod schema_findings;
mod simulation;
mod state_size;
mod stored;
mod straight_way;
mod support;
mod syntax_findings;
mod task_findings;
mod undefined_values;
mod undo_findings;
mod variables;
