//! A peer that occupies a connection without using it loses it, and other peers are answered
//! meanwhile.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use localhttp::{Bounds, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SHORT: Duration = Duration::from_millis(300);
const DEADLINE: Duration = Duration::from_secs(20);

async fn server(bounds: Bounds) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/", get(|| async { "here" }))
        .route(
            "/slow",
            get(|| async {
                tokio::time::sleep(3 * SHORT).await;
                "late"
            }),
        )
        .route("/large", get(|| async { vec![b'x'; 64 << 20] }))
        .route(
            "/echo",
            post(
                |body: Result<Bytes, axum::extract::rejection::BytesRejection>| async move { body },
            ),
        );
    tokio::spawn(serve(listener, router, bounds, std::future::pending()));
    address
}

async fn connect(address: SocketAddr, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    stream
}

/// What arrives until the server closes the connection, be it in order or by a reset.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut text))
        .await
        .expect("the server does not close the connection");
    assert!(
        read.is_ok() || read.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
    );
    String::from_utf8_lossy(&text).into_owned()
}

async fn get_it(address: SocketAddr, path: &str) -> String {
    let mut stream =
        connect(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
            .await;
    rest(&mut stream).await
}

#[tokio::test]
async fn a_peer_that_finds_all_places_taken_waits_for_one() {
    let address = server(Bounds { connections: 2, idle: DEADLINE, ..Bounds::default() }).await;
    let (first, second) = (connect(address, "GET").await, connect(address, "GET").await);
    let mut third = tokio::spawn(get_it(address, "/"));
    tokio::time::timeout(SHORT, &mut third)
        .await
        .expect_err("the server answers although no place is free");
    drop((first, second));
    assert!(tokio::time::timeout(DEADLINE, third).await.unwrap().unwrap().ends_with("here"));
}

#[tokio::test]
async fn an_unfinished_head_and_a_head_that_is_too_long_end_the_connection() {
    let address = server(Bounds { idle: SHORT, head: 4096, ..Bounds::default() }).await;
    assert_eq!(rest(&mut connect(address, "GET / HTTP/1.1\r\nhost: ").await).await, "");
    assert_eq!(rest(&mut connect(address, "").await).await, "");
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(8192));
    assert!(rest(&mut connect(address, &long).await).await.starts_with("HTTP/1.1 431"));
    // The limit on the head of a request does not limit how long its answer takes.
    assert!(get_it(address, "/slow").await.ends_with("late"));
}

#[tokio::test]
async fn a_request_whose_body_stops_arriving_is_refused() {
    let address = server(Bounds { pause: SHORT, ..Bounds::default() }).await;
    let begun = Instant::now();
    let mut stream =
        connect(address, "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf").await;
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 4") && begun.elapsed() < DEADLINE, "{answer}");
}

#[tokio::test]
async fn a_peer_that_does_not_take_its_answer_loses_the_connection() {
    let address = server(Bounds { pause: SHORT, connections: 1, ..Bounds::default() }).await;
    let _deaf = connect(address, "GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // The only place becomes free although that peer does nothing.
    let answer = tokio::time::timeout(DEADLINE, get_it(address, "/"))
        .await
        .expect("the place does not become free");
    assert!(answer.ends_with("here"), "{answer}");
}
