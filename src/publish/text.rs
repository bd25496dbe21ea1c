//! Makes text from elsewhere harmless, and cuts text to GitHub's limits.
//!
//! The text of an issue, a model or a build must not notify anybody ("Basic writing and formatting
//! syntax": mentions), close or mention an issue ("Linking a pull request to an issue",
//! "Autolinked references and URLs"), hide anything, or forge one of the worker's hidden marks.

use std::sync::LazyLock;

use regex::Regex;

use crate::task::IssueNumber;
pub use crate::task::visible::plain;

/// GitHub's limit for the body of a comment, an issue or a pull request, in characters. The REST
/// API answers a longer one with 422, "body is too long (maximum is 65536 characters)".
pub(super) const LONGEST_BODY: usize = 65_536;
/// GitHub's limit for a title, in characters: "title is too long (maximum is 256 characters)".
const LONGEST_TITLE: usize = 256;

/// Parts two characters that would have a meaning together (U+2060 WORD JOINER, which has no
/// width).
const JOINER: &str = "\u{2060}";

static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(@)([a-z0-9_])|(#)([0-9])|\b(gh-)([0-9])|(https?://)([a-z0-9])|(</?)([a-z])")
        .expect("the pattern is constant")
});
/// One line of plain text, for a terminal: without control characters and hidden characters, and
/// with one space for each stretch of white space.
#[must_use]
pub fn plain_line(text: &str) -> String {
    plain(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text that Markdown shows as it is: mentions, references, links, HTML and comments do nothing.
#[must_use]
pub(super) fn neutral(text: &str) -> String {
    let text = plain(text).replace("<!--", &format!("<{JOINER}!--"));
    REFERENCE
        .replace_all(&text, |found: &regex::Captures<'_>| {
            let mut parts = found.iter().skip(1).flatten().map(|part| part.as_str());
            let (mark, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            format!("{mark}{JOINER}{rest}")
        })
        .into_owned()
}

/// One line of neutral text, for a title or a table.
#[must_use]
pub(super) fn line(text: &str) -> String {
    neutral(&plain_line(text)).replace('|', "\\|")
}

/// A title within GitHub's limit.
///
/// A title is no Markdown. But it becomes the message of a commit when the pull request is squashed
/// ("About merge methods on GitHub"), and there a mention notifies and a keyword closes an issue.
#[must_use]
pub(super) fn title(text: &str) -> String {
    cut(&neutral(&plain_line(text)), LONGEST_TITLE, "…")
}

/// The title of an issue as a title within GitHub's limit. A title in which nothing is visible is
/// replaced by the issue's number, because git takes no commit without a message and GitHub no pull
/// request without a title.
#[must_use]
pub(super) fn issue_title(text: &str, issue: IssueNumber) -> String {
    let title = title(text);
    if title.trim().is_empty() { format!("Issue {issue}") } else { title }
}

/// Text as a code block. Its fence is longer than every run of backticks in the text (GitHub
/// Flavored Markdown, 4.5), so nothing in it is Markdown.
#[must_use]
pub(super) fn code(text: &str) -> String {
    let text = plain(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}text\n{}\n{fence}", text.trim_end())
}

/// Text as code in a line, however many backticks are in it (GitHub Flavored Markdown, 6.3). It may
/// stand in a table: a `|` is escaped, which the tables extension undoes in code, too (4.10).
#[must_use]
pub(super) fn inline_code(text: &str) -> String {
    let text = plain_line(text).replace('|', "\\|");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if longest > 0 { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// The text, or as much of its beginning as fits into `limit` characters with `mark` after it.
#[must_use]
pub(super) fn cut(text: &str, limit: usize, mark: &str) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let kept = limit.saturating_sub(mark.chars().count());
    text.chars().take(kept).chain(mark.chars()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_neutral(text: &str, expected: &str) {
        assert_eq!(neutral(text).replace(JOINER, "·"), expected);
    }

    #[test]
    fn nobody_is_notified_and_nothing_is_closed() {
        check_neutral("thanks @octocat and @org/team", "thanks @·octocat and @·org/team");
        check_neutral("担当は@okadaさん", "担当は@·okadaさん");
        check_neutral("closes #12, fixes o/r#3 and GH-4", "closes #·12, fixes o/r#·3 and GH-·4");
        check_neutral(
            "see https://github.com/o/r/issues/1",
            "see https://·github.com/o/r/issues/1",
        );
    }

    #[test]
    fn nothing_is_hidden_and_no_mark_is_forged() {
        check_neutral(
            "a<!-- codingworker:done task=x -->b",
            "a<·!-- codingworker:done task=x -->b",
        );
        check_neutral("<img src=x><details>", "<·img src=x><·details>");
        check_neutral("a\u{202e}b\u{200b}c\u{e0041}d\0e\u{1b}[31mred\u{1b}[0m\r\nf", "abcdered\nf");
    }

    #[test]
    fn code_can_not_be_left() {
        assert_eq!(code("a\n```\nb"), "````text\na\n```\nb\n````");
        assert_eq!(inline_code("a ` b"), "`` a ` b ``");
        assert_eq!(inline_code("make test"), "`make test`");
    }

    #[test]
    fn a_title_without_a_visible_character_is_the_issue_s_number() {
        let issue = IssueNumber::new(7).unwrap();
        assert_eq!(issue_title("\u{200b}\u{e0041} ", issue), "Issue 7");
        assert_eq!(issue_title("Add x", issue), "Add x");
    }

    #[test]
    fn a_title_is_one_line_within_the_limit() {
        assert_eq!(title(" Add\n FizzBuzz\u{1b}[1m "), "Add FizzBuzz");
        assert_eq!(title(&"あ".repeat(300)).chars().count(), 256);
        assert_eq!(
            title("Thanks @octocat, closes #12").replace(JOINER, "·"),
            "Thanks @·octocat, closes #·12"
        );
    }

    proptest! {
        #[test]
        fn cut_text_is_never_over_the_limit(text in any::<String>(), limit in 1usize..40) {
            prop_assert!(cut(&text, limit, "…").chars().count() <= limit);
        }

        #[test]
        fn neutral_text_has_no_mention_and_no_mark(text in any::<String>()) {
            let neutral = neutral(&text);
            prop_assert!(!neutral.contains("<!--"));
            prop_assert!(!Regex::new("@[A-Za-z0-9_]").unwrap().is_match(&neutral));
        }
    }
}
