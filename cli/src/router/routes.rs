//! Where each function is executed, as listed and explained in `routes.txt`.

use super::api::Function;
use crate::exit_status::Failure;

/// Where and how a function or a view is executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Id(String),
    Part(String),
    At(String),
    Name,
    Publisher,
    Page(String),
    Front(String),
    Each(Combine),
    Split { arrays: Vec<String>, field: Option<String>, moved: (String, String) },
    Written { one: bool, everywhere: bool },
    None(String),
}

/// How the results of all servers are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    Rows,
    First,
    Sum,
    Max,
    Any,
    Nothing,
}

/// Returns the names of all functions and views, each with its route.
pub fn all() -> Vec<(&'static str, Route)> {
    let lines = include_str!("routes.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| parse(line).unwrap_or_else(|| panic!("routes.txt: {line}"))).collect()
}

/// Returns the route of a function.
pub fn of_function(routes: &[(&'static str, Route)], function: &Function) -> Result<Route, Failure> {
    let full = format!("{}({})", function.name, function.types());
    let found = routes.iter().find(|(name, _)| *name == function.name || *name == full);
    found.map(|(_, route)| route.clone()).ok_or_else(|| unknown(&full))
}

/// Returns the route of a view.
pub fn of_view(routes: &[(&'static str, Route)], view: &str) -> Result<Route, Failure> {
    let full = format!("workflow.{view}");
    let found = routes.iter().find(|(name, _)| *name == full);
    found.map(|(_, route)| route.clone()).ok_or_else(|| unknown(&full))
}

fn unknown(name: &str) -> Failure {
    Failure::refused(format!("this program does not know where {name} is executed"))
        .hint("Use the program of the same version as the servers.")
}

fn parse(line: &'static str) -> Option<(&'static str, Route)> {
    let (name, rest) = line.split_once(' ')?;
    let (kind, rest) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
    let text = || Some(rest.trim().to_owned()).filter(|text| !text.is_empty());
    let route = match kind {
        "id" => Route::Id(text()?),
        "part" => Route::Part(text()?),
        "at" => Route::At(text()?),
        "name" => Route::Name,
        "publisher" => Route::Publisher,
        "page" => Route::Page(text()?),
        "front" => Route::Front(text()?),
        "each" => Route::Each(match rest.trim() {
            "rows" => Combine::Rows,
            "first" => Combine::First,
            "sum" => Combine::Sum,
            "max" => Combine::Max,
            "any" => Combine::Any,
            "nothing" => Combine::Nothing,
            _ => return None,
        }),
        "split" => {
            let mut words: Vec<&str> = rest.split_whitespace().collect();
            let (column, value) = words.pop()?.split_once('=')?;
            let field = words.first()?.split_once('.').map(|(_, field)| field.to_owned());
            let arrays = words.iter().map(|word| word.split('.').next().unwrap_or(word).to_owned()).collect();
            Route::Split { arrays, field, moved: (column.to_owned(), value.to_owned()) }
        }
        "written" => Route::Written { one: rest.contains("one"), everywhere: rest.contains("everywhere") },
        "none" => Route::None(text()?),
        _ => return None,
    };
    Some((name, route))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// tests/api.txt is compared with the catalog: what is new there needs a route.
    #[test]
    fn every_function_and_view_has_one_route() {
        let api = include_str!("../../../tests/api.txt");
        let of = |prefix| api.lines().filter_map(move |line: &str| line.strip_prefix(prefix));
        let functions = of("function pg_catalog.").filter_map(|line| line.split('(').next());
        let views = of("view workflow.").map(|name| name.split(' ').next().unwrap_or(name));
        let wanted: BTreeSet<String> =
            functions.map(str::to_owned).chain(views.map(|name| format!("workflow.{name}"))).collect();
        let routes = all();
        let found: BTreeSet<String> =
            routes.iter().map(|(name, _)| name.split('(').next().unwrap_or(name).to_owned()).collect();
        assert_eq!(found.difference(&wanted).collect::<Vec<_>>(), [""; 0], "not in the API");
        assert_eq!(wanted.difference(&found).collect::<Vec<_>>(), [""; 0], "without a route");
        let names: BTreeSet<&str> = routes.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), routes.len(), "a route twice");
    }
}
