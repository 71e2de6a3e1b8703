//! Access control: who may use the console, and which requests of a browser are accepted.
//!
//! A request that changes something needs a token that only the console's own pages contain: a keyed hash of the
//! visitor's session. A session is a random cookie; with a shared token it also names the person and is signed
//! (`session`).

use super::app::App;
use super::form::Fields;
use super::frame;
use super::problem::Problem;
use super::session::{self, Key, cookie, hex, set_cookie, unhex};
use super::viewer::{Access, Viewer};
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, FromRequest, Request, State};
use axum::http::header::{HOST, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Returns a person's name in a form that events can store.
fn named(text: &str) -> Option<String> {
    let name: String = text.chars().filter(|character| !character.is_control()).take(100).collect();
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Admits a request if it is allowed, and tells the page who made it.
pub async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let session = cookie(headers, &app.cookies.session).map(str::to_owned);
    let person = match &app.access {
        Access::Local if !is_known(headers, &[]) => {
            let problem = Problem::new(StatusCode::FORBIDDEN, "this console is only for localhost");
            return problem.hint("Open it as http://localhost or http://127.0.0.1.").into_response();
        }
        Access::Header(_) if !is_known(headers, &app.hosts) => {
            let problem =
                Problem::new(StatusCode::FORBIDDEN, "this console does not accept requests for that host name");
            return problem.hint("Start it with --host and the name that the proxy passes on.").into_response();
        }
        Access::Local => Some(app.person.clone()),
        Access::Token(_) => session.as_deref().and_then(|session| app.sessions.person(session)),
        Access::Header(name) => {
            // If there are two such headers, the visitor may have added one.
            let mut given = headers.get_all(name).iter();
            let one = given.next().filter(|_| given.next().is_none());
            one.and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).and_then(named)
        }
    };
    let Some(person) = person else {
        return match (&app.access, request.method()) {
            (Access::Token(_), &Method::GET) if !frame::is_live(headers) => redirect("/sign-in"),
            (Access::Token(_), _) => Problem::new(StatusCode::UNAUTHORIZED, "please sign in").into_response(),
            _ => Problem::new(StatusCode::UNAUTHORIZED, "the proxy does not say who you are").into_response(),
        };
    };
    let made = session.is_none();
    let session = session.unwrap_or_else(session::random);
    let secure = is_secure(&app, headers);
    let notice = cookie(headers, &app.cookies.notice).and_then(unhex);
    let notice = notice.and_then(|text| Some((text.starts_with('+'), text.get(1..)?.to_owned())));
    let viewer = Viewer {
        person,
        csrf: app.sessions.token(&session),
        signed_in: matches!(app.access, Access::Token(_)),
        notice,
    };
    let shown = viewer.notice.is_some() && request.method() == Method::GET && !frame::is_live(headers);
    let mut request = match check(&app, &session, request).await {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    request.extensions_mut().insert(viewer);
    // If the browser goes away in the middle, the query still ends, and its connection can be used again.
    let mut response = match tokio::spawn(next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made").into_response(),
    };
    let told = response.extensions_mut().remove::<Told>();
    let mut set = |name: &str, value: &str, seconds| {
        response.headers_mut().append(SET_COOKIE, set_cookie(name, value, seconds, secure));
    };
    if made {
        set(&app.cookies.session, &session, session::SECONDS);
    }
    match told {
        Some(Told(text)) => set(&app.cookies.notice, &hex(text.as_bytes()), 60),
        None if shown => set(&app.cookies.notice, "", 0),
        None => {}
    }
    response
}

/// Whether the browser uses TLS to reach the proxy in front of the console: according to the header of a trusted proxy,
/// or to the origin that the browser sends with a form.
fn is_secure(app: &App, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let proxy = text("x-forwarded-proto").filter(|_| matches!(app.access, Access::Header(_)));
    let by_proxy = proxy.and_then(|all| all.split(',').next()).is_some_and(|first| first.trim() == "https");
    by_proxy || text("origin").is_some_and(|origin| origin.starts_with("https://") && same_origin(headers))
}

/// Whether a request was made to one of these names, or to one of this machine's own: any other name may belong to a
/// hostile site that resolves to this machine.
fn is_known(headers: &HeaderMap, names: &[String]) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    let own = ["localhost", "127.0.0.1", "[::1]"].into_iter().chain(names.iter().map(String::as_str));
    own.into_iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Reads the form of a request that changes something, and refuses it unless one of the console's pages made it.
async fn check(app: &App, session: &str, request: Request) -> Result<Request, Problem> {
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return Ok(request);
    }
    let foreign = Problem::new(StatusCode::FORBIDDEN, "this was not sent by a page of this console")
        .hint("Reload the page and try again.");
    if !same_origin(request.headers()) {
        return Err(foreign);
    }
    let (parts, body) = request.into_parts();
    let fields = read(app, Request::from_parts(parts.clone(), body)).await?;
    if !app.sessions.has_token(session, fields.get("csrf").unwrap_or_default()) {
        return Err(foreign);
    }
    let mut request = Request::from_parts(parts, axum::body::Body::empty());
    request.extensions_mut().insert(fields);
    Ok(request)
}

