//! `settings`: reads, sets, removes or lists what is set for namespaces.

use mneme_api::access::Scope;
use mneme_api::event::{self, Reply, RequestFields};
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::settings::change::change_settings;
use mneme_core::settings::read::{SettingsPage, list_settings, settings_of};
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::namespace_settings::{EffectiveSettings, NamespaceSettings};
use serde::{Deserialize, Serialize};

/// The most namespaces in a page of the list.
const MAX_PAGE: usize = 1000;
/// The number of namespaces in a page if the request names none.
const DEFAULT_PAGE: usize = 100;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Read the settings of a namespace.
    Get,
    /// Replace all settings of a namespace. A field that is left out is as configured from then on.
    Set,
    /// Remove all settings of a namespace.
    Delete,
    /// List the namespaces that have settings.
    List,
}

/// A request: what to do, and where. The other fields, which only `set` takes, are those of [`NamespaceSettings`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What to do.
    pub action: Action,
    /// The namespace; not with `list`.
    pub namespace: Option<Namespace>,
    /// The `cursor` of the last page; only with `list`.
    pub cursor: Option<Namespace>,
    /// The size of a page, from 1 to 1,000; only with `list`. Default: 100.
    pub limit: Option<usize>,
}

/// The fields of a [`Request`].
const REQUEST_FIELDS: [&str; 4] = ["action", "namespace", "cursor", "limit"];

/// The settings of one namespace.
#[derive(Debug, Serialize)]
pub struct SettingsReply {
    /// The namespace.
    pub namespace: Namespace,
    /// What is set for it.
    pub settings: NamespaceSettings,
    /// What applies in it: its settings, or else the configuration.
    pub effective: EffectiveSettings,
}

/// The reply to each action.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// The settings of one namespace.
    One(Box<SettingsReply>),
    /// A page of the list.
    Page {
        /// Namespaces with settings, in the order of their names.
        namespaces: Vec<SettingsReply>,
        /// The value that requests the next page; null after the last one.
        cursor: Option<Namespace>,
    },
}

/// Reads, sets, removes or lists settings.
#[derive(Debug)]
pub struct SettingsOperation;

impl Operation for SettingsOperation {
    const SPEC: &'static OperationSpec = &operations::SETTINGS;
    type Request = RequestFields;
    type Response = Response;

    async fn handle(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        mut fields: RequestFields,
    ) -> Result<Reply<Response>, Error> {
        let own: RequestFields = REQUEST_FIELDS.iter().filter_map(|name| fields.remove_entry(*name)).collect();
        let Request { action, namespace, cursor, limit } = event::parse(own)?;
        if let Some(name) = fields.keys().next().filter(|_| action != Action::Set) {
            return Err(Error::invalid(format!("{name}: only `set` takes it"), "leave the field out"));
        }
        let settings: NamespaceSettings = event::parse(fields)?;
        settings.check()?;
        if action == Action::List {
            return list(cache, invocation, namespace, cursor, limit).await;
        }
        if cursor.is_some() || limit.is_some() {
            return Err(Error::invalid("cursor, limit: only `list` takes them", "leave the fields out"));
        }
        let namespace = namespace.ok_or_else(|| Error::invalid("missing field `namespace`", "send a namespace"))?;
        invocation.authorize(&namespace)?;
        if action != Action::Get {
            // A caller with a list of namespaces must not lift the limits that apply to it.
            invocation.authorize_all("changing settings")?;
            invocation.authorize_scope(Scope::Admin)?;
        }
        let settings = match action {
            Action::Set => change_settings(cache, &namespace, |_| Some(settings)).await?.unwrap_or_default(),
            Action::Delete => change_settings(cache, &namespace, |before| (!before.is_empty()).then(Default::default))
                .await?
                .ok_or_else(no_settings)?,
            Action::Get | Action::List => settings_of(cache, &namespace).await?,
        };
        Ok(Reply::ok(Response::One(Box::new(reply(cache, namespace, settings)))))
    }
}

async fn list(
    cache: &Cache,
    invocation: &Invocation,
    namespace: Option<Namespace>,
    cursor: Option<Namespace>,
    limit: Option<usize>,
) -> Result<Reply<Response>, Error> {
    if namespace.is_some() {
        return Err(Error::invalid("namespace: `list` takes none", "leave the field out"));
    }
    let limit = limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Error::invalid(
            format!("limit: {limit} is not between 1 and {MAX_PAGE}"),
            "send a page size in that range, or leave the field out",
        ));
    }
    let access = invocation.visible_namespaces(None)?;
    let is_visible = |namespace: &Namespace| access.includes(namespace);
    let SettingsPage { namespaces, next_after } = list_settings(cache, is_visible, cursor.as_ref(), limit).await?;
    let namespaces = namespaces.into_iter().map(|(namespace, settings)| reply(cache, namespace, settings)).collect();
    Ok(Reply::ok(Response::Page { namespaces, cursor: next_after }))
}

fn reply(cache: &Cache, namespace: Namespace, settings: NamespaceSettings) -> SettingsReply {
    let effective = EffectiveSettings::new(&settings, &cache.config);
    SettingsReply { namespace, settings, effective }
}

fn no_settings() -> Error {
    Error::not_found("the namespace has no settings", "set some first; without settings the configuration applies")
}
