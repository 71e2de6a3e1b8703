//! Common to all kinds of routers: the public functions and views, and the internal functions that they use.
//!
//! Each function of the API becomes two: `workflow_router.f(server, …)`, which calls one server and depends on the kind
//! of router, and a function in PL/pgSQL with the public name, which finds the server, retries the call if the part has
//! moved, and restores the original form of errors.

mod body;

use super::api::{Api, Column, Function, Relation};
use super::routes::{self, Route};
use crate::exit_status::Failure;
use body::Body;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The SQL that every router begins with.
pub const SETUP: &str = include_str!("front/setup.sql");

/// The API, and where each function and view is executed.
pub struct Front<'a> {
    api: &'a Api,
    pub functions: Vec<(&'a Function, Route)>,
    pub views: Vec<(&'a Relation, Route)>,
}

impl<'a> Front<'a> {
    pub fn of(api: &'a Api) -> Result<Front<'a>, Failure> {
        let routes = routes::all();
        let (mut functions, mut views) = (Vec::new(), Vec::new());
        for function in &api.functions {
            functions.push((function, routes::of_function(&routes, function)?));
        }
        for view in &api.views {
            views.push((view, routes::of_view(&routes, &view.name)?));
        }
        Ok(Front { api, functions, views })
    }

    /// Returns the objects of a router: `remote` has the functions that call servers, and `errors` those that handle
    /// their errors. Unless errors arrive as the servers raised them, each block restores their original form.
    pub fn objects(&self, remote: &str, errors: &str, arrive_as_raised: bool) -> Result<String, Failure> {
        let mut objects = types(self.api, &self.functions);
        objects.push_str(remote);
        objects.push_str(include_str!("front/route.sql"));
        objects.push_str(errors);
        objects.push_str(&Body::spelled_out(include_str!("front/work.sql")));
        let written = written();
        for (function, route) in &self.functions {
            objects.push_str(&wrapper(function, route, &written)?);
        }
        self.views.iter().for_each(|(view, route)| objects.push_str(&union(view, route)));
        // A block that catches errors is a subtransaction, which takes two more messages to a node of Citus.
        let pass_on = if arrive_as_raised { String::new() } else { Body::pass_on() };
        Ok(objects.replace("{pass_on}", &pass_on))
    }

    /// Returns the statements that grant privileges on the objects.
    pub fn grants(&self) -> String {
        grants(&self.functions)
    }
}

/// Returns the types of arguments and results, and those of answers that have to be put back in order.
fn types(api: &Api, functions: &[(&Function, Route)]) -> String {
    let mut sql = String::new();
    for enumeration in &api.enumerations {
        let labels: Vec<String> = enumeration.labels.iter().map(|label| literal(label)).collect();
        create_type(
            &mut sql,
            &format!("workflow.{}", quote(&enumeration.name)),
            &format!("ENUM ({})", labels.join(", ")),
        );
    }
    for composite in &api.composites {
        create_type(
            &mut sql,
            &format!("workflow.{}", quote(&composite.name)),
            &format!("({})", declared(&composite.columns)),
        );
    }
    for (function, route) in functions {
        let columns = function.columns.as_deref().map(declared).unwrap_or_default();
        match route {
            Route::Split { .. } => {
                create_type(
                    &mut sql,
                    &format!("workflow_router.{}_answer", function.name),
                    &format!("(place int, {columns})"),
                );
            }
            Route::Written { one: true, .. } if has_row_type(function) => {
                create_type(&mut sql, &format!("workflow_router.{}_row", function.name), &format!("({columns})"));
            }
            _ => {}
        }
    }
    sql
}

fn create_type(sql: &mut String, name: &str, form: &str) {
    let _ = writeln!(sql, "SELECT pg_temp.create_type({}, {});", literal(name), literal(form));
}

/// Whether the rows of a handwritten function have a type of their own, so that they can be kept in an array.
fn has_row_type(function: &Function) -> bool {
    function.columns.is_some() && function.result.starts_with("TABLE")
}

/// Returns the result type of the function that calls one server.
pub fn remote_result(function: &Function, route: &Route) -> String {
    match (has_row_type(function) && matches!(route, Route::Written { one: true, .. }), &function.columns) {
        (true, _) => format!("SETOF workflow_router.{}_row", function.name),
        (false, Some(columns)) if function.result == "SETOF record" => format!("TABLE ({})", declared(columns)),
        (false, _) if function.result == "void" => "int".to_owned(),
        (false, _) => function.result.clone(),
    }
}

/// Returns the result type of the function that calls all servers.
pub fn everywhere_result(function: &Function) -> String {
    match function.result.as_str() {
        "void" => "SETOF int".to_owned(),
        result if result.starts_with("TABLE") || function.is_set => result.to_owned(),
        result => format!("SETOF {result}"),
    }
}

/// Returns whether a route needs a function that calls one server, and whether it needs one that calls all.
pub fn reach(route: &Route) -> (bool, bool) {
    match route {
        Route::Written { one, everywhere } => (*one, *everywhere),
        Route::Each(_) | Route::Page(_) | Route::Front(_) => (false, true),
        Route::None(_) => (false, false),
        _ => (true, false),
    }
}

/// Returns the name of the function that returns the rows of a server's view.
pub fn view_function(view: &Relation) -> String {
    format!("workflow_router.view_{}", view.name)
}

/// Returns the statement that is sent to a server; its arguments are numbered from `first`.
pub fn called(function: &Function, first: usize) -> String {
    let passed: Vec<String> = function
        .inputs
        .iter()
        .enumerate()
        .map(|(place, input)| format!("${}::{}", place + first, input.type_name))
        .collect();
    let (name, passed) = (&function.name, passed.join(", "));
    match &function.columns {
        Some(_) => format!("SELECT r.* FROM pg_catalog.{name}({passed}) AS r"),
        None if function.result == "void" => format!("SELECT 1 FROM pg_catalog.{name}({passed}) AS r"),
        None => format!("SELECT r FROM pg_catalog.{name}({passed}) AS r"),
    }
}

/// Returns the handwritten bodies, by function. A guarded one is a single statement.
fn written() -> BTreeMap<&'static str, String> {
    let sections = include_str!("front/written.sql").split("--: ").skip(1);
    let bodies = sections.filter_map(|section| section.split_once('\n')).map(|(header, text)| {
        let body = Body::spelled_out(text.trim_end());
        match header.strip_suffix(" guarded") {
            Some(name) => (name, Body::guarded(&body)),
            None => (header, body),
        }
    });
    bodies.collect()
}

/// Returns the public function.
fn wrapper(function: &Function, route: &Route, written: &BTreeMap<&str, String>) -> Result<String, Failure> {
    let Function { name, arguments, result, .. } = function;
    let body = match route {
        Route::Written { .. } => {
            let body = written.get(name.as_str());
            body.ok_or_else(|| Failure::refused(format!("{name} has no body")))?.clone()
        }
        _ => Body { function }.of(route)?,
    };
    let note = match route {
        Route::None(reason) => format!("Not available through a router: {reason}."),
        Route::Page(_) => format!(
            "{} Through a router: rows that are equal in that order to the last one are returned, too.",
            function.comment
        ),
        Route::Front(_) => format!("{} Through a router: from the beginning only.", function.comment),
        _ => function.comment.clone(),
    };
    let types = function.types();
    let grant = format!("REVOKE ALL ON FUNCTION pg_catalog.{name}({types}) FROM PUBLIC;\n");
    Ok(format!(
        "CREATE OR REPLACE FUNCTION pg_catalog.{name}({arguments}) RETURNS {result} LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE\n\
         SET search_path = pg_catalog, pg_temp AS $route$\n#variable_conflict use_column\n{}$route$;\n\
         COMMENT ON FUNCTION pg_catalog.{name}({types}) IS {};\n{grant}",
        body.trim_end().to_owned() + ";\n",
        literal(&note),
    ))
}

/// Returns a view over the views of all servers.
fn union(view: &Relation, route: &Route) -> String {
    let name = quote(&view.name);
    let (condition, server) = match route {
        Route::None(_) => return String::new(),
        Route::Publisher => ("WHERE s.is_publisher", ""),
        _ => ("", ", s.name AS server"),
    };
    let shown: Vec<String> = view.columns.iter().map(|column| format!("r.{}", quote(&column.name))).collect();
    let comment = view.comment.as_deref().unwrap_or_default();
    let comment = literal(&format!(
        "{comment} Through a router: of all servers, each row with its server's name where they differ."
    ));
    format!(
        "CREATE OR REPLACE VIEW workflow.{name} AS SELECT {1}{server} FROM workflow_router.server AS s\n\
         CROSS JOIN LATERAL {0}(s.number) AS r {condition};\nCOMMENT ON VIEW workflow.{name} IS {comment};\n",
        view_function(view),
        shown.join(", ")
    )
}

/// Returns statements that revoke access from everybody, record the level of each function, and grant again what was
/// granted before.
fn grants(functions: &[(&Function, Route)]) -> String {
    let mut sql = String::from(
        "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA workflow_router FROM PUBLIC;\nDELETE FROM workflow_router.api;\n",
    );
    for (function, route) in functions {
        let level = function.level.as_deref().filter(|_| !matches!(route, Route::None(_)));
        let level = level.map_or("NULL".to_owned(), literal);
        let name = literal(&function.name);
        let _ = writeln!(sql, "INSERT INTO workflow_router.api VALUES ({name}, {level}) ON CONFLICT DO NOTHING;");
    }
    sql.push_str(
        "SELECT workflow_router.set_level(g.role, g.level, true) FROM workflow_router.granted AS g\n\
         JOIN pg_catalog.pg_roles AS r ON r.rolname = g.role ORDER BY g.role, g.level;\n",
    );
    sql
}

/// Returns columns in the form that CREATE TYPE and RETURNS TABLE take.
pub fn declared(columns: &[Column]) -> String {
    let columns: Vec<String> =
        columns.iter().map(|column| format!("{} {}", quote(&column.name), column.type_name)).collect();
    columns.join(", ")
}

/// Returns arguments whose names cannot be mistaken for anything else in a statement: PL/Proxy replaces them in its
/// text.
pub fn numbered(first: &str, inputs: &[Column]) -> String {
    let numbered = inputs.iter().enumerate().map(|(place, input)| format!("a{} {}", place + 1, input.type_name));
    [first.to_owned()].into_iter().filter(|first| !first.is_empty()).chain(numbered).collect::<Vec<_>>().join(", ")
}

pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// Returns a hash that identifies a version of the generated objects.
pub fn hash(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
