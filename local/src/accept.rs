//! The connections of the API port.
//!
//! [`axum::serve`] waits for the head of a request for ever. Clients that send half a head, and nothing more, would then
//! use up all file descriptors.

use std::{pin::pin, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    task::JoinSet,
    time::sleep,
};

/// How long a connection may take to send the whole head of its next request.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// How long to wait after a connection could not be accepted, for example because no file descriptor was left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Answers the requests of all connections with `app`, until `stopping` ends. Then it accepts no more, and returns when
/// the requests under way are answered.
pub(crate) async fn serve(listener: TcpListener, app: Router, stopping: oneshot::Receiver<()>) {
    serve_within(listener, app, stopping, HEAD_LIMIT).await;
}

async fn serve_within(listener: TcpListener, app: Router, mut stopping: oneshot::Receiver<()>, head_limit: Duration) {
    let stop = watch::Sender::new(false);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = &mut stopping => break,
        };
        match accepted {
            Ok((stream, _)) => drop(connections.spawn(answer(stream, app.clone(), stop.subscribe(), head_limit))),
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    stop.send_replace(true);
    while connections.join_next().await.is_some() {}
}

/// Answers the requests of one connection. After `stop` it answers the one under way.
async fn answer(stream: TcpStream, app: Router, mut stop: watch::Receiver<bool>, head_limit: Duration) {
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_limit)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    /// A server with this limit, and a connection to it.
    async fn connection() -> (TcpStream, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow = get(|| async {
            sleep(3 * LIMIT).await;
            "late"
        });
        let (stop, stopping) = oneshot::channel();
        let server = tokio::spawn(serve_within(listener, Router::new().route("/slow", slow), stopping, LIMIT));
        (TcpStream::connect(address).await.unwrap(), stop, server)
    }

    /// What the server sends until it closes the connection.
    async fn received(stream: &mut TcpStream) -> String {
        let mut received = String::new();
        stream.read_to_string(&mut received).await.unwrap();
        received
    }

    #[tokio::test]
    async fn connection_with_half_a_head_is_closed_without_an_answer() {
        for half in ["", "GET /slow HTTP/1.1\r\nHost: local"] {
            let (mut stream, _stop, _server) = connection().await;
            stream.write_all(half.as_bytes()).await.unwrap();
            assert!(!received(&mut stream).await.contains("late"), "{half:?}");
        }
    }

    #[tokio::test]
    async fn request_whose_answer_takes_longer_than_its_head_may_is_answered() {
        let (mut stream, _stop, _server) = connection().await;
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: local\r\n\r\n").await.unwrap();
        let answer = received(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("late"), "{answer}");
    }

    #[tokio::test]
    async fn server_that_stops_answers_the_request_under_way() {
        let (mut stream, stop, server) = connection().await;
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: local\r\n\r\n").await.unwrap();
        sleep(LIMIT).await;
        drop(stop);
        assert!(received(&mut stream).await.ends_with("late"));
        server.await.unwrap();
    }
}
