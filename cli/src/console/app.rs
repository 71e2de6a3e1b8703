//! What all requests share: connections, and the pages made from them.

use super::Arguments;
use super::guard::{Access, Key, Viewer};
use super::json::Masks;
use super::page::{self, Page};
use super::problem::Problem;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use pg_workflow_client::Engine;
use sqlx::{PgConnection, PgPool};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The console.
pub struct App {
    pub pool: PgPool,
    pub access: Access,
    pub key: Key,
    pub person: String,
    pub read_only: bool,
    pub masks: Masks,
    /// Host names under which the console is reached, besides those of this machine.
    pub hosts: Vec<String>,
    pub refresh: Duration,
    shown: Mutex<HashMap<String, Shared>>,
}

/// Who looks at which page, and how.
pub struct Visit {
    pub viewer: Viewer,
    pub uri: Uri,
    pub headers: HeaderMap,
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Visit, Problem> {
        let viewer = parts.extensions.get::<Viewer>().cloned().unwrap_or_default();
        Ok(Visit { viewer, uri: parts.uri.clone(), headers: parts.headers.clone() })
    }
}

/// A page that was made for one viewer and serves the others, too. Viewers who request it while it is being made wait for
/// it.
type Shared = Arc<tokio::sync::Mutex<Option<(Instant, Arc<Page>)>>>;

/// Maximum number of pages kept.
const KEPT: usize = 256;

impl App {
    pub fn new(pool: PgPool, access: Access, arguments: &Arguments) -> App {
        let key = match &access {
            Access::Token(key) => key.clone(),
            _ => Key::random(),
        };
        App {
            pool,
            access,
            key,
            person: arguments.person.clone(),
            read_only: arguments.read_only,
            masks: Masks::new(&arguments.mask),
            hosts: arguments.host.clone(),
            refresh: arguments.refresh,
            shown: Mutex::default(),
        }
    }

    /// Answers with a page, or with its parts if the browser only looks for changes. Within half of a refresh, everybody who
    /// looks at the same address gets the same.
    pub async fn show(
        &self,
        visit: &Visit,
        make: impl AsyncFnOnce(&PgPool) -> Result<Page, Problem>,
    ) -> Result<Response, Problem> {
        let Visit { viewer, uri, headers } = visit;
        let address = uri.path_and_query().map_or("/", |address| address.as_str());
        let shared = self.shared(address);
        let mut shared = shared.lock().await;
        let fresh = |(at, _): &&(Instant, Arc<Page>)| at.elapsed() < self.refresh / 2;
        // A viewer who has just done something must see the result.
        let kept = shared.as_ref().filter(fresh).filter(|_| viewer.notice.is_none()).map(|(_, page)| page.clone());
        let made = match kept {
            Some(page) => page,
            None => {
                let page = Arc::new(make(&self.pool).await?);
                *shared = Some((Instant::now(), page.clone()));
                page
            }
        };
        drop(shared);
        Ok(page::respond(self, viewer, uri, headers, &made))
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

    /// Does something for a person, in one transaction.
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
        // Pages made before this are not shown to anybody any longer.
        self.shown().clear();
        Ok(done)
    }
}
