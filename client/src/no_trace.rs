//! What stands in for spans without the feature `opentelemetry`.

use crate::worker::Failure;
use crate::{ClaimedTask, Result};

pub(crate) async fn send<T>(
    _workflow: &str,
    _count: usize,
    start: impl AsyncFnOnce(Option<String>) -> Result<T>,
) -> Result<T> {
    start(None).await
}

/// No span. A handler still learns where its execution comes from.
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
