//! Words of a unit as systemd.syntax(7) and systemd.service(5) have them: quotes of both kinds, C-style escapes in and
//! outside of them, and commands one after the other. A shell reads such a line in another way.

/// What divides words.
const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// The words of a value; none where a quote is never closed, or what is written in escapes is no text.
pub(super) fn split(value: &str) -> Option<Vec<String>> {
    let (mut words, mut rest) = (Vec::new(), value.trim_start_matches(BLANKS));
    while !rest.is_empty() {
        let (first, behind) = word(rest)?;
        words.push(first);
        rest = behind.trim_start_matches(BLANKS);
    }
    Some(words)
}

/// The commands of a line, each with its words, of which it has one at least. A semicolon between blanks divides them, and
/// `\;` is a word.
pub(super) fn commands(line: &str) -> Option<Vec<Vec<String>>> {
    let (mut commands, mut words) = (Vec::new(), Vec::new());
    let mut rest = line.trim_start_matches(BLANKS);
    while !rest.is_empty() {
        let (raw, behind) = rest.split_at(rest.find(BLANKS).unwrap_or(rest.len()));
        let behind = match raw {
            ";" => {
                commands.push(std::mem::take(&mut words));
                behind
            }
            "\\;" => {
                words.push(";".into());
                behind
            }
            _ => {
                let (first, behind) = word(rest)?;
                words.push(first);
                behind
            }
        };
        rest = behind.trim_start_matches(BLANKS);
    }
    commands.push(words);
    commands.retain(|words| !words.is_empty());
    Some(commands)
}

/// The first word, and what is behind it.
fn word(line: &str) -> Option<(String, &str)> {
    // An escape may be one of several bytes that make a character.
    let (mut bytes, mut quote, mut rest) = (Vec::new(), None, line);
    while let Some(c) = rest.chars().next().filter(|c| quote.is_some() || !BLANKS.contains(c)) {
        let behind = &rest[c.len_utf8()..];
        rest = behind;
        match c {
            // One that means nothing stays as it is written.
            '\\' => match escape(behind) {
                Some((meant, behind)) => {
                    bytes.extend(meant);
                    rest = behind;
                }
                None => bytes.push(b'\\'),
            },
            '"' | '\'' if quote.is_none() => quote = Some(c),
            _ if quote == Some(c) => quote = None,
            _ => bytes.extend(c.to_string().into_bytes()),
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    quote.is_none().then_some((text, rest))
}

/// What is meant by what stands behind a backslash, and what is behind that. No text has a NUL in it.
fn escape(text: &str) -> Option<(Vec<u8>, &str)> {
    let kind = text.chars().next()?;
    let behind = &text[kind.len_utf8()..];
    let (from, digits, radix) = match kind {
        'a' => return Some((vec![7], behind)),
        'b' => return Some((vec![8], behind)),
        't' => return Some((vec![b'\t'], behind)),
        'n' => return Some((vec![b'\n'], behind)),
        'v' => return Some((vec![11], behind)),
        'f' => return Some((vec![12], behind)),
        'r' => return Some((vec![b'\r'], behind)),
        's' => return Some((vec![b' '], behind)),
        '\\' | '"' | '\'' => return Some((kind.to_string().into_bytes(), behind)),
        'x' => (behind, 2, 16),
        'u' => (behind, 4, 16),
        'U' => (behind, 8, 16),
        '0'..='7' => (text, 3, 8),
        _ => return None,
    };
    let number = from.get(..digits).filter(|number| number.chars().all(|c| c.is_digit(radix)))?;
    let number = u32::from_str_radix(number, radix).ok().filter(|number| *number > 0)?;
    let meant = match kind {
        'u' | 'U' => char::from_u32(number)?.to_string().into_bytes(),
        _ => vec![u8::try_from(number).ok()?],
    };
    Some((meant, &from[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_systemd() {
        for (line, words) in [
            ("", &[][..]),
            ("  a\tb  ", &["a", "b"]),
            (r#"'a b' "c 'd'" e'f g'h"#, &["a b", "c 'd'", "ef gh"]),
            (r#"'' "" x"#, &["", "", "x"]),
            (r"a\x20b it\'s \s", &["a b", "it's", " "]),
            (r#"'a\tb' "\"" 'it\'s'"#, &["a\tb", "\"", "it's"]),
            (r"\101\n \u00fc \U0001f600 \xc3\xbc", &["A\n", "ü", "😀", "ü"]),
            // Those that mean nothing.
            (
                r"\d+ \x2 \x+2 \000 \777 \ud800 \",
                &[r"\d+", r"\x2", r"\x+2", r"\000", r"\777", r"\ud800", r"\"],
            ),
            (r"ü\ü", &[r"ü\ü"]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
            assert_eq!(commands(line).unwrap().concat(), words, "{line}");
        }
        for line in ["'a", "b \"a'", r"\xc3", r"'a\'"] {
            assert_eq!((split(line), commands(line)), (None, None), "{line}");
        }
    }

    #[test]
    fn a_semicolon_of_its_own_divides_commands() {
        for (line, expected) in [
            ("/a x ; /b", &[&["/a", "x"][..], &["/b"]][..]),
            (r"/a \; ;", &[&["/a", ";"]]),
            ("; ; /a", &[&["/a"]]),
            ("/a x; ';' ;y", &[&["/a", "x;", ";", ";y"]]),
            ("", &[]),
        ] {
            assert_eq!(commands(line).unwrap(), expected, "{line}");
        }
    }
}
