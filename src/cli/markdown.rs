//! As much of Markdown as our documents use, as roff: headings, paragraphs, lists, tables, code, links.

use roff::{Inline, Roff, bold, italic, roman};

/// Text with `code`, **strong** and *emphasised* words, and [links](to), of which the text is kept.
pub(super) fn inline(text: &str) -> Vec<Inline> {
    let mut found = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let marked = [("``", "``"), ("`", "`"), ("**", "**"), ("*", "*"), ("[", "](")].into_iter().find_map(
            |(open, close)| {
                let (inside, after) = rest.strip_prefix(open)?.split_once(close)?;
                (!inside.is_empty() && !inside.starts_with(' ')).then_some((open, inside, after))
            },
        );
        let Some((open, inside, after)) = marked else {
            plain.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        found.push(roman(std::mem::take(&mut plain)));
        found.push(match open {
            "[" => roman(inside),
            "*" => italic(inside),
            _ => bold(inside),
        });
        rest = if open == "[" { after.split_once(')').map_or("", |(_, after)| after) } else { after };
    }
    found.push(roman(plain));
    found
}

/// A document, but for its title.
pub(super) fn document(roff: &mut Roff, text: &str) {
    let mut lines = text.lines().peekable();
    let mut paragraph = String::new();
    let mut first = true;
    while let Some(line) = lines.next() {
        let begins_another = line.is_empty()
            || ["#", "|", "```", "- "].iter().any(|start| line.starts_with(start))
            || number(line).is_some();
        if begins_another {
            end_paragraph(roff, &mut paragraph);
        }
        if let Some(title) = line.strip_prefix("# ") {
            roff.control("SH", [&*if first { "DESCRIPTION".into() } else { title.to_uppercase() }]);
            first = false;
        } else if let Some(title) = line.strip_prefix("## ") {
            roff.control("SH", [&*plain(title).to_uppercase()]);
        } else if let Some(title) = line.strip_prefix("### ") {
            roff.control("SS", [&*plain(title)]);
        } else if line.starts_with("```") {
            let code: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            verbatim(roff, &code);
        } else if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(row));
            }
            table(roff, &rows);
        } else if begins_another && !line.is_empty() {
            let (mark, text) =
                line.strip_prefix("- ").map(|text| (r"\(bu", text)).or(number(line)).unwrap_or(("", line));
            let mut item = text.to_owned();
            while let Some(more) = lines.next_if(|line| line.starts_with("  ")) {
                item = item + " " + more.trim();
            }
            roff.control("IP", [mark, "4"]).text(inline(&item));
        } else if !line.is_empty() {
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph += line;
        }
    }
    end_paragraph(roff, &mut paragraph);
}

fn end_paragraph(roff: &mut Roff, paragraph: &mut String) {
    if !paragraph.is_empty() {
        roff.control("PP", []).text(inline(&std::mem::take(paragraph)));
    }
}

/// `1.` and what follows it.
fn number(line: &str) -> Option<(&str, &str)> {
    let (number, text) = line.split_once(". ")?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some((number, text)).filter(|_| !number.is_empty())
}

fn plain(text: &str) -> String {
    text.replace(['`', '*'], "")
}

/// Lines that are shown as they are.
fn verbatim(roff: &mut Roff, lines: &[&str]) {
    roff.control("PP", []).control("RS", ["4"]).control("nf", []);
    for line in lines {
        roff.text([roman(*line)]);
    }
    roff.control("fi", []).control("RE", []);
}

fn cells(row: &str) -> Vec<String> {
    row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()
}

/// A table as a list, so that it fits every terminal: the first cell is the subject, each other stands below its
/// heading.
fn table(roff: &mut Roff, rows: &[Vec<String>]) {
    let Some((head, body)) = rows.split_first() else { return };
    for row in body.iter().filter(|row| !row.iter().all(|cell| cell.trim_matches(['-', '|', ' ']).is_empty()))
    {
        let Some((subject, others)) = row.split_first() else { continue };
        roff.control("TP", []).text(inline(subject));
        let said = head.iter().skip(1).zip(others).filter(|(_, cell)| !cell.is_empty());
        let sentences: Vec<String> = said
            .map(|(head, cell)| match head.len() {
                0 => cell.clone(),
                _ => format!("{head}: {cell}."),
            })
            .collect();
        roff.text(inline(&sentences.join(" ")));
    }
}

/// What stands below the options in `--help`: titles that end with a colon, and indented rows of two columns.
pub(super) fn lists(roff: &mut Roff, text: &str) {
    for line in text.lines().filter(|line| !line.is_empty()) {
        let row = line.trim();
        match (line.strip_suffix(':'), row.split_once("  ")) {
            (Some(title), _) if row == line => _ = roff.control("SH", [&*title.to_uppercase()]),
            (_, Some((subject, about))) => {
                roff.control("TP", []).text([bold(subject)]).text([roman(about.trim())]);
            }
            (_, None) => _ = roff.text([roman(row)]),
        }
    }
}
