//! What a pipe holds, as lines.

/// A line, without its newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) text: &'a [u8],
    /// Whether it is only the beginning of one that is too long.
    pub(super) goes_on: bool,
}

/// The lines at the beginning of `bytes`, and how many bytes they take. One that has no newline yet is left there;
/// one that has none within `limit` bytes is split; with `ended` nothing follows, and the last one is whole as it is.
pub(super) fn lines(bytes: &[u8], limit: usize, ended: bool) -> (Vec<Line<'_>>, usize) {
    let (mut found, mut taken) = (Vec::new(), 0);
    while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
        let within = rest.get(..=limit).unwrap_or(rest);
        if let Some(end) = within.iter().position(|byte| *byte == b'\n') {
            found.push(Line { text: within.get(..end).unwrap_or_default(), goes_on: false });
            taken += end + 1;
        } else if rest.len() > limit {
            let part = rest.get(..border(rest, limit)).unwrap_or_default();
            found.push(Line { text: part, goes_on: true });
            taken += part.len();
        } else {
            if ended {
                found.push(Line { text: rest, goes_on: false });
                taken += rest.len();
            }
            break;
        }
    }
    (found, taken)
}

/// The last border between characters of UTF-8 that is not past `at`; `at` itself where it is no such text.
fn border(bytes: &[u8], at: usize) -> usize {
    let continues = |at: &usize| bytes.get(*at).is_some_and(|byte| byte & 0xC0 == 0x80);
    (at.saturating_sub(3)..=at).rev().find(|at| !continues(at)).filter(|at| *at > 0).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(bytes: &[u8], limit: usize, ended: bool) -> (Vec<String>, usize) {
        let (found, taken) = lines(bytes, limit, ended);
        let text = |line: &Line<'_>| {
            String::from_utf8(line.text.to_vec()).unwrap() + if line.goes_on { "+" } else { "" }
        };
        (found.iter().map(text).collect(), taken)
    }

    #[test]
    fn what_has_no_newline_yet_is_left_and_ends_with_its_process() {
        assert_eq!(
            texts(b"one\n\ntwo\nthr", 100, false),
            (vec!["one".into(), String::new(), "two".into()], 9)
        );
        assert_eq!(texts(b"thr", 100, true), (vec!["thr".into()], 3));
        assert_eq!(texts(b"", 100, true), (vec![], 0));
    }

    #[test]
    fn a_line_at_the_limit_is_whole_and_one_past_it_is_split() {
        assert_eq!(texts(b"12345\n", 5, false), (vec!["12345".into()], 6));
        assert_eq!(texts(b"12345", 5, false), (vec![], 0));
        assert_eq!(texts(b"123456\n", 5, false), (vec!["12345+".into(), "6".into()], 7));
        assert_eq!(texts(b"123456", 5, false), (vec!["12345+".into()], 5));
    }

    #[test]
    fn no_character_is_split() {
        assert_eq!(texts("abcdü\n".as_bytes(), 5, false), (vec!["abcd+".into(), "ü".into()], 7));
        assert_eq!(texts("€€€\n".as_bytes(), 5, false), (vec!["€+".into(), "€+".into(), "€".into()], 10));
        let (found, taken) = lines(&[0x80; 9], 4, false);
        assert_eq!((found.len(), taken), (2, 8), "what is no text is split all the same");
    }

    #[test]
    fn every_byte_comes_out_once_however_it_comes_in() {
        let text: Vec<u8> =
            (0..400_u32).flat_map(|n| format!("{}\n", "x".repeat(n as usize % 37)).into_bytes()).collect();
        for step in 1..60 {
            let (mut held, mut out) = (Vec::new(), Vec::new());
            for piece in text.chunks(step) {
                held.extend_from_slice(piece);
                let (found, taken) = lines(&held, 20, false);
                for line in found {
                    out.extend_from_slice(line.text);
                    if !line.goes_on {
                        out.push(b'\n');
                    }
                }
                held.drain(..taken);
            }
            assert!(held.is_empty() && out == text, "in steps of {step}");
        }
    }
}
