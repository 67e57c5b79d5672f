//! What differs between two definitions of a service, key by key, as the config file writes them.

use super::words::signal_name;
use crate::plan::{
    Capabilities, Cgroup, Check, Definition, Handshake, Identity, ListenerSpec, Output, Place, Ready,
    Restart, RestartOrder, ServiceName, SocketSettings, Target, UNLIMITED,
};
use crate::protocol::status::KeyChange;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The keys whose values differ. The values of variables are not shown: they may be secrets.
pub fn differences(old: &Definition, new: &Definition) -> Vec<KeyChange> {
    let mut changed: Vec<KeyChange> = keys(old)
        .into_iter()
        .zip(keys(new))
        .filter(|((_, old), (_, new))| old != new)
        .map(|((key, old), (_, new))| KeyChange { key: key.into(), old, new })
        .collect();
    changed.extend(variables(&old.program.env, &new.program.env));
    changed
}

/// Every key but `env`, and its value.
fn keys(definition: &Definition) -> Vec<(&'static str, String)> {
    let Definition { listeners, after, requires, program, policy, .. } = definition;
    let (ready, ready_delay) = ready(&policy.ready);
    let identity = &program.identity;
    let mut all = vec![
        ("listen", list(listeners.iter().map(listener))),
        ("command", format!("{:?}", program.command)),
        ("restart", restart(policy.restart).into()),
        ("restart_order", order(policy.restart_order).into()),
        ("bake_time", time(policy.bake_time)),
        ("rollback", policy.rollback.to_string()),
        ("workers", policy.workers.to_string()),
        ("max_surge", policy.max_surge.to_string()),
        ("max_unavailable", policy.max_unavailable.to_string()),
        ("canary", policy.canary.to_string()),
        ("handshake", handshake(program.handshake).into()),
        ("ready", ready),
        ("ready_delay", ready_delay.map_or_else(none, time)),
        ("check", policy.check.as_deref().map_or_else(none, check_table)),
        ("watchdog", program.watchdog.map_or_else(none, time)),
        ("watch", policy.watch.to_string()),
        ("after", names(after)),
        ("requires", names(requires)),
        ("directory", path(program.directory.as_ref())),
        ("env_file", path(program.env_file.as_ref())),
        ("stop_signal", format!("{:?}", signal_name(policy.stop_signal))),
        ("handover_timeout", time(policy.handover_timeout)),
        ("drain_timeout", time(policy.drain_timeout)),
        ("stop_timeout", time(policy.stop_timeout)),
        ("ready_timeout", time(policy.ready_timeout)),
        ("restart_delay", time(policy.restart_delay)),
        ("restart_delay_max", time(policy.restart_delay_max)),
        ("healthy_after", time(policy.healthy_after)),
    ];
    all.extend(rights(identity));
    all.extend(output(&program.output.as_deref().cloned().unwrap_or_default()));
    all
}

