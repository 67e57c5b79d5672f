//! The JSON Schema of the file: what editors are told is what the reader takes.

use super::{lines, uncommented};
use bootstrap::config::json_schema;
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

fn schema() -> Validator {
    let schema = json_schema();
    jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("it is no schema: {error}"));
    jsonschema::draft202012::new(&schema).expect("a schema")
}

/// What the schema has against a file.
fn against(schema: &Validator, text: &str) -> Vec<String> {
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    let file: Value = serde_json::to_value(table).unwrap();
    schema.iter_errors(&file).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// After a change of a key: `bootstrap schema > docs/services.schema.json`.
#[test]
fn the_published_schema_is_the_one_that_the_command_prints() {
    let published = std::fs::read_to_string(root().join("docs/services.schema.json")).unwrap();
    let printed = format!("{:#}\n", json_schema());
    let differs = published.lines().zip(printed.lines()).find(|(old, new)| old != new);
    assert_eq!(differs, None, "run `bootstrap schema > docs/services.schema.json`");
    assert_eq!(published.len(), printed.len(), "run `bootstrap schema > docs/services.schema.json`");
}

#[test]
fn every_example_file_is_valid_and_names_the_schema() {
    let (schema, mut files) = (schema(), 0);
    for path in std::fs::read_dir(root().join("config")).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(against(&schema, &text), [""; 0], "{}", path.display());
        let named = text.lines().next().and_then(|line| line.strip_prefix("#:schema "));
        let named = named.unwrap_or_else(|| panic!("{} names no schema in its first line", path.display()));
        assert!(path.parent().unwrap().join(named).is_file(), "{} names {named}", path.display());
        files += 1;
    }
    assert!(files >= 5, "{files} files");
    assert_eq!(against(&schema, &uncommented()), [""; 0], "services.toml with every key");
}

/// Each is refused by both, or the schema knows what the reader does not.
#[test]
fn mistakes_that_an_editor_can_see_are_in_the_schema() {
    let schema = schema();
    for body in [
        "prot = 80",
        "port = '80'",
        "port = 0",
        "port = 65536",
        "name = 'Web'",
        "name = 'bootstrap'",
        "name = ''",
        "command = []",
        "command = ''",
        "command = ['a', 1]",
        "restart = 'allways'",
        "restart = true",
        "handshake = 'pipes'",
        "drain_timeout = 30",
        "drain_timeout = '30'",
        "drain_timeout = 'soon'",
        "drain_timeout = '1 fortnight'",
        "stop_signal = 'SIGTREM'",
        "stop_signal = 'SIGKILL'",
        "stop_signal = 9",
        "stop_signal = 65",
        "listen = 'tcp://localhost:80'",
        "listen = 'tcp://*:80'",
        "listen = '0.0.0.0:80'",
        "listen = 'tcp://::1:80'",
        "listen = { backlog = 5 }",
        "listen = { address = 'unix:a', backlogs = 5 }",
        "listen = [{ address = 'unix:a', backlog = 0 }]",
        "workers = 0",
        "workers = 257",
        "canary = 'yes'",
        "env = { A = 1 }",
        "env = { 'A=' = '1' }",
        "after = ['Web']",
        "directory = ''",
        "user = -1",
        "supplementary_groups = 'adm'",
        "umask = '0999'",
        "umask = '1777'",
        "nice = 20",
        "oom_score_adjust = -1001",
        "rlimits = { nofiles = 1 }",
        "rlimits = { nofile = '1k' }",
        "rlimits = { nofile = '1:2:3' }",
        "capabilities = ['net_bind_servic']",
        "listen = { address = 'unix:a', mode = '0888' }",
        "check = {}",
        "check = { tcp = '127.0.0.1:1', exec = 'true' }",
        "check = { http = 'https://127.0.0.1/' }",
        "check = { http = 'http://127.0.0.1/', status = 99 }",
        "check = { tcp = 'here' }",
        "ready = 'https'",
    ] {
        let own = |key: &str| body.starts_with(&format!("{key} ="));
        let rest = [("name", "name = 'a'\n"), ("command", "command = 'a'\n")];
        let rest: String = rest.into_iter().filter(|(key, _)| !own(key)).map(|(_, line)| line).collect();
        let text = format!("[[service]]\n{rest}{body}\n");
        assert!(!against(&schema, &text).is_empty(), "the schema takes\n{text}");
        assert!(!lines(&text).is_empty(), "the reader takes\n{text}");
    }
    for text in [
        "",
        "[[service]]\nname = 'a'\n",
        "[[service]]\ncommand = 'a'\n",
        "service = []\n",
        "[services]\n",
        "[[service]]\nname = 'a'\ncommand = 'a'\n[defaults]\nport = 80\n",
        "[[service]]\nname = 'a'\ncommand = 'a'\n[defaults]\nname = 'b'\n",
        "[[service]]\nname = 'a'\ncommand = 'a'\n[bootstrap]\nwhen_idle = 'never'\n",
    ] {
        assert!(!against(&schema, text).is_empty(), "the schema takes\n{text}");
        assert!(!lines(text).is_empty(), "the reader takes\n{text}");
    }
}

