//! Names that no service has: what may have been meant.

use crate::config::{Disk, nearest};
use crate::plan::{Plan, Selector, ServiceName};
use crate::protocol::control::{ErrorCode, Reply};

/// The reply where these patterns match nothing: nothing is done.
pub(super) fn no_such_service(plan: &Plan, disk: &mut Disk, patterns: Vec<String>) -> Reply {
    let quoted: Vec<String> = patterns.iter().map(|pattern| format!("{pattern:?}")).collect();
    let waiting = not_loaded(plan, disk, &patterns);
    let remedy = if waiting.is_empty() {
        meant(plan, &patterns).map_or_else(String::new, |meant| format!("; did you mean {meant:?}?"))
    } else {
        format!("; the file has {}, which `reload` would start", waiting.join(", "))
    };
    let message = format!("no service matches {}{remedy}", quoted.join(", "));
    Reply::Error { code: ErrorCode::NoSuchService, message, details: patterns }
}

/// Services that match, and that only the file on disk has.
fn not_loaded(plan: &Plan, disk: &mut Disk, patterns: &[String]) -> Vec<String> {
    let selector = Selector::parse(&patterns.join(","));
    let Ok(found) = disk.look(plan) else { return Vec::new() };
    let names = found.services.iter().map(|service| &service.name);
    let matching = names.filter(|name| selector.matches(name) && !runs(plan, name));
    matching.map(ToString::to_string).collect()
}

fn runs(plan: &Plan, name: &ServiceName) -> bool {
    plan.services.iter().any(|service| service.name == *name)
}

/// The service that one of them most likely stands for.
fn meant<'a>(plan: &'a Plan, patterns: &[String]) -> Option<&'a str> {
    let names: Vec<&str> = plan.services.iter().map(|service| service.name.as_str()).collect();
    patterns.iter().find_map(|pattern| nearest(&pattern.to_lowercase(), &names))
}
