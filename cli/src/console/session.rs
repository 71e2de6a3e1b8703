//! Sessions: signed cookies, so that nothing has to be stored about those that are valid.
//!
//! They are signed with a key that the process generates, so no session outlives the process, and the process can
//! remember all that have ended early: those that somebody has signed out of.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use chrono::Utc;
use ring::rand::SecureRandom;
use ring::{digest, hmac};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How long somebody stays signed in, in seconds.
pub const SECONDS: i64 = 12 * 3600;

/// Maximum number of remembered sessions that somebody has signed out of. Each of them had signed in with the token.
const ENDED: usize = 10_000;

/// A key to sign with.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl Key {
    pub fn random() -> Key {
        Key::from(&random_bytes())
    }

    /// Returns the key of a token.
    pub fn of_token(token: &str) -> Key {
        Key::from(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())
    }

    fn from(bytes: &[u8]) -> Key {
        Key(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    pub fn sign(&self, purpose: &str, text: &str) -> String {
        hex(hmac::sign(&self.0, format!("{purpose}\n{text}").as_bytes()).as_ref())
    }

    pub fn agrees(&self, purpose: &str, text: &str, signature: &str) -> bool {
        // Comparing the tags of both takes the same time wherever they differ.
        let (a, b) = (self.sign(purpose, text), signature);
        hmac::sign(&self.0, a.as_bytes()).as_ref() == hmac::sign(&self.0, b.as_bytes()).as_ref()
    }
}

fn random_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    ring::rand::SystemRandom::new().fill(&mut bytes).expect("the system has random numbers");
    bytes
}

/// Returns random bytes that nobody can guess.
pub fn random() -> String {
    hex(&random_bytes())
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Option<String> {
    let bytes: Option<Vec<u8>> =
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect();
    String::from_utf8(bytes?).ok()
}

/// The sessions of this process.
pub struct Sessions {
    key: Key,
    ended: Mutex<Ended>,
}

#[derive(Default)]
struct Ended {
    /// The sessions that somebody has signed out of, and when they would have expired.
    sessions: HashMap<String, i64>,
    /// Sessions that began before this have ended.
    before: i64,
}

/// The content of a session whose signature has been verified.
struct Session<'s> {
    id: &'s str,
    until: i64,
    person: &'s str,
}

impl Sessions {
    pub fn new() -> Sessions {
        Sessions { key: Key::random(), ended: Mutex::default() }
    }

    /// Returns the token that the forms of a session contain.
    pub fn token(&self, session: &str) -> String {
        self.key.sign("form", session)
    }

    /// Whether a form belongs to this session.
    pub fn has_token(&self, session: &str, token: &str) -> bool {
        self.key.agrees("form", session, token)
    }

    /// Begins a session for a person.
    pub fn begin(&self, person: &str) -> String {
        self.sign(&format!("{}.{}.{}", random(), Utc::now().timestamp() + SECONDS, hex(person.as_bytes())))
    }

    fn sign(&self, text: &str) -> String {
        format!("{text}.{}", self.key.sign("session", text))
    }

    fn read<'s>(&self, session: &'s str) -> Option<Session<'s>> {
        let (text, signature) = session.rsplit_once('.')?;
        let mut words = text.split('.');
        let read = Session { id: words.next()?, until: words.next()?.parse().ok()?, person: words.next()? };
        self.key.agrees("session", text, signature).then_some(read)
    }

    /// Returns whose session it is, if it is signed and has not ended.
    pub fn person(&self, session: &str) -> Option<String> {
        let session = self.read(session)?;
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let over = session.until <= Utc::now().timestamp()
            || session.until - SECONDS < ended.before
            || ended.sessions.contains_key(session.id);
        if over { None } else { unhex(session.person) }
    }

    /// Ends a session: all copies of its cookie become worthless.
    pub fn end(&self, session: &str) {
        let Some(session) = self.read(session) else { return };
        let now = Utc::now().timestamp();
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.sessions.len() >= ENDED {
            ended.sessions.retain(|_, until| *until > now);
        }
        if ended.sessions.len() >= ENDED {
            // Better that everybody has to sign in again than that one of these sessions continues.
            *ended = Ended { before: now + 1, ..Ended::default() };
        }
        ended.sessions.insert(session.id.to_owned(), session.until);
    }
}

/// The names of the console's cookies. Browsers distinguish cookies by host but not by port, so the names contain the
/// port.
pub struct Cookies {
    pub session: String,
    pub notice: String,
}

impl Cookies {
    pub fn new(port: u16) -> Cookies {
        Cookies { session: format!("pg_workflow_session_{port}"), notice: format!("pg_workflow_notice_{port}") }
    }
}

/// Returns a cookie that the browser sent.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(';'));
    all.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Returns a cookie that scripts and other sites cannot read, and that is sent only over TLS if it was set over TLS.
pub fn set_cookie(name: &str, value: &str, seconds: i64, secure: bool) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).expect("names and values are plain")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_void_once_it_is_changed_or_over_or_of_another_process() {
        let sessions = Sessions::new();
        let session = sessions.begin("Måria");
        assert_eq!(sessions.person(&session).as_deref(), Some("Måria"));
        assert_eq!(Sessions::new().person(&session), None);
        let other = if session.starts_with('0') { '1' } else { '0' };
        assert_eq!(sessions.person(&format!("{other}{}", &session[1..])), None);
        assert_eq!(sessions.person(&sessions.sign(&format!("00.1.{}", hex(b"m")))), None);
    }

    #[test]
    fn a_session_that_was_ended_is_void_and_no_other() {
        let sessions = Sessions::new();
        let (one, other) = (sessions.begin("one"), sessions.begin("other"));
        sessions.end(&one);
        assert_eq!((sessions.person(&one), sessions.person(&other).as_deref()), (None, Some("other")));
        // Sessions without a valid signature are not remembered.
        sessions.end("00.99999999999.00.00");
        assert_eq!(sessions.ended.lock().unwrap().sessions.len(), 1);
    }

    #[test]
    fn when_too_many_were_ended_everybody_signs_in_again() {
        let sessions = Sessions::new();
        let begun = |at: i64| sessions.sign(&format!("{at}.{}.00", Utc::now().timestamp() + SECONDS - at));
        (0..ENDED as i64).for_each(|at| sessions.end(&begun(at % 100)));
        (100..ENDED as i64 + 100).for_each(|at| sessions.end(&begun(at)));
        assert_eq!(sessions.person(&begun(7)), None, "it was ended");
        assert_eq!(sessions.person(&begun(20_000)), None, "it began before");
        assert!(sessions.ended.lock().unwrap().sessions.len() <= ENDED);
        let later = sessions.sign(&format!("aa.{}.{}", Utc::now().timestamp() + SECONDS + 5, hex(b"m")));
        assert_eq!(sessions.person(&later).as_deref(), Some("m"));
    }
}
