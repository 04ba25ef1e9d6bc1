//! `mneme settings`: reads, sets, removes or lists what is set for namespaces.

use std::fmt;

use mneme_api::operations::SETTINGS;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Done;
use crate::cache::{Cache, Fields};
use crate::exit::Outcome;
use crate::output::{print, printable, show, table};

/// Read, set, remove or list what is set for namespaces.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show what is set for a namespace, and what applies in it.
    Get {
        #[arg(value_name = "NAMESPACE")]
        namespace: String,
    },
    /// Replace all settings of a namespace. A setting that is not given is as configured from then on.
    Set {
        #[arg(value_name = "NAMESPACE")]
        namespace: String,
        /// A setting and its value, such as `threshold=0.9` or `guard=off`.
        ///
        /// Settings: threshold, cutoff, guard, layers, default_ttl_seconds, max_entries, cross_language, max_answer_age.
        #[arg(value_name = "SETTING=VALUE", required = true, value_parser = setting)]
        settings: Vec<(String, Value)>,
    },
    /// Remove all settings of a namespace.
    Delete {
        #[arg(value_name = "NAMESPACE")]
        namespace: String,
    },
    /// List the namespaces with settings. With --json each namespace is one line.
    List,
}

/// What is set for a namespace, and what applies.
#[derive(Debug, Deserialize)]
struct OfNamespace {
    namespace: String,
    settings: Map<String, Value>,
    effective: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Page {
    namespaces: Vec<Value>,
    cursor: Option<String>,
}

/// Does it, and prints the settings as they are then.
///
/// # Errors
/// See [`Cache::call`].
pub(crate) async fn settings(cache: &Cache, arguments: Settings, as_json: bool) -> Done {
    let of = |action: &str, namespace: String| Fields::new().with("action", action).with("namespace", namespace);
    let fields = match arguments.action {
        Action::List => return list(cache, as_json).await,
        Action::Get { namespace } => of("get", namespace),
        Action::Delete { namespace } => of("delete", namespace),
        Action::Set { namespace, settings } => {
            settings.into_iter().fold(of("set", namespace), |fields, (name, value)| fields.with(&name, value))
        }
    };
    let reply: Box<RawValue> = cache.call(&SETTINGS, fields).await?;
    show::<OfNamespace>(&reply, as_json)?;
    Ok(Outcome::Done)
}

async fn list(cache: &Cache, as_json: bool) -> Done {
    let mut rows = table(&["namespace", "settings"]);
    let mut cursor: Option<String> = None;
    loop {
        let page: Page = cache.call(&SETTINGS, Fields::new().with("action", "list").with("cursor", cursor)).await?;
        for namespace in page.namespaces {
            if as_json {
                print(&namespace)?;
                continue;
            }
            let OfNamespace { namespace, settings, .. } = serde_json::from_value(namespace)?;
            let settings: Vec<String> =
                settings.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
            rows.add_row([printable(&namespace), printable(&settings.join(" "))]);
        }
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    if !as_json {
        print(&rows)?;
    }
    Ok(Outcome::Done)
}

/// Reads `name=value`. The value is JSON, or else a text.
fn setting(argument: &str) -> Result<(String, Value), String> {
    let (name, value) = argument.split_once('=').ok_or("give a setting as in threshold=0.9")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((name.trim().to_owned(), value))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    }
}

impl fmt::Display for OfNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "settings  {}", printable(&self.namespace))?;
        for (name, value) in &self.effective {
            let origin = if self.settings.contains_key(name) { "set" } else { "as configured" };
            write!(f, "\n  {name:<20} {:<10} {origin}", printable(&text(value)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn setting_is_a_name_and_json_or_a_text() {
        assert_eq!(setting("threshold=0.9"), Ok(("threshold".to_owned(), json!(0.9))));
        assert_eq!(setting("guard=off"), Ok(("guard".to_owned(), json!("off"))));
        assert_eq!(setting("cross_language=true"), Ok(("cross_language".to_owned(), json!(true))));
        assert!(setting("threshold").is_err());
    }
}
