//! `feedback`: keeps whether an answer was right for a question.

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::write::feedback::{self, Effect, give_feedback};
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::question::{Message, Question};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A verdict on the answer to one question: `query` or `messages` with its `namespace` and `context`, as in the lookup.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The question that was asked.
    pub query: Option<String>,
    /// In place of `query`: the conversation that was asked.
    pub messages: Option<Vec<Message>>,
    /// The context that the question was asked in.
    pub context: Option<Map<String, Value>>,
    /// The namespace. Default: `default`.
    #[serde(default)]
    pub namespace: Namespace,
    /// The id of the entry whose answer is judged.
    pub id: EntryId,
    /// Whether the answer is right for the question.
    pub right: bool,
}

/// What the verdict led to.
#[derive(Debug, Serialize)]
pub struct Response {
    /// The id of the entry.
    pub id: EntryId,
    /// The verdict.
    pub right: bool,
    /// What follows from it for lookups of the question.
    pub effect: Effect,
}

/// Keeps what a caller says of an answer.
///
/// An entry that is wrong for a question is not served for it any more, and still answers others. An entry that is right is
/// found by the exact layer from then on.
#[derive(Debug)]
pub struct Feedback;

impl Operation for Feedback {
    const SPEC: &'static OperationSpec = &operations::FEEDBACK;
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        let Request { query, messages, context, namespace, id, right } = request;
        invocation.authorize(&namespace)?;
        let question = Question::of(query.as_deref(), messages.as_deref(), context.as_ref(), &cache.config)?;
        cache.open().await?;
        let by = invocation.principal();
        let feedback = feedback::Feedback { namespace: &namespace, question: &question, id, right, by };
        let effect = give_feedback(cache, &feedback).await?;
        Ok(Reply::ok(Response { id, right, effect }))
    }
}
