//! Where what a service writes goes: the keys, and what makes no sense together.

use super::{assert_refused, in_service, lines, plan, service};
use bootstrap::plan::{Keeping, Outlet, Stream, UNLIMITED};

#[test]
fn an_outlet_is_one_of_five() {
    let output = |body: &str| *service(body).program.output.clone().expect("an output");
    assert_eq!(service("stdout = 'inherit'").program.output, None);
    assert_eq!(output("stdout = 'null'").stdout, Outlet::Null);
    assert_eq!(output("stdout = 'journal'").of(Stream::Stdout), &Outlet::Journal);
    let found = output(
        "stdout = 'file:/tmp/./a.log'\nstderr = 'syslog'\nlog_max_bytes = 'unlimited'\nlog_backups = 0",
    );
    assert_eq!((found.stdout, found.stderr), (Outlet::File("/tmp/a.log".into()), Outlet::Syslog));
    let keeping = Keeping { max_bytes: UNLIMITED, backups: 0, ..Keeping::default() };
    assert_eq!(found.keeping, keeping);
    let both = service("stdout = 'file:/tmp/a.log'\nstderr = 'journal'");
    assert_eq!(both.program.captured().count(), 2);
}

#[test]
fn what_cannot_be_written_to_is_refused() {
    let words = "write \"inherit\", \"null\", \"journal\", \"syslog\" or \"file:PATH\"";
    let bytes = "write bytes, such as \"10M\", at least 4096, or \"unlimited\"";
    assert_refused(&[
        ("stdout = 3", &format!("`stdout` is 3; {words}")),
        ("stderr = 'jurnal'", &format!("`stderr` is \"jurnal\"; {words}; did you mean \"journal\"?")),
        ("stdout = '/tmp/a.log'", "`stdout` is \"/tmp/a.log\"; write \"file:/tmp/a.log\" for a file"),
        ("stdout = 'file:a.log'", "`stdout` is \"file:a.log\"; the path of a log file is absolute"),
        ("stdout = 'file:/tmp/'", "`stdout` is \"file:/tmp/\"; that is a directory; name a file in it"),
        ("stdout = 'file:/tmp/..'", "`stdout` is \"file:/tmp/..\"; that is a directory; name a file in it"),
        ("log_max_bytes = 4095\nstdout = 'file:/tmp/a.log'", &format!("`log_max_bytes` is 4095; {bytes}")),
        (
            "log_max_bytes = '1 MB'\nstdout = 'file:/tmp/a.log'",
            &format!("`log_max_bytes` is \"1 MB\"; {bytes}"),
        ),
        (
            "log_backups = 1001\nstdout = 'file:/tmp/a.log'",
            "`log_backups` is 1001; write a number from 0 to 1000, without quotes",
        ),
    ]);
}

#[test]
fn keys_about_files_need_a_file_and_agree_with_each_other() {
    let nothing = "is given, and nothing goes to a file; write `stdout = \"file:PATH\"`, or leave it out";
    assert_refused(&[
        ("log_backups = 3", &format!("`log_backups` {nothing}")),
        ("log_timestamps = false\nstdout = 'journal'", &format!("`log_timestamps` {nothing}")),
        (
            "log_compress = true\nlog_backups = 0\nstdout = 'file:/tmp/a.log'",
            "`log_compress` is true and `log_backups` is 0; what is compressed are the backups",
        ),
    ]);
    // For those that do write to a file.
    plan(&format!("[defaults]\nlog_backups = 3\n{}", in_service("")));
    let other = |keys: &str| {
        let first = in_service("stdout = 'file:/tmp/a.log'");
        let second = first
            .replace("'web'", "'api'")
            .replace("'file:/tmp/a.log'", &format!("'file:/tmp/a.log'\n{keys}"));
        lines(&(first + &second))
    };
    assert_eq!(other("log_timestamps = false"), [""; 0]);
    assert_eq!(
        other("log_max_bytes = '1M'"),
        [
            "f: line 7: service \"api\": /tmp/a.log is kept in another way in line 3; `log_max_bytes`, `log_backups` and \
             `log_compress` are the same for all that write to a file"
        ]
    );
}
