//! Connects to a database, as PostgreSQL's own programs do: by URL, service file, or PG* environment.

mod passfile;
mod service;

use crate::exit_status::Failure;
use chrono::Local;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection as _, Executor, PgConnection};
use std::str::FromStr;
use std::time::Duration;

/// The database to work with.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The database, as postgres://user@host:port/name; otherwise DATABASE_URL, PGSERVICE or the PG* variables say
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A service of ~/.pg_service.conf or of the file that PGSERVICEFILE names
    #[arg(long, value_name = "NAME", conflicts_with = "url")]
    service: Option<String>,
}

/// How long a connection may take, unless PGCONNECT_TIMEOUT says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

impl Connection {
    /// Returns the database that a URL names.
    pub fn of_url(url: &str) -> Connection {
        Connection { url: Some(url.to_owned()), service: None }
    }

    /// Returns the name of the server where several servers are distinguished: host:port/database.
    pub fn name(&self) -> Result<String, Failure> {
        let options = self.options()?;
        let database = options.get_database().unwrap_or(options.get_username());
        Ok(format!("{}:{}/{database}", options.get_host(), options.get_port()))
    }

    /// Returns how to connect.
    pub fn options(&self) -> Result<PgConnectOptions, Failure> {
        check_variables()?;
        let url = match (&self.url, &self.service) {
            (Some(url), _) => Some(url.clone()),
            (None, Some(service)) => Some(service::url(service)?),
            (None, None) => match (variable("DATABASE_URL"), variable("PGSERVICE")) {
                (None, Some(service)) => Some(service::url(&service)?),
                (url, _) => url,
            },
        };
        if std::env::var_os("PGPASSWORD").is_none() && !url.as_deref().is_some_and(has_password) {
            passfile::check()?;
        }
        let options = url.map_or_else(|| Ok(PgConnectOptions::new()), |url| parse(&url))?;
        let named = options.get_application_name().is_some();
        let options = if named { options } else { options.application_name("pg-workflow") };
        // The server's notices are printed with the results, and are not logged again.
        Ok(options.disable_statement_logging())
    }

    /// Connects.
    pub async fn open(&self) -> Result<PgConnection, Failure> {
        connect(&self.options()?).await
    }

    /// Connects for a person: the server's texts contain times in the local time zone, like the program's own.
    pub async fn open_local(&self) -> Result<PgConnection, Failure> {
        let mut session = self.open().await?;
        let offset = Local::now().format("%:z").to_string();
        if offset != "+00:00" {
            session.execute(sqlx::AssertSqlSafe(format!("SET TIME ZONE INTERVAL '{offset}' HOUR TO MINUTE"))).await?;
        }
        Ok(session)
    }

    /// Connects, and returns a pool of up to this many further connections, which are made when they are needed. A pool
    /// tries again for a while, and then does not say why it did not succeed.
    pub async fn pool(&self, connections: u32) -> Result<(PgConnection, PgPool), Failure> {
        let options = self.options()?;
        let session = connect(&options).await?;
        let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(patience());
        Ok((session, pool.connect_lazy_with(options)))
    }
}

/// Connects, and waits until the server answers: something else may accept connections, and then say nothing.
pub async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Failure> {
    let connected = async {
        let mut session = options.connect().await?;
        session.ping().await?;
        Ok::<_, sqlx::Error>(session)
    };
    let failure = match tokio::time::timeout(patience(), connected).await {
        Ok(Ok(session)) => return Ok(session),
        Ok(Err(error)) => {
            let database = options.get_database().unwrap_or(options.get_username());
            Failure::of_connecting(error, database, options.get_username())
        }
        Err(_) => sqlx::Error::PoolTimedOut.into(),
    };
    Err(failure.about(place(options)))
}

/// Whether a URL contains a password, so that none is looked for elsewhere.
fn has_password(url: &str) -> bool {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let user = place.split_once("://").and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'));
    user.is_some_and(|(user, _)| user.contains(':')) || query.split('&').any(|part| part.starts_with("password="))
}

/// Returns a variable of the environment. An empty one counts as not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// Refuses variables that can't be used. Otherwise, they would be ignored, and a misspelt TLS mode would not be
/// noticed.
fn check_variables() -> Result<(), Failure> {
    check_variable("PGSSLMODE", is_mode, "Use disable, allow, prefer, require, verify-ca or verify-full.")?;
    check_variable("PGPORT", is_port, "Use a single port.")?;
    check_variable("PGCONNECT_TIMEOUT", is_number, "Use a number of seconds.")
}

fn check_variable(name: &str, is_usable: fn(&str) -> bool, hint: &str) -> Result<(), Failure> {
    match variable(name) {
        Some(text) if !is_usable(&text) => {
            Err(Failure::unusable(format!("{name} is {text}, which can't be used")).hint(hint))
        }
        _ => Ok(()),
    }
}

fn is_mode(text: &str) -> bool {
    PgSslMode::from_str(text).is_ok()
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

fn is_number(text: &str) -> bool {
    text.parse::<u64>().is_ok()
}

/// Parameters of a URL that are about TLS and have an effect.
const TLS: [&str; 9] =
    ["sslmode", "ssl-mode", "sslrootcert", "ssl-root-cert", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key"];

fn parse(url: &str) -> Result<PgConnectOptions, Failure> {
    // The URL itself may contain a password.
    let refuse = |why: &str| {
        Failure::unusable(format!("the database's URL can't be used: {why}"))
            .hint("Write postgres://user@host:port/name.")
    };
    // sqlx takes any scheme.
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(refuse("it does not begin with postgres:// or postgresql://"));
    }
    // sqlx ignores parameters that it does not know.
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut names = query.split('&').filter_map(|parameter| parameter.split('=').next());
    if let Some(name) = names.find(|name| name.starts_with("ssl") && !TLS.contains(name)) {
        return Err(refuse(&format!("{name} is not supported; TLS is configured by sslmode and sslrootcert")));
    }
    PgConnectOptions::from_str(url).map_err(|error| refuse(&error.to_string()))
}

/// Returns the name of a database in messages.
fn place(options: &PgConnectOptions) -> String {
    let server = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let name = options.get_database().unwrap_or(options.get_username());
    format!("database {name} at {server}, port {}", options.get_port())
}

/// Returns how long connecting may take.
pub fn patience() -> Duration {
    let set = std::env::var("PGCONNECT_TIMEOUT").ok().and_then(|seconds| seconds.parse().ok());
    set.filter(|seconds| *seconds > 0).map_or(PATIENCE, Duration::from_secs)
}

/// Runs a future to its end. One thread is enough, because the program only waits for the database.
pub fn wait_for<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::unusable)?;
    Ok(runtime.block_on(future))
}
