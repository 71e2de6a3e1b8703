//! Long lists, one page at a time.

use crate::Result;
use futures::{Stream, TryStreamExt, stream};

/// Range of a list: a number of rows after a given row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Maximum number of rows, 1 to 10,000.
    pub max_rows: i32,
    /// The id of the last row of the previous page; `None` for the first page.
    pub after: Option<i64>,
}

impl Default for Page {
    /// Returns the first page of 100 rows.
    fn default() -> Self {
        Page { max_rows: 100, after: None }
    }
}

impl Page {
    /// Returns the first page of this size.
    pub fn of(max_rows: i32) -> Page {
        Page { max_rows, after: None }
    }

    /// Returns the page after `rows`, the rows of this page; `None` if those were the last.
    pub fn next<T: Row>(&self, rows: &[T]) -> Option<Page> {
        let last = rows.last().filter(|_| rows.len() >= usize::try_from(self.max_rows).unwrap_or(0))?;
        Some(Page { after: Some(last.id()), ..*self })
    }
}

/// A row after which a page can continue.
pub trait Row {
    /// Returns its key.
    fn id(&self) -> i64;
}

/// Streams all rows from a page onward, fetching one page at a time on demand.
///
/// ```no_run
/// use futures::TryStreamExt;
/// use pg_workflow_client::{Page, repository::{List, PackRepository}, walk};
///
/// # async fn example(pool: &sqlx::PgPool) -> pg_workflow_client::Result<()> {
/// let refs: Vec<String> = walk(Page::default(), |page| PackRepository::list(pool, page))
///     .map_ok(|pack| pack.r#ref)
///     .try_collect()
///     .await?;
/// # Ok(())
/// # }
/// ```
pub fn walk<T: Row>(page: Page, fetch: impl AsyncFnMut(Page) -> Result<Vec<T>>) -> impl Stream<Item = Result<T>> {
    stream::try_unfold((Some(page), fetch), |(page, mut fetch)| async move {
        let Some(page) = page else { return Result::Ok(None) };
        let rows = fetch(page).await?;
        let next = page.next(&rows);
        Ok(Some((stream::iter(rows.into_iter().map(Ok)), (next, fetch))))
    })
    .try_flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Number(i64);

    impl Row for Number {
        fn id(&self) -> i64 {
            self.0
        }
    }

    async fn numbers(page: Page) -> Result<Vec<Number>> {
        let from = page.after.unwrap_or(0) + 1;
        Ok((from..=6).take(page.max_rows as usize).map(Number).collect())
    }

    #[tokio::test]
    async fn a_walk_gives_every_row_once_whatever_the_size_of_a_page() {
        for size in 1..8 {
            let walked: Vec<Number> = walk(Page::of(size), numbers).try_collect().await.unwrap();
            assert_eq!(walked, (1..=6).map(Number).collect::<Vec<_>>());
        }
    }
}