/// What the schema refused and the reader takes would be underlined in somebody's editor for no reason.
#[track_caller]
fn assert_taken_where_read(schema: &Validator, body: &str) {
    let text = format!("[[service]]\nname = 'a'\ncommand = 'a'\n{body}\n");
    if lines(&text).is_empty() {
        assert_eq!(against(schema, &text), [""; 0], "the reader takes\n{text}");
    }
}

#[test]
fn what_the_reader_takes_is_valid() {
    let schema = schema();
    for body in [
        "drain_timeout = '1h 2m3s4 ms'",
        "drain_timeout = '1.5s'",
        "drain_timeout = ' 1 000 ms '",
        "drain_timeout = '1day 1week'",
        "restart_delay = '0s'",
        "restart_delay = '0'",
        "listen = 'tcp://[fe80::1%3]:80'",
        "listen = ['udp://[::]:53', 'unix:///run/a', 'unix:a b', { address = 'tcp://0.0.0.0:1' }]",
        "listen = []",
        "after = []",
        "env = { 'a b' = '' }",
        "command = ['a', '']",
        "user = 'root'",
        "user = '0'",
        "user = 0",
        "umask = '27'",
        "umask = '00077'",
        "umask = 0o027",
        "rlimits = { nofile = '64:128', core = 'unlimited', stack = 8388608, data = '1G:infinity' }",
        "capabilities = ['net_bind_service', 'CAP_CHOWN', 'Net_Raw']",
        "listen = { address = 'unix:a', mode = '0660', user = 0, group = 'root' }",
        "check = { tcp = '127.0.0.1:{port}' }\nport = 80",
        "check = { tcp = '[::1]:80', period = '1s' }",
        "check = { tcp = 'unix:/run/a', failures = 1 }",
        "check = { http = 'http://127.0.0.1:{port}/ready', status = 204 }\nport = 80",
        "check = { http = 'http://unix:/run/a:/x' }",
        "check = { exec = ['true'] }",
    ] {
        assert_taken_where_read(&schema, body);
    }
    let signals = (1..=64).map(|number| number.to_string());
    let names = nix::sys::signal::Signal::iterator().map(|signal| signal.as_str().to_owned());
    let spellings = names.flat_map(|name| [name.to_lowercase(), name[3..].to_owned(), name]);
    for signal in signals.chain(spellings.map(|name| format!("'{name}'"))) {
        assert_taken_where_read(&schema, &format!("stop_signal = {signal}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_duration_that_people_write_is_valid(ms in 1..8_640_000_000_u64, other in "[0-9. smhdawk]{0,12}") {
        let schema = schema_once();
        let written = humantime::format_duration(Duration::from_millis(ms)).to_string();
        assert_taken_where_read(schema, &format!("drain_timeout = '{written}'"));
        assert_taken_where_read(schema, &format!("drain_timeout = '{other}'"));
    }

    #[test]
    fn every_address_that_is_read_is_valid(address in "(tcp|udp|unix):/{0,3}[a-f0-9.:%\\[\\]/]{0,20}(:[0-9]{1,6})?") {
        assert_taken_where_read(schema_once(), &format!("listen = '{address}'"));
    }
}

fn schema_once() -> &'static Validator {
    static SCHEMA: std::sync::OnceLock<Validator> = std::sync::OnceLock::new();
    SCHEMA.get_or_init(schema)
}

/// The text that stands for a key is its documentation, whole.
#[test]
fn every_key_is_described_and_has_the_default_that_its_text_names() {
    let schema = json_schema();
    let service = &schema["properties"]["service"]["items"]["properties"];
    assert_eq!(service["drain_timeout"]["default"], "1m");
    assert_eq!(service["rollback"]["default"], true);
    assert_eq!(service["workers"]["default"], 1);
    assert_eq!(service["handshake"]["default"], Value::Null, "it depends on the sockets");
    for (key, value) in service.as_object().unwrap() {
        let about = value["description"].as_str().unwrap();
        assert!(about.contains("efault") && about.ends_with('.'), "{key}: {about}");
    }
    let own: Vec<&str> = bootstrap::config::tables()[2].keys.iter().map(|key| key.name).collect();
    let shared: Vec<&str> = bootstrap::config::tables()[1].keys.iter().map(|key| key.name).collect();
    assert_eq!(own.len(), shared.len() + 4, "all but name, port, listen and command");
}
