//! Service files.

use super::{is_mode, is_port, variable};
use crate::exit_status::Failure;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Settings that have an effect.
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

/// Settings of libpq that may be left out: they are not about whom to trust.
const WITHOUT_EFFECT: [&str; 16] = [
    "client_encoding",
    "connect_timeout",
    "fallback_application_name",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "replication",
    "sslcompression",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// Settings of libpq that ask for nothing if they have these values.
const UNDEMANDING: [(&str, &[&str]); 5] = [
    ("channel_binding", &["disable", "prefer"]),
    ("gssencmode", &["disable", "prefer"]),
    ("gssdelegation", &["0"]),
    ("sslcertmode", &["disable", "allow"]),
    ("sslnegotiation", &["postgres"]),
];

/// Returns a service as a URL.
pub fn url(name: &str) -> Result<String, Failure> {
    for path in files() {
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(Failure::unusable(error).about(format!("the service file {}", path.display()))),
        };
        let text = String::from_utf8(text)
            .map_err(|_| Failure::unusable(format!("the service file {} is not UTF-8", path.display())))?;
        if let Some(url) = find(&text, name, &path)? {
            return Ok(url);
        }
    }
    let looked: Vec<String> = files().iter().map(|path| path.display().to_string()).collect();
    Err(Failure::unusable(format!("there is no service {name}"))
        .hint(format!("Add a section [{name}] to {}.", looked.join(" or "))))
}

/// Returns the files that may name services, the user's own first.
fn files() -> Vec<PathBuf> {
    let path = |name: &str| variable(name).map(PathBuf::from);
    let own = path("PGSERVICEFILE").or_else(|| path("HOME").map(|home| home.join(".pg_service.conf")));
    let shared = path("PGSYSCONFDIR").unwrap_or_else(|| "/etc/postgresql-common".into());
    own.into_iter().chain([shared.join("pg_service.conf")]).collect()
}

/// Returns a service of a file as a URL, or nothing if the file has no such section. What has no effect here is
/// refused: a misspelt `sslmode` would leave the connection without encryption.
fn find(text: &str, name: &str, path: &Path) -> Result<Option<String>, Failure> {
    let mut lines = text.lines().map(str::trim).enumerate();
    let is_head = |line: &str| line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) == Some(name);
    if !lines.any(|(_, line)| is_head(line)) {
        return Ok(None);
    }
    let mut parameters = Vec::new();
    for (number, line) in lines.take_while(|(_, line)| !line.starts_with('[')) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = || format!("{}, line {}", path.display(), number + 1);
        let Some((key, value)) = line.split_once('=') else {
            return Err(Failure::unusable("it is not of the form key=value").about(place()));
        };
        let (key, value) = (key.trim(), value.trim());
        check(key, value).map_err(|failure| failure.about(place()))?;
        if KNOWN.contains(&key) {
            parameters.push(format!("{key}={}", encoded(value)));
        }
    }
    Ok(Some(format!("postgres:///?{}", parameters.join("&"))))
}

/// Refuses a setting that can't be used.
fn check(key: &str, value: &str) -> Result<(), Failure> {
    let invalid = |hint: &str| Err(Failure::unusable(format!("{key} is {value}, which can't be used")).hint(hint));
    match key {
        "port" if !is_port(value) => invalid("Use a single port."),
        "sslmode" if !is_mode(value) => invalid("Use disable, allow, prefer, require, verify-ca or verify-full."),
        key if KNOWN.contains(&key) || WITHOUT_EFFECT.contains(&key) => Ok(()),
        key if UNDEMANDING.iter().any(|(name, values)| *name == key && values.contains(&value)) => Ok(()),
        key => Err(Failure::unusable(format!("{key} is not supported"))
            .hint(format!("Is it misspelt? What has an effect is {}.", KNOWN.join(", ")))),
    }
}

fn encoded(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    value.bytes().map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::postgres::PgConnectOptions;
    use std::str::FromStr;

    fn found(text: &str) -> Result<Option<String>, String> {
        find(text, "shop", Path::new("services")).map_err(|failure| failure.text())
    }

    #[test]
    fn a_service_is_found_and_becomes_a_url() {
        let text = "[other]\nhost=a\n\n[shop]\n# comment\nhost=/run/db\nport = 5433\nuser=me\npassword=a b&c\nkeepalives=1\n[next]\nport=x\n";
        let url = found(text).unwrap().unwrap();
        assert_eq!(url, "postgres:///?host=%2Frun%2Fdb&port=5433&user=me&password=a%20b%26c");
        let options = PgConnectOptions::from_str(&url).unwrap();
        assert_eq!((options.get_port(), options.get_username()), (5433, "me"));
        assert_eq!(options.get_socket(), Some(&PathBuf::from("/run/db")));
        assert_eq!(find(text, "none", Path::new("services")).unwrap(), None);
    }

    #[test]
    fn what_would_have_no_effect_is_refused_with_its_place() {
        for (line, told) in [
            ("sslmod=verify-full", "services, line 3: sslmod is not supported\n  hint: Is it misspelt?"),
            ("requirepeer=postgres", "services, line 3: requirepeer is not supported"),
            ("channel_binding=require", "services, line 3: channel_binding is not supported"),
            ("sslmode=verify", "services, line 3: sslmode is verify, which can't be used"),
            ("port=5432,5433", "services, line 3: port is 5432,5433, which can't be used\n  hint: Use a single port."),
            ("host", "services, line 3: it is not of the form key=value"),
        ] {
            let failure = found(&format!("[shop]\nuser=me\n{line}\n")).unwrap_err();
            assert!(failure.starts_with(told), "{failure}");
        }
        assert!(found("[shop]\nchannel_binding=prefer\nconnect_timeout=3\n").is_ok());
    }
}
