//! A streamed reply, as an instance posts it: a prelude in JSON, eight NUL bytes, and the body.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming>

use std::sync::Arc;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

use super::{
    function::{Function, Refusal},
    invocation::{Outcome, RESPONSE_LIMIT, StreamError, StreamedReply},
};

/// What separates the prelude from the body.
const SEPARATOR: [u8; 8] = [0; 8];

/// How many parts of a body may wait for the caller. A slow caller slows the function down, as on Lambda.
const WAITING_PARTS: usize = 16;

/// The trailer of a function that failed after its reply had begun.
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";

/// Why a streamed reply is not taken.
#[derive(Debug)]
pub(super) enum Broken {
    /// There is no prelude.
    Unreadable,
    /// The instance may not reply to the invocation.
    Refused(Refusal),
}

/// Hands the streamed reply of instance `number` to the caller of invocation `id`, part by part, and ends the invocation
/// with it.
pub(super) async fn relay(function: &Arc<Function>, number: u64, id: &str, mut body: Body) -> Result<(), Broken> {
    let (prelude, rest) = read_prelude(&mut body).await.ok_or(Broken::Unreadable)?;
    let (parts, receiver) = mpsc::channel(WAITING_PARTS);
    function.begin(number, id, StreamedReply { prelude, body: receiver }).map_err(Broken::Refused)?;
    // Sending fails if the caller has hung up. As on Lambda, the function goes on all the same.
    if !rest.is_empty() {
        let _ = parts.send(Ok(rest)).await;
    }
    while let Some(frame) = body.frame().await {
        let failed = match frame.map(|frame| frame.into_data()) {
            Ok(Ok(part)) => {
                let _ = parts.send(Ok(part)).await;
                false
            }
            Ok(Err(frame)) => frame.trailers_ref().is_some_and(|trailers| trailers.contains_key(ERROR_TYPE)),
            Err(_) => true,
        };
        if failed {
            let _ = parts.send(Err(StreamError)).await;
            break;
        }
    }
    drop(parts);
    function.complete(number, id, Outcome::Success(Bytes::new())).map_err(Broken::Refused)
}

/// The prelude, and what came with it of the body. `None` without a separator.
async fn read_prelude(body: &mut Body) -> Option<(Bytes, Bytes)> {
    let mut read = BytesMut::new();
    loop {
        if let Some(at) = read.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
            let mut read = read.freeze();
            let prelude = read.split_to(at);
            return Some((prelude, read.slice(SEPARATOR.len()..)));
        }
        if read.len() > RESPONSE_LIMIT {
            return None;
        }
        read.extend_from_slice(&body.frame().await?.ok()?.into_data().ok()?);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures::stream;

    use super::*;

    async fn read(parts: &[&'static str]) -> Option<(Bytes, Bytes)> {
        let parts: Vec<_> = parts.iter().map(|part| Ok::<_, io::Error>(Bytes::from_static(part.as_bytes()))).collect();
        read_prelude(&mut Body::from_stream(stream::iter(parts))).await
    }

    #[tokio::test]
    async fn read_prelude_finds_the_separator_wherever_the_body_is_cut() {
        let expected = Some((Bytes::from_static(b"{}"), Bytes::from_static(b"ab")));
        assert_eq!(read(&["{}\0\0\0\0\0\0\0\0ab"]).await, expected);
        assert_eq!(read(&["{", "}\0\0\0", "\0\0\0\0", "\0ab"]).await, expected);
        assert_eq!(read(&["{}\0\0\0\0\0\0\0"]).await, None);
    }
}
