//! The definition language: text to definition, with findings.

pub mod catalogue;
pub mod definition;
pub mod editor_schema;
pub mod parse;
pub mod schema;
pub(crate) mod schema_cost;
pub mod task_fields;
pub mod validate;
