//! Leases: after a miss, one caller makes the answer, and the others wait for it.

use futures::stream::{self, StreamExt as _};
use mneme_api::access::Scope;
use mneme_api::event::RequestFields;
use mneme_core::cache::Cache;
use mneme_core::lease;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::config::Leases;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::question::{Message, Question};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Answer, CheckedQuestion};

/// The longest lease, in seconds: as long as a Lambda function may run (Lambda Developer Guide, "Lambda quotas").
const MAX_SECS: u64 = 900;

/// How many leases of one batch are taken at once.
const LEASES_AT_ONCE: usize = 8;

/// The lease that a lookup asks for.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// For how many seconds, from 1 to 900: somewhat longer than the model takes.
    pub seconds: u64,
}

impl LeaseRequest {
    /// The number of seconds. Errors: `InvalidRequest`.
    pub(crate) fn checked_secs(self) -> Result<u64, Error> {
        match self.seconds {
            secs @ 1..=MAX_SECS => Ok(secs),
            secs => Err(Error::invalid(
                format!("lease: {secs} seconds are not between 1 and {MAX_SECS}"),
                "send for how long the model takes at most, or leave the field out",
            )),
        }
    }
}

/// A request to release a lease.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// The question's text.
    pub query: Option<String>,
    /// In place of `query`: a conversation that ends with the user's message.
    pub messages: Option<Vec<Message>>,
    /// What the lookup had as `context`.
    pub context: Option<Map<String, Value>>,
    /// The namespace. Default: `default`.
    #[serde(default)]
    pub namespace: Namespace,
    /// The token that the lookup returned.
    pub lease_token: String,
}

/// The result of releasing a lease.
#[derive(Debug, Serialize)]
pub struct Released {
    /// Whether the token held the lease.
    pub released: bool,
}

/// Whether the request is to release a lease. Takes the field `action` out of it. Errors: `InvalidRequest` for another
/// action.
pub(crate) fn is_release(request: &mut RequestFields) -> Result<bool, Error> {
    match request.remove("action") {
        None | Some(Value::Null) => Ok(false),
        Some(action) if action == "release" => Ok(true),
        Some(_) => Err(Error::invalid("action: not an action of `lookup`", "send `release`, or leave the field out")),
    }
}

/// Releases a lease. A caller who may not store an answer gets no lease, so it has none to release.
///
/// Writes: the lease. Errors: `InvalidRequest`, `EntryTooLarge`, `NamespaceForbidden`, `InsufficientScope`,
/// `StoreBackendError`.
pub(crate) async fn release(
    cache: &Cache,
    invocation: &Invocation,
    request: ReleaseRequest,
) -> Result<Released, Error> {
    let ReleaseRequest { query, messages, context, namespace, lease_token } = request;
    invocation.authorize_scope(Scope::Write)?;
    invocation.authorize(&namespace)?;
    lease::check_token(&lease_token)?;
    let question = Question::of(query.as_deref(), messages.as_deref(), context.as_ref(), &cache.config)?;
    let released = lease::release(cache, &namespace, &question.hash, &lease_token).await?;
    Ok(Released { released })
}

/// Takes the lease of each question that is a miss and asks for one. A lease that cannot be taken fails no lookup: the
/// reply then has none.
pub(crate) async fn take_missing(
    cache: &Cache,
    invocation: &Invocation,
    answered: Vec<Result<(Answer, CheckedQuestion), Error>>,
) -> Vec<Result<Answer, Error>> {
    let may_store = cache.config.leases != Leases::Off && invocation.authorize_scope(Scope::Write).is_ok();
    let with_lease = async |answered: Result<(Answer, CheckedQuestion), Error>| {
        let (mut answer, question) = answered?;
        if let (Answer::Miss { reason, lease, .. }, Some(secs)) = (&mut answer, question.lease_secs)
            && may_store
            && reason.is_leased()
        {
            match lease::take(cache, &question.query, secs).await {
                Ok(taken) => *lease = Some(taken),
                Err(error) => invocation.record_failure("taking a lease", &error),
            }
        }
        Ok(answer)
    };
    stream::iter(answered).map(with_lease).buffered(LEASES_AT_ONCE).collect().await
}
