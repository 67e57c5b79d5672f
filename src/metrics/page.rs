//! What is asked for, and the answer to it.

use super::table;
use crate::limits::{METRICS_HEAD_BYTES, METRICS_HEADERS};
use crate::protocol::status::Status;

/// The media type of OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PLAIN: &str = "text/plain; charset=utf-8";

/// A page of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// The numbers.
    Metrics,
    /// Does the supervisor answer?
    Health,
    /// Is every service up?
    Ready,
}

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) page: Result<Page, Refusal>,
    /// It wants the head of the answer only.
    head_only: bool,
}

/// Why there is no page for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no HTTP.
    NotHttp,
    /// Its head has too many bytes, or lines.
    TooLong,
    /// It wants to change something.
    Method,
    /// There is no such page.
    NotFound,
}

impl Wanted {
    /// Reads the head of a request; none if more of it is to come.
    pub(super) fn read(inbox: &[u8]) -> Option<Self> {
        let refused = |refusal| Some(Self { page: Err(refusal), head_only: false });
        let mut headers = [httparse::EMPTY_HEADER; METRICS_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(inbox) {
            Ok(httparse::Status::Complete(bytes)) if bytes > METRICS_HEAD_BYTES => refused(Refusal::TooLong),
            Ok(httparse::Status::Complete(_)) => {
                let head_only = request.method == Some("HEAD");
                let page = match request.method {
                    Some("GET" | "HEAD") => page(request.path.unwrap_or_default()),
                    _ => Err(Refusal::Method),
                };
                Some(Self { page, head_only })
            }
            Ok(httparse::Status::Partial) if inbox.len() > METRICS_HEAD_BYTES => refused(Refusal::TooLong),
            Ok(httparse::Status::Partial) => None,
            Err(httparse::Error::TooManyHeaders) => refused(Refusal::TooLong),
            Err(_) => refused(Refusal::NotHttp),
        }
    }

    /// The answer. `own` is the service that we are: who answers is up.
    pub(super) fn answer(self, status: &Result<Status, String>, own: Option<&str>) -> Vec<u8> {
        let (code, media, body) = match (self.page, status) {
            (Err(refusal), _) => refused(refusal),
            (Ok(_), Err(why)) => ("503 Service Unavailable", PLAIN, format!("{why}\n")),
            (Ok(Page::Metrics), Ok(status)) => ("200 OK", OPEN_METRICS, table::text(status.clone())),
            (Ok(Page::Health), Ok(_)) => ("200 OK", PLAIN, "the supervisor answers\n".into()),
            (Ok(Page::Ready), Ok(status)) => readiness(status, own),
        };
        let allow = if self.page == Err(Refusal::Method) { "Allow: GET, HEAD\r\n" } else { "" };
        let length = body.len();
        let mut answer = format!(
            "HTTP/1.1 {code}\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n{allow}Connection: close\r\n\r\n"
        );
        if !self.head_only {
            answer.push_str(&body);
        }
        answer.into_bytes()
    }
}

fn page(target: &str) -> Result<Page, Refusal> {
    // Who takes us for a proxy names us as well (RFC 9112, section 3.2.2).
    let origin = target.strip_prefix("http://").and_then(|rest| Some(&rest[rest.find('/')?..]));
    match origin.unwrap_or(target).split('?').next().unwrap_or_default() {
        "/metrics" => Ok(Page::Metrics),
        "/healthz" => Ok(Page::Health),
        "/readyz" => Ok(Page::Ready),
        _ => Err(Refusal::NotFound),
    }
}

fn refused(refusal: Refusal) -> (&'static str, &'static str, String) {
    let (code, why) = match refusal {
        Refusal::NotHttp => ("400 Bad Request", "this is no HTTP request".into()),
        Refusal::TooLong => (
            "431 Request Header Fields Too Large",
            format!(
                "the head of a request has at most {METRICS_HEAD_BYTES} bytes and {METRICS_HEADERS} fields"
            ),
        ),
        Refusal::Method => {
            ("405 Method Not Allowed", "nothing can be changed here; GET and HEAD are answered".into())
        }
        Refusal::NotFound => ("404 Not Found", "there are /metrics, /healthz and /readyz".into()),
    };
    (code, PLAIN, why + "\n")
}

fn readiness(status: &Status, own: Option<&str>) -> (&'static str, &'static str, String) {
    let down = |name: &str, is_up: bool| !is_up && own != Some(name);
    let missing = status.services.iter().filter(|service| down(&service.name, service.uptime_ms.is_some()));
    let lines: Vec<String> =
        missing.map(|service| format!("{} is {}\n", service.name, service.state)).collect();
    if lines.is_empty() {
        return ("200 OK", PLAIN, "every service is up\n".into());
    }
    ("503 Service Unavailable", PLAIN, lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<Result<Page, Refusal>> {
        Wanted::read(text.as_bytes()).map(|wanted| wanted.page)
    }

    #[test]
    fn a_request_is_a_page_or_refused() {
        for (text, page) in [
            ("GET /metrics HTTP/1.1\r\n\r\n", Some(Ok(Page::Metrics))),
            ("GET /metrics?x=1 HTTP/1.0\r\nHost: a\r\n\r\n", Some(Ok(Page::Metrics))),
            ("HEAD /healthz HTTP/1.1\r\n\r\n", Some(Ok(Page::Health))),
            ("GET http://a:80/healthz?x HTTP/1.1\r\n\r\n", Some(Ok(Page::Health))),
            ("GET http://a HTTP/1.1\r\n\r\n", Some(Err(Refusal::NotFound))),
            ("GET /readyz HTTP/1.1\r\n\r\n", Some(Ok(Page::Ready))),
            ("GET /metrics HTTP/1.1\r\n", None),
            ("", None),
            ("GET / HTTP/1.1\r\n\r\n", Some(Err(Refusal::NotFound))),
            ("GET /metricsx HTTP/1.1\r\n\r\n", Some(Err(Refusal::NotFound))),
            ("POST /metrics HTTP/1.1\r\n\r\n", Some(Err(Refusal::Method))),
            ("\x16\x03\x01\x02", Some(Err(Refusal::NotHttp))),
            ("GET /metrics SMTP\r\n\r\n", Some(Err(Refusal::NotHttp))),
        ] {
            assert_eq!(asked(text), page, "{text:?}");
        }
    }

    #[test]
    fn a_head_has_so_many_bytes_and_fields_and_no_more() {
        let begin = "GET /metrics HTTP/1.1\r\nA: ";
        let of_bytes = |len: usize| format!("{begin}{}\r\n\r\n", "x".repeat(len - begin.len() - 4));
        assert_eq!(asked(&of_bytes(METRICS_HEAD_BYTES)), Some(Ok(Page::Metrics)));
        assert_eq!(asked(&of_bytes(METRICS_HEAD_BYTES + 1)), Some(Err(Refusal::TooLong)));
        assert_eq!(asked(&of_bytes(METRICS_HEAD_BYTES + 2)[..METRICS_HEAD_BYTES]), None);
        assert_eq!(
            asked(&of_bytes(METRICS_HEAD_BYTES + 2)[..=METRICS_HEAD_BYTES]),
            Some(Err(Refusal::TooLong))
        );
        let of_fields = |count: usize| format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count));
        assert_eq!(asked(&of_fields(METRICS_HEADERS)), Some(Ok(Page::Metrics)));
        assert_eq!(asked(&of_fields(METRICS_HEADERS + 1)), Some(Err(Refusal::TooLong)));
    }
}
