//! Pages that have been made, each of which serves everybody who looks at it.
//!
//! While nothing changes in the database, all viewers of all pages together cost it one small statement per refresh.

use super::page::Page;
use super::problem::Problem;
use pg_workflow_client::Engine;
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Pages by address, and the state of the database when it was last looked at.
#[derive(Default)]
pub struct PageCache {
    pages: Mutex<HashMap<String, Shared>>,
    seen: tokio::sync::Mutex<Option<Seen>>,
}

/// A page that was made for one viewer and serves the others, too. Requests that arrive while it is being made wait for
/// it.
type Shared = Arc<tokio::sync::Mutex<Option<Made>>>;

/// The fingerprint of the database, when it was taken, and how long that took.
struct Seen {
    at: Instant,
    word: Arc<str>,
    took: Duration,
}

/// A page, and the fingerprint of the database from before it was made.
struct Made {
    at: Instant,
    seen: Arc<str>,
    page: Arc<Page>,
}

/// Maximum number of pages kept.
const KEPT: usize = 256;

impl PageCache {
    /// Returns the page of an address. It is made anew once something has changed in the database, or if it is too old.
    /// Asks the server whether anything has changed, unless somebody's request did so within the given time.
    pub async fn page(
        &self,
        pool: &PgPool,
        address: &str,
        within: Duration,
        make: impl AsyncFnOnce(&PgPool) -> Result<Page, Problem>,
    ) -> Result<Arc<Page>, Problem> {
        let shared = self.shared(address);
        let mut shared = shared.lock().await;
        let seen = self.look(pool, within).await?;
        if let Some(made) = shared.as_ref().filter(|made| made.seen == seen && made.at.elapsed() < made.page.lasts) {
            return Ok(made.page.clone());
        }
        let at = Instant::now();
        let page = Arc::new(make(pool).await?);
        *shared = Some(Made { at, seen, page: page.clone() });
        Ok(page)
    }

    /// Returns the fingerprint of the database, which differs once anything has changed. Asks the server unless
    /// somebody's request did so within the given time. A server that takes a long time to answer, because a great deal
    /// is overdue, is asked less often.
    async fn look(&self, pool: &PgPool, within: Duration) -> Result<Arc<str>, Problem> {
        let mut seen = self.seen.lock().await;
        let fresh = |seen: &&Seen| !within.is_zero() && seen.at.elapsed() < within.max(seen.took * 10);
        if let Some(seen) = seen.as_ref().filter(fresh) {
            return Ok(seen.word.clone());
        }
        let at = Instant::now();
        let word: Arc<str> = Engine::fingerprint(pool).await?.into();
        *seen = Some(Seen { at, word: word.clone(), took: at.elapsed() });
        Ok(word)
    }

    fn shared(&self, address: &str) -> Shared {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.len() >= KEPT {
            pages.retain(|_, page| Arc::strong_count(page) > 1);
        }
        pages.entry(address.to_owned()).or_default().clone()
    }
}
