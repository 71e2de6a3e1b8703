//! Bodies of the public functions.

use super::literal;
use crate::exit_status::Failure;
use crate::router::api::Function;
use crate::router::routes::{Combine, Route};

pub struct Body<'f> {
    pub function: &'f Function,
}

/// Saves the parts of an error in variables.
const DIAGNOSE: &str = "GET STACKED DIAGNOSTICS error_state = RETURNED_SQLSTATE, error_message = MESSAGE_TEXT, \
     error_detail = PG_EXCEPTION_DETAIL, error_hint = PG_EXCEPTION_HINT;";
const ERROR: &str = "error_state, error_message, error_detail, error_hint";
const DECLARE: &str = "error_state text; error_message text; error_detail text; error_hint text;";

impl Body<'_> {
    /// Returns the body for a route.
    pub fn of(&self, route: &Route) -> Result<String, Failure> {
        Ok(match route {
            Route::Id(argument) => {
                self.somewhere(&format!("(${} >> 48)::int", self.place(argument)?), "server_of(of_part)", None)
            }
            Route::Part(expression) => {
                let part = format!("workflow_router.any_part({})", self.numbered(expression));
                self.somewhere(&part, "server_of(of_part)", Some("of_part"))
            }
            Route::At(expression) => self.somewhere(&self.numbered(expression), "server_at(of_part)", None),
            // The servers are asked, because a server that the part has left would answer that there is no such
            // schedule.
            Route::Name => {
                let part = format!("workflow_router.schedule_part(${})", self.place("name")?);
                self.somewhere(&part, "server_at(of_part)", None)
            }
            Route::Publisher => {
                let passed = self.passed(Some("workflow_router.publisher()"), None);
                Body::guarded(&self.returned(&format!("workflow_router.{}({passed})", self.function.name)))
            }
            Route::Page(order) => self.page(order)?,
            Route::Front(order) => self.front(order)?,
            Route::Each(combine) => self.each(*combine),
            Route::Split { arrays, field, moved } => self.split(arrays, field.as_deref(), moved)?,
            Route::None(reason) => format!(
                "BEGIN\n  PERFORM workflow_router.refuse({}, {}, 'Call it on a server.');\nEND",
                literal(&format!("WF611: {} is not available through a router", self.function.name)),
                literal(&(reason[..1].to_uppercase() + &reason[1..] + "."))
            ),
            Route::Written { .. } => return Err(Failure::refused(format!("{} has no body", self.function.name))),
        })
    }

    /// Returns the exception handler of a block that only restores the original form of errors.
    pub fn pass_on() -> String {
        format!("EXCEPTION WHEN OTHERS THEN\n  {DIAGNOSE}\n  PERFORM workflow_router.raise({ERROR});")
    }

    /// Returns handwritten SQL with its placeholders for error handling filled in.
    pub fn spelled_out(sql: &str) -> String {
        sql.replace("{declare}", DECLARE).replace("{diagnose}", DIAGNOSE).replace("{error}", ERROR)
    }

    fn place(&self, argument: &str) -> Result<usize, Failure> {
        let place = self.function.place(argument);
        place.ok_or_else(|| Failure::refused(format!("{} has no argument {argument}", self.function.name)))
    }

    /// Returns an expression with the names of arguments replaced by their numbers.
    fn numbered(&self, expression: &str) -> String {
        let mut numbered = String::new();
        let mut word = String::new();
        for letter in expression.chars().chain([' ']) {
            if letter.is_alphanumeric() || letter == '_' {
                word.push(letter);
                continue;
            }
            match self.function.place(&word) {
                Some(place) => numbered.push_str(&format!("${place}")),
                None => numbered.push_str(&word),
            }
            word.clear();
            numbered.push(letter);
        }
        numbered.trim_end().to_owned()
    }

    /// Returns the arguments to pass on: the server, if given, and those of the call, with the argument `part` replaced
    /// if given.
    fn passed(&self, server: Option<&str>, part: Option<&str>) -> String {
        let arguments = self.function.inputs.iter().enumerate().map(|(place, input)| match part {
            Some(part) if input.name == "part" => part.to_owned(),
            _ => format!("${}", place + 1),
        });
        server.map(str::to_owned).into_iter().chain(arguments).collect::<Vec<_>>().join(", ")
    }

    /// Returns the statement that returns the result of a call.
    fn returned(&self, call: &str) -> String {
        match (self.function.is_set, self.function.result.as_str()) {
            (true, _) => format!("RETURN QUERY SELECT r.* FROM {call} AS r; RETURN;"),
            (false, "void") => format!("PERFORM {call}; RETURN;"),
            (false, _) => format!("RETURN {call};"),
        }
    }

    /// Returns a body that makes the call on the server of a part, even if the part moves.
    fn somewhere(&self, part: &str, server: &str, passed: Option<&str>) -> String {
        let passed = self.passed(Some("on_server"), passed);
        let call = format!("workflow_router.{}({passed})", self.function.name);
        format!(
            "DECLARE\n  began timestamptz := clock_timestamp();\n  of_part int := {part};\n  on_server int := workflow_router.{server};\n  {DECLARE}\n\
             BEGIN\n  LOOP\n    BEGIN\n      {}\n    EXCEPTION WHEN OTHERS THEN\n      {DIAGNOSE}\n      \
             on_server := workflow_router.after_error(began, of_part, on_server, {ERROR});\n    \
             END;\n  END LOOP;\nEND",
            self.returned(&call)
        )
    }

    /// Returns a body with one statement, whose errors are raised as the servers raised them.
    pub fn guarded(statement: &str) -> String {
        format!("DECLARE\n  {DECLARE}\nBEGIN\n  {statement}\n{{pass_on}}\nEND")
    }

    fn everywhere(&self) -> String {
        format!("workflow_router.{}_everywhere({})", self.function.name, self.passed(None, None))
    }

    fn page(&self, order: &str) -> Result<String, Failure> {
        let limit = self.place("max_rows")?;
        Ok(Body::guarded(&format!(
            "RETURN QUERY SELECT r.* FROM {} AS r ORDER BY {} FETCH FIRST (greatest(${limit}, 1)) ROWS WITH TIES;",
            self.everywhere(),
            columns(order)
        )))
    }

    fn front(&self, order: &str) -> Result<String, Failure> {
        let (limit, after) = (self.place("max_rows")?, self.place("after")?);
        let refusal = format!(
            "PERFORM workflow_router.refuse('WF613: after is not available through a router', format('The value of after is %s.', ${after}), \
             'Pass a larger max_rows, or call {} on each server.', '22023');",
            self.function.name
        );
        Ok(Body::guarded(&format!(
            "IF ${after} IS NOT NULL THEN\n    {refusal}\n  END IF;\n  \
             RETURN QUERY SELECT r.* FROM {} AS r ORDER BY {} LIMIT greatest(${limit}, 1);",
            self.everywhere(),
            columns(order)
        )))
    }

    fn each(&self, combine: Combine) -> String {
        let everywhere = self.everywhere();
        Body::guarded(&match combine {
            Combine::Rows => format!("RETURN QUERY SELECT r.* FROM {everywhere} AS r;"),
            Combine::Nothing => format!("PERFORM r FROM {everywhere} AS r;"),
            Combine::Sum => format!("RETURN (SELECT sum(r)::{} FROM {everywhere} AS r);", self.function.result),
            Combine::Max => format!("RETURN (SELECT max(r) FROM {everywhere} AS r);"),
            Combine::Any => format!("RETURN (SELECT bool_or(r) FROM {everywhere} AS r);"),
            // PL/Proxy returns the rows in server order.
            Combine::First => format!("RETURN (SELECT r FROM {everywhere} AS r LIMIT 1);"),
        })
    }

    /// Returns a body that splits arrays by server, restores the order of the answers, and resends the elements whose
    /// parts have moved.
    fn split(&self, arrays: &[String], field: Option<&str>, moved: &(String, String)) -> Result<String, Failure> {
        let name = &self.function.name;
        let places: Vec<usize> = arrays.iter().map(|array| self.place(array)).collect::<Result<_, _>>()?;
        let first = places[0];
        let element = match field {
            Some(field) => format!("SELECT u.{field}, u.ordinality FROM unnest(${first}) WITH ORDINALITY AS u"),
            None => format!("SELECT u.id, u.ordinality FROM unnest(${first}) WITH ORDINALITY AS u (id, ordinality)"),
        };
        let (declared, unequal, filled, chosen) = self.arrays(&places);
        let passed: Vec<String> = (1..=self.function.inputs.len())
            .map(|place| if places.contains(&place) { format!("array_{place}") } else { format!("${place}") })
            .collect();
        let passed = passed.join(", ");
        let columns = self.function.columns.as_deref().unwrap_or_default();
        let shown: Vec<String> = columns.iter().map(|column| format!("d.\"{}\"", column.name)).collect();
        let shown = shown.join(", ");
        let (column, value) = moved;
        let whole = self
            .returned(&format!("workflow_router.{name}({})", self.passed(Some("workflow_router.publisher()"), None)));
        Ok(Body::guarded(&format!(
            "\
-- Either there is nothing to do, or a server refuses the call.
  IF coalesce(cardinality(${first}), 0) = 0 OR array_ndims(${first}) > 1{unequal} THEN
    {whole}
  END IF;
  {filled}
  sent := ARRAY(SELECT generate_series(1, cardinality(${first})));
  LOOP
    servers := ARRAY(
      SELECT coalesce(m.server, workflow_router.publisher()) FROM ({element}) AS e (id, place)
      LEFT JOIN workflow_router.part AS m ON m.part = e.id >> 48 WHERE e.place = ANY (sent) ORDER BY e.place);
    got := ARRAY(SELECT a FROM workflow_router.{name}_split(servers, sent, {passed}) AS a);
    sent := ARRAY(SELECT g.place FROM unnest(got) AS g WHERE g.\"{column}\" = {} ORDER BY g.place);
    IF sent = '{{}}' OR clock_timestamp() > began + workflow_router.patience() THEN
      done := done || got;
      EXIT;
    END IF;
    done := done || ARRAY(SELECT g FROM unnest(got) AS g WHERE g.\"{column}\" IS DISTINCT FROM {});
    PERFORM workflow_router.refresh();
    PERFORM pg_sleep(0.02);
    {chosen}
  END LOOP;
  RETURN QUERY SELECT {shown} FROM unnest(done) AS d ORDER BY d.place;",
            literal(value),
            literal(value),
        ))
        .replacen(
            "DECLARE\n",
            &format!(
                "DECLARE\n  began timestamptz := clock_timestamp();\n  servers int[];\n  sent int[];\n  \
                 got workflow_router.{name}_answer[];\n  done workflow_router.{name}_answer[] := '{{}}';\n  {declared}\n"
            ),
            1,
        ))
    }

    /// Returns SQL that declares the arrays, tests whether their lengths differ from the first one's, fills in missing
    /// ones, and selects the elements to resend.
    fn arrays(&self, places: &[usize]) -> (String, String, String, String) {
        let (mut declared, mut unequal, mut filled, mut chosen) =
            (String::new(), String::new(), String::new(), String::new());
        let first = places[0];
        for (nth, place) in places.iter().enumerate() {
            let input = &self.function.inputs[place - 1];
            declared.push_str(&format!("array_{place} {} := ${place}; ", input.type_name));
            chosen
                .push_str(&format!("array_{place} := ARRAY(SELECT (${place})[s] FROM unnest(sent) AS s ORDER BY s); "));
            if nth == 0 {
                continue;
            }
            let is_optional = self.function.arguments.contains(&format!("{} {} DEFAULT", input.name, input.type_name));
            let test = match is_optional {
                true => format!(" OR array_ndims(${place}) > 1 OR cardinality(${place}) <> cardinality(${first})"),
                false => format!(
                    " OR array_ndims(${place}) > 1 OR cardinality(${place}) IS DISTINCT FROM cardinality(${first})"
                ),
            };
            unequal.push_str(&test);
            if is_optional {
                let element = input.type_name.trim_end_matches("[]");
                filled.push_str(&format!(
                    "array_{place} := coalesce(array_{place}, array_fill(NULL::{element}, ARRAY[cardinality(${first})])); "
                ));
            }
        }
        (declared, unequal, filled, chosen)
    }
}

/// Returns the columns of an ordering, qualified with `r`.
fn columns(order: &str) -> String {
    order.split(", ").map(|column| format!("r.{column}")).collect::<Vec<_>>().join(", ")
}
