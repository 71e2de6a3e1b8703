//! The functions, filters and tests available in expressions, sorted.

/// The extension's own functions and MiniJinja's.
#[rustfmt::skip]
pub const FUNCTIONS: &[&str] = &[
    "cancelled", "completed", "debug", "dict", "error", "failed", "namespace", "range", "result", "skipped",
    "succeeded", "task_status", "timed_out", "zip",
];

/// MiniJinja's filters.
#[rustfmt::skip]
pub const FILTERS: &[&str] = &[
    "abs", "attr", "batch", "bool", "capitalize", "chain", "count", "d", "default", "dictsort", "e", "escape",
    "first", "float", "format", "fromjson", "fromyaml", "groupby", "indent", "int", "items", "join", "last", "length", "lines", "list",
    "lower", "map", "max", "min", "pprint", "regex_findall", "regex_replace", "regex_search", "reject", "rejectattr", "replace", "reverse", "round", "safe", "select",
    "selectattr", "slice", "sort", "split", "string", "sum", "title", "tojson", "toyaml", "trim", "unique", "upper", "zip",
];

/// MiniJinja's tests.
#[rustfmt::skip]
pub const TESTS: &[&str] = &[
    "!=", "<", "<=", "==", ">", ">=", "boolean", "defined", "divisibleby", "endingwith", "eq", "equalto", "escaped",
    "even", "false", "filter", "float", "ge", "greaterthan", "gt", "in", "int", "integer", "iterable", "le",
    "lessthan", "lower", "lt", "mapping", "ne", "none", "number", "odd", "safe", "sameas", "sequence", "startingwith",
    "string", "test", "true", "undefined", "upper",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the names of one kind that an environment knows.
    fn known(names: &[&str], test: &str) -> Vec<String> {
        let mut environment = minijinja::Environment::new();
        crate::expression::filters::register(&mut environment, 64);
        let is_known = |name: &&&str| {
            let expression = environment.compile_expression_owned(format!("'{name}' is {test}")).unwrap();
            expression.eval(()).unwrap().is_true()
        };
        names.iter().filter(is_known).map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_filter_and_test_in_the_lists_exists() {
        assert_eq!(known(FILTERS, "filter"), FILTERS);
        assert_eq!(known(TESTS, "test"), TESTS);
    }

    #[test]
    fn every_function_of_the_environment_is_in_the_list() {
        let environment = minijinja::Environment::new();
        for (name, _) in environment.globals() {
            assert!(FUNCTIONS.contains(&name), "{name}");
        }
        for name in crate::expression::functions::NAMES {
            assert!(FUNCTIONS.contains(&name), "{name}");
        }
    }
}
