//! Files of `NAME=value` lines.
//!
//! An empty line and one that starts with `#` say nothing; `export ` may stand before the name. A value in
//! single quotes is taken as it stands; in double quotes `\"`, `\\`, `\$` and `` \` `` stand for the second
//! character; without quotes it ends with the line, blanks at its end dropped. No variable is replaced. The mark
//! that some editors put before the first line (U+FEFF) is passed over.

use crate::limits::ENV_FILE_BYTES;
use nix::errno::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Why a file gives no variables.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileError {
    /// The system refused, or it is no file of the kind or size that we read.
    Unreadable(Errno),
    /// This line, counted from 1, is not `NAME=value`. Its text is not repeated: it may be a secret.
    BadLine(usize),
}

/// Reads the variables of a file, in its order.
///
/// # Errors
///
/// `ENOENT` and the like; `EISDIR`; `EINVAL` for a pipe or a socket, which might never end; `EFBIG` for more
/// than [`ENV_FILE_BYTES`]; the first bad line.
pub(super) fn read(path: &Path) -> Result<Vec<(OsString, OsString)>, FileError> {
    variables(&contents(path)?)
}

/// The variables that the contents of a file give.
///
/// # Errors
///
/// The first bad line.
pub(super) fn variables(contents: &[u8]) -> Result<Vec<(OsString, OsString)>, FileError> {
    parse(contents).map_err(FileError::BadLine)
}

/// What stands in a file.
///
/// # Errors
///
/// Those of [`read`], but for bad lines.
pub(super) fn contents(path: &Path) -> Result<Vec<u8>, FileError> {
    bytes(path).map_err(FileError::Unreadable)
}

fn bytes(path: &Path) -> Result<Vec<u8>, Errno> {
    let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
    // Non-blocking, because to open a pipe that nobody writes to would block for ever.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(errno)?;
    let kind = file.metadata().map_err(errno)?.file_type();
    if kind.is_dir() {
        return Err(Errno::EISDIR);
    }
    if kind.is_fifo() || kind.is_socket() {
        return Err(Errno::EINVAL);
    }
    let mut bytes = Vec::new();
    let read = file.take(ENV_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(errno)?;
    if read as u64 > ENV_FILE_BYTES { Err(Errno::EFBIG) } else { Ok(bytes) }
}

/// Gives the variables, or the number of the first bad line.
fn parse(bytes: &[u8]) -> Result<Vec<(OsString, OsString)>, usize> {
    const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut variables = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        variables.push(assignment(line).ok_or(index + 1)?);
    }
    Ok(variables)
}

fn assignment(line: &[u8]) -> Option<(OsString, OsString)> {
    let line = match line.strip_prefix(b"export") {
        Some(rest) if rest.starts_with(b" ") || rest.starts_with(b"\t") => rest.trim_ascii_start(),
        _ => line,
    };
    let equals = line.iter().position(|&byte| byte == b'=')?;
    let (name, value) = (line.get(..equals)?, line.get(equals + 1..)?.trim_ascii_start());
    let value = match value.first() {
        Some(b'\'') => single_quoted(value.get(1..)?)?,
        Some(b'"') => double_quoted(value.get(1..)?)?,
        _ => value.to_vec(),
    };
    (is_name(name) && !value.contains(&0))
        .then(|| (OsStr::from_bytes(name).to_owned(), OsString::from_vec(value)))
}

/// What a shell would take for the name of a variable.
fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(|first| !first.is_ascii_digit())
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// The text up to the closing quote, which must end the line.
fn single_quoted(text: &[u8]) -> Option<Vec<u8>> {
    let (last, value) = text.split_last()?;
    (*last == b'\'' && !value.contains(&b'\'')).then(|| value.to_vec())
}

fn double_quoted(text: &[u8]) -> Option<Vec<u8>> {
    let mut value = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    loop {
        match rest.next()? {
            b'"' => return rest.next().is_none().then_some(value),
            b'\\' => match rest.next()? {
                plain @ (b'"' | b'\\' | b'$' | b'`') => value.push(plain),
                other => value.extend([b'\\', other]),
            },
            plain => value.push(plain),
        }
    }
}

