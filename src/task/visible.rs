//! Finds the part of a text that a person sees when they decide about it. This module does no I/O.
//!
//! A person who sets a label reads the issue as GitHub shows it. Text that GitHub does not show
//! must not influence an agent: comments in HTML and in Markdown, characters without a width,
//! characters that change the direction of the text, and characters that only programs read.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

static ESCAPE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-Z\\-_])?")
        .expect("the pattern is constant")
});

/// Matches comments. An HTML comment that is not closed hides all the text that follows. A link
/// reference definition that nothing uses is a common way to hide a line in Markdown (GitHub
/// Flavored Markdown Spec, "Link reference definitions").
static COMMENT: LazyLock<Regex> = LazyLock::new(|| {
    let comment = r"(?s)<!--.*?(?:-->|\z)";
    let title = r#"(?:[ \t]+(?:"[^"\n]*"|'[^'\n]*'|\([^)\n]*\)))?"#;
    let reference = format!(r"(?m:^ {{0,3}}\[[^\]\n]+\]:[ \t]*(?:#|<>){title}[ \t]*$)");
    Regex::new(&format!("{comment}|{reference}")).expect("the pattern is constant")
});

/// A text as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visible {
    pub text: String,
    /// How many characters of the original text are missing here.
    pub hidden: usize,
}

/// Removes the text that GitHub does not show. The function also removes comments in code, where
/// GitHub would show them: whether a part of a text is code can be ambiguous, and the caller
/// reports how much was removed.
#[must_use]
pub fn visible(text: &str) -> Visible {
    let unified = text.replace("\r\n", "\n");
    // Hidden characters are removed first, because one inside `<!--` would keep the pattern from
    // matching. The loop repeats because removing one comment may join the text around it into
    // another.
    let mut seen = plain(&unified);
    while let Cow::Owned(less) = COMMENT.replace_all(&seen, "") {
        seen = less;
    }
    let hidden = unified.chars().count().saturating_sub(seen.chars().count());
    Visible { text: seen, hidden }
}

/// Removes terminal escapes, control characters, and characters that reorder or hide text.
#[must_use]
pub fn plain(text: &str) -> String {
    ESCAPE.replace_all(text, "").replace("\r\n", "\n").chars().filter(|&c| is_seen(c)).collect()
}

/// Returns whether a character is visible to a reader, or is a line end or a tab.
///
/// U+FE0F stays, because it turns a sign into an emoji. The other variation selectors are removed,
/// because a sequence of them can encode a hidden text.
fn is_seen(c: char) -> bool {
    let hidden = matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}');
    matches!(c, '\n' | '\t') || (!c.is_control() && !hidden)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &str) {
        let visible = visible(text);
        assert_eq!(visible.text, expected);
        assert_eq!(visible.hidden == 0, text.replace("\r\n", "\n") == expected, "{visible:?}");
    }

    #[test]
    fn what_is_seen_stays() {
        for text in [
            "Add a greeting.\n\n```rust\nfn main() {}\n```\n",
            "挨拶を追加 ⚠\u{fe0f} 👍🏽\n",
            "a -- b --> c",
            "[1]: https://example.com\n",
            "<b>x</b>",
        ] {
            check(text, text);
        }
        check("a\r\nb", "a\nb");
    }

    #[test]
    fn what_is_not_seen_goes() {
        check("do a<!-- do evil -->, b", "do a, b");
        check("do a\n<!-- do\nevil", "do a\n");
        check("do a\n<!\u{200b}-- evil -->b", "do a\nb");
        check("[//]: # (do evil)\nb", "\nb");
        check("[comment]: <> \"do evil\"\nb", "\nb");
        check("a\u{e0064}\u{e006f}b", "ab");
        check("a\u{202e}b\u{2066}c\u{200b}d\u{e0101}\u{fe03}", "abcd");
        check("a\u{1b}[8mb\u{7}", "ab");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(
            text in "\\PC{0,40}(<!--|-->|\u{200b}|\u{202e}|\u{e0041}|\n){0,6}\\PC{0,20}"
        ) {
            let once = visible(&text).text;
            prop_assert!(!once.contains("<!--"));
            prop_assert!(once.chars().all(is_seen));
        }
    }
}