fn rights(identity: &Identity) -> [(&'static str, String); 11] {
    let groups = identity.supplementary_groups.as_ref();
    let set = |rights: Option<Capabilities>| rights.map_or_else(none, |rights| format!("{:#x}", rights.0));
    [
        ("user", shown(identity.user.as_ref())),
        ("group", shown(identity.group.as_ref())),
        ("supplementary_groups", groups.map_or_else(none, |all| list(all.iter().map(ToString::to_string)))),
        ("umask", identity.umask.map_or_else(none, |bits| format!("\"{bits:04o}\""))),
        ("nice", shown(identity.nice)),
        ("oom_score_adjust", shown(identity.oom_score_adjust)),
        ("rlimits", list(identity.rlimits.iter().map(|limit| format!("{} = \"{limit}\"", limit.name)))),
        ("cgroup", identity.cgroup.as_ref().map_or_else(none, cgroup)),
        ("no_new_privs", identity.no_new_privs.to_string()),
        ("capabilities", set(identity.capabilities)),
        ("ambient_capabilities", set(identity.ambient_capabilities)),
    ]
}

fn output(output: &Output) -> [(&'static str, String); 6] {
    let Output { stdout, stderr, keeping } = output;
    let bytes = keeping.max_bytes;
    [
        ("stdout", format!("\"{stdout}\"")),
        ("stderr", format!("\"{stderr}\"")),
        ("log_max_bytes", if bytes == UNLIMITED { "\"unlimited\"".into() } else { bytes.to_string() }),
        ("log_backups", keeping.backups.to_string()),
        ("log_compress", keeping.compress.to_string()),
        ("log_timestamps", keeping.timestamps.to_string()),
    ]
}

fn cgroup(cgroup: &Cgroup) -> String {
    let Cgroup { path, memory_max, cpu_percent, pids_max } = cgroup;
    let limit = |key: &str, limit: Option<String>| {
        limit.map_or_else(String::new, |limit| format!(", {key} = {limit}"))
    };
    let memory = limit("memory_max", memory_max.map(|bytes| bytes.to_string()));
    let processor = limit("cpu_max", cpu_percent.map(|percent| format!("\"{percent}%\"")));
    let processes = limit("pids_max", pids_max.map(|most| most.to_string()));
    format!("{{ path = \"{}\"{memory}{processor}{processes} }}", path.display())
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(none, |value| value.to_string())
}

fn variables(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<KeyChange> {
    let word = |here: Option<&String>, there: Option<&String>| match (here, there) {
        (None, _) => none(),
        (Some(_), None) => "set".into(),
        (Some(_), Some(_)) => "another value".into(),
    };
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let differs = |name: &&String| old.get(*name) != new.get(*name);
    let change = |name: &String| {
        let (before, after) = (old.get(name), new.get(name));
        KeyChange {
            key: format!("env.{name}"),
            old: if before.is_some() { "set".into() } else { none() },
            new: word(after, before),
        }
    };
    names.into_iter().filter(differs).map(change).collect()
}

fn none() -> String {
    "none".into()
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn names(names: &[ServiceName]) -> String {
    list(names.iter().map(|name| format!("{:?}", name.as_str())))
}

fn path(path: Option<&PathBuf>) -> String {
    path.map_or_else(none, |path| format!("\"{}\"", path.display()))
}

fn time(duration: Duration) -> String {
    format!("\"{}\"", humantime::format_duration(duration))
}

fn listener(spec: &ListenerSpec) -> String {
    let ListenerSpec { name, address, settings } = spec;
    let SocketSettings { backlog, nonblocking, defer_accept, access } = &**settings;
    let settings = [
        Some(format!("address = \"{address}\"")),
        name.as_deref().map(|name| format!("name = \"{name}\"")),
        backlog.map(|backlog| format!("backlog = {backlog}")),
        nonblocking.then(|| "nonblocking = true".into()),
        defer_accept.map(|patience| format!("defer_accept = {}", time(patience))),
        access.mode.map(|mode| format!("mode = \"{mode:04o}\"")),
        access.uid.map(|uid| format!("user = {uid}")),
        access.gid.map(|gid| format!("group = {gid}")),
    ];
    format!("{{ {} }}", settings.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn restart(restart: Restart) -> &'static str {
    match restart {
        Restart::No => "\"no\"",
        Restart::OnFailure => "\"on-failure\"",
        Restart::Always => "\"always\"",
    }
}

fn order(order: RestartOrder) -> &'static str {
    match order {
        RestartOrder::StopFirst => "\"stop-first\"",
        RestartOrder::StartFirst => "\"start-first\"",
    }
}

fn handshake(handshake: Handshake) -> &'static str {
    match handshake {
        Handshake::Pipe => "\"pipe\"",
        Handshake::Systemd => "\"systemd\"",
        Handshake::ServerStarter => "\"server-starter\"",
        Handshake::Einhorn => "\"einhorn\"",
        Handshake::Inetd => "\"inetd\"",
        Handshake::None => "\"none\"",
    }
}

fn ready(ready: &Ready) -> (String, Option<Duration>) {
    match ready {
        Ready::Assumed => (none(), None),
        Ready::Started => ("\"started\"".into(), None),
        Ready::Word => ("its word".into(), None),
        Ready::Accepting => ("\"accepting\"".into(), None),
        Ready::Delay(delay) => ("\"delay\"".into(), Some(*delay)),
        Ready::Probe(probe) => (format!("{:?}", probe.target.key()), None),
    }
}

fn check_table(check: &Check) -> String {
    let Check { probe, period, failures } = check;
    let place = |place: &Place| match place {
        Place::Ip(address) => address.clone(),
        Place::Unix(path) => format!("unix:{path}"),
    };
    let target = match &probe.target {
        Target::Tcp(to) => format!("tcp = {:?}", place(to)),
        Target::Http { place: to, path, status, .. } => {
            let status = status.map_or_else(String::new, |status| format!(", status = {status}"));
            format!("http = {:?}{status}", format!("http://{}{path}", place(to)))
        }
        Target::Exec(command) => format!("exec = {command:?}"),
    };
    let (period, timeout) = (time(*period), time(probe.timeout));
    format!("{{ {target}, period = {period}, timeout = {timeout}, failures = {failures} }}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use std::collections::BTreeSet;

    fn definition(more: &str) -> std::sync::Arc<Definition> {
        let text = format!("[[service]]\nname = 'a'\ncommand = 'a'\n{more}");
        let plan = config::parse("a.toml", &text).unwrap_or_else(|refused| panic!("{refused}"));
        plan.services[0].clone()
    }

    /// A key that is added to the file is added here, or a plan would not show it.
    #[test]
    fn every_key_of_a_service_is_compared() {
        let refused =
            config::parse("a.toml", "[[service]]\nname = 'a'\ncommand = 'a'\nxyzzy = 1").unwrap_err();
        let known = refused.mistakes().iter().find_map(|mistake| {
            if let config::Problem::UnknownKey { known, .. } = &mistake.problem { Some(*known) } else { None }
        });
        let known: BTreeSet<&str> = known.unwrap().iter().copied().collect();
        let mut compared: BTreeSet<&str> = keys(&definition("")).iter().map(|(key, _)| *key).collect();
        // The name tells them apart, a port is an address of `listen`, and variables are compared one by one.
        compared.extend(["name", "port", "env"]);
        assert_eq!(compared, known);
    }

    #[test]
    fn values_are_shown_as_the_file_writes_them_but_no_secrets() {
        let old = definition("port = 80\nenv = { A = 'secret', B = 'b' }");
        let new = definition(
            "listen = 'unix:x'\ndrain_timeout = '90s'\nready = 'delay'\nready_delay = '2s'\nenv = { A = 'new', C = 'c' }",
        );
        let found = differences(&old, &new);
        let lines: Vec<String> = found.iter().map(|k| format!("{} {} {}", k.key, k.old, k.new)).collect();
        assert_eq!(
            lines,
            [
                "listen [{ address = \"tcp://0.0.0.0:80\" }] [{ address = \"unix:x\" }]",
                "ready none \"delay\"",
                "ready_delay none \"2s\"",
                "drain_timeout \"1m\" \"1m 30s\"",
                "env.A set another value",
                "env.B set none",
                "env.C none set",
            ]
        );
        assert_eq!(differences(&old, &old), []);
    }
}
