//! Replacement for spans if the feature `opentelemetry` is off.

use crate::worker::Failure;
use crate::{ClaimedTask, Result};

pub(crate) async fn send<T>(
    _workflow: &str,
    _count: usize,
    start: impl AsyncFnOnce(Option<String>) -> Result<T>,
) -> Result<T> {
    start(None).await
}

/// An empty span. A handler still gets its execution's traceparent.
#[derive(Clone)]
pub(crate) struct TaskSpan(Option<String>);

impl TaskSpan {
    pub fn begin(task: &ClaimedTask, _worker: &str) -> TaskSpan {
        TaskSpan(task.traceparent.clone())
    }

    pub fn enter<T>(&self, run: impl FnOnce() -> T) -> T {
        run()
    }

    pub async fn within<T>(&self, work: impl Future<Output = T>) -> T {
        work.await
    }

    pub fn end(&self, _failure: Option<&Failure>) {}

    pub fn traceparent(&self) -> Option<String> {
        self.0.clone()
    }
}
