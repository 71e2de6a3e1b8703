//! The servers, and which parts each of them has.

use crate::connect::Connection;
use crate::exit_status::Failure;
use pg_workflow_client::Engine;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

/// Number of parts.
const PARTS: usize = 1024;

/// Servers that have reported their parts.
pub struct Servers {
    pub servers: Vec<Server>,
    /// Index of the server that has each part.
    pub parts: Vec<Option<usize>>,
    publisher: usize,
}

pub struct Server {
    pub url: String,
    /// Its name where several servers are distinguished: host:port/database.
    pub name: String,
    /// Its `pg_workflow.node`.
    pub node: i32,
    options: PgConnectOptions,
}

impl Servers {
    /// Asks the servers for their parts.
    pub async fn ask(urls: &[String]) -> Result<Servers, Failure> {
        let (mut servers, mut parts, mut publishers) = (Vec::<Server>::new(), vec![None; PARTS], Vec::new());
        for (place, url) in urls.iter().enumerate() {
            let connection = Connection::of_url(url);
            let (name, options) = (connection.name()?, connection.options()?);
            let mut session = connection.open().await?;
            let own = Engine::find_parts(&mut session).await.map_err(|error| Failure::from(error).about(&name))?;
            for part in numbers(&own) {
                if let Some(other) = parts[part].replace(place) {
                    let other: &Server = &servers[other];
                    return Err(Failure::refused(format!("both {} and {name} have part {part}", other.name)).hint(
                        "Compare workflow_find_parts() on all servers. Each part must be on exactly one of them.",
                    ));
                }
            }
            if !follows(&mut session).await? {
                publishers.push(place);
            }
            // A session that has not loaded the library does not know its default.
            let setting = "SELECT COALESCE(NULLIF(pg_catalog.current_setting('pg_workflow.node', true), ''), '0')::int";
            let node: i32 = sqlx::query_scalar(setting).fetch_one(&mut session).await?;
            session.close().await?;
            servers.push(Server { url: url.clone(), name, node, options });
        }
        match publishers[..] {
            [publisher] => Ok(Servers { servers, parts, publisher }),
            [] => Err(Failure::refused("all these servers replicate the definitions of another one")
                .hint("Also name the server that publishes them.")),
            [first, second, ..] => {
                let (first, second) = (&servers[first].name, &servers[second].name);
                Err(Failure::refused(format!("{first} and {second} both have definitions of their own"))
                    .hint("Make all servers but one replicate definitions, with workflow_subscribe_definitions."))
            }
        }
    }

    /// Refuses servers that have the same `pg_workflow.node`.
    pub fn have_own_numbers(&self) -> Result<(), Failure> {
        for (place, server) in self.servers.iter().enumerate() {
            if let Some(other) = self.servers[..place].iter().find(|other| other.node == server.node) {
                let (first, second, node) = (&other.name, &server.name, server.node);
                return Err(Failure::refused(format!("{first} and {second} both have pg_workflow.node = {node}"))
                    .hint("Give each server a number that no other server has had."));
            }
        }
        Ok(())
    }

    /// Returns the index of the server that publishes the definitions.
    pub fn publisher(&self) -> usize {
        self.publisher
    }

    pub fn publisher_url(&self) -> &str {
        &self.servers[self.publisher].url
    }

    /// Returns the parts that no server has, as numbers and ranges.
    pub fn unowned(&self) -> String {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for part in (0..PARTS).filter(|part| self.parts[*part].is_none()) {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == part => *last = part,
                _ => ranges.push((part, part)),
            }
        }
        let text = |(first, last)| if first == last { format!("{first}") } else { format!("{first}-{last}") };
        ranges.into_iter().map(text).collect::<Vec<_>>().join(",")
    }
}

impl Server {
    /// Returns a libpq connection string without user and password, which are the caller's.
    pub fn connection_string(&self) -> String {
        let options = &self.options;
        let host = options.get_socket().map_or(options.get_host().to_owned(), |socket| socket.display().to_string());
        let database = options.get_database().unwrap_or(options.get_username());
        let mode = format!("{:?}", options.get_ssl_mode());
        let mut kebab = String::new();
        for letter in mode.chars() {
            if letter.is_uppercase() && !kebab.is_empty() {
                kebab.push('-');
            }
            kebab.extend(letter.to_lowercase());
        }
        let setting =
            |name: &str, value: &str| format!("{name}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
        [
            setting("host", &host),
            setting("port", &options.get_port().to_string()),
            setting("dbname", database),
            setting("sslmode", &kebab),
        ]
        .join(" ")
    }
}

/// Whether a server replicates the definitions of another one.
async fn follows(session: &mut PgConnection) -> Result<bool, Failure> {
    let follows = "SELECT EXISTS (SELECT FROM pg_catalog.pg_subscription_rel AS r WHERE r.srrelid = 'workflow.pack'::pg_catalog.regclass)";
    Ok(sqlx::query_scalar(follows).fetch_one(session).await?)
}

/// Returns the parts that a server reports as numbers and ranges.
fn numbers(ranges: &str) -> Vec<usize> {
    let mut numbers = Vec::new();
    for range in ranges.split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
            numbers.extend(first..=last.min(PARTS - 1));
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn parts_are_read_and_those_without_a_server_are_named() {
        assert_eq!(numbers("0-2,7"), [0, 1, 2, 7]);
        assert_eq!(numbers(""), [0; 0]);
        let mut parts = vec![Some(0); PARTS];
        [3, 4, 5, 1023].into_iter().for_each(|part| parts[part] = None);
        assert_eq!(Servers { servers: Vec::new(), parts, publisher: 0 }.unowned(), "3-5,1023");
    }

    #[test]
    fn a_connection_string_has_no_user_and_no_password() {
        let url = "postgres://me:secret@db.example:6000/it's?sslmode=verify-full";
        let options = PgConnectOptions::from_str(url).unwrap();
        let server = Server { url: url.to_owned(), name: String::new(), node: 0, options };
        assert_eq!(server.connection_string(), r"host='db.example' port='6000' dbname='it\'s' sslmode='verify-full'");
    }
}
