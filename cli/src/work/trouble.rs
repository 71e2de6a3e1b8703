//! What the client reports while it works: lost connections, refused reports.

use crate::output::{self, Style, queue};
use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// How often the same trouble is reported.
const AGAIN: Duration = Duration::from_secs(60);

/// Prints what the client reports: warnings for people, or all that RUST_LOG asks for.
pub fn tell() {
    // The library that reads ~/.pgpass logs lines that it can't use, with their passwords.
    let without_passwords = |filter: EnvFilter| match "sqlx_postgres::options=off".parse() {
        Ok(off) => filter.add_directive(off),
        Err(_) => filter,
    };
    // If there is a subscriber already, it reports everything.
    let _ = match EnvFilter::try_from_default_env() {
        Ok(filter) => tracing_subscriber::fmt()
            .with_env_filter(without_passwords(filter))
            .with_writer(|| queue::Writer)
            .with_ansi(false)
            .try_init(),
        Err(_) => tracing_subscriber::registry()
            .with(without_passwords("warn".into()))
            .with(Troubles::default())
            .try_init()
            .map_err(Into::into),
    };
}

/// Reports each trouble once, and again when a minute has passed.
#[derive(Default)]
struct Troubles(Mutex<HashMap<String, Instant>>);

impl Troubles {
    fn is_new(&self, trouble: &str) -> bool {
        let mut told = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        told.retain(|_, at| at.elapsed() < AGAIN);
        told.insert(trouble.to_owned(), Instant::now()).is_none_or(|before| {
            // It was reported then, not now.
            told.insert(trouble.to_owned(), before);
            false
        })
    }
}

impl<S: Subscriber> Layer<S> for Troubles {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut told = Told::default();
        event.record(&mut told);
        if told.is_final() || !self.is_new(&told.subject()) {
            return;
        }
        match *event.metadata().level() {
            Level::ERROR => output::error(&told.text()),
            _ => output::note("warning", Style::Yellow, &told.text()),
        }
    }
}

/// An event's message and fields.
#[derive(Default)]
struct Told {
    message: String,
    error: Option<String>,
    /// The other fields, as text.
    rest: String,
}

impl Told {
    /// Whether the worker ends with this error, which is then the program's.
    fn is_final(&self) -> bool {
        self.message == "the worker cannot work on this server"
    }

    /// Returns what it is about. The same error stops all that a worker does: its polls, its heartbeats, its ticks.
    fn subject(&self) -> String {
        match &self.error {
            Some(error) => format!("{error}{}", self.rest),
            None => self.text(),
        }
    }

    fn text(&self) -> String {
        let error = self.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let rest = if self.rest.is_empty() { String::new() } else { format!(" ({})", self.rest.trim_start()) };
        format!("{}{rest}{error}", self.message)
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "error" | "refused" => self.error = Some(format!("{value:?}")),
            // They differ each time.
            "wait" | "unreported" => {}
            name => drop(write!(self.rest, " {name} {value:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_not_new() {
        let troubles = Troubles::default();
        assert!(troubles.is_new("no connection") && troubles.is_new("no room"));
        assert!(!troubles.is_new("no connection"));
    }

    #[test]
    fn an_error_that_stops_everything_is_one_trouble() {
        let told = |message: &str, error: Option<&str>, rest: &str| Told {
            message: message.to_owned(),
            error: error.map(str::to_owned),
            rest: rest.to_owned(),
        };
        let beat = told("heartbeat failed", Some("no connection"), "");
        assert_eq!(beat.subject(), told("tick failed", Some("no connection"), "").subject());
        assert_eq!(beat.text(), "heartbeat failed: no connection");
        assert_ne!(
            told("the lease is lost", None, " task 1").subject(),
            told("the lease is lost", None, " task 2").subject()
        );
        assert_eq!(
            told("the report is refused", Some("gone"), " task 1").text(),
            "the report is refused (task 1): gone"
        );
    }
}
