//! `metrics`: the supervisor's numbers for Prometheus, served as one of its services.

use super::answer::complain;
use super::client::{Connection, Spot, left};
use super::trouble::Trouble;
use super::way::Way;
use crate::exit::ExitCode;
use crate::limits::METRICS_STATUS_PATIENCE;
use crate::metrics;
use crate::os::{self, Os};
use crate::protocol::control::{ControlRequest, Reply};
use crate::protocol::status::Status;
use clap::Args;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

/// The service that this process belongs to, as its supervisor names it.
const OWN: &str = "BOOTSTRAP_SERVICE";

/// To serve metrics.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct MetricsArgs {
    /// The supervisor's runtime directory [default: `$BOOTSTRAP_RUNTIME_DIR`, else as the config file has it]
    #[arg(long, value_name = "DIR")]
    runtime_dir: Option<PathBuf>,

    /// What the supervisor appends: the numbers of the sockets, and that of the pipe of the handshake
    #[arg(required = true, num_args = 2.., value_names = ["LISTEN_FD", "PIPE_FD"])]
    descriptors: Vec<RawFd>,
}

/// Serves until it is asked to leave.
pub(super) fn metrics(config: &Path, args: &MetricsArgs) -> ExitCode {
    let mut granted = match os::claim_granted(&args.descriptors) {
        Ok(granted) => granted,
        Err(error) => {
            let numbers: Vec<String> = args.descriptors.iter().map(ToString::to_string).collect();
            complain(&format!(
                "descriptors {} were not all handed over: {error}; this command is run by the supervisor, as a \
                 service with handshake = \"pipe\"",
                numbers.join(", ")
            ));
            return ExitCode::Failed;
        }
    };
    let pipe = granted.pop().expect("at least two arguments, and a descriptor for each");
    let own = std::env::var(OWN).ok();
    let way = Way::to(args.runtime_dir.clone());
    let mut last = None;
    match metrics::serve(granted, pipe, own.as_deref(), &mut || status(config, &way, &mut last)) {
        Ok(()) => ExitCode::Ok,
        Err(error) => {
            complain(&format!("cannot serve metrics: {error}"));
            ExitCode::Failed
        }
    }
}

/// How everything is; or why the supervisor does not say it.
fn status(config: &Path, way: &Way, last: &mut Option<Spot>) -> Result<Status, String> {
    // A supervisor that becomes another program gives up its connections, not its socket: the next one is taken.
    let answer = match ask(config, way, last) {
        Err(Trouble::Lost(_)) => ask(config, way, last),
        answer => answer,
    };
    match answer {
        Ok(Some(Reply::Status(mut status))) => {
            // What was taken out of the config is not waited for by anybody, and one that came back is there once.
            status.services.retain(|service| !service.removed);
            Ok(*status)
        }
        Ok(Some(Reply::Error { message, .. })) => Err(format!("the supervisor refuses: {message}")),
        Ok(Some(_)) => Err("the supervisor gave an answer to something else".into()),
        Ok(None) => {
            Err(format!("the supervisor did not answer within {}s", METRICS_STATUS_PATIENCE.as_secs()))
        }
        Err(trouble) => Err(trouble.to_string()),
    }
}

/// One question; no answer if it takes too long.
fn ask(config: &Path, way: &Way, last: &mut Option<Spot>) -> Result<Option<Reply>, Trouble> {
    let until = Os::clock() + METRICS_STATUS_PATIENCE;
    let mut connection = Connection::open_again(config, way, last)?;
    connection.ask(&ControlRequest::Status { services: Vec::new() })?;
    loop {
        let reply = connection.next(left(Some(until)))?;
        // A signal ends a wait early.
        if reply.is_some() || Os::clock() >= until {
            return Ok(reply);
        }
    }
}
