//! `chat`: the OpenAI API over the cache. What the cache cannot answer, the upstream service answers.
//!
//! The upstream gets the caller's own bytes, and the caller gets the upstream's. The cache never makes a call fail: where
//! it fails or takes too long, the upstream answers.
//!
//! | module | what |
//! | --- | --- |
//! | `directives` | what a caller says to the cache, in headers |
//! | `cache_status` | what a caller learns of the cache, in headers |
//! | `flight` | waiting for the answer that another request has under way |
//! | `stored` | looking an answer up, and storing one |
//! | `upstream` | the upstream service |
//! | `relay` | handing the upstream's reply on |

mod cache_status;
mod directives;
mod flight;
mod relay;
mod stored;
mod upstream;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use mneme_api::access::{Access, Identity};
use mneme_api::event::raw::{RawEvent, RawRequest};
use mneme_api::keys::KeyRing;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::lookup::query::Query;
use mneme_core::lookup::shared_engine::SharedEngine;
use mneme_core::maintain::access_buffer::AccessBuffer;
use mneme_core::maintain::stats_buffer::StatsBuffer;
use mneme_core::runtime::http::{HttpOperation, Responder};
use mneme_core::runtime::invocation::Invocation;
use mneme_model::config::ConfigError;
use mneme_model::error::{Error, ErrorKind};
use mneme_model::namespace::Namespace;
use mneme_model::question::{Message, Question};
use mneme_openai::replay::{self, Stamp};
use mneme_openai::request::{ChatRequest, ReplyForm};
use mneme_screen::personal::is_personal;
use mneme_screen::policy::Policy;
use serde_json::Value;
use uuid::Uuid;

use self::cache_status::{CacheStatus, Forwarded, Forwarding};
use self::directives::Directives;
use self::flight::Flight;
use self::relay::Relay;
use self::stored::{Allowed, Destination, Found, Hit, Stored};
use self::upstream::{Call, Upstream, not_configured};

/// The route whose answers are stored.
const COMPLETIONS: &str = "/v1/chat/completions";
/// The part of each route that `MNEME_UPSTREAM` has, too.
const VERSION: &str = "/v1";

/// Answers requests of the OpenAI API.
#[derive(Debug)]
pub struct Chat {
    keys: KeyRing,
    upstream: Option<Upstream>,
    stored: Stored,
}

impl Chat {
    /// An operation that counts its outcomes in `stats`, and records its accesses in `accesses`.
    ///
    /// Errors: every bad variable of those that only this operation reads.
    pub fn new(cache: &Cache, stats: StatsBuffer, accesses: AccessBuffer) -> Result<Self, ConfigError> {
        let config = &cache.config;
        let mut complaints = Vec::new();
        let keys = KeyRing::parse(config.chat.keys.as_deref().unwrap_or_default());
        let keys = keys.unwrap_or_else(|error| {
            complaints.push(format!("MNEME_CHAT_KEYS: {error}; `mneme keys make` prints such a list"));
            KeyRing::Only(Vec::new())
        });
        let upstream = Upstream::new(&config.chat, cache.aws()).unwrap_or_else(|complaint| {
            complaints.push(complaint);
            None
        });
        match Policy::new(config) {
            Ok(policy) if complaints.is_empty() => {
                let engine = SharedEngine::new(config);
                Ok(Self { keys, upstream, stored: Stored { engine, stats, accesses, policy } })
            }
            Ok(_) => Err(ConfigError(complaints)),
            Err(ConfigError(more)) => Err(ConfigError(complaints.into_iter().chain(more).collect())),
        }
    }

    /// The engine of the lookups, for the task that loads between them.
    pub fn engine(&self) -> SharedEngine {
        self.stored.engine.clone()
    }
}

/// A request that is compared with earlier ones.
struct Asked {
    request: ChatRequest,
    /// The question as it is stored.
    question: Question,
    query: Query,
}

impl HttpOperation for Chat {
    const SPEC: &'static OperationSpec = &operations::CHAT;

    /// At the function's own URL, a key says who the caller is. At every other door AWS has let the caller in.
    fn identify(&self, event: &RawEvent) -> Result<Identity, Error> {
        if event.is_authorized {
            return Ok(event.identity.clone());
        }
        let headers = event.request.as_ref().map(|request| &request.headers).ok();
        self.keys.identify(headers.and_then(|headers| headers.get(header::AUTHORIZATION)?.to_str().ok()))
    }

    async fn handle(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        request: RawRequest,
        responder: &mut Responder,
    ) -> Result<(), Error> {
        let upstream = self.upstream.as_ref().ok_or_else(not_configured)?;
        let path = request.route.path;
        let call = Call {
            method: request.route.method,
            path: path.strip_prefix(VERSION).unwrap_or(path),
            headers: &request.headers,
            body: &request.body,
            passes_authorization: self.keys == KeyRing::Any,
        };
        let relay = Relay { cache, invocation, upstream, stored: &self.stored, call };
        if path != COMPLETIONS {
            return relay.pass(CacheStatus::forwarded(Forwarded::Bypass, None), responder).await;
        }
        let directives = Directives::read(&request.headers)?;
        let namespace = namespace(invocation, directives.namespace.clone())?;
        invocation.authorize(&namespace)?;
        let asked = match asked(cache, &request.body, &directives, namespace) {
            Ok(asked) => asked,
            Err(detail) => {
                if directives.control.only_if_cached {
                    return Err(not_cached());
                }
                return relay.pass(CacheStatus::forwarded(Forwarded::Bypass, Some(detail)), responder).await;
            }
        };
        let (found, flight) = self.look_up(cache, invocation, &asked, &directives).await;
        let forwarding = match found {
            Ok(hit) => {
                reply_with(*hit, flight.has_waited, &asked, cache.now_secs(), responder).await;
                return Ok(());
            }
            Err(forwarding) => forwarding,
        };
        if directives.control.only_if_cached {
            return Err(not_cached());
        }
        if directives.control.no_store {
            return relay.pass(CacheStatus::Forwarded(forwarding), responder).await;
        }
        let destination = Destination {
            question: &asked.question,
            namespace: &asked.query.namespace,
            ttl_secs: directives.ttl_secs,
            lease_token: flight.lease_token.as_deref(),
        };
        relay.pass_and_store(forwarding, destination, responder).await
    }

