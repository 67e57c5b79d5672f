//! From what a client wrote to what the core is asked.

use super::unknown::no_such_service;
use crate::config::Disk;
use crate::core::{Supervisor, Wait};
use crate::plan::{Selector, ServiceName};
use crate::protocol::control::{ControlRequest, ErrorCode, Order, Reply};
use crate::report;

/// The services that these patterns mean; none means all.
///
/// # Errors
///
/// One of them is empty: whoever wrote it meant something, but surely not all.
pub(super) fn patterns(services: &[String]) -> Result<Selector, Reply> {
    if services.iter().any(|pattern| Selector::parse(pattern) == Selector::All) {
        return Err(Reply::error(
            ErrorCode::BadRequest,
            "the name of a service is empty, or BOOTSTRAP_SELECT is; no name at all, and no such variable, means all",
        ));
    }
    Ok(Selector::parse(&services.join(",")))
}

/// The same for who looks, where each has to match: a service that was removed and finishes can be looked at, too.
///
/// # Errors
///
/// One of them is empty, or matches nothing.
pub(super) fn selector(core: &Supervisor, disk: &mut Disk, services: &[String]) -> Result<Selector, Reply> {
    let selector = patterns(services)?;
    let planned = core.plan().services.iter().map(|service| &service.name);
    let removed = core.services().filter(|service| service.is_removed());
    let names: Vec<&ServiceName> = planned.chain(removed.map(|service| &service.definition.name)).collect();
    let unmatched: Vec<String> = selector.unmatched(&names).into_iter().map(String::from).collect();
    if unmatched.is_empty() { Ok(selector) } else { Err(no_such_service(core.plan(), disk, unmatched)) }
}

/// When the client wants its answer.
pub(super) fn wait(wanted: bool) -> Wait {
    if wanted { Wait::Outcome } else { Wait::Accepted }
}

/// # Errors
///
/// No process can be sent this signal.
pub(super) fn check_signal(number: i32) -> Result<(), Reply> {
    if (1..=64).contains(&number) {
        return Ok(());
    }
    Err(Reply::error(ErrorCode::BadRequest, format!("`signal` is {number}; signals are 1 to 64")))
}

/// A request in the words of the command line, where it changes something.
pub(super) fn in_words(request: &ControlRequest) -> Option<String> {
    let of = |verb: &str, services: &[String]| {
        let services = if services.is_empty() { "all services".into() } else { services.join(", ") };
        report::beginning(&format!("{verb} {services}"))
    };
    let order = |verb: &str, order: &Order| Some(of(verb, &order.services));
    match request {
        ControlRequest::Start(asked) => order("start", asked),
        ControlRequest::Stop(asked) => order("stop", asked),
        ControlRequest::Restart(asked) => order("restart", asked),
        ControlRequest::Hold(asked) => order("hold", asked),
        ControlRequest::Release(asked) => order("release", asked),
        ControlRequest::Signal { services, signal } => {
            Some(of(&format!("signal {}", report::signal_name(*signal)), services))
        }
        ControlRequest::Reload { .. } => Some("reload".into()),
        ControlRequest::Upgrade {} => Some("upgrade".into()),
        ControlRequest::Version {}
        | ControlRequest::Status { .. }
        | ControlRequest::Plan {}
        | ControlRequest::Events { .. }
        | ControlRequest::Wait { .. } => None,
    }
}
