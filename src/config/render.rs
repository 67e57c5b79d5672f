//! A mistake as people like to see it: the line, underlined, and what to do.

use super::error::{Mistake, Position};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::ops::Range;

/// Draws one mistake. Does not end with a line break.
pub(super) fn mistake(file_name: &str, text: &str, mistake: &Mistake, color: bool) -> String {
    let title = Level::ERROR.primary_title(format!("{}{}", mistake.place, mistake.problem.what()));
    let mut group = match &mistake.position {
        None => Group::with_title(title).element(Origin::path(file_name)),
        Some(at) if text.is_empty() => {
            Group::with_title(title).element(Origin::path(file_name).line(at.line).char_column(at.column))
        }
        Some(at) => snippets(Group::with_title(title), file_name, text, at, mistake.other.as_ref()),
    };
    if let Some(remedy) = mistake.problem.remedy() {
        group = group.element(Level::HELP.message(remedy));
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

fn snippets<'a>(
    group: Group<'a>,
    file_name: &'a str,
    text: &'a str,
    at: &Position,
    other: Option<&Range<usize>>,
) -> Group<'a> {
    let (shown, own) = excerpt(text, &at.span);
    let snippet = Snippet::source(&text[shown])
        .path(file_name)
        .line_start(at.line)
        .annotation(AnnotationKind::Primary.span(own));
    let group = group.element(snippet);
    let Some(other) = other else { return group };
    let (shown, first) = excerpt(text, other);
    let line = 1 + text[..shown.start].matches('\n').count();
    group.element(
        Snippet::source(&text[shown])
            .path(file_name)
            .line_start(line)
            .annotation(AnnotationKind::Context.span(first).label("the first one")),
    )
}

/// The line in which `span` starts, and `span` within it. Only lines that are shown are handed to the
/// renderer: it would cut the whole text into lines for each mistake. What spans lines is underlined in its first.
fn excerpt(text: &str, span: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let start = text[..span.start].rfind('\n').map_or(mark, |at| at + 1).min(span.start);
    let end = text[span.start..].find('\n').map_or(text.len(), |at| span.start + at);
    let end = if text[start..end].ends_with('\r') { end - 1 } else { end };
    let last = span.end.min(end).max(span.start.min(end));
    (start..end, span.start.min(end) - start..last - start)
}
