//! The definition language: text to definition, with findings.

pub mod catalogue;
pub mod definition;
pub mod editor_schema;
pub mod finding;
pub mod limits;
pub mod parse;
pub mod schema;
pub(crate) mod schema_cost;
pub mod source;
pub mod validate;
