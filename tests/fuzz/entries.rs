//! What reads bytes that others wrote. Each entry takes any bytes and asserts what must hold of the result; the
//! targets in `fuzz` call the same ones.

use bootstrap::config::{self, Problem};
use bootstrap::import::{Input, Origin, import};
use bootstrap::limits::ENV_FILE_BYTES;
use bootstrap::os::variable_in_file;
use bootstrap::protocol::control::{ControlRequest, Reply};
use bootstrap::protocol::{AckReader, Notice, Word, WordReader};
use std::io::Write as _;

/// The text of a config file: a plan, or at least one mistake, each of them in one line.
pub(crate) fn config_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match config::parse("services.toml", text) {
        Ok(plan) => assert!(!plan.services.is_empty(), "a plan without a service"),
        Err(refused) => {
            let lines = refused.lines();
            assert!(!lines.is_empty(), "refused, and nobody knows why");
            assert!(lines.iter().all(|line| !line.is_empty()), "an empty line: {lines:?}");
            assert!(!refused.render(false).is_empty(), "no picture of {lines:?}");
        }
    }
}

/// The keys about them, as a mistake names them.
const RIGHTS: [&str; 10] = [
    "`user`",
    "`group`",
    "`supplementary_groups",
    "`umask`",
    "`nice`",
    "`oom_score_adjust`",
    "`no_new_privs`",
    "`rlimits",
    "`capabilities",
    "`ambient_capabilities",
];

/// A file of another supervisor: a file of ours that is refused at most for what people have to decide, or nothing.
pub(crate) fn import_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let keys: Vec<&str> = config::tables().iter().flat_map(|table| &table.keys).map(|key| key.name).collect();
    for (origin, name) in [
        (Origin::Supervisord, "supervisord.conf"),
        (Origin::Procfile, "Procfile"),
        (Origin::Systemd, "a.service"),
        (Origin::Systemd, "a.socket"),
        (Origin::StartServer, "run.sh"),
    ] {
        let input = |name: &str| Input { name: name.into(), directory: "/etc".into(), text: text.into() };
        let Ok(ours) = import(origin, &[input("a.service"), input(name)], &keys) else { continue };
        let Err(refused) = config::parse("ours.toml", &ours) else { continue };
        // Who a service is and what it may do is never left out: this machine may lack it, or people may have misspelt it.
        let is_right = |told: &str| RIGHTS.iter().any(|key| told.contains(key));
        let decisions = refused.mistakes().iter().all(|mistake| {
            matches!(
                mistake.problem,
                Problem::AddressTaken { .. }
                    | Problem::OneSocket { .. }
                    | Problem::NotForAddress { key: "handshake", .. }
            ) || is_right(&mistake.to_string())
        });
        assert!(decisions, "{origin:?}: {}\n--- of\n{text}\n--- came\n{ours}", refused.render(false));
    }
}

/// A datagram of `sd_notify`: a line is one notice at most, and they are the same however often it is read.
pub(crate) fn notify_datagram(bytes: &[u8]) {
    let notices = Notice::read(bytes);
    assert!(notices.len() <= bytes.split(|&byte| byte == b'\n').count(), "{notices:?}");
    assert_eq!(notices, Notice::read(bytes));
}

/// What a server writes to its pipe, or to einhorn's socket: what is heard does not depend on the pieces in which
/// it arrives. The first byte says how long they are.
pub(crate) fn words(bytes: &[u8]) {
    let Some((&len, bytes)) = bytes.split_first() else { return };
    let len = usize::from(len).max(1);
    let whole = WordReader::default().push(bytes);
    let mut reader = WordReader::default();
    let pieces: Vec<_> = bytes.chunks(len).flat_map(|piece| reader.push(piece)).collect();
    assert_eq!(pieces, whole, "in pieces of {len}");
    let last = whole.iter().rposition(|word| *word != Ok(Word::Ready));
    assert!(
        last.is_none_or(|last| last + 1 == whole.len()),
        "something comes after the last word: {whole:?}"
    );

    let whole = AckReader::default().push(bytes);
    let mut reader = AckReader::default();
    assert_eq!(bytes.chunks(len).map(|piece| reader.push(piece)).sum::<usize>(), whole, "in pieces of {len}");
}

/// A line of the control socket: a request that is written as it was read, or an error that fits a line. And what is
/// no reply is no panic of a client.
pub(crate) fn control_line(bytes: &[u8]) {
    let (id, result) = ControlRequest::read(bytes);
    match result {
        Ok(request) => {
            let line = request.line(id);
            assert_eq!(line.find('\n'), Some(line.len() - 1), "{line:?}");
            assert_eq!(ControlRequest::read(line.as_bytes()), (id, Ok(request)));
        }
        Err(reply) => {
            assert!(matches!(reply, Reply::Error { .. }), "{reply:?}");
            let line = reply.line(id);
            assert_eq!(line.find('\n'), Some(line.len() - 1), "{line:?}");
            assert_eq!(Reply::read(line.as_bytes()).expect("our own"), (id, reply));
        }
    }
    if let Ok((id, reply)) = Reply::read(bytes) {
        assert_eq!(Reply::read(reply.line(id).as_bytes()).expect("our own"), (id, reply));
    }
}

/// An environment file: a line that is added at its end counts, unless the file was refused before.
pub(crate) fn env_file(bytes: &[u8]) {
    const ADDED: &[u8] = b"\nBOOTSTRAP_SELECT=web\n";
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("room for it");
    let before = variable_in_file(file.path(), "BOOTSTRAP_SELECT");
    file.write_all(ADDED).expect("room for it");
    let after = variable_in_file(file.path(), "BOOTSTRAP_SELECT");
    let not_text = |reason: &String| reason.ends_with("is not UTF-8");
    if before.as_ref().is_err_and(|reason| !not_text(reason)) {
        assert_eq!(after, before, "what was refused is refused");
    } else if (bytes.len() + ADDED.len()) as u64 <= ENV_FILE_BYTES {
        assert_eq!(after, Ok(Some("web".into())));
    }
}
