//! Which services a request means: names and globs, separated by commas.

use super::ServiceName;
use serde::{Deserialize, Serialize};

/// The services that a request names.
///
/// A glob has `*` (any run of characters) and `?` (any one); everything else means itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Selector {
    /// All of them.
    All,
    /// Those that match one of the patterns. Never empty.
    Patterns(Vec<String>),
}

impl Selector {
    /// Reads the value of `BOOTSTRAP_SELECT`. A text without a pattern selects everything, as an unset
    /// variable does.
    pub fn parse(text: &str) -> Self {
        let patterns: Vec<String> =
            text.split(',').map(str::trim).filter(|p| !p.is_empty()).map(String::from).collect();
        if patterns.is_empty() { Self::All } else { Self::Patterns(patterns) }
    }

    /// Does it mean this service?
    pub fn matches(&self, name: &ServiceName) -> bool {
        match self {
            Self::All => true,
            Self::Patterns(patterns) => patterns.iter().any(|p| glob(p.as_bytes(), name.as_str().as_bytes())),
        }
    }

    /// Does it have this very name, and not just a pattern for it?
    pub fn names(&self, name: &ServiceName) -> bool {
        match self {
            Self::All => false,
            Self::Patterns(patterns) => patterns.iter().any(|pattern| pattern == name.as_str()),
        }
    }

    /// The patterns that match none of `names`: most likely misspelt.
    pub fn unmatched<'a>(&'a self, names: &[&ServiceName]) -> Vec<&'a str> {
        match self {
            Self::All => Vec::new(),
            Self::Patterns(patterns) => patterns
                .iter()
                .filter(|p| !names.iter().any(|n| glob(p.as_bytes(), n.as_str().as_bytes())))
                .map(String::as_str)
                .collect(),
        }
    }
}

/// Matches with one point of return, so that the time is at most pattern times text.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((star_p, star_t)) => {
                    star = Some((star_p, star_t + 1));
                    p = star_p + 1;
                    t = star_t + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServiceName {
        ServiceName::parse(text).unwrap()
    }

    #[test]
    fn names_and_globs_select_what_a_shell_would() {
        for (text, yes, no) in [
            ("web", "web", "web-2"),
            ("web*", "web-2", "a-web"),
            ("*-eu", "api-eu", "api-us"),
            ("w?b", "wib", "wiib"),
            ("a*b*c", "axxbyyc", "axxbyy"),
            ("api, web", "web", "mail"),
            ("*", "anything", ""),
        ] {
            let selector = Selector::parse(text);
            assert!(selector.matches(&name(yes)), "{text} should select {yes}");
            if !no.is_empty() {
                assert!(!selector.matches(&name(no)), "{text} should not select {no}");
            }
        }
    }

    #[test]
    fn a_glob_names_nobody() {
        let web = name("web");
        for (text, named) in
            [("web", true), ("api,web", true), ("w*,we?", false), ("", false), ("api", false)]
        {
            assert_eq!(Selector::parse(text).names(&web), named, "{text}");
        }
    }

    #[test]
    fn an_empty_selector_is_no_selector() {
        assert_eq!(Selector::parse(""), Selector::All);
        assert_eq!(Selector::parse(" , ,"), Selector::All);
    }

    #[test]
    fn patterns_that_match_nothing_are_named() {
        let (web, api) = (name("web"), name("api"));
        let names = [&web, &api];
        assert_eq!(Selector::parse("web,wbe,x*").unmatched(&names), ["wbe", "x*"]);
    }

    #[test]
    fn many_stars_do_not_explode() {
        assert!(!glob("*a".repeat(30).as_bytes(), "a".repeat(29).as_bytes()));
    }
}
