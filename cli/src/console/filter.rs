//! What a search asks for: read from a form, as the filter of a bulk job, in words, and as the address of the search.

use super::form::{Fields, encoded};
use super::json::Masks;
use super::page;
use super::problem::Problem;
use chrono::{DateTime, NaiveDateTime, Utc};
use maud::{Markup, html};
use pg_workflow_client::SearchFilter;
use pg_workflow_client::model::ExecutionStatus;
use serde_json::{Map, Value, json};
use sqlx::postgres::types::PgRange;
use std::ops::Bound;

/// Reads the filters.
pub fn read(fields: &Fields) -> Result<SearchFilter, Problem> {
    let status = |text: &str| text.parse().map_err(|_| Problem::invalid(format!("there is no status {text}")));
    let statuses: Vec<ExecutionStatus> = fields.all("status").map(status).collect::<Result<_, _>>()?;
    Ok(SearchFilter {
        workflow: fields.get("workflow").map(|text| text.trim().to_owned()),
        statuses: Some(statuses).filter(|statuses| !statuses.is_empty()),
        attributes: fields.json("attributes")?,
        created: range(fields, "created_from", "created_to")?,
        ended: range(fields, "ended_from", "ended_to")?,
        error_code: fields.get("code").map(str::to_owned),
        text: fields.get("text").map(str::to_owned),
        has_failed_task: fields.get("failed_task").map(|_| true),
    })
}

fn range(fields: &Fields, from: &str, to: &str) -> Result<Option<PgRange<DateTime<Utc>>>, Problem> {
    let (from, to) = (moment(fields, from)?, moment(fields, to)?);
    if from.is_none() && to.is_none() {
        return Ok(None);
    }
    Ok(Some(PgRange {
        start: from.map_or(Bound::Unbounded, Bound::Included),
        end: to.map_or(Bound::Unbounded, Bound::Excluded),
    }))
}

fn moment(fields: &Fields, name: &str) -> Result<Option<DateTime<Utc>>, Problem> {
    let Some(text) = fields.get(name).map(str::trim) else { return Ok(None) };
    let plain = |format| NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.and_utc());
    let whole = DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
    let day = || {
        format!("{text} 00:00")
            .parse::<String>()
            .ok()
            .and_then(|text| NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M").ok())
    };
    let found = whole
        .or_else(|| plain("%Y-%m-%d %H:%M:%S"))
        .or_else(|| plain("%Y-%m-%d %H:%M"))
        .or_else(|| plain("%Y-%m-%dT%H:%M"));
    let found = found.or_else(|| day().map(|time| time.and_utc()));
    found.map(Some).ok_or_else(|| Problem::invalid(format!("{text} is not a time: write it as 2026-11-29 21:00")))
}

/// Returns a search as the filter of a job.
pub fn of_job(fields: &Fields) -> Result<Value, Problem> {
    let filter = read(fields)?;
    let mut object = Map::new();
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(name.to_owned(), value);
        }
    };
    let span = |from: &str, to: &str| -> Result<Option<Value>, Problem> {
        let text = |moment: Option<DateTime<Utc>>| moment.map(|time| time.to_rfc3339()).unwrap_or_default();
        let (from, to) = (moment(fields, from)?, moment(fields, to)?);
        Ok((from.is_some() || to.is_some()).then(|| Value::from(format!("[{},{})", text(from), text(to)))))
    };
    add("workflow", filter.workflow.map(Value::from));
    add("statuses", filter.statuses.map(|all| json!(all)));
    add("attributes", filter.attributes);
    add("created", span("created_from", "created_to")?);
    add("ended", span("ended_from", "ended_to")?);
    add("error_code", filter.error_code.map(Value::from));
    add("text", filter.text.map(Value::from));
    add("has_failed_task", filter.has_failed_task.map(Value::from));
    Ok(Value::Object(object))
}

