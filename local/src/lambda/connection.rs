//! Connections of a Runtime API that tell whether an instance died before it had read what was sent to it.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

/// How long to wait for the connection of a dead process to end.
const NOTICE_LIMIT: Duration = Duration::from_millis(200);

/// A handle that tells how one connection ended.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    /// True once the connection was reset; the channel closes with the connection.
    reset: watch::Receiver<bool>,
}

impl Connection {
    /// Whether the process at the other end left something unread. Call this when the process is dead.
    ///
    /// The system resets a connection that is closed with unread data, and one that is written to after its end. A
    /// process that had read everything closes the connection without a reset.
    pub(super) async fn was_reset(mut self) -> bool {
        let closed = async { while self.reset.changed().await.is_ok() {} };
        let _ = timeout(NOTICE_LIMIT, closed).await;
        *self.reset.borrow()
    }
}

impl Connected<IncomingStream<'_, WatchedListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, WatchedListener>) -> Self {
        Self { reset: stream.io().reset.subscribe() }
    }
}

/// A listener whose connections each have a [`Connection`] handle.
pub(super) struct WatchedListener(pub(super) TcpListener);

impl Listener for WatchedListener {
    type Io = WatchedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (WatchedStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        let _ = stream.set_nodelay(true);
        (WatchedStream { stream, reset: watch::Sender::new(false) }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// The stream of one watched connection.
pub(super) struct WatchedStream {
    stream: TcpStream,
    reset: watch::Sender<bool>,
}

impl WatchedStream {
    /// Records an error of the stream as a reset.
    fn record<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.reset.send_replace(true);
        }
        result
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if result.is_ok() && buffer.filled().len() == before {
            // The peer closed before a write, and the write was reset: the read then sees only the end of the stream,
            // but the socket still holds the error.
            let pending = self.stream.take_error();
            let _ = self.record(pending.and_then(|error| error.map_or(Ok(()), Err)));
        }
        Poll::Ready(self.record(result))
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write(context, data));
        Poll::Ready(self.record(result))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, data));
        Poll::Ready(self.record(result))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
