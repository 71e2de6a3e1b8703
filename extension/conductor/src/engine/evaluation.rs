//! Evaluating expressions over what is known of an execution.

use crate::engine::conductor::Conductor;
use crate::engine::facts::{Item, Scope};
use crate::engine::moment::Moment;
use crate::engine::outcome::TaskOutcome;
use crate::engine::status::{Status, TaskEnd};
use crate::expression::{Data, ExpressionError, ProgramId, Rendering};

impl Conductor<'_> {
    pub(crate) fn render(
        &self,
        rendering: &Rendering,
        vars: Option<Data>,
        task: Option<(&str, &TaskOutcome)>,
        item: Option<&Item>,
    ) -> Result<Data, ExpressionError> {
        if let Rendering::Literal(value) = rendering {
            return Ok(value.clone());
        }
        self.graph.programs.render(rendering, &self.scope(vars, task, item).value())
    }

    /// Renders with what is known about a task or item that has ended: its outcome and its input.
    pub(crate) fn render_ended(
        &self,
        rendering: &Rendering,
        vars: Option<Data>,
        task: (&str, &TaskOutcome),
        item: Option<&Item>,
        input: Option<&Data>,
    ) -> Result<Data, ExpressionError> {
        if let Rendering::Literal(value) = rendering {
            return Ok(value.clone());
        }
        let scope = Scope { input, ..self.scope(vars, Some(task), item) };
        self.graph.programs.render(rendering, &scope.value())
    }

    fn scope<'s>(
        &'s self,
        vars: Option<Data>,
        task: Option<(&'s str, &'s TaskOutcome)>,
        item: Option<&'s Item>,
    ) -> Scope<'s> {
        let (facts, ended, missing) = (self.facts, &self.ended, &self.missing);
        Scope { facts, ended, vars, task, item, input: None, system: self.system(), missing }
    }

    /// Returns the `system` object, with the verdict and the errors of this step.
    fn system(&self) -> Option<Data> {
        let known = self.facts.system.as_ref()?;
        let verdict = self.execution.state.verdict.or(match self.execution.status {
            Status::Running => None,
            Status::Canceling => Some(Status::Cancelled),
            status => Some(status),
        });
        let scheduled_for = self.execution.state.scheduled_for;
        if verdict.is_none() && scheduled_for.is_none() && self.changes.causes.is_empty() {
            return Some(known.clone());
        }
        let field = |name: &str| known.get_attr(name).ok().filter(|value| !value.is_undefined());
        let before = field("errors").and_then(|errors| errors.try_iter().ok()).into_iter().flatten();
        let errors: Vec<Data> =
            before.chain(self.changes.causes.iter().map(|cause| cause.entry(self.facts.now))).collect();
        let kept = ["workflow_ref", "execution", "now"].into_iter().filter_map(|name| Some((name, field(name)?)));
        let verdict = verdict.map_or_else(|| Data::from(()), |verdict| Data::from(verdict.name()));
        let scheduled_for = scheduled_for.map_or_else(|| Data::from(()), Moment::value);
        let added = [("scheduled_for", scheduled_for), ("verdict", verdict), ("errors", Data::from(errors))];
        Some(Data::from_pairs(kept.chain(added)))
    }

    pub(crate) fn holds(
        &self,
        program: ProgramId,
        vars: Option<Data>,
        task: Option<(&str, &TaskOutcome)>,
    ) -> Result<bool, ExpressionError> {
        // The two most common conditions don't need the template machine.
        if let Some((_, outcome)) = task {
            match self.graph.programs.source(program) {
                "{{ succeeded() }}" => return Ok(outcome.end == TaskEnd::Completed),
                "{{ completed() }}" => return Ok(true),
                _ => {}
            }
        }
        self.graph.programs.holds(program, &self.scope(vars, task, None).value())
    }
}
