//! The archive: where executions go when they are deleted, using the privileges of the role that configured it.

use crate::caller::Caller;
use crate::error::Error;
use crate::pg::as_role::AsRole;
use crate::pg::clock;
use crate::pg::jsonb::Jsonb;
use crate::pg::list::List;
use crate::pg::result_set::{RowSet, column};
use crate::pg::role;
use crate::pg::statements;
use conductor::code::Code;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Oid};
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, quote_qualified_identifier};

/// The archive configured by `workflow_archive_to`.
struct Archive {
    is_function: bool,
    schema: String,
    name: String,
    role: Oid,
}

impl Archive {
    fn find(client: &SpiClient) -> Result<Option<Archive>, Error> {
        let row = statements::run(client, include_str!("../../queries/find_archive.sql"), &[])?.first();
        if row.is_empty() {
            return Ok(None);
        }
        Ok(Some(Archive {
            is_function: row.get::<bool>(1)? == Some(true),
            schema: row.get::<String>(2)?.unwrap_or_default(),
            name: row.get::<String>(3)?.unwrap_or_default(),
            role: row.get::<Oid>(4)?.unwrap_or(Oid::INVALID),
        }))
    }

    fn target(&self) -> String {
        quote_qualified_identifier(&self.schema, &self.name)
    }

    /// Returns the statement, which takes ids as $1 and executions as objects as $2.
    fn statement(&self) -> String {
        let target = self.target();
        let given = "FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS given (execution, data)";
        match self.is_function {
            true => format!("SELECT {target}(given.data) {given}"),
            false => format!("INSERT INTO {target} (execution, data) SELECT given.execution, given.data {given}"),
        }
    }
}

/// `workflow.archive_executions` in `sql/retention.sql`.
#[pg_extern(sql = false)]
fn workflow_archive_executions(
    executions: Option<List<i64>>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let _caller = Caller::of_call(fcinfo)?;
    let Some(List(executions)) = executions.filter(|List(list)| !list.is_empty()) else { return Ok(()) };
    Spi::connect_mut(|client| {
        let Some(archive) = Archive::find(client)? else { return Ok(()) };
        let query = include_str!("../../queries/load_archived.sql");
        let mut rows = statements::run(client, query, &[executions.into()])?;
        let (mut ids, mut data) = (Vec::new(), Vec::new());
        while rows.next().is_some() {
            ids.push(rows.get::<i64>(1)?);
            data.push(rows.get::<Jsonb>(2)?);
        }
        let statement = archive.statement();
        let _role = AsRole::begin(archive.role);
        client.update(&statement, None, &[ids.into(), data.into()])?;
        Ok::<_, Error>(())
    })?;
    Ok(())
}

/// `workflow_archive_to` in `sql/retention.sql`.
#[pg_extern(sql = false)]
fn workflow_archive_to(target: Option<&str>, fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    let caller = Caller::of_call(fcinfo)?;
    let now = clock::now()?;
    Spi::connect(|client| {
        statements::run(client, include_str!("../../queries/forget_archive.sql"), &[])?;
        let Some(target) = target else { return Ok(()) };
        let is_function = target.contains('(');
        let query = include_str!("../../queries/find_archive_target.sql");
        let row = statements::run(client, query, &[target.into(), is_function.into()])?.first();
        let shown: String = target.chars().take(200).collect();
        if row.is_empty() {
            let hint =
                "Create it first, and include its schema: schema.name(jsonb) for a function, schema.name for a table.";
            return Err(Error::refused(Code::NOT_FOUND, format!("there is no archive {shown}"), hint));
        }
        if row.get::<bool>(3)? != Some(true) {
            let hint = "Use a function of one jsonb, schema.name(jsonb), or a table with the columns execution bigint and data \
                        jsonb, outside of PostgreSQL's own schemas.";
            return Err(Error::refused(Code::INVALID_ARGUMENT, format!("{shown} cannot be an archive"), hint));
        }
        let (schema, name) = (row.get::<String>(1)?, row.get::<String>(2)?);
        let arguments = [is_function.into(), schema.into(), name.into(), caller.role().into(), now.into()];
        statements::run(client, include_str!("../../queries/store_archive.sql"), &arguments)?;
        Ok::<_, Error>(())
    })?;
    Ok(())
}

/// `workflow_find_archive` in `sql/retention.sql`.
#[pg_extern(sql = false)]
fn workflow_find_archive(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    let _caller = Caller::of_call(fcinfo)?;
    let mut rows = RowSet::of_call(fcinfo);
    Spi::connect(|client| {
        if let Some(archive) = Archive::find(client)? {
            let kind = if archive.is_function { "function" } else { "table" };
            rows.push([column(kind), column(archive.target()), column(role::name_of(archive.role))]);
        }
        Ok::<_, Error>(())
    })?;
    Ok(())
}
