//! Finds the parts of a Markdown text that GitHub does not show.
//!
//! The module reads the text with a parser of `CommonMark` that knows GitHub's extensions, so that
//! code stays code: a `<!--` between backticks hides nothing. It finds comments and other markup
//! that browsers show nothing of, definitions of links and footnotes that nothing refers to,
//! surplus cells of tables, what follows the language of a code block, and links without a text.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag};
use regex::Regex;

/// The extensions that GitHub has (GitHub Flavored Markdown Spec; GitHub's documentation, "Basic
/// writing and formatting syntax").
const EXTENSIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_GFM);

/// Matches the beginning of a link reference definition.
static DEFINITION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\[(?:[^\[\]\\]|\\.)+\]:").expect("the pattern is constant"));

/// Returns the ranges of bytes that a reader at GitHub does not see, in order and without overlaps.
pub(super) fn hidden(text: &str) -> Vec<Range<usize>> {
    let parser = Parser::new_ext(text, EXTENSIONS);
    let definitions: Vec<(String, Range<usize>)> = parser
        .reference_definitions()
        .iter()
        .map(|(label, definition)| (label.to_lowercase(), definition.span.clone()))
        .collect();
    let events: Vec<(Event<'_>, Range<usize>)> = parser.into_offset_iter().collect();
    let used = Used::of(&events);
    let mut found = Findings { text, shown: Vec::new(), rows: Vec::new(), hidden: Vec::new() };
    let is_used = |(label, _): &&(String, _)| used.links.contains(label);
    found.shown.extend(definitions.iter().filter(is_used).map(|(_, span)| span.clone()));
    let mut raw_html = RawHtml::default();
    for (position, (event, range)) in events.iter().enumerate() {
        let next = events.get(position + 1).map(|(event, _)| event);
        found.read(event, range, next, &used);
        if let Event::Html(_) | Event::InlineHtml(_) = event {
            raw_html.read(text, range);
        }
    }
    found.find_what_no_event_covers();
    found.hidden.extend(raw_html.end(text.len()));
    merged(found.hidden)
}

/// What the text refers to.
struct Used {
    /// The labels of links and images, in lower case.
    links: HashSet<String>,
    footnotes: HashSet<String>,
}

impl Used {
    fn of(events: &[(Event<'_>, Range<usize>)]) -> Self {
        let mut used = Self { links: HashSet::new(), footnotes: HashSet::new() };
        for (event, _) in events {
            if let Event::Start(Tag::Link { id, .. } | Tag::Image { id, .. }) = event {
                used.links.insert(id.to_lowercase());
            } else if let Event::FootnoteReference(label) = event {
                used.footnotes.insert(label.to_lowercase());
            }
        }
        used
    }
}

struct Findings<'t> {
    text: &'t str,
    /// The ranges that something visible comes from.
    shown: Vec<Range<usize>>,
    /// The ranges of the rows of tables.
    rows: Vec<Range<usize>>,
    hidden: Vec<Range<usize>>,
}

impl Findings<'_> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every event comes from something visible, unless it is named here"
    )]
    fn read(
        &mut self,
        event: &Event<'_>,
        range: &Range<usize>,
        next: Option<&Event<'_>>,
        used: &Used,
    ) {
        match event {
            Event::Start(Tag::FootnoteDefinition(label)) => {
                if used.footnotes.contains(&label.to_lowercase()) {
                    let source = self.text.get(range.clone()).unwrap_or_default();
                    let label_end = source.find("]:").map_or(0, |end| end + 2);
                    self.shown.push(range.start..range.start + label_end);
                } else {
                    self.hidden.push(self.without_line_end(range.clone()));
                }
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                self.shown.push(range.clone());
                if let CodeBlockKind::Fenced(info) = kind {
                    self.hidden.extend(self.after_the_language(range, info));
                }
            }
            Event::Start(Tag::Link { .. }) => {
                self.shown.push(range.clone());
                // The range of an end is that of its start.
                if matches!(next, Some(Event::End(pulldown_cmark::TagEnd::Link))) {
                    self.hidden.push(range.clone());
                }
            }
            Event::Start(Tag::TableHead | Tag::TableRow) => self.rows.push(range.clone()),
            // These only hold others, between which a definition may stand.
            Event::Start(
                Tag::BlockQuote(_)
                | Tag::List(_)
                | Tag::Item
                | Tag::Table(_)
                | Tag::HtmlBlock
                | Tag::DefinitionList
                | Tag::DefinitionListTitle
                | Tag::DefinitionListDefinition,
            )
            | Event::End(_) => {}
            _ => self.shown.push(range.clone()),
        }
    }

    /// Returns what follows the first word after the fence of a code block. GitHub shows none of
    /// it.
    fn after_the_language(&self, block: &Range<usize>, info: &str) -> Option<Range<usize>> {
        let language = info.split_whitespace().next()?;
        let source = self.text.get(block.clone())?;
        let line_end = source.find('\n').unwrap_or(source.len());
        let line = source.get(..line_end)?.trim_end();
        let fence = line.len() - line.trim_start_matches(['`', '~']).len();
        let language_start = fence + line.get(fence..)?.find(language)?;
        let start = language_start + language.len();
        (start < line.len()).then(|| block.start + start..block.start + line.len())
    }

    /// Finds definitions, and surplus cells in the rows of tables, in what no event covers. All
    /// else there is markup, such as the marks of lists.
    fn find_what_no_event_covers(&mut self) {
        let mut gaps = Vec::new();
        let mut end = 0;
        for shown in merged(self.shown.clone()) {
            gaps.push(end..shown.start);
            end = shown.end;
        }
        gaps.push(end..self.text.len());
        for gap in gaps {
            let Some(source) = self.text.get(gap.clone()) else { continue };
            if let Some(definition) = DEFINITION.find(source) {
                self.hidden.push(self.without_line_end(gap.start + definition.start()..gap.end));
            } else if source.contains(char::is_alphanumeric) && self.is_in_a_row(&gap) {
                self.hidden.push(self.without_line_end(gap));
            }
        }
    }

    /// Returns whether a range is within one row of a table. The rows are in their order.
    fn is_in_a_row(&self, range: &Range<usize>) -> bool {
        let next = self.rows.partition_point(|row| row.start <= range.start);
        let row = next.checked_sub(1).and_then(|row| self.rows.get(row));
        row.is_some_and(|row| range.end <= row.end)
    }

    /// Leaves out the blanks, the line ends and the marks of lists and quotes at the end of a
    /// range.
    fn without_line_end(&self, range: Range<usize>) -> Range<usize> {
        let source = self.text.get(range.clone()).unwrap_or_default();
        let mut kept = source.trim_end();
        while let Some((before, last)) = kept.rsplit_once('\n') {
            let is_mark = |c: char| c.is_whitespace() || ">-*+.)0123456789".contains(c);
            if !last.chars().all(is_mark) {
                break;
            }
            kept = before.trim_end();
        }
        range.start..range.start + kept.len()
    }
}

