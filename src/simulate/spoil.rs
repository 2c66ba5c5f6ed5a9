//! Spoils the bytes of a good answer: cut, late, or not the format.
//!
//! Faults that a provider has words of its own for (throttle, expired token, ...) are shaped by
//! each server; they pass here unchanged.

use std::io;

use axum::body::{Body, to_bytes};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;

use crate::simulate::faults::Fault;

/// Spoils a good answer as a byte-level fault says; returns it unchanged for every other fault.
///
/// - [`Fault::Truncated`]: the `content-length` of the whole, half the bytes, then the connection
///   closes.
/// - [`Fault::ResetMidPage`]: a chunked body that stops after half the bytes without its last
///   chunk. The caller decides which answer is the second page, see
///   [`Faults::take_for`](crate::simulate::faults::Faults::take_for).
/// - [`Fault::Slow`]: the whole answer, headers too, after the wait.
/// - [`Fault::Malformed`]: good headers over bytes that are neither JSON nor XML nor a metrics page.
pub async fn spoil(fault: &Fault, response: Response) -> Response {
    match fault {
        Fault::Truncated => cut(response, true).await,
        Fault::ResetMidPage => cut(response, false).await,
        Fault::Slow(wait) => {
            tokio::time::sleep(*wait).await;
            response
        }
        Fault::Malformed => {
            let (mut head, body) = whole(response).await;
            head.headers.remove(CONTENT_LENGTH);
            let mut bytes = half(&body).to_vec();
            bytes.extend_from_slice(b"\x00<<\xff\xfe not the format }{");
            Response::from_parts(head, Body::from(bytes))
        }
        _ => response,
    }
}

async fn cut(response: Response, tell_length: bool) -> Response {
    let (mut head, body) = whole(response).await;
    head.headers.remove(TRANSFER_ENCODING);
    head.headers.remove(CONTENT_LENGTH);
    if tell_length {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let first = half(&body);
    let parts = stream::unfold(Some(first), |state| async move {
        match state {
            Some(bytes) if !bytes.is_empty() => Some((Ok(bytes), Some(Bytes::new()))),
            Some(_) => {
                // The server writes out what it holds while the body has nothing ready.
                tokio::task::yield_now().await;
                Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), None))
            }
            None => None,
        }
    });
    Response::from_parts(head, Body::from_stream(parts))
}

async fn whole(response: Response) -> (axum::http::response::Parts, Bytes) {
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    (head, bytes)
}

fn half(body: &Bytes) -> Bytes {
    body.slice(..body.len() / 2)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// The raw bytes that a server sends for an answer of 100 `x` under a fault, to the end of the
    /// connection.
    async fn raw(fault: Fault) -> String {
        let router = Router::new().route(
            "/",
            get(move || {
                let fault = fault.clone();
                async move { spoil(&fault, Response::new(Body::from("x".repeat(100)))).await }
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        server.abort();
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn truncated_answer_promises_the_whole_and_sends_half() {
        let answer = raw(Fault::Truncated).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-length: 100"), "{head}");
        assert_eq!(body, "x".repeat(50));
    }

    #[tokio::test]
    async fn reset_answer_never_sends_its_last_chunk() {
        let answer = raw(Fault::ResetMidPage).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        assert!(body.contains(&"x".repeat(50)), "{body}");
        assert!(!body.contains("0\r\n\r\n"), "{body}");
    }

    #[tokio::test]
    async fn malformed_answer_is_no_text() {
        let answer = spoil(&Fault::Malformed, Response::new(Body::from("{\"a\":1}"))).await;
        let bytes = to_bytes(answer.into_body(), 1000).await.unwrap();
        assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_err());
        assert!(std::str::from_utf8(&bytes).is_err());
    }

    #[tokio::test]
    async fn slow_answer_comes_whole_after_the_wait() {
        let wait = Duration::from_millis(20);
        let before = std::time::Instant::now();
        let answer = spoil(&Fault::Slow(wait), Response::new(Body::from("whole"))).await;
        assert!(before.elapsed() >= wait);
        assert_eq!(to_bytes(answer.into_body(), 1000).await.unwrap(), "whole");
    }
}
