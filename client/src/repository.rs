//! Find, list, create, update and delete the rows of each table: one call of a SQL function each.
//!
//! A repository is a name to call its functions by, with nothing in it. What all have in common is in the traits.

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

/// Rows of one table.
pub trait Repository {
    /// A row.
    type Entity: Row + Send;
}

/// Find a row by its key.
pub trait FindById: Repository {
    /// The row with that id, if there is one.
    fn find_by_id<'e>(
        executor: impl PgExecutor<'e>,
        id: i64,
    ) -> impl Future<Output = Result<Option<Self::Entity>>> + Send;
}

/// Find a row by its name.
pub trait FindByRef: Repository {
    /// The row with that ref, if there is one.
    fn find_by_ref<'e>(
        executor: impl PgExecutor<'e>,
        r#ref: &str,
    ) -> impl Future<Output = Result<Option<Self::Entity>>> + Send;
}

/// List all rows.
pub trait List: Repository {
    /// A page of all rows, in order of id.
    fn list<'e>(executor: impl PgExecutor<'e>, page: Page) -> impl Future<Output = Result<Vec<Self::Entity>>> + Send;
}

/// Make a row.
pub trait Create: Repository {
    /// What it is made from.
    type Input: Send;

    /// Makes a row and returns it.
    fn create<'e>(
        executor: impl PgExecutor<'e>,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Entity>> + Send;
}

/// Change a row.
pub trait Update: Repository {
    /// What is changed.
    type Input: Send;

    /// Writes what is given and returns the row; nothing given writes nothing.
    fn update<'e>(
        executor: impl PgExecutor<'e>,
        id: i64,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Entity>> + Send;
}

/// Delete a row.
pub trait Delete: Repository {
    /// Deletes the row with that id. Was it there?
    fn delete<'e>(executor: impl PgExecutor<'e>, id: i64) -> impl Future<Output = Result<bool>> + Send;
}