/// Returns the names of the search form's fields with their values in the filter of a job; `None` if the form has no
/// field for a part of the filter. The names are those of the form's inputs.
fn fields(filter: &Value) -> Option<Vec<(&'static str, String)>> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut fields = Vec::new();
    for (name, value) in filter.as_object()?.iter().filter(|(_, value)| !value.is_null()) {
        match name.as_str() {
            "workflow" => fields.push(("workflow", text(value))),
            "statuses" => fields.extend(value.as_array()?.iter().map(|status| ("status", text(status)))),
            "attributes" => fields.push(("attributes", value.to_string())),
            "error_code" => fields.push(("code", text(value))),
            "text" => fields.push(("text", text(value))),
            "has_failed_task" if *value == Value::Bool(true) => fields.push(("failed_task", "true".to_owned())),
            "created" => fields.extend(bounds(value.as_str()?, ["created_from", "created_to"])?),
            "ended" => fields.extend(bounds(value.as_str()?, ["ended_from", "ended_to"])?),
            _ => return None,
        }
    }
    Some(fields)
}

/// Reads a range of times that includes its start and not its end.
fn bounds<'n>(range: &str, names: [&'n str; 2]) -> Option<Vec<(&'n str, String)>> {
    let (from, to) = range.strip_prefix('[')?.strip_suffix(')')?.split_once(',')?;
    let bound = |text: &str| -> Option<String> {
        let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
        Some(time.format("%Y-%m-%d %H:%M:%S").to_string())
    };
    let given = [(names[0], from), (names[1], to)].into_iter().filter(|(_, text)| !text.is_empty());
    given.map(|(name, text)| Some((name, bound(text)?))).collect()
}

/// Returns the address of the executions that match the filter of a job; `None` if it cannot be shown as a search, or
/// would reveal what is hidden.
pub fn address(filter: &Value, masks: &Masks) -> Option<String> {
    let fields = fields(filter).filter(|_| masks.apply(filter) == *filter)?;
    let query: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    Some(format!("/executions?{}", query.join("&")))
}

/// Shows the filter of a job with the labels of the search form.
pub fn words(filter: &Value, masks: &Masks) -> Markup {
    let filter = masks.apply(filter);
    let Some(fields) = fields(&filter) else { return html! { code { (masks.line(&filter)) } } };
    let statuses: Vec<&str> =
        fields.iter().filter(|(name, _)| *name == "status").map(|(_, value)| value.as_str()).collect();
    html! { span.facts {
        @if fields.is_empty() { span { "all executions" } }
        @for (name, value) in fields.iter().filter(|(name, _)| *name != "status") {
            span { (label(name)) @if *name != "failed_task" { " " strong { (page::text(value)) } } }
        }
        @if let [first @ .., last] = &statuses[..] {
            span { "status " strong { (first.join(", ")) @if !first.is_empty() { " or " } (last) } }
        }
    } }
}

fn label(field: &str) -> &'static str {
    match field {
        "workflow" => "workflow",
        "text" => "error contains",
        "code" => "error code or type",
        "attributes" => "attributes contain",
        "created_from" => "created from (UTC)",
        "created_to" => "created before (UTC)",
        "ended_from" => "ended from (UTC)",
        "ended_to" => "ended before (UTC)",
        _ => "a task has failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_becomes_the_filter_of_a_job_and_is_found_again() {
        let query = "/x?workflow=a.b&status=failed&status=timeout&code=declined&created_from=2026-01-02&attributes=%7B%22t%22%3A1%7D&after=9";
        let filter = of_job(&Fields::of(&query.parse().unwrap())).unwrap();
        let expected = json!({"workflow": "a.b", "statuses": ["failed", "timeout"], "attributes": {"t": 1},
            "created": "[2026-01-02T00:00:00+00:00,)", "error_code": "declined"});
        assert_eq!(filter, expected);
        let masks = Masks::default();
        let again = Fields::of(&address(&filter, &masks).unwrap().parse().unwrap());
        assert_eq!(of_job(&again).unwrap(), filter);
        assert_eq!(address(&filter, &Masks::new(&["t".into()])), None);
        let wrong = Fields::of(&"/x?created_from=yesterday".parse().unwrap());
        assert!(read(&wrong).unwrap_err().message.contains("yesterday"));
    }

    #[test]
    fn a_filter_is_told_in_the_words_of_the_form() {
        let told = |filter: Value| words(&filter, &Masks::default()).into_string();
        let shown = told(json!({"statuses": ["failed", "timeout", "abandoned"], "error_code": "declined"}));
        assert!(shown.contains("failed, timeout or abandoned") && shown.contains("error code or type"), "{shown}");
        // What the form does not know is shown as it is.
        assert!(told(json!({"older": 1})).contains("{&quot;older&quot;:1}"));
        assert!(told(json!({"created": "[today,)"})).contains("[today,)"));
    }
}
