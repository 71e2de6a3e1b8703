//! Sessions: cookies that are signed, so that nothing has to be kept of those that go on.
//!
//! They are signed with a key that the process makes for itself. That ends them with the process, and so the process knows all that
//! were ended before their time: it keeps those that somebody has signed out of, and no others.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use chrono::Utc;
use ring::rand::SecureRandom;
use ring::{digest, hmac};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How long somebody stays signed in, in seconds.
pub const SECONDS: i64 = 12 * 3600;

/// How many sessions are kept that somebody has signed out of. Each was signed in with the token.
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

/// Returns what nobody can guess.
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
    /// Those that somebody has signed out of, and when they would be over anyway.
    sessions: HashMap<String, i64>,
    /// All that began before are over.
    before: i64,
}

/// What a session says, once its signature is known to be good.
struct Session<'s> {
    id: &'s str,
    until: i64,
    person: &'s str,
}

impl Sessions {
    pub fn new() -> Sessions {
        Sessions { key: Key::random(), ended: Mutex::default() }
    }

    /// Returns what the forms of a session contain.
    pub fn token(&self, session: &str) -> String {
        self.key.sign("form", session)
    }

    /// Whether a form is one of this session.
    pub fn has_token(&self, session: &str, token: &str) -> bool {
        self.key.agrees("form", session, token)
    }

    /// Begins a session of somebody.
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

    /// Returns who has a session, if it is signed and not over.
    pub fn person(&self, session: &str) -> Option<String> {
        let session = self.read(session)?;
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let over = session.until <= Utc::now().timestamp()
            || session.until - SECONDS < ended.before
            || ended.sessions.contains_key(session.id);
        if over { None } else { unhex(session.person) }
    }

    /// Ends a session: its cookie is worth nothing any more, wherever it is.
    pub fn end(&self, session: &str) {
        let Some(session) = self.read(session) else { return };
        let now = Utc::now().timestamp();
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.sessions.len() >= ENDED {
            ended.sessions.retain(|_, until| *until > now);
        }
        if ended.sessions.len() >= ENDED {
            // Rather everybody signs in again than that one of these goes on.
            *ended = Ended { before: now + 1, ..Ended::default() };
        }
        ended.sessions.insert(session.id.to_owned(), session.until);
    }
}

/// The names of the console's cookies. Browsers tell cookies apart by host and not by port, so the port is a part of them.
pub struct Cookies {
    pub session: String,
    pub notice: String,
}

impl Cookies {
    pub fn new(port: u16) -> Cookies {
        Cookies { session: format!("pg_workflow_session_{port}"), notice: format!("pg_workflow_notice_{port}") }
    }
}

/// Returns a cookie that the browser has sent.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(';'));
    all.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Returns a cookie that scripts and other sites do not get, and that goes over TLS only if it came that way.
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
        // What nobody has signed is not kept.
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