/// Reads a form, unless it takes too long to arrive.
async fn read(app: &App, request: Request) -> Result<Fields, Problem> {
    let form = tokio::time::timeout(app.patience, Form::<Vec<(String, String)>>::from_request(request, &())).await;
    let slow = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the form did not arrive in time").hint("Send it again.");
    let refused = |error: FormRejection| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the form is larger than 4 MiB")
            .hint("Send less, or call the function in SQL."),
        status => Problem::new(status, error.body_text()),
    };
    let Form(fields) = form.map_err(slow)?.map_err(refused)?;
    Ok(Fields(fields))
}

/// Whether a form comes from a page of this host, under its own name or the name that a proxy has for it. Forms on
/// other sites can't set the latter.
fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // Browsers name the origin of a form's request; other programs need none.
    let Some(origin) = text("origin") else { return true };
    let hosts = [text("host"), text("x-forwarded-host")];
    origin.split_once("://").is_some_and(|(_, of)| hosts.contains(&Some(of)))
}

/// Returns the page where people sign in.
pub async fn sign_in_page(State(app): State<Arc<App>>) -> Response {
    match app.access {
        Access::Token(_) => axum::response::Html(frame::sign_in(None).0).into_response(),
        _ => redirect("/"),
    }
}

/// Signs in a person who knows the token.
pub async fn sign_in(State(app): State<Arc<App>>, request: Request) -> Response {
    let Access::Token(key) = &app.access else { return redirect("/") };
    let headers = request.headers().clone();
    let fields = match read(&app, request).await {
        Ok(fields) => fields,
        Err(problem) => return problem.into_response(),
    };
    let given = Key::of_token(fields.get("token").unwrap_or_default().trim());
    let known = key.agrees("token", "", &given.sign("token", ""));
    let (true, true, Some(person)) = (known, same_origin(&headers), named(fields.get("person").unwrap_or_default()))
    else {
        // Slows down guessing.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let again = frame::sign_in(Some("The token is wrong, or your name is missing."));
        return (StatusCode::UNAUTHORIZED, axum::response::Html(again.0)).into_response();
    };
    let begun = app.sessions.begin(&person);
    let mut response = redirect("/");
    let cookie = set_cookie(&app.cookies.session, &begun, session::SECONDS, is_secure(&app, &headers));
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}

/// Signs a person out. The session ends for everybody who has a copy of its cookie.
pub async fn sign_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let session = cookie(&headers, &app.cookies.session).filter(|_| same_origin(&headers));
    session.into_iter().for_each(|session| app.sessions.end(session));
    let mut response = redirect("/sign-in");
    let cookie = set_cookie(&app.cookies.session, "", 0, is_secure(&app, &headers));
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}

/// Redirects the browser to a page of the console.
pub fn redirect(to: &str) -> Response {
    let own = to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\");
    let to = HeaderValue::from_str(if own { to } else { "/" }).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}

/// A message for the page that the browser is sent to, with its signature.
#[derive(Clone)]
struct Told(String);

/// Sends the browser to a page that shows the outcome of an action.
pub fn tell(to: &str, done: Result<String, Problem>) -> Response {
    let (sign, text) = match done {
        Ok(text) => ('+', text),
        Err(problem) => ('-', problem.text()),
    };
    // Browsers drop cookies of more than 4096 bytes. Hexadecimal digits double up to four bytes per character.
    let text = conductor::finding::shorten(&text, 500);
    let mut response = redirect(to);
    response.extensions_mut().insert(Told(format!("{sign}{text}")));
    response
}

/// Adds the headers that keep a browser from doing more than showing the page.
pub async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &'static str| {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    };
    set(
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    );
    set("x-content-type-options", "nosniff");
    set("referrer-policy", "same-origin");
    set("cross-origin-opener-policy", "same-origin");
    set("cross-origin-resource-policy", "same-origin");
    if !response.headers().contains_key("cache-control") {
        response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_comes_from_this_host_by_its_own_name_or_the_one_that_a_proxy_has_for_it() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect::<HeaderMap>()
        };
        let host = ("host", "localhost:7788");
        assert!(same_origin(&headers(&[host])));
        assert!(same_origin(&headers(&[host, ("origin", "http://localhost:7788")])));
        assert!(same_origin(&headers(&[host, ("origin", "https://a.example"), ("x-forwarded-host", "a.example")])));
        for origin in ["http://localhost:1", "https://localhost", "null", "https://a.example", ""] {
            assert!(!same_origin(&headers(&[host, ("origin", origin)])), "{origin}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_local() {
        let names = ["flow.example".to_owned()];
        let local =
            |host: &'static str| is_known(&[(HOST, HeaderValue::from_static(host))].into_iter().collect(), &names);
        assert!(
            ["localhost", "LOCALHOST:7788", "flow.example", "127.0.0.1:1", "[::1]:7788", "[::1]"]
                .into_iter()
                .all(local)
        );
        assert!(
            !["a.example", "localhost.a.example", "127.0.0.1.a.example:7788", "", "localhost:x"].into_iter().any(local)
        );
    }

    #[test]
    fn redirects_stay_in_the_console() {
        for (to, location) in
            [("/x?y=1", "/x?y=1"), ("//evil", "/"), ("https://evil", "/"), ("/\\evil", "/"), ("/a\nb", "/")]
        {
            assert_eq!(redirect(to).headers()[LOCATION], location, "{to}");
        }
    }
}
