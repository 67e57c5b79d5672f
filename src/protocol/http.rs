//! As much of HTTP as a check needs: the request, and the status of the answer.

use crate::limits::STATUS_LINE_BYTES;

/// The request for `path`, after whose answer the server closes the connection.
pub fn request(host: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bootstrap\r\nAccept: */*\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

/// An answer that is none of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotHttp;

/// Reads the first line of an answer, in whatever pieces it comes. One that says that the answer is still to come (1xx:
/// `103 Early Hints`, RFC 9110 section 15.2) is passed over, with its fields.
#[derive(Clone, Debug, Default)]
pub struct StatusReader {
    /// What has come of this line; of a field no more than tells whether it is the empty one that ends them.
    line: Vec<u8>,
    in_fields: bool,
}

impl StatusReader {
    /// Takes what arrived; gives the status once the first line is complete. What follows is ignored.
    ///
    /// # Errors
    ///
    /// The line is longer than [`STATUS_LINE_BYTES`], or is none such as `HTTP/1.1 200 OK`.
    pub fn push(&mut self, input: &[u8]) -> Result<Option<u16>, NotHttp> {
        for piece in input.split_inclusive(|&byte| byte == b'\n') {
            let (text, is_whole) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            self.line.extend(text);
            if self.in_fields {
                self.line.truncate(2);
            } else if self.line.len() > STATUS_LINE_BYTES {
                return Err(NotHttp);
            }
            if is_whole && let Some(status) = self.take_line()? {
                return Ok(Some(status));
            }
        }
        Ok(None)
    }

    /// The line is whole. Gives its status, if that is the last word.
    fn take_line(&mut self) -> Result<Option<u16>, NotHttp> {
        let line = std::mem::take(&mut self.line);
        if self.in_fields {
            self.in_fields = !matches!(line.as_slice(), b"" | b"\r");
            return Ok(None);
        }
        let status = status(&line).ok_or(NotHttp)?;
        // After 101 another protocol is spoken.
        self.in_fields = (100..200).contains(&status) && status != 101;
        Ok((!self.in_fields).then_some(status))
    }
}

/// `HTTP/1.1 200 OK`, with or without its carriage return and its reason.
fn status(line: &[u8]) -> Option<u16> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let (code, after) = rest.split_at_checked(3)?;
    let code: u16 = std::str::from_utf8(code).ok()?.parse().ok()?;
    (matches!(after.first(), None | Some(b' ')) && (100..=599).contains(&code)).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_of_an_answer_reads_the_same() {
        let answer = "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n";
        let hints = format!("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n{answer}");
        let waits = format!("HTTP/1.1 100 Continue\n\n{hints}");
        for answer in [answer, &hints, &waits] {
            for cut in 0..answer.len() {
                let mut reader = StatusReader::default();
                let (head, tail) = answer.as_bytes().split_at(cut);
                let status = match reader.push(head) {
                    Ok(None) => reader.push(tail),
                    early => early,
                };
                assert_eq!(status, Ok(Some(204)), "{answer:?}, cut after {cut} bytes");
            }
        }
    }

    #[test]
    fn an_answer_that_is_only_announced_is_none_yet() {
        let read = |text: &str| StatusReader::default().push(text.as_bytes());
        assert_eq!(read("HTTP/1.1 103 Early Hints\r\n\r\n"), Ok(None));
        let long = format!("HTTP/1.1 103 x\r\nLink: {}\r\n\r\nHTTP/1.1 503 x\r\n", "x".repeat(100_000));
        assert_eq!(read(&long), Ok(Some(503)));
        assert_eq!(read("HTTP/1.1 103 x\r\n\r\nSSH-2.0\r\n"), Err(NotHttp));
        assert_eq!(read("HTTP/1.1 101 Switching Protocols\r\n"), Ok(Some(101)));
    }

    #[test]
    fn what_is_no_status_line_is_told_from_one() {
        let read = |text: &str| StatusReader::default().push(text.as_bytes());
        for (text, code) in
            [("HTTP/1.0 200 OK\n", 200), ("HTTP/1.1 503\r\n", 503), ("HTTP/1.1 404 \r\n", 404)]
        {
            assert_eq!(read(text), Ok(Some(code)), "{text:?}");
        }
        for text in [
            "SSH-2.0-x\r\n",
            "HTTP/1.1 20\r\n",
            "HTTP/1.1 2000\n",
            "HTTP/1.1 -20 x\n",
            "HTTP/2 200\n",
            "\n",
            "HTTP/1.1 999 x\n",
        ] {
            assert_eq!(read(text), Err(NotHttp), "{text:?}");
        }
        assert_eq!(read("HTTP/1.1 200 O"), Ok(None));
    }

    #[test]
    fn a_line_at_the_limit_is_read_and_one_past_it_is_not() {
        let line = |bytes: usize| format!("HTTP/1.1 200 {}\n", "x".repeat(bytes - 13));
        let read = |text: &str| StatusReader::default().push(text.as_bytes());
        assert_eq!(read(&line(STATUS_LINE_BYTES)), Ok(Some(200)));
        assert_eq!(read(&line(STATUS_LINE_BYTES + 1)), Err(NotHttp));
        let mut reader = StatusReader::default();
        let endless = (0..=STATUS_LINE_BYTES).map(|_| reader.push(b"x")).find(Result::is_err);
        assert_eq!(endless, Some(Err(NotHttp)), "without an end of line");
    }
}
