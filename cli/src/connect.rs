//! Connects to a database, as PostgreSQL's own programs do: by URL, service file, or PG* environment.

use crate::ending::Failure;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, PgConnection};
use std::path::PathBuf;
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
        let options = match (&self.url, &self.service) {
            (Some(url), _) => parse(url)?,
            (None, Some(service)) => parse(&service::url(service)?)?,
            (None, None) => match (variable("DATABASE_URL"), variable("PGSERVICE")) {
                (Some(url), _) => parse(&url)?,
                (None, Some(service)) => parse(&service::url(&service)?)?,
                (None, None) => PgConnectOptions::new(),
            },
        };
        let named = options.get_application_name().is_some();
        let options = if named { options } else { options.application_name("pg-workflow") };
        // The server's notices are printed with the results, and are not logged again.
        Ok(options.disable_statement_logging())
    }

    /// Connects.
    pub async fn open(&self) -> Result<PgConnection, Failure> {
        let options = self.options()?;
        let connected = tokio::time::timeout(patience(), options.connect());
        let connected = connected.await.map_err(|_| sqlx::Error::PoolTimedOut).and_then(|connected| connected);
        connected.map_err(|error| Failure::from(error).about(place(&options)))
    }

    /// Opens a pool of up to this many connections.
    pub async fn pool(&self, connections: u32) -> Result<PgPool, Failure> {
        let options = self.options()?;
        let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(patience());
        match pool.connect_with(options.clone()).await {
            Ok(pool) => Ok(pool),
            Err(error) => {
                let failure = Failure::from(error).about(place(&options));
                // The pool tries again for a while, and then does not say why it did not succeed.
                Err(self.open().await.err().unwrap_or(failure))
            }
        }
    }
}

/// Returns a variable of the environment. An empty one counts as not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// Refuses variables that can't be used. Otherwise, they would be ignored, and a misspelt mode of TLS would not be noticed.
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

mod service {
    //! Service files.

    use super::*;

    /// Returns a service as a URL.
    pub fn url(name: &str) -> Result<String, Failure> {
        for path in files() {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            if let Some(settings) = find(&text, name) {
                return Ok(compose(&settings));
            }
        }
        let looked: Vec<String> = files().iter().map(|path| path.display().to_string()).collect();
        Err(Failure::unusable(format!("there is no service {name}"))
            .hint(format!("Add a section [{name}] to {}.", looked.join(" or "))))
    }

    /// Returns the files that may name services, the user's own first.
    fn files() -> Vec<PathBuf> {
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let own = variable("PGSERVICEFILE").or_else(|| variable("HOME").map(|home| home.join(".pg_service.conf")));
        let shared = variable("PGSYSCONFDIR").unwrap_or_else(|| "/etc/postgresql-common".into());
        own.into_iter().chain([shared.join("pg_service.conf")]).collect()
    }

    /// Returns the settings of a section.
    pub fn find(text: &str, name: &str) -> Option<Vec<(String, String)>> {
        let mut lines = text.lines().map(str::trim);
        lines.find(|line| line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) == Some(name))?;
        let section = lines.take_while(|line| !line.starts_with('['));
        let settings = section.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        Some(settings.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect())
    }

    /// Returns settings as a URL. Those that only libpq knows are left out.
    pub fn compose(settings: &[(String, String)]) -> String {
        const KNOWN: [&str; 12] = [
            "host",
            "hostaddr",
            "port",
            "dbname",
            "user",
            "password",
            "sslmode",
            "sslrootcert",
            "sslcert",
            "sslkey",
            "application_name",
            "options",
        ];
        let known = settings.iter().filter(|(key, _)| KNOWN.contains(&key.as_str()));
        let parts: Vec<String> = known.map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        format!("postgres:///?{}", parts.join("&"))
    }

    fn encoded(value: &str) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        value
            .bytes()
            .map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") })
            .collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_service_is_found_and_becomes_a_url() {
            let text = "[other]\nhost=a\n\n[shop]\n# comment\nhost=/run/db\nport = 5433\nuser=me\npassword=a b&c\nkeepalives=1\n[next]\nport=1\n";
            let url = compose(&find(text, "shop").unwrap());
            assert_eq!(url, "postgres:///?host=%2Frun%2Fdb&port=5433&user=me&password=a%20b%26c");
            let options = PgConnectOptions::from_str(&url).unwrap();
            assert_eq!((options.get_port(), options.get_username()), (5433, "me"));
            assert_eq!(options.get_socket(), Some(&PathBuf::from("/run/db")));
            assert_eq!(find(text, "none"), None);
        }
    }
}
