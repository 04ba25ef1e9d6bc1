//! `mneme-local contract`: prints the product's contract, as the code declares it.

use std::error::Error;

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use mneme_api::access::Scope;
use mneme_api::operations::{COMMON_ERRORS, COMMON_VARIABLES, EmbedderRole, OPERATIONS, OperationSpec, TableAction};
use mneme_model::config::{Config, Variable};
use mneme_model::error::ErrorKind;
use mneme_store::counter::PROVISION_ATTRIBUTES;
use mneme_store::schema::{INDEXES, IndexSchema, KEY_ATTRIBUTES, TABLE_KEY, TTL_ATTRIBUTE};
use serde::Serialize;

/// Print the operations with their routes, errors, permissions and settings.
///
/// Without --json, prints a table of the operations.
#[derive(Debug, Clone, clap::Args)]
pub struct Contract {
    /// Print everything as JSON: operations, errors, configuration variables, and the table's schema.
    #[arg(long)]
    json: bool,
}

/// Prints the contract to stdout.
///
/// # Errors
/// The document cannot be serialised.
pub fn contract(arguments: Contract) -> Result<(), Box<dyn Error>> {
    match arguments.json {
        true => println!("{}", serde_json::to_string_pretty(&Document::new())?),
        false => println!("{}", table()),
    }
    Ok(())
}

/// The document that `--json` prints.
#[derive(Serialize)]
struct Document {
    operations: Vec<OperationJson>,
    errors: Vec<ErrorJson>,
    variables: Vec<Variable>,
    table: TableJson,
}

#[derive(Serialize)]
struct OperationJson {
    name: &'static str,
    summary: &'static str,
    /// The scope that it needs, if MNEME_SCOPE_CLAIM is set.
    scope: Scope,
    /// Empty if and only if the operation is invoked directly only.
    routes: Vec<RouteJson>,
    direct_only: bool,
    scheduled: bool,
    /// Whether it has a Function URL.
    has_url: bool,
    /// The names of all errors that it can answer with.
    errors: Vec<&'static str>,
    /// Names of IAM actions without the prefix `dynamodb:`. `Stamp` means `UpdateItem` limited to
    /// `table.provision_attributes`.
    table_actions: &'static [TableAction],
    index_queries: &'static [&'static str],
    embedders: &'static [EmbedderRole],
    /// The names of all environment variables that it reads.
    variables: Vec<&'static str>,
}

#[derive(Serialize)]
struct RouteJson {
    method: &'static str,
    path: &'static str,
    action: Option<&'static str>,
}

#[derive(Serialize)]
struct ErrorJson {
    name: &'static str,
    status: u16,
    title: &'static str,
}

#[derive(Serialize)]
struct TableJson {
    key: &'static str,
    key_attributes: Vec<AttributeJson>,
    indexes: [IndexSchema; 2],
    ttl_attribute: &'static str,
    provision_attributes: [&'static str; PROVISION_ATTRIBUTES.len()],
}

#[derive(Serialize)]
struct AttributeJson {
    name: &'static str,
    r#type: &'static str,
}

impl Document {
    fn new() -> Self {
        let error = |&kind: &ErrorKind| ErrorJson { name: kind.name(), status: kind.status(), title: kind.title() };
        let attribute = |(name, r#type)| AttributeJson { name, r#type };
        Self {
            operations: OPERATIONS.iter().map(OperationJson::from).collect(),
            errors: ErrorKind::ALL.iter().map(error).collect(),
            variables: Config::variables(),
            table: TableJson {
                key: TABLE_KEY,
                key_attributes: KEY_ATTRIBUTES.into_iter().map(attribute).collect(),
                indexes: INDEXES,
                ttl_attribute: TTL_ATTRIBUTE,
                provision_attributes: PROVISION_ATTRIBUTES,
            },
        }
    }
}

impl From<&OperationSpec> for OperationJson {
    fn from(operation: &OperationSpec) -> Self {
        let &OperationSpec {
            name,
            summary,
            scope,
            endpoints,
            scheduled,
            has_url,
            errors,
            table_actions,
            index_queries,
            embedders,
            variables,
        } = operation;
        let routes = endpoints.iter().map(|at| RouteJson { method: at.method, path: at.path, action: at.action });
        Self {
            name,
            summary,
            scope,
            routes: routes.collect(),
            direct_only: endpoints.is_empty(),
            scheduled,
            has_url,
            errors: COMMON_ERRORS.iter().chain(errors).map(|kind| kind.name()).collect(),
            table_actions,
            index_queries,
            embedders,
            variables: COMMON_VARIABLES.iter().chain(variables).copied().collect(),
        }
    }
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["operation", "routes", "what it does"]);
    for OperationSpec { name, summary, endpoints, .. } in OPERATIONS {
        let routes: Vec<String> = endpoints.iter().map(|at| format!("{} {}", at.method, at.path)).collect();
        let routes = if routes.is_empty() { "direct invocation only".to_owned() } else { routes.join("\n") };
        table.add_row([*name, &routes, *summary]);
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn contract_operations_are_the_packages_of_the_functions_folder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../functions");
        let packages =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let declared: BTreeSet<_> = OPERATIONS.iter().map(|operation| operation.name.to_owned()).collect();
        assert_eq!(packages.collect::<BTreeSet<_>>(), declared);
    }

    #[test]
    fn contract_variables_of_operations_are_those_of_the_configuration() {
        let Document { operations, variables, .. } = Document::new();
        let read: BTreeSet<_> = operations.iter().flat_map(|operation| operation.variables.iter().copied()).collect();
        let configured: BTreeSet<_> = variables.iter().map(|variable| variable.name).collect();
        assert_eq!(read, configured);
    }

    #[test]
    fn contract_index_queries_name_indexes_of_the_table() {
        let indexes = INDEXES.map(|index| index.name);
        for OperationSpec { name, index_queries, .. } in OPERATIONS {
            assert!(index_queries.iter().all(|index| indexes.contains(index)), "{name}: {index_queries:?}");
        }
    }

    #[test]
    fn contract_json_has_names_as_the_checks_read_them() {
        let document = serde_json::to_value(Document::new()).unwrap();
        let lookup = document["operations"].as_array().unwrap().iter().find(|it| it["name"] == "lookup").unwrap();
        assert_eq!(lookup["routes"][0]["path"], "/v1/lookup");
        assert!(lookup["table_actions"].as_array().unwrap().contains(&"BatchGetItem".into()), "{lookup}");
        assert_eq!(lookup["embedders"], serde_json::json!(["active", "next"]));
        assert_eq!(document["errors"][0]["name"], "InvalidRequest");
        assert_eq!(document["table"]["indexes"][0]["sort_key"], "query_hash");
    }
}
