//! Finding, listing, creating, updating and deleting the rows of each table. Each method calls one SQL function.
//!
//! A repository is a namespace for its functions and holds no data. The traits contain what all repositories have in
//! common.

use crate::{Page, Result, Row};
use sqlx::PgExecutor;
use std::future::Future;

mod action;
mod execution;
mod pack;
mod workflow_definition;
mod workflow_execution;
mod workflow_task_execution;

pub use action::ActionRepository;
pub use execution::ExecutionRepository;
pub use pack::PackRepository;
pub use workflow_definition::WorkflowDefinitionRepository;
pub use workflow_execution::WorkflowExecutionRepository;
pub use workflow_task_execution::WorkflowTaskExecutionRepository;

/// The rows of one table.
pub trait Repository {
    /// Type of a row.
    type Entity: Row + Send;
}

/// Finds a row by its key.
pub trait FindById: Repository {
    /// Returns the row with that id, if it exists.
    fn find_by_id<'e>(
        executor: impl PgExecutor<'e>,
        id: i64,
    ) -> impl Future<Output = Result<Option<Self::Entity>>> + Send;
}

/// Finds a row by its name.
pub trait FindByRef: Repository {
    /// Returns the row with that ref, if it exists.
    fn find_by_ref<'e>(
        executor: impl PgExecutor<'e>,
        r#ref: &str,
    ) -> impl Future<Output = Result<Option<Self::Entity>>> + Send;
}

/// Lists all rows.
pub trait List: Repository {
    /// Returns a page of all rows, ordered by id.
    fn list<'e>(executor: impl PgExecutor<'e>, page: Page) -> impl Future<Output = Result<Vec<Self::Entity>>> + Send;
}

/// Creates a row.
pub trait Create: Repository {
    /// Values of the new row.
    type Input: Send;

    /// Creates a row and returns it.
    fn create<'e>(
        executor: impl PgExecutor<'e>,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Entity>> + Send;
}

/// Updates a row.
pub trait Update: Repository {
    /// Values to change.
    type Input: Send;

    /// Writes the values given and returns the row. If none are given, nothing is written.
    fn update<'e>(
        executor: impl PgExecutor<'e>,
        id: i64,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Entity>> + Send;
}

/// Deletes a row.
pub trait Delete: Repository {
    /// Deletes the row with that id. Returns whether it existed.
    fn delete<'e>(executor: impl PgExecutor<'e>, id: i64) -> impl Future<Output = Result<bool>> + Send;
}
