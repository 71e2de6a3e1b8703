//! Searching executions, newest first, in bounded steps.
//!
//! Each workflow has its own range of index entries in order of creation, so that a start has to maintain only one
//! index. A search therefore merges the workflows: it examines a span of time that ends where the search has got to,
//! takes a number of executions of each workflow from it, and continues with an older span. Executions that have had a
//! failure, and those with an error code, have indexes of their own in the same order. Attributes have a GIN index,
//! which is not ordered: it is used if few executions have the attributes.

use crate::engine::attributes;
use crate::error::Error;
use crate::pg::jsonb::Jsonb;
use crate::pg::list::List;
use crate::pg::result_set::{RowSet, column};
use crate::pg::rows::{Rows, numbers};
use crate::pg::statements;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

/// Maximum number of executions that one call examines in order of creation.
const MAX_EXAMINED: usize = 10_000;

/// Number of executions examined in order of creation before the index of attributes is used.
const EXAMINED_FIRST: usize = 1_000;

/// The same if another index leads to the few executions that have had a failure.
const FAILURES_EXAMINED_FIRST: usize = 5_000;

/// Maximum number of executions with the wanted attributes that are taken from the attribute index; if there are more,
/// searching in order of creation is faster.
const MAX_BY_ATTRIBUTES: usize = 10_000;

/// Length of the first span of time, in microseconds.
const FIRST_SPAN: i64 = 60_000_000;

/// Factor by which each span is longer than the one before it.
const GROWTH: i64 = 8;

/// Minimum number of executions to take from a span for each workflow.
const MIN_OF_EACH: usize = 16;

/// A position in the order of executions: creation time and id.
type Place = (TimestampWithTimeZone, i64);

/// Search criteria; a missing one matches anything.
struct Filter {
    workflow_def: Option<i64>,
    statuses: Option<Vec<Option<String>>>,
    attributes: Option<Jsonb>,
    created_from: Option<TimestampWithTimeZone>,
    created_to: Option<TimestampWithTimeZone>,
    ended_from: Option<TimestampWithTimeZone>,
    ended_to: Option<TimestampWithTimeZone>,
    error_code: Option<String>,
    text: Option<String>,
    has_failed_task: Option<bool>,
}

/// Executions found, each with its position. An entry without an id says how far the search has got.
type Found = Vec<(Option<i64>, Place)>;

/// A search in progress.
struct Search<'c, 'conn> {
    client: &'c SpiClient<'conn>,
    filter: Filter,
    max_rows: usize,
    found: Found,
    examined: usize,
    /// Everything after this position is still to be examined.
    below: Place,
}

impl Search<'_, '_> {
    /// Runs the search, up to the maximum number of rows and of executions examined.
    fn run(mut self) -> Result<Found, Error> {
        let mut definitions = match self.filter.workflow_def {
            Some(definition) => vec![definition],
            None => numbers(statements::run(self.client, include_str!("../../queries/list_definitions.sql"), &[])?, 1)?,
        };
        let mut asks_attributes = self.filter.attributes.is_some();
        let mut span = FIRST_SPAN;
        loop {
            if asks_attributes && self.examined >= self.filter.examined_first() {
                asks_attributes = false;
                if let Some(places) = self.by_attributes()? {
                    self.examine(places)?;
                    return Ok(self.found);
                }
            }
            let heads = self.newest(&definitions, self.from(None), 1)?;
            definitions = heads.iter().map(|(definition, _)| *definition).collect();
            let Some(head) = heads.iter().map(|(_, place)| *place).max() else { return Ok(self.found) };
            let from = self.from(Some(micros_before(head.0, span)));
            let places = self.span(&definitions, from, &mut span)?;
            self.examine(places)?;
            if self.found.len() == self.max_rows {
                return Ok(self.found);
            }
            if self.examined >= MAX_EXAMINED {
                self.found.push((None, self.below));
                return Ok(self.found);
            }
        }
    }

