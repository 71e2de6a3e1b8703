//! `pg-workflow console`: a web page that shows and controls what a database is doing.
//!
//! It keeps no state: every page is made from the client's calls, with the privileges of one database role, and several
//! viewers of a page cost the database no more than one (`app`). `guard` decides who people are and what a browser may
//! send; `serve` limits how much of the console anybody can occupy.

mod app;
mod approvals;
mod assets;
mod control;
mod definitions;
mod download;
mod draft;
mod drawing;
mod everything;
mod execution;
mod filter;
mod form;
mod frame;
mod guard;
mod hint;
mod jobs;
mod json;
mod limits;
mod overview;
mod page;
mod page_cache;
mod plot;
mod problem;
mod queues;
mod refused;
mod schedules;
mod schema;
mod search;
mod serve;
mod session;
mod tasks;
mod timeline;
mod viewer;
mod workers;

use crate::connect::Connection;
use crate::exit_status::{Ending, Failure};
use crate::output;
use crate::stop::Stop;
use crate::work::duration;
use app::App;
use axum::Router;
use axum::routing::{get, post};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use viewer::Access;

/// Serve a web page that shows executions, explains them, and controls them
///
/// By default, it only accepts connections from this machine; otherwise it needs a token, or a proxy that identifies
/// people.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7788", value_parser = address)]
    listen: SocketAddr,
    /// A file with the token that people sign in with, at least 16 characters; PG_WORKFLOW_CONSOLE_TOKEN may contain it
    /// instead
    #[arg(long, value_name = "FILE", conflicts_with = "person_header")]
    token_file: Option<PathBuf>,
    /// The header in which a reverse proxy names the person, such as X-Forwarded-User; everybody who can connect can
    /// set it
    #[arg(long, value_name = "NAME")]
    person_header: Option<String>,
    /// With --person-header: a name that the proxy passes on as the Host of requests; repeatable. Names of this machine
    /// are always accepted
    #[arg(long, value_name = "NAME", requires = "person_header")]
    host: Vec<String>,
    /// The name stored with the events of people who do not sign in; by default yours
    #[arg(long, value_name = "NAME", env = "USER", default_value = "console", hide_env = true)]
    person: String,
    /// Show everything, change nothing
    #[arg(long)]
    read_only: bool,
    /// Hide values by the end of their path, such as password or card.number; repeatable
    #[arg(long, value_name = "PATH")]
    mask: Vec<String>,
    /// How often pages look for changes; 0s: never
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    refresh: Duration,
    /// How many connections may be open at once; further ones are told that the console is busy
    #[arg(long, value_name = "NUMBER", default_value = "200", value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
    /// How long a request may take to arrive before its connection is closed
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    request_timeout: Duration,
    #[command(flatten)]
    connection: Connection,
}

/// Reads where to listen.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, such as 127.0.0.1:7788".to_owned())
}

/// Number of connections that all pages share.
const CONNECTIONS: u32 = 4;

/// How long a page waits for a connection before it says that the database is unavailable.
const PATIENCE: Duration = Duration::from_secs(4);

/// Serves until it is interrupted.
pub fn run(arguments: Arguments) -> crate::Ended {
    let access = access(&arguments)?;
    let mut options = arguments.connection.options()?;
    if arguments.read_only {
        options = options.options([("default_transaction_read_only", "on")]);
    }
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::unusable)?;
    runtime.block_on(async {
        let mut stop = Stop::new()?;
        let listener = tokio::net::TcpListener::bind(arguments.listen).await;
        let listener = listener
            .map_err(|error| Failure::unusable(error).about(format!("can't listen on {}", arguments.listen)))?;
        let address = listener.local_addr().map_err(Failure::unusable)?;
        // Connections are made when they are needed: the console may start before its database.
        let app = App::new(pool.connect_lazy_with(options), access, address.port(), &arguments);
        output::print(&format!("http://{address}/\n"));
        let bounds = serve::Bounds::new(arguments.max_connections.into(), arguments.request_timeout);
        let served = serve::serve(listener, router(Arc::new(app)), bounds);
        // Does not wait for clients that are still connected: nothing is lost.
        tokio::select! {
            () = served => Ok(Ending::Good),
            () = stop.asked() => Ok(Ending::Good),
        }
    })
}

/// Decides who may use the console. Refuses to listen to other machines unless people are identified.
fn access(arguments: &Arguments) -> Result<Access, Failure> {
    let token = match &arguments.token_file {
        Some(file) => {
            let about = |error| Failure::unusable(error).about(file.display());
            Some(std::fs::read_to_string(file).map_err(about)?.trim().to_owned())
        }
        None => std::env::var("PG_WORKFLOW_CONSOLE_TOKEN").ok().filter(|token| !token.is_empty()),
    };
    if token.as_ref().is_some_and(|token| token.len() < 16) {
        return Err(Failure::unusable("the token is too short").hint("Use at least 16 random characters."));
    }
    match (token, &arguments.person_header) {
        (_, Some(header)) => {
            let header =
                header.parse().map_err(|_| Failure::unusable(format!("{header} is not the name of a header")))?;
            Ok(Access::Header(header))
        }
        (Some(token), None) => Ok(Access::Token(session::Key::of_token(&token))),
        (None, None) if arguments.listen.ip().is_loopback() => Ok(Access::Local),
        (None, None) => {
            let message =
                format!("{} can be reached from other machines, and nobody would have to sign in", arguments.listen);
            Err(Failure::unusable(message).hint(
                "Give a token with --token-file, name your proxy's header with --person-header, or listen on 127.0.0.1.",
            ))
        }
    }
}

fn router(app: Arc<App>) -> Router {
    let pages = Router::new()
        .route("/", get(overview::show))
        .route("/executions", get(search::show).post(search::bulk))
        .route("/executions/{id}", get(execution::show))
        .route("/executions/{id}/tasks/{task}", get(tasks::show))
        .route("/executions/{id}/data/{what}", get(execution::data))
        .route("/executions/{id}/tasks/{task}/data/{what}", get(tasks::data))
        .route("/executions/{id}/{action}", post(control::execution))
        .route("/tasks/{task}/resolve", post(control::resolve))
        .route("/tick", post(control::tick))
        .route("/jobs", get(jobs::show).post(jobs::create))
        .route("/jobs/{job}/{action}", post(jobs::turn))
        .route("/approvals", get(approvals::show))
        .route("/approvals/{task}", get(approvals::one).post(approvals::answer))
        .route("/definitions", get(definitions::list).post(draft::define))
        .route("/definitions/{ref}", get(definitions::show))
        .route("/definitions/{ref}/start", post(control::start))
        .route("/draft", get(draft::show).post(draft::check))
        .route("/schedules", get(schedules::show))
        .route("/schedules/{name}/{action}", post(schedules::turn))
        .route("/limits", get(limits::show).post(limits::set))
        .route("/limits/hold", post(limits::hold))
        .route("/limits/release", post(limits::release))
        .route("/work", get(workers::show))
        .route("/check", get(workers::check))
        .fallback(frame::nowhere)
        .layer(axum::middleware::from_fn_with_state(app.clone(), guard::admit));
    Router::new()
        .route("/sign-in", get(guard::sign_in_page).post(guard::sign_in))
        .route("/sign-out", post(guard::sign_out))
        .route("/assets/{name}", get(assets::serve))
        .merge(pages)
        .layer(axum::middleware::map_response(guard::harden))
        .layer(axum::extract::DefaultBodyLimit::max(4 << 20))
        .with_state(app)
}
