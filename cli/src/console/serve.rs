//! Accepts connections in a way that lets nobody make the console unavailable to others: the number of open connections
//! is limited, and requests have to arrive, and answers to be read, within a time limit.
//!
//! Further connections are told at once that the console is busy. Idle ones are closed after a while, to make room.

use axum::Router;
use axum::http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;

/// How many connections may be in the process of being refused, and how long a refusal may take. Further ones wait.
const REFUSALS: usize = 16;
const REFUSAL: Duration = Duration::from_millis(200);

/// How many files the console needs besides its visitors' connections: those to the database, its own, and a few to
/// spare.
const OWN_FILES: u64 = 32;

/// Limits on connections.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How many connections may be open at once.
    pub connections: usize,
    /// How long a request may take to arrive, a connection may be idle, and an answer may remain unread.
    pub patience: Duration,
}

impl Bounds {
    /// Returns limits that do not exceed the number of files that the process may open.
    pub fn new(connections: usize, patience: Duration) -> Bounds {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        let most = files.saturating_sub(OWN_FILES + REFUSALS as u64).max(1);
        Bounds { connections: connections.min(usize::try_from(most).unwrap_or(usize::MAX)), patience }
    }
}

/// Serves until the listener is dropped.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds) {
    let open = Arc::new(Semaphore::new(bounds.connections));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // If the process has run out of files, trying again at once would only waste processor time.
                if !is_of_one_connection(&error) {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                continue;
            }
        };
        tokio::select! {
            biased;
            Ok(place) = open.clone().acquire_owned() => {
                tokio::spawn(answer(stream, router.clone(), bounds.patience, place));
            }
            Ok(place) = refusals.clone().acquire_owned() => {
                tokio::spawn(refuse(stream, place));
            }
            else => return,
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers the requests of a connection.
async fn answer(stream: TcpStream, router: Router, patience: Duration, _place: OwnedSemaphorePermit) {
    // Otherwise, a short answer that follows another waits for the browser's acknowledgement.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(patience));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router));
    // A browser that has gone, or was too slow, gets no answer.
    let _ = connection.await;
}

/// Says that there are too many connections, without reading the request.
async fn refuse(mut stream: TcpStream, _place: OwnedSemaphorePermit) {
    let text = "The console has too many visitors: try again in a moment.\n";
    let answer = format!(
        "HTTP/1.1 {}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nretry-after: 2\r\nconnection: close\r\n\r\n{text}",
        StatusCode::SERVICE_UNAVAILABLE,
        text.len()
    );
    let told = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Closing the connection before everything has been read would reset it, and the answer might be lost.
        let mut unread = [0; 4096];
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(REFUSAL, told).await;
}
