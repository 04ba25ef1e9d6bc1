//! Handing the upstream's reply on.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use mneme_core::cache::Cache;
use mneme_core::runtime::http::Responder;
use mneme_core::runtime::invocation::Invocation;
use mneme_http::Incoming;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_openai::completion::{Completion, NotStored};
use mneme_openai::stream;
use tokio::time::{Instant, timeout_at};

use crate::cache_status::{CacheStatus, Forwarding};
use crate::openai_names;
use crate::stored::{Destination, Stored};
use crate::upstream::{Call, Upstream, broken_off, handed_back};

/// The largest reply that is no stream, in bytes.
const MAX_REPLY_BYTES: usize = 64 << 20;
/// The largest stream that is stored, in bytes. A longer one is only handed on. An event has some 300 bytes around a
/// token, so an answer of the largest item of DynamoDB fits.
const MAX_STORED_STREAM_BYTES: usize = 64 << 20;

/// One request on its way to the upstream.
pub(crate) struct Relay<'r> {
    pub(crate) cache: &'r Cache,
    pub(crate) invocation: &'r Invocation,
    pub(crate) upstream: &'r Upstream,
    pub(crate) stored: &'r Stored,
    pub(crate) call: Call<'r>,
}

/// The upstream's reply.
struct Reply {
    head: Head,
    body: Incoming,
}

/// The head of the upstream's reply, with the headers that the caller gets.
struct Head {
    status: StatusCode,
    headers: HeaderMap,
}

impl Reply {
    /// Whether the body is server-sent events.
    fn is_stream(&self) -> bool {
        let kind = self.head.headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
        kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"))
    }
}

impl Relay<'_> {
    /// Hands the request and the reply on, and stores nothing. Errors: `UpstreamError`.
    pub(crate) async fn pass(&self, status: CacheStatus, responder: &mut Responder) -> Result<(), Error> {
        let reply = self.send().await?;
        if reply.is_stream() {
            return self.stream(reply, &status, responder).await.map(drop);
        }
        let (head, body) = self.collect(reply).await?;
        respond(head, body, &status, responder).await;
        Ok(())
    }

    /// As [`Relay::pass`], and stores the answer if it is one. Otherwise it releases the lease.
    pub(crate) async fn pass_and_store(
        &self,
        forwarding: Forwarding,
        destination: Destination<'_>,
        responder: &mut Responder,
    ) -> Result<(), Error> {
        let passed = self.pass_and_try_to_store(forwarding, destination, responder).await;
        if !matches!(passed, Ok(true)) {
            self.stored.release(self.cache, self.invocation, destination).await;
        }
        passed.map(drop)
    }

    /// Hands the request and the reply on. Returns whether the answer was stored.
    ///
    /// A stream is stored after its last event: the caller has the whole answer, and only the end of the reply waits.
    /// Its headers cannot say whether it was stored.
    async fn pass_and_try_to_store(
        &self,
        forwarding: Forwarding,
        destination: Destination<'_>,
        responder: &mut Responder,
    ) -> Result<bool, Error> {
        let begun = Instant::now();
        let reply = self.send().await?;
        let is_success = reply.head.status.is_success();
        if reply.is_stream() {
            let chunks = self.stream(reply, &CacheStatus::Forwarded(forwarding), responder).await?;
            // Why a stream is not stored goes nowhere: its headers are sent.
            return Ok(match chunks.filter(|_| is_success) {
                Some(chunks) => self.store(destination, stream::read(&chunks), begun).await.is_ok(),
                None => false,
            });
        }
        let (head, body) = self.collect(reply).await?;
        let forwarding = match is_success {
            false => forwarding,
            true => match self.store(destination, Completion::from_json(&body), begun).await {
                Ok(id) => Forwarding { stored: Some(id), ..forwarding },
                Err(reason) => Forwarding { detail: Some(reason), ..forwarding },
            },
        };
        let is_stored = forwarding.stored.is_some();
        respond(head, body, &CacheStatus::Forwarded(forwarding), responder).await;
        Ok(is_stored)
    }

    async fn send(&self) -> Result<Reply, Error> {
        let (head, body) = self.upstream.send(&self.call, self.cache.reply_by()).await?.into_parts();
        Ok(Reply { head: Head { status: head.status, headers: handed_back(&head.headers) }, body })
    }

    /// The whole reply. Errors: `UpstreamError` if it breaks off, is not complete in time, or is too large.
    async fn collect(&self, reply: Reply) -> Result<(Head, Bytes), Error> {
        let collected = Limited::new(reply.body, MAX_REPLY_BYTES).collect();
        let collected = timeout_at(self.cache.reply_by(), collected).await;
        let body = collected.map_err(|_| broken_off("the invocation's time is over"))?;
        Ok((reply.head, body.map_err(broken_off)?.to_bytes()))
    }

    /// Hands a stream on, each part as it comes. Returns its parts, if it came to its end and is not too large.
    ///
    /// If it breaks off, the last event of the reply says so: the runtime cannot break a reply off.
    ///
    /// Errors: `UpstreamError`, if the stream breaks off.
    async fn stream(
        &self,
        reply: Reply,
        status: &CacheStatus,
        responder: &mut Responder,
    ) -> Result<Option<Vec<Bytes>>, Error> {
        let Reply { head: Head { status: code, mut headers }, mut body } = reply;
        status.write(&mut headers);
        responder.begin(code, headers);
        let (mut chunks, mut bytes, mut end) = (Vec::new(), 0, Vec::new());
        let error = loop {
            match timeout_at(self.cache.reply_by(), body.frame()).await {
                Err(_) => break broken_off("the invocation's time is over"),
                Ok(None) => return Ok((bytes <= MAX_STORED_STREAM_BYTES).then_some(chunks)),
                Ok(Some(Err(error))) => break broken_off(error),
                Ok(Some(Ok(frame))) => {
                    let Ok(chunk) = frame.into_data() else { continue };
                    responder.send(chunk.clone()).await;
                    bytes += chunk.len();
                    stream::extend_end(&mut end, &chunk);
                    if bytes <= MAX_STORED_STREAM_BYTES {
                        chunks.push(chunk);
                    } else {
                        chunks.clear();
                    }
                }
            }
        };
        let blank = if stream::ends_between_events(&end) { "" } else { "\n\n" };
        let (kind, code) = openai_names(error.kind);
        let event = mneme_openai::error::event(&error.to_string(), kind, code);
        responder.send(format!("{blank}{event}").into()).await;
        Err(error)
    }

    /// Stores an answer that was asked for at `begun` and is complete now. Errors: a word that says why it is not stored.
    async fn store(
        &self,
        destination: Destination<'_>,
        completion: Result<Completion, NotStored>,
        begun: Instant,
    ) -> Result<EntryId, String> {
        let took = begun.elapsed();
        let completion = completion.map_err(|reason| reason.name().to_owned())?;
        self.stored.store(self.cache, self.invocation, destination, &completion, took).await
    }
}

async fn respond(head: Head, body: Bytes, status: &CacheStatus, responder: &mut Responder) {
    let Head { status: code, mut headers } = head;
    status.write(&mut headers);
    responder.begin(code, headers);
    responder.send(body).await;
}