    /// Returns the positions in a span of time, newest first, and adjusts the next span. If a workflow has more
    /// executions in the span than were taken, the span is cut off there, because older executions have not been seen
    /// for all workflows.
    fn span(&mut self, definitions: &[i64], from: TimestampWithTimeZone, span: &mut i64) -> Result<Vec<Place>, Error> {
        let first = self.filter.examined_first();
        let left = if self.filter.attributes.is_some() && self.examined < first {
            first - self.examined
        } else {
            MAX_EXAMINED - self.examined
        };
        let each = (2 * left / definitions.len()).clamp(MIN_OF_EACH, left.max(MIN_OF_EACH));
        let newest = self.newest(definitions, from, each)?;
        let mut full: Option<Place> = None;
        for rows in newest.chunk_by(|(a, _), (b, _)| a == b) {
            if let Some((_, last)) = rows.last().filter(|_| rows.len() == each) {
                full = full.max(Some(*last));
            }
        }
        let mut places: Vec<Place> = newest.into_iter().map(|(_, place)| place).collect();
        places.retain(|place| full.is_none_or(|full| *place >= full));
        places.sort_unstable_by(|a, b| b.cmp(a));
        let is_whole = full.is_none() && places.len() <= left;
        places.truncate(left);
        self.below = match places.last() {
            Some(last) if !is_whole => *last,
            _ => (from, i64::MIN),
        };
        *span = if is_whole { span.saturating_mul(GROWTH) } else { *span };
        Ok(places)
    }

    /// Adds those of the positions, newest first, whose executions match the criteria.
    fn examine(&mut self, places: Vec<Place>) -> Result<(), Error> {
        let mut places = &places[..];
        while self.found.len() < self.max_rows && !places.is_empty() {
            // Often the page is full before all of them have been examined.
            let (now, later) = places.split_at(places.len().min((2 * self.max_rows).max(EXAMINED_FIRST)));
            let ids: Vec<i64> = now.iter().map(|(_, id)| *id).collect();
            let matching = self.matching(ids)?;
            let mut matching = matching.into_iter().peekable();
            let hits = now.iter().filter(|(_, id)| matching.next_if_eq(id).is_some());
            let room = self.max_rows - self.found.len();
            self.found.extend(hits.take(room).map(|place| (Some(place.1), *place)));
            self.examined += now.len();
            places = later;
        }
        Ok(())
    }

    /// Returns those of the executions that match the criteria, in order.
    fn matching(&self, ids: Vec<i64>) -> Result<Vec<i64>, Error> {
        let filter = &self.filter;
        let arguments = [
            ids.into(),
            filter.workflow_def.into(),
            filter.statuses.clone().into(),
            filter.attributes.into(),
            filter.created_from.into(),
            filter.created_to.into(),
            filter.ended_from.into(),
            filter.ended_to.into(),
            filter.error_code.clone().into(),
            filter.text.clone().into(),
            filter.has_failed_task.into(),
        ];
        numbers(statements::run(self.client, include_str!("../../queries/match_executions.sql"), &arguments)?, 1)
    }

    /// Returns the newest executions that are still to be examined, up to a number for each workflow, in that order.
    fn newest(
        &self,
        definitions: &[i64],
        from: TimestampWithTimeZone,
        each: usize,
    ) -> Result<Vec<(i64, Place)>, Error> {
        let arguments = [
            definitions.to_vec().into(),
            self.below.0.into(),
            self.below.1.into(),
            from.into(),
            (each as i64).into(),
            self.filter.error_code.clone().into(),
        ];
        let rows = if self.filter.error_code.is_some() {
            statements::run(self.client, include_str!("../../queries/newest_with_error_code.sql"), &arguments)?
        } else if self.filter.wants_failure() {
            statements::run(self.client, include_str!("../../queries/newest_with_failure.sql"), &arguments[..5])?
        } else {
            statements::run(self.client, include_str!("../../queries/newest_executions.sql"), &arguments[..5])?
        };
        read(rows, |row| Ok((row.get::<i64>(3)?.unwrap_or_default(), place(row)?)))
    }

    /// Returns the positions of all executions with the wanted attributes that are still to be examined, newest first;
    /// `None` if there are too many.
    fn by_attributes(&self) -> Result<Option<Vec<Place>>, Error> {
        let arguments = [self.filter.attributes.into(), (MAX_BY_ATTRIBUTES as i64 + 1).into()];
        let rows = statements::run(self.client, include_str!("../../queries/find_by_attributes.sql"), &arguments)?;
        if rows.len() > MAX_BY_ATTRIBUTES {
            return Ok(None);
        }
        let mut places = read(rows, place)?;
        places.retain(|place| *place < self.below);
        places.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Some(places))
    }

    /// Returns the time to look back to.
    fn from(&self, wanted: Option<TimestampWithTimeZone>) -> TimestampWithTimeZone {
        let least = TimestampWithTimeZone::negative_infinity();
        wanted.unwrap_or(least).max(self.filter.created_from.unwrap_or(least))
    }
}

