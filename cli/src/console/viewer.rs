//! The person who makes a request, and how the console knows.

use super::session::Key;
use axum::http::HeaderName;

/// How people are identified.
pub enum Access {
    /// Anybody who can connect from this machine.
    Local,
    /// By a shared token.
    Token(Key),
    /// By a header from a proxy.
    Header(HeaderName),
}

/// The person who makes a request.
#[derive(Debug, Clone, Default)]
pub struct Viewer {
    pub person: String,
    /// What forms contain.
    pub csrf: String,
    pub signed_in: bool,
    /// Result of the last action, and whether it succeeded.
    pub notice: Option<(bool, String)>,
}
