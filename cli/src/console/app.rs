//! State shared by all requests, and what a request for a page has in common with others.

use super::Arguments;
use super::form::Fields;
use super::frame::{self, Frame};
use super::json::Masks;
use super::page::Page;
use super::page_cache::PageCache;
use super::problem::Problem;
use super::refused::{Refused, Sent};
use super::session::{Cookies, Sessions};
use super::viewer::{Access, Viewer};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use pg_workflow_client::Engine;
use sqlx::{PgConnection, PgPool};
use std::time::Duration;

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
    pages: PageCache,
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
            pages: PageCache::default(),
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
        let frame = self.frame(viewer, uri);
        if let Some(refused) = refused {
            // What one person has typed is not shown to others.
            let made = make(&self.pool).await.map_err(|_| refused.problem.clone())?;
            return Ok((refused.problem.status, frame.again(&made)).into_response());
        }
        // Opening a page shows the current state; pages that are already open learn of it at their next refresh.
        let within = if frame::is_live(headers) { self.refresh } else { Duration::ZERO };
        let page = self.pages.page(&self.pool, visit.address(), within, make).await?;
        Ok(frame.respond(headers, &page))
    }

    /// Returns the frame of a page for this person.
    pub fn frame<'v>(&self, viewer: &'v Viewer, uri: &'v Uri) -> Frame<'v> {
        Frame { viewer, uri, read_only: self.read_only, refresh: self.refresh }
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
