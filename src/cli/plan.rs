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
        Ok(Reply::Plan { changes }) => {
            let code = if changes.is_empty() { ExitCode::Ok } else { ExitCode::Usage };
            if args.way.json {
                return tell_json(&Reply::Plan { changes }, code);
            }
            let lines: Vec<String> = changes.iter().flat_map(lines).collect();
            let text =
                if lines.is_empty() { "a reload would change nothing".into() } else { lines.join("\n") };
            tell(&text, code)
        }
        Ok(other) => refused(&args.way, &other),
        Err(trouble) => in_trouble(&trouble),
    }
}

fn lines(change: &PlanChange) -> Vec<String> {
    let effect = match change.effect {
        Effect::Add => "is new and is started",
        Effect::Remove => "is gone and is stopped",
        Effect::Restart => "is restarted",
        Effect::InPlace => "changes in place",
        Effect::NextStart => "changes when bootstrap is started anew",
    };
    let mut lines = vec![format!("{} {effect}", change.service.as_deref().unwrap_or("[bootstrap]"))];
    lines.extend(change.keys.iter().map(|key| format!("  {}: {} -> {}", key.key, key.old, key.new)));
    lines
}
