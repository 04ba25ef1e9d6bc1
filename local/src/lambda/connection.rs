//! The connections of a Runtime API, watched for whether an instance died before it had read what was sent to it.

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

/// How long the end of a dead process's connection may take to be noticed.
const NOTICE_LIMIT: Duration = Duration::from_millis(200);

/// How one connection ended, for those who need to know.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    /// True once it was reset; closed with the connection.
    reset: watch::Receiver<bool>,
}

impl Connection {
    /// Whether the process at the other end, which is dead, left something unread.
    ///
    /// The system resets a connection that is closed with unread data, and one that is written to after its end; a
    /// process that had read everything closes it in order.
    pub(super) async fn was_reset(mut self) -> bool {
        let closed = async { while self.reset.changed().await.is_ok() {} };
        let _ = timeout(NOTICE_LIMIT, closed).await;
        *self.reset.borrow()
    }
}

impl Connected<IncomingStream<'_, Watched>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Watched>) -> Self {
        Self { reset: stream.io().reset.subscribe() }
    }
}

/// A listener whose connections can be asked about by [`Connection`].
pub(super) struct Watched(pub(super) TcpListener);

impl Listener for Watched {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        let _ = stream.set_nodelay(true);
        (Stream { stream, reset: watch::Sender::new(false) }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// One watched connection.
pub(super) struct Stream {
    stream: TcpStream,
    reset: watch::Sender<bool>,
}

impl Stream {
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.reset.send_replace(true);
        }
        result
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if result.is_ok() && buffer.filled().len() == before {
            // An end that came before a write hides the reset that the write met; the socket remembers it.
            let remembered = self.stream.take_error();
            let _ = self.note(remembered.and_then(|error| error.map_or(Ok(()), Err)));
        }
        Poll::Ready(self.note(result))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write(context, data));
        Poll::Ready(self.note(result))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, data));
        Poll::Ready(self.note(result))
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
