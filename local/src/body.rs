//! Request bodies, read up to a limit.

use std::{future::poll_fn, pin::Pin, time::Duration};

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use tokio::time::timeout;

/// How long a body may take to arrive, so that clients that stop sending do not hold connections for ever.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// How many bytes of a body that is too large are read and thrown away. A client that is still sending when the
/// connection closes often sees a broken connection instead of the answer.
const DISCARD_LIMIT: usize = 64 * 1024 * 1024;

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It has more bytes than allowed.
    TooLarge,
    /// The connection broke.
    Broken,
    /// It did not arrive in time.
    TooSlow,
}

/// Returns the whole body, if it has at most `limit` bytes and arrives within 30 seconds.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, BodyError> {
    read_within(body, limit, READ_LIMIT).await
}

async fn read_within(body: Body, limit: usize, time: Duration) -> Result<Bytes, BodyError> {
    timeout(time, read_all(body, limit)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn read_all(mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let mut read = Vec::new();
    let mut size = 0_usize;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(chunk) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue;
        };
        size = size.saturating_add(chunk.len());
        if size <= limit {
            read.extend_from_slice(&chunk);
        } else if size > DISCARD_LIMIT {
            break;
        }
    }
    if size > limit { Err(BodyError::TooLarge) } else { Ok(read.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn read_accepts_up_to_the_limit_and_refuses_one_byte_more() {
        assert_eq!(read(Body::from("12345"), 5).await, Ok(Bytes::from("12345")));
        assert_eq!(read(Body::from("123456"), 5).await, Err(BodyError::TooLarge));
        assert_eq!(read(Body::empty(), 0).await, Ok(Bytes::new()));
    }

    #[tokio::test]
    async fn read_gives_up_on_a_body_that_does_not_arrive() {
        let body = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read_within(body, 5, Duration::ZERO).await, Err(BodyError::TooSlow));
    }
}
