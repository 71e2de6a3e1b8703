//! Failures of handlers.

use crate::Outcome;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::any::Any;
use std::fmt;
use std::time::Duration;

/// Reason why a handler failed, and whether a retry makes sense. The `?` operator converts any [`std::error::Error`]
/// into one; for `anyhow::Error`, boxed errors and plain text, use [`Failure::of`].
///
/// Workflows see it as `error()`, an object with `type`, `message` and whatever was added with [`Failure::with`].
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    error: Map<String, Value>,
    may_retry: Option<bool>,
    retry_in: Option<Duration>,
    hold_for: Option<Duration>,
}

impl Failure {
    /// Creates a failure. The type is a single word that workflows can branch on.
    pub fn new(r#type: impl Into<String>, message: impl Into<String>) -> Failure {
        let error = [("type", r#type.into()), ("message", message.into())];
        let error = error.into_iter().map(|(key, text)| (key.to_owned(), Value::String(text))).collect();
        Failure { error, may_retry: None, retry_in: None, hold_for: None }
    }

    /// Converts an error that is not a [`std::error::Error`] itself: an `anyhow::Error`, a boxed error, or plain text.
    /// The type is the name that the innermost error gives itself in its debug output, or `error` for plain text.
    ///
    /// ```
    /// # use pg_workflow_client::worker::Failure;
    /// # fn parse() -> Result<i32, Box<dyn std::error::Error + Send + Sync>> { Ok("x".parse::<i32>()?) }
    /// let failure = parse().map_err(Failure::of).unwrap_err();
    /// assert_eq!(failure.to_string(), "ParseIntError: invalid digit found in string");
    /// ```
    pub fn of(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
        let error = error.into();
        let mut innermost: &dyn std::error::Error = error.as_ref();
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        // In its alternate form, because anyhow's plain one is meant for people.
        let name = format!("{innermost:#?}");
        let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
        let name = if end > 0 { &name[..end] } else { "error" };
        Failure::new(name, with_sources(error.as_ref()))
    }

    /// Adds a key to the error.
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Failure {
        self.error.insert(key.into(), value.into());
        self
    }

    /// Marks the failure as permanent: the task is not retried.
    pub fn do_not_retry(mut self) -> Failure {
        self.may_retry = Some(false);
        self
    }

    /// Sets the delay before a retry, if one follows, overriding the task's retry policy.
    pub fn retry_in(mut self, delay: Duration) -> Failure {
        self.retry_in = Some(delay);
        self
    }

    /// Sets the earliest time of a retry, if one follows, by this machine's clock, overriding the task's retry policy.
    /// Meant for services that ask not to be called until a given time.
    pub fn retry_at(self, time: DateTime<Utc>) -> Failure {
        let delay = time.signed_duration_since(Utc::now());
        self.retry_in(delay.to_std().unwrap_or(Duration::ZERO))
    }

    /// Holds back other tasks for this duration: those under one of the task's limits with the same key or, if the task
    /// has no limits, those of its action. Meant for services that ask all clients to come back later.
    pub fn hold_for(mut self, duration: Duration) -> Failure {
        self.hold_for = Some(duration);
        self
    }

    /// Returns the type that it was created with.
    pub fn r#type(&self) -> &str {
        self.error.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn of_panic(panic: &(dyn Any + Send)) -> Failure {
        let message = panic.downcast_ref::<&str>().copied();
        let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Failure::new("panic", message.unwrap_or("the handler panicked"))
    }

    pub(super) fn outcome(self, (task, lease_token): (i64, i64)) -> Outcome {
        let Failure { error, may_retry, retry_in, hold_for } = self;
        Outcome { may_retry, retry_in, hold_for, ..Outcome::failed(task, lease_token, json!(error)) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |key| self.error.get(key).and_then(Value::as_str).unwrap_or_default();
        write!(f, "{}: {}", text("type"), text("message"))
    }
}

/// `Failure` itself does not implement `Error`: this would conflict with the reflexive `From` implementation.
impl<E: std::error::Error> From<E> for Failure {
    /// Uses the error's Rust type name without its path (`ParseIntError`) as the type. The message includes its
    /// sources.
    fn from(error: E) -> Failure {
        let name = std::any::type_name::<E>();
        let name = name.split('<').next().unwrap_or(name);
        Failure::new(name.rsplit("::").next().unwrap_or(name), with_sources(&error))
    }
}

/// Returns the message of an error followed by those of its sources.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        // Many errors already include their source.
        if !message.ends_with(&text) {
            message = format!("{message}: {text}");
        }
        source = error.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_error_becomes_a_failure_with_its_name() {
        let failure = Failure::from("x".parse::<i32>().unwrap_err());
        assert_eq!(failure.to_string(), "ParseIntError: invalid digit found in string");
        let failed = failure.with("line", 3).outcome((1, 2));
        let error = json!({"type": "ParseIntError", "message": "invalid digit found in string", "line": 3});
        assert_eq!(failed, Outcome::failed(1, 2, error));
    }

    #[test]
    fn an_error_of_anyhow_keeps_the_name_of_its_cause() {
        use anyhow::Context;
        let parsed = || "x".parse::<i32>();
        let failure = Failure::of(anyhow::Error::from(parsed().unwrap_err()));
        assert_eq!(failure.to_string(), "ParseIntError: invalid digit found in string");
        let failure = Failure::of(parsed().context("no number").unwrap_err());
        assert_eq!(failure.to_string(), "ParseIntError: no number: invalid digit found in string");
        for text in [Failure::of(anyhow::anyhow!("all is {}", "lost")), Failure::of("all is lost")] {
            assert_eq!(text.to_string(), "error: all is lost");
        }
    }

    #[test]
    fn a_failure_says_whether_and_when_to_retry() {
        let failure = Failure::new("quota", "too many").retry_in(Duration::from_secs(5));
        assert_eq!(failure.clone().outcome((1, 2)).retry_in, Some(Duration::from_secs(5)));
        assert_eq!(failure.clone().do_not_retry().outcome((1, 2)).may_retry, Some(false));
        let later = failure.clone().retry_at(Utc::now() + Duration::from_secs(60)).outcome((1, 2)).retry_in.unwrap();
        assert!(later > Duration::from_secs(50) && later <= Duration::from_secs(60), "{later:?}");
        let past = failure.retry_at(Utc::now() - Duration::from_secs(60));
        assert_eq!(past.outcome((1, 2)).retry_in, Some(Duration::ZERO));
    }

    #[test]
    fn a_panic_keeps_its_message() {
        for panic in [Box::new("boom") as Box<dyn Any + Send>, Box::new("boom".to_owned())] {
            assert_eq!(Failure::of_panic(panic.as_ref()).to_string(), "panic: boom");
        }
    }
}