/// The value that a file gives to one variable; the last line that names it counts. None where no line does,
/// or where there is no such file.
///
/// # Errors
///
/// A sentence that names the file, and the line where one is bad.
pub fn variable_in_file(path: &Path, name: &str) -> Result<Option<String>, String> {
    let variables = match read(path) {
        Ok(variables) => variables,
        Err(FileError::Unreadable(Errno::ENOENT)) => return Ok(None),
        Err(FileError::Unreadable(errno)) => return Err(format!("{}: {}", path.display(), errno.desc())),
        Err(FileError::BadLine(line)) => {
            return Err(format!("{}: line {line} is not `NAME=value`", path.display()));
        }
    };
    let value = variables.into_iter().rev().find(|(found, _)| found == name).map(|(_, value)| value);
    value
        .map(|value| {
            value.into_string().map_err(|_| format!("{}: the value of {name} is not UTF-8", path.display()))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(text: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        file
    }

    #[test]
    fn lines_mean_what_a_shell_would_read() {
        for (line, name, value) in [
            ("A=b", "A", "b"),
            ("  A=b  ", "A", "b"),
            ("export A=b", "A", "b"),
            ("export\tA=b", "A", "b"),
            ("export=b", "export", "b"),
            ("_a1=", "_a1", ""),
            ("A=b=c", "A", "b=c"),
            ("A=b # c", "A", "b # c"),
            ("A=' b '", "A", " b "),
            (r"A='a\n$B'", "A", r"a\n$B"),
            (r#"A="a b""#, "A", "a b"),
            (r#"A="a\"b\\c\$d\n""#, "A", r#"a"b\c$d\n"#),
            ("A=it's", "A", "it's"),
            ("A=b\r", "A", "b"),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(vec![(name.into(), value.into())]), "{line:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_where_the_file_begins_and_nowhere_else() {
        assert_eq!(parse("\u{feff}A=b".as_bytes()), Ok(vec![("A".into(), "b".into())]));
        assert_eq!(parse("\u{feff}".as_bytes()), Ok(vec![]));
        assert_eq!(parse("A=b\n\u{feff}C=d".as_bytes()), Err(2));
        assert_eq!(parse("\u{feff}\u{feff}A=b".as_bytes()), Err(1));
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        for bad in
            ["A", "=b", "1A=b", "A B=c", "A-B=c", "export", "A='b", "A='b'c", "A=\"b", "A=\"b\"c", "A=\0"]
        {
            assert_eq!(parse(format!("# x\n\nGOOD=1\n{bad}\nB=2").as_bytes()), Err(4), "{bad:?}");
        }
    }

    #[test]
    fn a_file_at_the_limit_is_read_and_one_past_it_is_not() {
        let limit = usize::try_from(ENV_FILE_BYTES).unwrap();
        let mut text = b"A=b\n".to_vec();
        text.resize(limit, b'#');
        assert!(read(file(&text).path()).is_ok());
        text.push(b'#');
        assert_eq!(read(file(&text).path()), Err(FileError::Unreadable(Errno::EFBIG)));
    }

    #[test]
    fn what_is_no_file_is_refused_and_never_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), Err(FileError::Unreadable(Errno::EISDIR)));
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(&fifo), Err(FileError::Unreadable(Errno::EINVAL)));
        assert_eq!(read(Path::new("/dev/null")), Ok(vec![]));
    }

    #[test]
    fn one_variable_is_found_and_the_last_line_counts() {
        let file = file(b"SELECT=a\nOTHER=x\nSELECT=b\n");
        assert_eq!(variable_in_file(file.path(), "SELECT"), Ok(Some("b".into())));
        assert_eq!(variable_in_file(file.path(), "ABSENT"), Ok(None));
        assert_eq!(variable_in_file(Path::new("/nowhere/at/all"), "SELECT"), Ok(None));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let bad = file(b"SELECT=a\nsecret\n");
        let path = bad.path().display();
        assert_eq!(
            variable_in_file(bad.path(), "SELECT"),
            Err(format!("{path}: line 2 is not `NAME=value`"))
        );
        assert_eq!(variable_in_file(Path::new("/proc"), "A"), Err("/proc: Is a directory".into()));
    }
}
