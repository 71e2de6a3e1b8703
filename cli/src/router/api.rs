//! The API, read from the catalog of a server.

use crate::connect::Connection;
use crate::exit_status::Failure;
use serde::Deserialize;
use sqlx::Connection as _;

/// Everything that a router reproduces.
#[derive(Debug, Deserialize)]
pub struct Api {
    pub functions: Vec<Function>,
    pub enumerations: Vec<Enumeration>,
    pub composites: Vec<Relation>,
    pub views: Vec<Relation>,
}

#[derive(Debug, Deserialize)]
pub struct Function {
    pub name: String,
    /// Arguments that a call passes.
    pub inputs: Vec<Column>,
    /// All arguments, as CREATE FUNCTION takes them.
    pub arguments: String,
    /// What follows RETURNS.
    pub result: String,
    pub is_set: bool,
    /// Columns of the result; `None` if it is a value.
    pub columns: Option<Vec<Column>>,
    /// The lowest level whose roles may call it; `None` if only the owner may.
    pub level: Option<String>,
    pub comment: String,
}

#[derive(Debug, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub type_name: String,
}

#[derive(Debug, Deserialize)]
pub struct Enumeration {
    pub name: String,
    pub labels: Vec<String>,
}

/// A composite type, or a view.
#[derive(Debug, Deserialize)]
pub struct Relation {
    pub name: String,
    pub columns: Vec<Column>,
    #[serde(default)]
    pub comment: Option<String>,
}

impl Function {
    /// Returns the types of the arguments, separated by commas. They distinguish functions with the same name.
    pub fn types(&self) -> String {
        let types: Vec<&str> = self.inputs.iter().map(|input| input.type_name.as_str()).collect();
        types.join(",")
    }

    /// Returns the number of an argument, counted from 1.
    pub fn place(&self, argument: &str) -> Option<usize> {
        self.inputs.iter().position(|input| input.name == argument).map(|place| place + 1)
    }
}

/// Reads the API of a server.
pub async fn read(url: &str) -> Result<Api, Failure> {
    let mut session = Connection::of_url(url).open().await?;
    let text: String = sqlx::query_scalar(include_str!("api.sql")).fetch_one(&mut session).await?;
    session.close().await?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::refused(format!("the catalog of the server is unusable: {error}")))
}