/// What a browser makes of the raw HTML of a text. A comment that is not closed hides what follows
/// it, up to the end of a comment in later HTML.
#[derive(Default)]
struct RawHtml {
    comment_start: Option<usize>,
    hidden: Vec<Range<usize>>,
}

impl RawHtml {
    /// Reads one piece of HTML (HTML Standard, "Tokenization").
    fn read(&mut self, text: &str, range: &Range<usize>) {
        let mut at = range.start;
        let rest = |at: usize| text.get(at..range.end).unwrap_or_default();
        loop {
            if let Some(start) = self.comment_start {
                let Some((end, length)) = comment_end(rest(at)) else { return };
                at += end + length;
                self.hidden.push(start..at);
                self.comment_start = None;
            }
            let Some(open) = rest(at).find('<') else { return };
            at += open;
            let markup = rest(at);
            if markup.starts_with("<!-->") || markup.starts_with("<!--->") {
                let end = at + markup.find('>').map_or(markup.len(), |end| end + 1);
                self.hidden.push(at..end);
                at = end;
            } else if markup.starts_with("<!--") {
                self.comment_start = Some(at);
                at += "<!--".len();
            } else if markup.starts_with("<!") || markup.starts_with("<?") {
                // A browser takes these for comments that end at the next `>`.
                let end = at + markup.find('>').map_or(markup.len(), |end| end + 1);
                self.hidden.push(at..end);
                at = end;
            } else {
                at += tag_length(markup);
            }
        }
    }

    fn end(mut self, length: usize) -> Vec<Range<usize>> {
        self.hidden.extend(self.comment_start.map(|start| start..length));
        self.hidden
    }
}

/// Returns where the first mark in a text is that ends a comment, and how long the mark is.
fn comment_end(text: &str) -> Option<(usize, usize)> {
    let usual = text.find("-->");
    // The search for the other one stops there, so that many comments take no longer than one.
    let before = text.get(..usual.unwrap_or(text.len())).unwrap_or_default();
    let other = before.find("--!>").map(|end| (end, "--!>".len()));
    other.or(usual.map(|end| (end, "-->".len())))
}

/// How long a tag may be, in characters. It bounds the time for a text of many `<`.
const LONGEST_TAG: usize = 512;

/// Returns the length of the tag with which a text begins. A value in quotation marks may contain
/// anything, also what looks like a comment.
fn tag_length(markup: &str) -> usize {
    let mut quote = None;
    for (position, character) in markup.char_indices().take(LONGEST_TAG).skip(1) {
        match quote {
            Some(open) if open == character => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '\'') => quote = Some(character),
            None if character == '>' => return position + 1,
            None => {}
        }
    }
    // No `>` ends the tag, so the `<` is text.
    1
}

/// Sorts ranges and joins those that overlap.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            Some(_) | None => merged.push(range),
        }
    }
    merged
}