impl Filter {
    /// Whether only executions that have had a failure can be found.
    fn wants_failure(&self) -> bool {
        let is_failure = |status: &Option<String>| {
            matches!(status.as_deref(), Some("failed" | "canceling" | "cancelled" | "timeout" | "abandoned"))
        };
        self.text.is_some()
            || self.has_failed_task == Some(true)
            || self.statuses.as_ref().is_some_and(|statuses| statuses.iter().all(is_failure))
    }

    /// Returns the number of executions to examine before the index of attributes is used.
    fn examined_first(&self) -> usize {
        if self.error_code.is_some() || self.wants_failure() { FAILURES_EXAMINED_FIRST } else { EXAMINED_FIRST }
    }

    /// Returns the position before all executions that can be found. Whatever ended by a certain time was created
    /// before it.
    fn start(&self) -> Place {
        let end = [self.created_to, self.ended_to].into_iter().flatten().min();
        end.map_or((TimestampWithTimeZone::positive_infinity(), i64::MAX), |end| (end, i64::MAX))
    }
}

fn read<T>(mut rows: Rows, of: impl Fn(&Rows) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    let mut list = Vec::with_capacity(rows.len());
    while rows.next().is_some() {
        list.push(of(&rows)?);
    }
    Ok(list)
}

fn place(row: &Rows) -> Result<Place, Error> {
    let created = row.get::<TimestampWithTimeZone>(1)?.unwrap_or_else(TimestampWithTimeZone::negative_infinity);
    Ok((created, row.get::<i64>(2)?.unwrap_or_default()))
}

/// Returns the time `micros` microseconds earlier, limited to the range of timestamps.
fn micros_before(time: TimestampWithTimeZone, micros: i64) -> TimestampWithTimeZone {
    let earlier = time.into_inner().saturating_sub(micros);
    TimestampWithTimeZone::try_from(earlier).unwrap_or_else(|_| TimestampWithTimeZone::negative_infinity())
}

/// Returns a position as the text that callers pass back.
fn cursor((created, id): Place) -> String {
    format!("{}:{id}", created.into_inner())
}

/// Returns the position encoded in a cursor.
fn parse_cursor(text: &str) -> Result<Place, Error> {
    let place = text.split_once(':').and_then(|(created, id)| {
        Some((TimestampWithTimeZone::try_from(created.parse::<i64>().ok()?).ok()?, id.parse::<i64>().ok()?))
    });
    place.ok_or_else(|| {
        let shown: String = text.chars().take(100).collect();
        Error::out_of_range(
            "after is not a cursor of a search",
            format!("after is {shown}."),
            "Pass the cursor of a row.",
        )
    })
}

/// `workflow.search` in `sql/search.sql`.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn workflow_search_places(
    workflow_def: Option<i64>,
    statuses: Option<List<String>>,
    attributes: Option<Jsonb>,
    created_from: Option<TimestampWithTimeZone>,
    created_to: Option<TimestampWithTimeZone>,
    ended_from: Option<TimestampWithTimeZone>,
    ended_to: Option<TimestampWithTimeZone>,
    error_code: Option<String>,
    text: Option<String>,
    has_failed_task: Option<bool>,
    max_rows: Option<i32>,
    after: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let mut rows = RowSet::of_call(fcinfo);
    attributes::check(attributes)?;
    let filter = Filter {
        workflow_def,
        statuses: statuses.map(|List(statuses)| statuses),
        attributes,
        created_from,
        created_to,
        ended_from,
        ended_to,
        error_code,
        text,
        has_failed_task,
    };
    let after = after.map(parse_cursor).transpose()?;
    let below = after.map_or(filter.start(), |after| after.min(filter.start()));
    let max_rows = max_rows.ok_or_else(|| Error::missing("max_rows"))?.max(1) as usize;
    let found =
        Spi::connect(|client| Search { client, filter, max_rows, found: Vec::new(), examined: 0, below }.run())?;
    found.into_iter().for_each(|(id, place)| rows.push([column(id), column(cursor(place))]));
    Ok(())
}
