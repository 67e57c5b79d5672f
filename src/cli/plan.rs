//! `plan`: what a reload would do.

use super::answer::{refused, tell, tell_json};
use super::client::ask;
use super::trouble::in_trouble;
use super::way::{Timeout, Way};
use crate::exit::ExitCode;
use crate::protocol::control::{ControlRequest, Reply};
use crate::protocol::status::{Effect, PlanChange};
use clap::Args;
use std::path::Path;

/// To see what a reload would do.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct PlanArgs {
    #[command(flatten)]
    timeout: Timeout,

    #[command(flatten)]
    way: Way,
}

/// Shows what a reload would do, service by service and key by key. The exit code is 2 where that is something.
pub(super) fn plan(config: &Path, args: &PlanArgs) -> ExitCode {
    match ask(config, &args.way, args.timeout, &ControlRequest::Plan {}) {
        Ok(Reply::Plan { changes, behind }) => {
            let code = if changes.is_empty() { ExitCode::Ok } else { ExitCode::Usage };
            if args.way.json {
                return tell_json(&Reply::Plan { changes, behind }, code);
            }
            tell(text(&changes, &behind), code)
        }
        Ok(other) => refused(&args.way, &other),
        Err(trouble) => in_trouble(&trouble),
    }
}

/// Each change below its heading. Keys of one place that change in one way have one heading.
fn text(changes: &[PlanChange], behind: &[String]) -> String {
    let mut lines = Vec::new();
    if changes.is_empty() {
        lines.push("a reload would change nothing".into());
    }
    let alike = |a: &PlanChange, b: &PlanChange| (&a.service, a.effect) == (&b.service, b.effect);
    for same in changes.chunk_by(alike) {
        lines.extend(same.first().map(heading));
        let keys = same.iter().flat_map(|change| &change.keys);
        lines.extend(keys.map(|key| format!("  {}: {} -> {}", key.key, key.old, key.new)));
    }
    lines.extend(
        behind.iter().map(|name| format!("{name} runs what the file said before, until it is restarted")),
    );
    lines.join("\n")
}

fn heading(change: &PlanChange) -> String {
    let effect = match change.effect {
        Effect::Add => "is new and is started",
        Effect::Remove => "is gone and is stopped",
        Effect::Restart => "is restarted",
        Effect::InPlace => "changes in place",
        Effect::NextStart if change.service.is_some() => "changes when it is started",
        Effect::NextStart => "changes when bootstrap is started anew",
    };
    format!("{} {effect}", change.service.as_deref().unwrap_or("[bootstrap]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::status::KeyChange;

    #[test]
    fn keys_that_change_alike_have_one_heading() {
        let change = |service: Option<&str>, effect, key: &str| PlanChange {
            service: service.map(Into::into),
            effect,
            keys: vec![KeyChange { key: key.into(), old: "1".into(), new: "2".into() }],
        };
        let changes = [
            change(None, Effect::InPlace, "when_idle"),
            change(None, Effect::InPlace, "env_file"),
            change(None, Effect::NextStart, "orphans"),
            change(Some("a"), Effect::InPlace, "workers"),
            change(Some("b"), Effect::InPlace, "workers"),
        ];
        let told = "[bootstrap] changes in place\n  when_idle: 1 -> 2\n  env_file: 1 -> 2\n\
                    [bootstrap] changes when bootstrap is started anew\n  orphans: 1 -> 2\n\
                    a changes in place\n  workers: 1 -> 2\nb changes in place\n  workers: 1 -> 2";
        assert_eq!(text(&changes, &[]), told);
        let nothing = "a reload would change nothing";
        assert_eq!(text(&[], &[]), nothing);
        let behind = "a runs what the file said before, until it is restarted";
        assert_eq!(text(&[], &["a".into()]), format!("{nothing}\n{behind}"));
    }
}
