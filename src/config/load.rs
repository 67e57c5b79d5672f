//! From a file to its text, and from the text to a plan.

use super::check;
use super::error::{Mistake, Refused};
use super::look;
use super::notes::{Lines, Notes};
use super::problem::Problem;
use super::syntax;
use crate::limits::CONFIG_BYTES;
use crate::plan::{Output, Plan, ServiceName};
use std::borrow::Cow;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// Reads and checks a config file.
///
/// # Errors
///
/// Every mistake of the file; or why it cannot be read.
pub fn load(path: &Path) -> Result<Plan, Refused> {
    parse(&path.display().to_string(), &text_of(path)?)
}

/// Where each service writes, as far as that can be read, and what is wrong with that: nothing else in the file matters.
pub fn outputs(path: &Path) -> (Vec<(ServiceName, Output)>, Option<Refused>) {
    let text = match text_of(path) {
        Ok(text) => text,
        Err(refused) => return (Vec::new(), Some(refused)),
    };
    let lines = Lines::of(&text);
    let mut notes = Notes::new(&lines);
    let outputs = syntax::read(&text, &mut notes, look::outputs).unwrap_or_default();
    let mistakes = notes.into_mistakes();
    let refused = !mistakes.is_empty();
    (outputs, refused.then(|| Refused::new(&path.display().to_string(), &text, mistakes)))
}

fn text_of(path: &Path) -> Result<String, Refused> {
    let file_name = path.display().to_string();
    let bytes =
        read(path).map_err(|problem| Refused::new(&file_name, "", vec![Mistake::of_file(problem)]))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        not_text(&file_name, error.as_bytes(), at)
    })
}

/// Checks the text of a config file. `file_name` is what the mistakes call it.
///
/// # Errors
///
/// Every mistake of the text, in the order of the text.
pub fn parse(file_name: &str, text: &str) -> Result<Plan, Refused> {
    let lines = Lines::of(text);
    let mut notes = Notes::new(&lines);
    let plan = syntax::read(text, &mut notes, check::document);
    match (plan, notes.into_mistakes()) {
        (Some(plan), mistakes) if mistakes.is_empty() => Ok(plan),
        (_, mistakes) => Err(Refused::new(file_name, text, mistakes)),
    }
}

/// The `runtime_dir` of a config file, whatever else is wrong with it: clients find the supervisor by it.
pub fn runtime_dir(path: &Path) -> Option<PathBuf> {
    let bytes = read(path).ok()?;
    // What is text is not gone through twice.
    let text = str::from_utf8(&bytes).map_or_else(|_| String::from_utf8_lossy(&bytes), Cow::Borrowed);
    runtime_dir_in(&text)
}

/// To read ten thousand services takes longer than to ask for their status: no more is read than has to be.
fn runtime_dir_in(text: &str) -> Option<PathBuf> {
    if !text.contains("runtime_dir") {
        return None;
    }
    // Where no string has lines, a line that looks like a header is one.
    let has_long_strings = ["\"\"\"", "'''"].iter().any(|quotes| text.contains(quotes));
    let own_table = syntax::tables(text).map(|part| &text[part]).find(|part| part.starts_with("[bootstrap]"));
    own_table.filter(|_| !has_long_strings).and_then(runtime_dir_of).or_else(|| runtime_dir_of(text))
}

fn runtime_dir_of(text: &str) -> Option<PathBuf> {
    let (root, _) = DeTable::parse_recoverable(text);
    let bootstrap = root.get_ref().get("bootstrap")?.get_ref().as_table()?;
    bootstrap.get("runtime_dir")?.get_ref().as_str().filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let unreadable = |error: std::io::Error| {
        let remedy = match error.raw_os_error() {
            Some(libc::ENOENT) => Some("write it, or name another with `-c`"),
            Some(libc::EACCES) => Some("run this as root, or as a user that may read it"),
            _ => None,
        };
        Problem::Unreadable { reason: error.to_string(), remedy }
    };
    // A reload must not wait for somebody to open the other end of a named pipe.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
    let kind = file.metadata().map_err(unreadable)?;
    if kind.is_dir() {
        return Err(Problem::Directory);
    }
    if !kind.is_file() {
        let remedy = Some("each reload reads it again: name a file that stays");
        return Err(Problem::Unreadable { reason: "it is no regular file".into(), remedy });
    }
    // The size that the system tells is room to begin with, and no bound: the file may grow.
    let size = kind.len().min(CONFIG_BYTES);
    let mut bytes = Vec::with_capacity(usize::try_from(size + 1).unwrap_or(0));
    file.take(CONFIG_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > CONFIG_BYTES {
        return Err(Problem::TooLarge);
    }
    Ok(bytes)
}

fn not_text(file_name: &str, bytes: &[u8], at: usize) -> Refused {
    let text = String::from_utf8_lossy(&bytes[..at]);
    let lines = Lines::of(&text);
    let mut notes = Notes::new(&lines);
    notes.add(at..at, Problem::NotText { byte: bytes[at] });
    // Without the text: what cannot be read cannot be shown.
    Refused::new(file_name, "", notes.into_mistakes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_dir_is_found_wherever_and_however_it_is_written() {
        let service = "[[service]]\nname = 'a'\ncommand = ['true']\n";
        let own = "[bootstrap]\nruntime_dir = '/run/x'\n";
        let array = "[bootstrap]\nrlimits = [\n['x', 'y'],\n]\nruntime_dir = '/run/x'\n";
        let hidden =
            format!("[[service]]\ncommand = ['sh', '''\n[bootstrap]\nruntime_dir = '/no'\n''']\n{own}");
        for text in [
            own,
            &format!("# [bootstrap]\n{own}{service}"),
            &format!("{service}{own}{service}"),
            &format!("{service}  [bootstrap]\n  runtime_dir = '/run/x'\n{service}"),
            &format!("[ bootstrap ] # this\n\"runtime_dir\" = \"/run/x\"\n{service}"),
            &format!("bootstrap = {{ runtime_dir = '/run/x' }}\n{service}"),
            &format!("bootstrap.runtime_dir = '/run/x'\n{service}"),
            &format!("{array}{service}"),
            &format!("{service}command = [\n{own}"),
            &hidden,
        ] {
            assert_eq!(runtime_dir_in(text), Some("/run/x".into()), "{text}");
        }
        for text in [
            service,
            "[bootstrap]\nruntime_dir = ''\n",
            "[bootstrap]\nruntime_dir = 7\n",
            &format!("{service}env = {{ A = 'runtime_dir' }}\n"),
            &format!("{service}runtime_dir = '/run/x'\n"),
        ] {
            assert_eq!(runtime_dir_in(text), None, "{text}");
        }
    }
}
