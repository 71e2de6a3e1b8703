//! From a task of a definition to a task of the graph.

use crate::expression::{Rendering, Sources};
use crate::graph::node::{AfterSuccess, Growth, Items, Node, Repeat, Retry, Target, Transition};
use crate::graph::node_set::NodeId;
use crate::interrupt;
use crate::language::definition::{Assignment, Retry as RetrySpec, RetryEach, Task};
use std::collections::HashMap;

/// Number of retries that `do: retry` allows.
const RETRY_COMMAND_COUNT: u64 = 3;

/// Compiles a task as far as that is possible without the rest of the graph.
pub(super) fn compile_task(task: &Task, by_name: &HashMap<String, NodeId>, sources: &mut Sources) -> Node {
    let mut retry = task.retry.as_ref().map(|spec| compile_retry(spec, sources));
    let mut next = Vec::new();
    for transition in interrupt::checked(&task.next) {
        let mut targets = Vec::new();
        for target in interrupt::checked(&transition.targets) {
            match target.as_str() {
                "continue" => targets.push(Target::Continue),
                "noop" => targets.push(Target::Noop),
                "fail" => targets.push(Target::Fail),
                // The command is a retry under the transition's condition.
                "retry" => retry = Some(retry_command(transition.when.as_deref(), sources)),
                name => targets.extend(by_name.get(name).map(|node| Target::Task(*node))),
            }
        }
        if transition.targets.len() == 1 && transition.targets[0] == "retry" {
            continue;
        }
        next.push(Transition {
            when: transition.when.as_ref().map(|when| sources.add(when)),
            publish: assignments(&transition.publish, sources),
            targets,
            error: transition.error.as_ref().map(|error| sources.rendering(error)),
        });
    }
    let timeout = task.wait_for.as_ref().and_then(|wait| wait.timeout.as_ref()).or(task.timeout.as_ref());
    Node {
        name: task.name.clone(),
        action: task.action.as_ref().map(|action| sources.rendering(&serde_json::Value::String(action.clone()))),
        signal: task.wait_for.as_ref().map(|wait| sources.rendering(&serde_json::Value::String(wait.signal.clone()))),
        heartbeat: task.wait_for.as_ref().and_then(|wait| wait.heartbeat),
        input: (!task.input.is_null()).then(|| sources.rendering(&task.input)),
        when: task.when.as_ref().map(|when| sources.add(when)),
        delay: task.delay.as_ref().map(|delay| sources.rendering(delay)),
        timeout: timeout.map(|timeout| sources.rendering(timeout)),
        items: task.with_items.as_ref().map(|items| Items {
            items: sources.rendering(&items.items),
            names: items.names.clone(),
            label: items.label.as_ref().map(|label| sources.rendering(&serde_json::Value::String(label.clone()))),
            concurrency: items.concurrency.as_ref().map(|value| sources.rendering(value)),
            batch_size: items.batch_size.as_ref().map(|value| sources.rendering(value)),
            on_item_failure: items.on_item_failure,
            max_failures: items.max_failures,
            min_successes: items.min_successes,
            rest: items.rest,
        }),
        retry,
        repeat: task.repeat.as_ref().map(|repeat| Repeat {
            until: sources.add(&repeat.until),
            delay: repeat.delay.as_ref().map(|delay| sources.rendering(delay)),
            growth: Growth { backoff: repeat.backoff, factor: repeat.factor, max_delay: repeat.max_delay },
            max: sources.rendering(&repeat.max),
            timeout: repeat.timeout,
        }),
        publish: assignments(&task.publish, sources),
        next,
        priority: task.priority,
        max_lost_leases: task.max_lost_leases,
        limits: interrupt::checked(&task.limit)
            .map(|limit| (limit.name.clone(), (!limit.key.is_null()).then(|| sources.rendering(&limit.key))))
            .collect(),
        ..Node::default()
    }
}

/// Compiles a `retry`.
pub(super) fn compile_retry(spec: &RetrySpec, sources: &mut Sources) -> Retry {
    Retry {
        count: sources.rendering(&spec.count),
        delay: spec.delay.as_ref().map(|delay| sources.rendering(delay)),
        when: spec.when.as_ref().map(|when| sources.add(when)),
        after_success: AfterSuccess::default(),
        together: spec.each == RetryEach::Task,
        spec: spec.clone(),
    }
}

/// Compiles the command `do: retry` of a transition with this condition.
fn retry_command(when: Option<&str>, sources: &mut Sources) -> Retry {
    let spec = RetrySpec {
        count: RETRY_COMMAND_COUNT.into(),
        delay: None,
        backoff: Default::default(),
        factor: 2.0,
        max_delay: None,
        jitter: 0.0,
        full_jitter: false,
        when: Some(when.unwrap_or("{{ completed() }}").to_owned()),
        max_elapsed: None,
        each: RetryEach::default(),
    };
    Retry {
        count: sources.rendering(&spec.count),
        delay: None,
        when: spec.when.as_ref().map(|when| sources.add(when)),
        after_success: AfterSuccess::default(),
        together: false,
        spec,
    }
}

/// Compiles a list of variables with their values.
pub(super) fn assignments(list: &[Assignment], sources: &mut Sources) -> Vec<(String, Rendering)> {
    interrupt::checked(list).map(|entry| (entry.name.clone(), sources.rendering(&entry.value))).collect()
}
