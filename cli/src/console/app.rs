//! State shared by all requests: connections, and the pages that have been made.
//!
//! While nothing changes in the database, all viewers of all pages together cost it one small statement per refresh.

use super::Arguments;
use super::form::Fields;
use super::guard::{Access, Viewer};
use super::json::Masks;
use super::page::{self, Page};
use super::problem::Problem;
use super::refused::{Refused, Sent};
use super::session::{Cookies, Sessions};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use pg_workflow_client::Engine;
use sqlx::{PgConnection, PgPool};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The console.
pub struct App {
    pub pool: PgPool,
    pub access: Access,
    pub sessions: Sessions,
    pub cookies: Cookies,
    pub person: String,
    pub read_only: bool,
    pub masks: Masks,
    /// Host names under which the console is reached, besides those of this machine.
    pub hosts: Vec<String>,
    pub refresh: Duration,
    /// How long a form may take to arrive.
    pub patience: Duration,
    shown: Mutex<HashMap<String, Shared>>,
    seen: tokio::sync::Mutex<Option<Seen>>,
}

/// A request for a page: who looks at it, and how.
pub struct Visit {
    pub viewer: Viewer,
    pub uri: Uri,
    pub headers: HeaderMap,
    /// The form on this page that has just been refused.
    pub refused: Option<Refused>,
}

impl Visit {
    /// Returns a visit to the page that contains a form, after that form was refused.
    pub fn again(viewer: &Viewer, address: &str, fields: &Fields, problem: Problem) -> Visit {
        let viewer = Viewer { notice: Some((false, problem.text())), ..viewer.clone() };
        let refused = Some(Refused { fields: fields.clone(), problem });
        Visit { viewer, uri: address.parse().unwrap_or_default(), headers: HeaderMap::new(), refused }
    }

    /// Returns the page's address, with its query.
    pub fn address(&self) -> &str {
        self.uri.path_and_query().map_or("/", |address| address.as_str())
    }

    /// Returns what was typed into a form of the page.
    pub fn sent(&self, form: &str) -> Sent<'_> {
        Sent::of(self.refused.as_ref(), form)
    }
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Visit, Problem> {
        let viewer = parts.extensions.get::<Viewer>().cloned().unwrap_or_default();
        Ok(Visit { viewer, uri: parts.uri.clone(), headers: parts.headers.clone(), refused: None })
    }
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

impl App {
    pub fn new(pool: PgPool, access: Access, port: u16, arguments: &Arguments) -> App {
        App {
            pool,
            access,
            sessions: Sessions::new(),
            cookies: Cookies::new(port),
            person: arguments.person.clone(),
            read_only: arguments.read_only,
            masks: Masks::new(&arguments.mask),
            hosts: arguments.host.clone(),
            refresh: arguments.refresh,
            patience: arguments.request_timeout,
            shown: Mutex::default(),
            seen: tokio::sync::Mutex::default(),
        }
    }

    /// Answers with a page, or with its parts if the browser only looks for changes. A page made for an address serves
    /// everybody who looks at it, until something changes in the database or the page is too old.
    pub async fn show(
        &self,
        visit: &Visit,
        make: impl AsyncFnOnce(&PgPool) -> Result<Page, Problem>,
    ) -> Result<Response, Problem> {
        let Visit { viewer, uri, headers, refused } = visit;
        if let Some(refused) = refused {
            // What one person has typed is not shown to others.
            let made = make(&self.pool).await.map_err(|_| refused.problem.clone())?;
            return Ok((refused.problem.status, page::again(self, viewer, uri, &made)).into_response());
        }
        let address = uri.path_and_query().map_or("/", |address| address.as_str());
        let shared = self.shared(address);
        let mut shared = shared.lock().await;
        // Opening a page shows the current state; pages that are already open learn of it at their next refresh.
        let seen = self.look(if page::is_live(headers) { self.refresh } else { Duration::ZERO }).await?;
        let kept = shared.as_ref().filter(|made| made.seen == seen && made.at.elapsed() < made.page.lasts);
        let page = match kept.map(|made| made.page.clone()) {
            Some(page) => page,
            None => {
                let at = Instant::now();
                let page = Arc::new(make(&self.pool).await?);
                *shared = Some(Made { at, seen, page: page.clone() });
                page
            }
        };
        drop(shared);
        Ok(page::respond(self, viewer, uri, headers, &page))
    }

    /// Returns the fingerprint of the database, which differs once anything has changed. Asks the server unless
    /// somebody's request did so within the given time. A server that takes long to answer, because very much is
    /// overdue, is asked less often.
    async fn look(&self, within: Duration) -> Result<Arc<str>, Problem> {
        let mut seen = self.seen.lock().await;
        let fresh = |seen: &&Seen| !within.is_zero() && seen.at.elapsed() < within.max(seen.took * 10);
        if let Some(seen) = seen.as_ref().filter(fresh) {
            return Ok(seen.word.clone());
        }
        let at = Instant::now();
        let word: Arc<str> = Engine::fingerprint(&self.pool).await?.into();
        *seen = Some(Seen { at, word: word.clone(), took: at.elapsed() });
        Ok(word)
    }

    fn shared(&self, address: &str) -> Shared {
        let mut shown = self.shown();
        if shown.len() >= KEPT {
            shown.retain(|_, page| Arc::strong_count(page) > 1);
        }
        shown.entry(address.to_owned()).or_default().clone()
    }

    fn shown(&self) -> MutexGuard<'_, HashMap<String, Shared>> {
        self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Performs an action for a person, in one transaction.
    pub async fn act<T>(
        &self,
        viewer: &Viewer,
        act: impl AsyncFnOnce(&mut PgConnection) -> pg_workflow_client::Result<T>,
    ) -> Result<T, Problem> {
        if self.read_only {
            return Err(Problem::read_only());
        }
        let mut transaction = self.pool.begin().await.map_err(pg_workflow_client::Error::from)?;
        Engine::act_for(&mut *transaction, &viewer.person).await?;
        let done = act(&mut transaction).await?;
        transaction.commit().await.map_err(pg_workflow_client::Error::from)?;
        Ok(done)
    }
}