    /// Both forms in one object: the members of RFC 9457, and the `error` that OpenAI's clients read.
    fn error_reply(&self, error: &Error) -> (HeaderMap, Vec<u8>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(secs) = error.retry_after_secs {
            headers.insert(header::RETRY_AFTER, secs.into());
        }
        let mut body = serde_json::to_value(error.problem()).unwrap_or_default();
        let (kind, code) = openai_names(error.kind);
        let of_openai = mneme_openai::error::body(&error.to_string(), kind, code);
        body["error"] = of_openai["error"].clone();
        (headers, body.to_string().into_bytes())
    }
}

/// The type and the code of an error in OpenAI's form. Its clients know the code of a wrong key.
fn openai_names(kind: ErrorKind) -> (&'static str, &'static str) {
    match kind {
        ErrorKind::Unauthorized => ("invalid_request_error", "invalid_api_key"),
        kind if kind.status() < 500 => ("invalid_request_error", kind.name()),
        kind => ("server_error", kind.name()),
    }
}

/// The namespace that the caller names, else the default one, or the first of the caller's if that is not among them.
fn namespace(invocation: &Invocation, named: Option<Namespace>) -> Result<Namespace, Error> {
    let default = Namespace::default();
    Ok(match (named, invocation.visible_namespaces(None)?) {
        (Some(named), _) => named,
        (None, Access::Only(names)) if !names.contains(&default) => names.into_iter().next().unwrap_or(default),
        (None, _) => default,
    })
}

/// Reads what is compared. Errors: a word that says why the request is neither looked up nor stored.
fn asked(cache: &Cache, body: &[u8], directives: &Directives, namespace: Namespace) -> Result<Asked, &'static str> {
    let request = ChatRequest::read(body).map_err(|_| "unreadable")?;
    if let Some(bypass) = request.bypass {
        return Err(bypass.into());
    }
    let messages: Vec<Message> = serde_json::from_value(request.messages.clone()).map_err(|_| "unreadable")?;
    let parameters = Some(&request.parameters).filter(|parameters| !parameters.is_empty());
    let question =
        Question::of(None, Some(messages.as_slice()), parameters, &cache.config).map_err(|_| "not-comparable")?;
    if cache.config.refuse_personal && is_personal(&question.message) {
        return Err("personal");
    }
    let query = Query::new(question.clone(), namespace, None, directives.threshold, None, cache.now_secs());
    Ok(Asked { request, question, query })
}

impl Chat {
    /// The stored answer, or why the upstream is called. Waits for the answer if another request has it under way.
    async fn look_up(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        asked: &Asked,
        directives: &Directives,
    ) -> (Result<Box<Hit>, Forwarding>, Flight) {
        let control = directives.control;
        if control.no_cache {
            return (Err(Forwarding::new(Forwarded::Request, None)), Flight::default());
        }
        // Who stores nothing makes no answer for others.
        let shares_calls = !control.no_store && !control.only_if_cached;
        let allowed = Allowed {
            model: asked.request.model(),
            max_age_secs: control.max_age,
            tool_calls: cache.config.chat.stores_tool_calls,
        };
        let (found, flight) = self.stored.look_up(cache, invocation, &asked.query, allowed, shares_calls).await;
        let forwarding = match found {
            Found::Hit(hit) => return (Ok(hit), flight),
            Found::Stale => Forwarding::new(Forwarded::Stale, None),
            Found::ToolCalls => Forwarding::new(Forwarded::Miss, Some("tool-calls")),
            Found::Failed(why) => Forwarding::new(Forwarded::Bypass, Some(why)),
            Found::Miss(reason) => {
                let reason = serde_json::to_value(reason).ok();
                Forwarding::new(Forwarded::Miss, reason.as_ref().and_then(Value::as_str))
            }
        };
        (Err(Forwarding { has_waited: flight.has_waited, ..forwarding }), flight)
    }
}

fn not_cached() -> Error {
    Error::new(
        ErrorKind::NotCached,
        "the request has `cache-control: only-if-cached`, and no stored answer serves it",
        "leave the directive out to ask the upstream",
    )
}

/// Replies with a stored answer, in the caller's form. `is_collapsed`: another request's call made it meanwhile.
async fn reply_with(hit: Hit, is_collapsed: bool, asked: &Asked, now_secs: i64, responder: &mut Responder) {
    let stamp = Stamp { id: format!("chatcmpl-{}", Uuid::new_v4().simple()), created: now_secs };
    let (content_type, body) = match asked.request.form {
        ReplyForm::Json => ("application/json", replay::json(&hit.completion, &stamp).to_string()),
        ReplyForm::Stream { include_usage } => {
            ("text/event-stream; charset=utf-8", replay::events(&hit.completion, &stamp, include_usage))
        }
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    CacheStatus::Hit { ttl_secs: hit.ttl_secs, is_collapsed }.write(&mut headers);
    cache_status::write_hit(&mut headers, &hit);
    responder.begin(StatusCode::OK, headers);
    responder.send(body.into()).await;
}
