//! Joins: when they fire, and what becomes of those that can no longer fire.

use crate::code::Code;
use crate::engine::cause::Cause;
use crate::engine::conductor::Conductor;
use crate::engine::published;
use crate::engine::state::{Arrivals, Context};
use crate::engine::status::Status;
use crate::engine::work::EndedTask;
use crate::graph::NodeId;

impl Conductor<'_> {
    /// Processes the arrival of an inbound task at a join.
    pub(crate) fn arrive(&mut self, node: NodeId, ended: &EndedTask, context: Context) {
        let (from, after_closing) = (ended.key, ended.closing);
        let needed = self.graph.node(node).join.unwrap_or(1);
        let inbound = self.graph.inbound(node);
        let repeats = self.graph.node(node).repeats;
        let state = &mut self.execution.state;
        if !repeats && state.has_fired(node, from.route) {
            return;
        }
        let place = state.arrivals(node, from.route);
        let join = &mut state.joins[place];
        // In a cycle, a task that arrives a second time opens the next round.
        if join.fired && join.tasks.contains(from.node) {
            *join = Arrivals::none(node, from.route);
        }
        join.tasks.insert(from.node);
        let arrived = join.tasks.len();
        let fires = !join.fired && arrived >= needed;
        if !join.fired {
            let before = std::mem::take(&mut join.context);
            let met = self.met(before, &context);
            self.execution.state.joins[place].context = met;
        }
        let state = &mut self.execution.state;
        if fires {
            let join = &mut state.joins[place];
            join.fired = true;
            let context = published::shared(&std::mem::take(&mut join.context));
            state.live += 1;
            if !repeats {
                state.joins.remove(place);
                state.note_fired(node, from.route);
                self.cancel_rest(node, from.route);
                return self.make_ready(node, from.route, context, after_closing);
            }
            self.make_ready(node, from.route, context, after_closing);
        }
        let state = &mut self.execution.state;
        if state.joins[place].fired && arrived >= inbound {
            state.joins.remove(place);
        }
    }

    /// Fails the workflow if a join can no longer fire. If it has stopped, only joins that would close it count.
    pub(crate) fn check_joins(&mut self) {
        let stopped = self.execution.status != Status::Running;
        let counts = |node: NodeId| !stopped || self.graph.node(node).closing;
        let is_needed = |join: &&Arrivals| !join.fired && !self.is_needless(join.node, join.route) && counts(join.node);
        let waiting = self.execution.state.joins.iter().filter(is_needed);
        let causes: Vec<Cause> = waiting.map(|join| self.unreachable(join)).collect();
        // What would have run next is the join itself: rerunning the missing tasks brings it back.
        for cause in causes {
            self.changes.causes.push(cause);
            if !stopped {
                self.execution.status = Status::Failed;
            }
        }
    }

    fn unreachable(&self, join: &Arrivals) -> Cause {
        let node = self.graph.node(join.node);
        let arrived: Vec<_> = join.tasks.iter().map(|task| self.graph.node(task).name.as_str()).collect();
        let message = format!(
            "join {} can no longer fire: only {} of {} inbound tasks arrived ({})",
            node.name,
            arrived.len(),
            node.join.unwrap_or(0),
            arrived.join(", ")
        );
        Cause::rule(Code::UNREACHABLE_JOIN, Some(&node.name), message)
    }
}
