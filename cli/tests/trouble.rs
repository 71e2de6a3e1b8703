//! Servers that refuse connections, simulated by the test.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};

/// Runs the program against a server that answers every connection with this error.
fn refused(sqlstate: &str, message: &str) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut answer = Vec::new();
    for (field, text) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', sqlstate), (b'M', message)] {
        answer.push(field);
        answer.extend(text.as_bytes());
        answer.push(0);
    }
    answer.push(0);
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut packet = [0; 4096];
        // First a request for TLS, which this server does not have, then the start-up.
        let read = client.read(&mut packet).unwrap();
        if read == 8 {
            client.write_all(b"N").unwrap();
            assert!(client.read(&mut packet).unwrap() > 8);
        }
        client.write_all(b"E").unwrap();
        client.write_all(&(answer.len() as u32 + 4).to_be_bytes()).unwrap();
        client.write_all(&answer).unwrap();
    });
    let url = format!("postgres://me:secret@127.0.0.1:{port}/shop");
    let output = Command::new(env!("CARGO_BIN_EXE_pg-workflow")).args(["list", "--url", &url]).output().unwrap();
    server.join().unwrap();
    output
}

#[test]
fn a_wrong_password_is_told_with_its_remedy_and_without_the_password() {
    let output = refused("28P01", "password authentication failed for user \"me\"");
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(
        told.contains("password authentication failed for user \"me\"\n  hint: Set the user with PGUSER"),
        "{told}"
    );
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn a_server_that_is_shutting_down_can_not_be_used() {
    let output = refused("57P03", "the database system is shutting down");
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.ends_with("the database system is shutting down\n"), "{told}");
}

#[test]
fn a_connection_that_the_server_closes_is_told_in_plain_words() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://me@127.0.0.1:{}/shop", listener.local_addr().unwrap().port());
    let server = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let output = Command::new(env!("CARGO_BIN_EXE_pg-workflow")).args(["list", "--url", &url]).output().unwrap();
    server.join().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(
        told.contains("port ") && told.contains(": the server closed the connection\n  hint: Is it still "),
        "{told}"
    );
}

/// Runs the program against something that answers everything with this.
fn answered(answers: &'static [&'static [u8]]) -> (Option<i32>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://me@127.0.0.1:{}/shop", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut packet = [0; 4096];
        for answer in answers {
            assert!(client.read(&mut packet).unwrap() > 0);
            client.write_all(answer).unwrap();
        }
        // It stays connected, and says nothing more.
        while client.read(&mut packet).is_ok_and(|read| read > 0) {}
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_pg-workflow"));
    let output = command.args(["list", "--url", &url]).env("PGCONNECT_TIMEOUT", "2").output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn something_else_than_a_server_is_called_that() {
    const OTHERS: [&[&[u8]]; 2] = [&[b"HTTP/1.1 400 Bad Request\r\n\r\n"], &[b"SSH-2.0-OpenSSH_9.2p1\r\n"]];
    for other in OTHERS {
        let (status, told) = answered(other);
        assert_eq!(status, Some(3), "{told}");
        assert!(told.contains(": this is not a PostgreSQL server: ") && told.contains("  hint: PGHOST"), "{told}");
    }
}

#[test]
fn a_server_that_lets_in_and_then_says_nothing_is_not_waited_for() {
    // No TLS; no password, and ready.
    let (status, told) = answered(&[b"N", b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"]);
    assert_eq!(status, Some(3), "{told}");
    assert!(told.contains("the server did not respond"), "{told}");
}

#[test]
fn whatever_the_server_says_while_connecting_it_can_not_be_used() {
    let output = refused("53300", "sorry, too many clients already");
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("sorry, too many clients already\n  hint: Close connections"), "{told}");
    let output = refused("42501", "permission denied for database \"shop\"");
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.ends_with("  hint: Run GRANT CONNECT ON DATABASE shop TO me.\n"), "{told}");
}

#[test]
fn assistants_get_an_error_and_people_a_hint() {
    let run = |input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pg-workflow"))
            .arg("mcp")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    for input in ["", "list\n", "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"nonsense\"}\n"] {
        let output = run(input);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{input}");
        assert!(told.starts_with("error: the client did not send an initialize request\n  hint: "), "{told}");
    }
}
