//! The config file described, from the list of its keys: as JSON Schema, and as the tables that the manual has.

use super::described::{Key, joined};
use super::load;
use super::problem::Problem;
use super::raw::{Bootstrap, Cgroup, Check, Listener, Service};
use super::schema::{CGROUP, CHECK, LISTENER};
use serde_json::{Map, Value as Json, json};

/// A table of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// As its header is written.
    pub header: &'static str,
    /// What it is for.
    pub about: String,
    /// Its keys, in the order of the list.
    pub keys: Vec<Key>,
    /// Those of them that it must have.
    pub required: Vec<&'static str>,
}

/// Is this a key of `[[service]]`?
pub fn is_key_of_service(name: &str) -> bool {
    Service::KEYS.contains(&name)
}

/// Every table of the file, and at the end those that are the value of a key.
pub fn tables() -> [Table; 6] {
    let service = Service::described();
    let shared = service.iter().filter(|key| is_shared(key.name)).cloned().collect();
    [
        Table {
            header: "[bootstrap]",
            about: joined(Bootstrap::ABOUT),
            keys: Bootstrap::described(),
            required: missing("[bootstrap]"),
        },
        Table {
            header: "[defaults]",
            about: "What holds for every service that does not say otherwise.".into(),
            keys: shared,
            required: missing("[defaults]"),
        },
        Table {
            header: "[[service]]",
            about: joined(Service::ABOUT),
            keys: service,
            required: missing("[[service]]"),
        },
        Table {
            header: "[service.check]",
            about: joined(Check::ABOUT),
            keys: Check::described(),
            required: Vec::new(),
        },
        Table {
            header: "[service.cgroup]",
            about: joined(Cgroup::ABOUT),
            keys: Cgroup::described(),
            required: vec!["path"],
        },
        Table {
            header: "listen",
            about: joined(Listener::ABOUT),
            keys: Listener::described(),
            required: missing("[[service]]\nname = 'a'\ncommand = 'a'\nlisten = {}"),
        },
    ]
}

/// The JSON Schema of the file, draft 2020-12.
pub fn json_schema() -> Json {
    let [bootstrap, defaults, service, check, cgroup, listener] = tables();
    let mut check = of_table(&check);
    check["oneOf"] = json!([{ "required": ["tcp"] }, { "required": ["http"] }, { "required": ["exec"] }]);
    let services = json!({ "type": "array", "minItems": 1, "items": of_table(&service) });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "bootstrap: the services file",
        "description": "The services that bootstrap holds sockets for and runs.",
        "type": "object",
        "properties": {
            "bootstrap": of_table(&bootstrap),
            "defaults": of_table(&defaults),
            "service": services,
        },
        "required": ["service"],
        "additionalProperties": false,
        "$defs": { CHECK: check, CGROUP: of_table(&cgroup), LISTENER: of_table(&listener) },
    })
}

fn of_table(table: &Table) -> Json {
    let keys: Map<String, Json> = table.keys.iter().map(|key| (key.name.into(), of_key(key))).collect();
    json!({
        "title": table.header,
        "description": table.about,
        "type": "object",
        "properties": keys,
        "required": table.required,
        "additionalProperties": false,
    })
}

fn of_key(key: &Key) -> Json {
    let mut schema = key.schema.clone();
    schema["title"] = json!(key.name);
    schema["description"] = json!(key.about());
    if let Some(default) = key.default().and_then(|text| as_json(&text)) {
        schema["default"] = default;
    }
    schema
}

/// A value as it stands in the file.
fn as_json(text: &str) -> Option<Json> {
    let table: toml::Table = format!("value = {text}").parse().ok()?;
    serde_json::to_value(table.get("value")?).ok()
}

/// May the key stand in `[defaults]`? The reader of the file is asked, so that there is one answer.
fn is_shared(key: &str) -> bool {
    problems(&format!("[defaults]\n{key} = 0"))
        .iter()
        .all(|problem| !matches!(problem, Problem::NotShared { .. }))
}

/// The keys that this file would have to have besides.
fn missing(text: &str) -> Vec<&'static str> {
    let key = |problem: &Problem| if let Problem::Missing { key } = problem { Some(*key) } else { None };
    problems(text).iter().filter_map(key).collect()
}

fn problems(text: &str) -> Vec<Problem> {
    let mistakes = load::parse("", text).err().map(|refused| refused.mistakes().to_vec());
    mistakes.into_iter().flatten().map(|mistake| mistake.problem).collect()
}
